"""The summary that closes a test run."""

from __future__ import annotations

import os

import pytest

from tests.support import summary

PLUGINS = """
pytest_plugins = ["tests.support.summary"]

def pytest_configure(config):
    config.addinivalue_line("markers", "shows(*ids): rows")
"""

TESTS = """
import pytest

@pytest.mark.shows("A-1")
def test_passes(): pass

@pytest.mark.shows("A-1", "A-2")
def test_fails(): assert 0

@pytest.mark.shows("A-3")
def test_passes_too(): pass

def test_without_peer(): pytest.skip("needs PostgreSQL")

@pytest.fixture
def broken():
    yield
    raise RuntimeError

def test_tear_down_fails(broken): pass
"""


def test_a_run_counts_each_test_once_and_names_rows_and_skips(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(PLUGINS)
    folder = pytester.mkdir("tests").joinpath("unit")
    folder.mkdir()
    folder.joinpath("test_some.py").write_text(TESTS, encoding="utf-8")
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "folder*passed*failed*skipped*seconds",
            "tests/unit*2 *2 *1 *",
            "requirement rows shown: 1",
            "  A-3",
            "REQUIREMENT ROWS BROKEN: 2",
            "  A-1 A-2",
            "NOT RUN: 1 test: needs PostgreSQL",
            "*1 failed, 3 passed, 1 skipped, 1 error*",
        ]
    )


ONE_MORE_TRY = """
import pytest

tries = []
pytestmark = pytest.mark.flaky(reruns=1)

def test_a_lost_race():
    tries.append("call")
    assert len(tries) > 1

def test_never(): assert 0

@pytest.fixture
def late():
    yield
    tries.append("late")
    assert tries.count("late") > 1

def test_tear_down_is_late(late): pass
"""


def test_a_test_that_is_tried_again_is_counted_once_and_named(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(PLUGINS)
    pytester.makepyfile(test_some=ONE_MORE_TRY)
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        [
            "test_some.py*2 *1 *0 *",
            "FAILED AT THE FIRST TRY, mend its race: test_some.py::test_a_lost_race",
            "FAILED AT THE FIRST TRY, mend its race: test_some.py::test_never",
            "FAILED AT THE FIRST TRY, mend its race: test_some.py::test_tear_down_is_late",
            "*1 failed, 3 passed, 3 rerun*",
        ]
    )


def test_real_parts_get_one_more_try_in_ci_only(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.hasplugin("rerunfailures")
    assert pytestconfig.getoption("rerun_show_tracebacks") is ("CI" in os.environ)
    assert not pytestconfig.getoption("reruns")


@pytest.mark.parametrize(
    ("test", "folder"),
    [
        ("tests/unit/engine/test_x.py::test_y[a/b::c]", "tests/unit"),
        ("tests/cluster/test_z.py::TestZ::test_it", "tests/cluster"),
    ],
)
def test_folder_of(test: str, folder: str) -> None:
    assert summary.folder_of(test) == folder


def test_many_rows_are_wrapped() -> None:
    run = summary.Run()
    run.finish("tests/unit/test_x.py::test_y", "passed", tuple(f"S1-FLAG-{number:02}" for number in range(30)))
    assert max(map(len, summary.lines(run))) <= 100


def test_a_row_that_only_skipped_tests_name_is_not_shown() -> None:
    run = summary.Run()
    run.finish("tests/unit/test_x.py::test_y", "skipped", ("A-1",))
    assert (run.shown, run.broken) == ([], [])
    assert list(summary.lines(run))[-1] == "NOT RUN: 1 test: no reason given"


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (["a", "b"], "last time 4 s"),
        (["a", "b", "c"], "last time 4 s; 1 of 3 are new"),
        (["c"], ""),
        ([], ""),
    ],
)
def test_expectation(tests: list[str], said: str) -> None:
    assert summary.expectation(tests, {"a": 1.4, "b": 3.0, "gone": 9.0}) == said


def test_a_second_run_says_how_long_the_first_one_took(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(PLUGINS)
    pytester.makepyfile("def test_it(): ...")
    assert "last time" not in pytester.runpytest_inprocess("-p", "no:randomly").stdout.str()
    pytester.runpytest_inprocess("-p", "no:randomly").stdout.fnmatch_lines(["last time 0 s"])
