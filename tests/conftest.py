"""What holds for every test: the Hypothesis profiles, and requirement rows that exist."""

from __future__ import annotations

import os
from typing import Final

import hypothesis
import pytest

from tools import requirements_page

pytest_plugins = ["pytester", "tests.support.summary", "tests.support.devcluster", "tests.support.logguard"]

# Time is never asserted, so no deadline. `ci` draws the same examples every time: a red build is red again.
_COMMON: Final = hypothesis.settings(deadline=None, print_blob=True)
hypothesis.settings.register_profile("default", _COMMON)
hypothesis.settings.register_profile("ci", _COMMON, max_examples=200, derandomize=True, database=None)
hypothesis.settings.register_profile("soak", _COMMON, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop before the first test when a marker names a row that docs/requirements.yaml does not have."""
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
