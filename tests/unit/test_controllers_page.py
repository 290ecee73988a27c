"""docs/controllers.md: every row names tests, and they exist."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.support.rollouts import ROOT

PAGE: Final = ROOT / "docs" / "controllers.md"
_TEST: Final = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>\w+)(\[(?P<case>[\w-]+)\])?`")


def rows() -> list[str]:
    """The rows of the table, without its head."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return lines[1:]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_each_row_is_shown_by_tests_that_exist(row: str) -> None:
    shown = row.rstrip(" |").rpartition("|")[2]
    found = list(_TEST.finditer(shown))
    assert found
    assert _TEST.sub("", shown).strip() == ""
    for match in found:
        source = (ROOT / match["path"]).read_text(encoding="utf-8")
        names = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
        assert match["name"] in names
        assert match["case"] is None or f'"{match["case"]}"' in source
