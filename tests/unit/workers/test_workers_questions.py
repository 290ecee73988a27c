"""Lines that people write: what is a question, and what a bad line is told."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_workers.command.questions import LONGEST_LINE, BadLineError, read_question
from veriramp_workers.ports import Question

GOOD = {
    '{"id": "a", "text": "The mill is red."}': ("a", Question("The mill is red.")),
    '{"text": "The mill is red."}': ("7", Question("The mill is red.")),
    '{"id": 12, "claim": "C.", "premises": ["A.", "B."]}': ("12", Question("C.", ("A.", "B."))),
    '{"id": "a", "claim": "C.", "premises": "A. B."}': ("a", Question("C.", ("A. B.",))),
    '{"id": "a", "claim": "C.", "label": 3}': ("a", Question("C.")),
    '{"id": "a", "claim": {"subject": "x", "is": "red"}}': ("a", Question('{"subject": "x", "is": "red"}')),
}
BAD = {
    "{": "this is no JSON (Expecting property name enclosed in double quotes at column 2); write {",
    "[]": "a list is no question; write {",
    '"The mill is red."': "a text is no question",
    '{"id": "a"}': 'neither "text" nor "claim" is there; write {"id"',
    '{"id": "a", "text": "A.", "claim": "B."}': 'both "text" and "claim" are there',
    '{"id": "a", "text": "A.", "premises": ["B."]}': 'the field "premises" belongs to a "claim"',
    '{"id": "a", "claim": 12}': 'the field "claim" is 12; write a text',
    '{"id": "a", "claim": null}': 'the field "claim" is null; write a text',
    '{"id": "a", "claim": "C.", "premises": [1]}': 'the field "premises" is 1; write a text',
    '{"id": "a", "claim": "C.", "premisses": ["A."]}': 'the field "premisses" is not known; write "premises"',
    '{"id": "a", "Text": "C."}': 'the field "Text" is not known; write "text"',
    '{"id": true, "text": "A."}': 'the field "id" is true; write a text or a whole number',
    '{"id": "a", "text": []}': 'the field "text" is a list; write a text',
    '{"text": "The \\ud800 mill is red."}': 'the field "text" holds \\ud800, half a character',
    '{"id": "\\udc00", "text": "A."}': 'the field "id" holds \\udc00, half a character',
    '{"claim": "A.", "premises": [{"subject": "x", "is": "\\ud800"}]}': 'the field "premises" holds \\ud800',
    "[" * 100_000: "nested too deep",
    "x" * (LONGEST_LINE + 1): "longer than",
}


@pytest.mark.parametrize("line", GOOD)
def test_a_question_is_read(line: str) -> None:
    read = read_question(line.encode(), 7)
    assert (read.id, read.question) == GOOD[line]


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:50])
def test_a_bad_line_is_told_what_to_write(line: str) -> None:
    with pytest.raises(BadLineError) as bad:
        read_question(line.encode(), 7)
    assert BAD[line] in str(bad.value)
    assert "\n" not in str(bad.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "text", "claim", "x"]), inner),
    max_leaves=6,
)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_question_or_bad(line: bytes) -> None:
    with contextlib.suppress(BadLineError):
        assert isinstance(read_question(line, 1).question.text, str)
