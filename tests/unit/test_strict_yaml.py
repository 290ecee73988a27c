"""The one reader of YAML: what kubectl reads, and nothing that is twice, endless or huge."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.hostile_yaml import HOSTILE
from veriramp_operator.api.strict_yaml import MOST_BORROWED, MOST_LEVELS, load_all_strictly, load_strictly


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused_in_a_sentence(name: str) -> None:
    text, said = HOSTILE[name]
    for content in (text, text.encode()):
        with pytest.raises(yaml.YAMLError) as refused:
            load_strictly(content)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("- &x a\n- [*x, *x]", ["a", ["a", "a"]]),
        ("a: {k: 1}\nb: {k: 2}", {"a": {"k": 1}, "b": {"k": 2}}),
    ],
)
def test_the_rest_is_read(text: str, value: object) -> None:
    assert load_strictly(text) == value


def test_each_document_is_bounded_by_itself() -> None:
    letter = "x" * (MOST_BORROWED // 2 - 1)
    twice = f"- &a {letter}\n- *a\n- *a\n"
    assert [len(each) for each in load_all_strictly(f"{twice}---\n{twice}---\n{letter * 3}\n")] == [
        3,
        3,
        len(letter) * 3,
    ]
    with pytest.raises(yaml.MarkedYAMLError) as refused:
        load_all_strictly(f"{twice}- *a")
    assert refused.value.problem_mark is not None
    assert refused.value.problem_mark.line == 3


def test_so_many_levels_and_no_more() -> None:
    assert load_strictly("[" * (MOST_LEVELS - 1) + "x" + "]" * (MOST_LEVELS - 1))
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        load_strictly("[" * MOST_LEVELS + "x" + "]" * MOST_LEVELS)


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(yaml.YAMLError, match=r'(?s)the key "a" stands twice; keep one.*line 2'):
        load_strictly("a: 1\na: 2")


def test_one_document_is_asked_for() -> None:
    with pytest.raises(yaml.YAMLError, match="more than one document in it; keep one"):
        load_strictly("a\n---\nb")


_PIECES = [
    "a",
    "&a ",
    "*a",
    "*a ",
    "<<: ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\n",
    "  ",
    "!!int ",
    "!!set ",
    "? ",
    "1",
    "0x1f",
    "2026-01-01",
    '"',
    "'",
    "|\n",
    "---\n",
    "%",
    "#",
]


@given(st.one_of(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join), st.text(), st.binary()))
@example("&a a: *a")
def test_every_text_is_a_value_or_a_yaml_error(text: str | bytes) -> None:
    try:
        load_all_strictly(text)
    except yaml.YAMLError:
        return
