"""What holds for every test: the Hypothesis profiles, requirement rows that exist, one more try in CI."""

from __future__ import annotations

import os
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


def pytest_configure(config: pytest.Config) -> None:
    """Show why a test was tried again."""
    if _IN_CI:
        config.option.rerun_show_tracebacks = True


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
