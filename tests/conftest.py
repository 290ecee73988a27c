"""What holds for every test: the Hypothesis profiles, requirement rows that exist, one more try in CI."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Generator
from typing import Final

import hypothesis
import pytest

from tools import requirements_page

pytest_plugins = ["pytester", "tests.support.summary", "tests.support.devcluster", "tests.support.logguard"]

# Time is never asserted: no deadline, and no complaint where drawing takes long. `ci` draws the same examples every
# time: a red build is red again.
_COMMON: Final = hypothesis.settings(
    deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("default", _COMMON)
hypothesis.settings.register_profile("ci", _COMMON, max_examples=200, derandomize=True, database=None)
hypothesis.settings.register_profile("soak", _COMMON, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Tests with processes of their own share CI's two cores with strangers. A race that one of them loses is told of in the
# summary, with its traceback, and is a bug to mend; it does not hide what the rest of the run says. At home it fails.
_TRIED_AGAIN: Final = ("tests/component/", "tests/cluster/")
_IN_CI: Final = "CI" in os.environ
_FAILED: Final = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Show why a test was tried again."""
    if _IN_CI:
        config.option.rerun_show_tracebacks = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What a test that failed has left open is not blamed on the one in which it happens to be collected."""
    answer = yield
    if item.stash.get(_FAILED, False):
        _forget_what_is_left()
    return answer


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The same before the second try."""
    if item.stash.get(_FAILED, False):
        _forget_what_is_left()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a try failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


def _forget_what_is_left() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop before the first test when a marker names a row that docs/requirements.yaml does not have; see above."""
    for item in items:
        if _IN_CI and item.nodeid.startswith(_TRIED_AGAIN):
            item.add_marker(pytest.mark.flaky(reruns=1))
    known = requirements_page.load_catalogue()
    unknown = sorted(
        f'{item.nodeid}: shows("{name}")'
        for item in items
        for mark in item.iter_markers("shows")
        for name in mark.args
        if name not in known
    )
    if unknown:
        raise pytest.UsageError("docs/requirements.yaml has no such ID:\n" + "\n".join(unknown))
