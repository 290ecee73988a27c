"""docs/controllers.md: every row names tests, and they exist."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final

import pytest

from tests.support.rollouts import ROOT

PAGE: Final = ROOT / "docs" / "controllers.md"
_TEST: Final = re.compile(r"`(?P<id>(?P<path>tests/[\w/]+\.py)::\w+(\[[\w-]+\])?)`")


def rows() -> list[str]:
    """The rows of the table, without its head."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return lines[1:]


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """Every test of the files that the page names, with its cases and without."""
    paths = sorted({match["path"] for match in _TEST.finditer(PAGE.read_text(encoding="utf-8"))})
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *paths)
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = {line for line in printed.splitlines() if "::" in line}
    return found | {one.partition("[")[0] for one in found}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_each_row_is_shown_by_tests_that_exist(row: str, collected: set[str]) -> None:
    shown = row.rstrip(" |").rpartition("|")[2]
    found = {match["id"] for match in _TEST.finditer(shown)}
    assert found
    assert _TEST.sub("", shown).strip() == ""
    assert found - collected == set()
