"""The catalogue and the tests that show its rows must fit together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tools import requirements_page
from tools.requirements_page import CatalogueError, Requirement, Shown

ONE_ROW = {"S1-FLAG-01": Requirement("S1-FLAG-01", "Safe defaults", "shown")}


def catalogue_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "requirements.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def folder_with(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_some.py").write_text(text, encoding="utf-8")
    return folder


def test_the_catalogue_lists_every_row_once() -> None:
    catalogue = requirements_page.load_catalogue()
    sections = Counter(row.section for row in catalogue.values())
    assert sections == {"S0": 12, "S1": 146, "S2": 28, "S3": 10, "S4": 30}


def test_catalogue_and_tests_fit() -> None:
    assert requirements_page.problems(requirements_page.load_catalogue(), requirements_page.collect_shown()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A: {state: planned, line: x}\nA: {state: planned, line: y}\n", "'A' stands twice, the second time in line 2"),
        ("A: {state: done, line: x}\n", "A: state 'done' is none of planned, partly, shown, outside"),
        ("A: {state: planned}\n", "A: write {state: ..., line: ...} and nothing else"),
        ("A: {state: planned, line: x, owner: y}\n", "nothing else"),
        ("A: planned\n", "nothing else"),
        ("A: {state: planned, line: ''}\n", "A: line must be one line"),
        ("A: {state: planned, line: 'a | b'}\n", "A: line must be one line"),
        ("- A\n", "must be a mapping"),
    ],
)
def test_a_bad_catalogue_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogueError) as refusal:
        requirements_page.load_catalogue(catalogue_with(tmp_path, text))
    assert message in str(refusal.value)


def test_markers_are_found_wherever_they_may_stand(tmp_path: Path) -> None:
    source = """
import pytest
pytestmark = pytest.mark.shows("ON-FILE")

@pytest.mark.shows("ON-CLASS")
class TestThings:
    @pytest.mark.shows("ON-METHOD", "SECOND")
    def test_method(self): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.shows("ON-CASE"))])
@pytest.mark.shows("ON-FUNCTION")
async def test_function(x): ...

def test_says_only(): "pytest.mark.shows('IN-TEXT')"
"""
    assert requirements_page.collect_shown(folder_with(tmp_path, source)) == [
        Shown("ON-CASE", "tests/test_some.py::test_function"),
        Shown("ON-CLASS", "tests/test_some.py::TestThings"),
        Shown("ON-FILE", "tests/test_some.py"),
        Shown("ON-FUNCTION", "tests/test_some.py::test_function"),
        Shown("ON-METHOD", "tests/test_some.py::TestThings::test_method"),
        Shown("SECOND", "tests/test_some.py::TestThings::test_method"),
    ]


@pytest.mark.parametrize("arguments", ["", "ID", "'A', ids='B'", "*IDS", "7"])
def test_a_marker_that_cannot_be_read_from_source_is_refused(tmp_path: Path, arguments: str) -> None:
    source = f"import pytest\n\n@pytest.mark.shows({arguments})\ndef test_it(): ...\n"
    with pytest.raises(CatalogueError, match=r"tests/test_some\.py::test_it: line 3"):
        requirements_page.collect_shown(folder_with(tmp_path, source))


def test_an_unknown_row_is_a_problem() -> None:
    [problem] = requirements_page.problems({}, [Shown("S9-NONE-01", "tests/unit/test_x.py::test_y")])
    assert problem == 'tests/unit/test_x.py::test_y: shows("S9-NONE-01"), but docs/requirements.yaml has no such ID'


def test_shown_without_a_test_is_a_problem() -> None:
    [problem] = requirements_page.problems(ONE_ROW, [])
    assert problem.startswith('S1-FLAG-01: state "shown" without a test')
    assert requirements_page.problems(ONE_ROW, [Shown("S1-FLAG-01", "tests/x.py::test_y")]) == []


def test_planned_with_a_test_earns_a_hint_only() -> None:
    planned = {"A": Requirement("A", "Something", "planned")}
    shown = [Shown("A", "tests/x.py::test_y")]
    assert requirements_page.problems(planned, shown) == []
    assert requirements_page.hints(planned, shown) == [
        'A: tests show it, its state is "planned"; write "partly" or "shown"'
    ]


def test_partly_without_a_test_earns_a_hint_only() -> None:
    partly = {"A": Requirement("A", "Something", "partly")}
    assert requirements_page.problems(partly, []) == []
    assert requirements_page.hints(partly, []) == ['A: state "partly", but no test shows anything of it']


def test_the_page_names_row_line_state_and_tests() -> None:
    page = requirements_page.render(
        ONE_ROW, [Shown("S1-FLAG-01", "tests/x.py::a"), Shown("S1-FLAG-01", "tests/x.py::b")]
    )
    assert "| S1-FLAG-01 | Safe defaults | shown | `tests/x.py::a`<br>`tests/x.py::b` |" in page
    assert "| shown | tests show all of it | 1 |" in page
    assert "## S1: The main design" in page


def test_check_fails_on_a_stale_page_and_writing_makes_it_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "requirements.md"
    monkeypatch.setattr(requirements_page, "PAGE", page)
    assert requirements_page.main(["--check"]) == 1
    assert "run make generate" in capsys.readouterr().err
    assert not page.exists()
    assert requirements_page.main([]) == 0
    assert requirements_page.main(["--check"]) == 0


def test_collection_stops_at_an_unknown_row(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers = shows(*ids): rows that a test shows\n"
    )
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems")
    pytester.makepyfile("import pytest\n\n@pytest.mark.shows('S1-FLAG-01', 'S9-NONE-01')\ndef test_it(): ...\n")
    result = pytester.runpytest_inprocess("-p", "no:randomly")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no such ID:", '*::test_it: shows("S9-NONE-01")'])
