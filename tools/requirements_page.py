"""Join the requirements catalogue with the tests that show its rows, and write docs/requirements.md.

`load_catalogue()` reads docs/requirements.yaml, `collect_shown()` reads the `shows` markers of the tests from their
source (nothing is imported or run), `problems()` says what does not fit together, `render()` makes the page.

    python -m tools.requirements_page            write the page
    python -m tools.requirements_page --check    fail when the page is not current or the two do not fit
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import yaml

State = Literal["planned", "partly", "shown", "outside"]
STATES: Final[tuple[State, ...]] = get_args(State)
ROOT: Final = Path(__file__).resolve().parents[1]
CATALOGUE: Final = ROOT / "docs" / "requirements.yaml"
PAGE: Final = ROOT / "docs" / "requirements.md"
TESTS: Final = ROOT / "tests"

SECTIONS: Final[Mapping[str, str]] = {
    "S0": "The plan as a whole",
    "S1": "The main design",
    "S2": "Production rollout of an agent system",
    "S3": "Language models: batches and prompt caches",
    "S4": "A hybrid search system",
}


class CatalogueError(ValueError):
    """docs/requirements.yaml, or a marker in a test, is not as it must be; the message names the place."""


@dataclass(frozen=True)
class Requirement:
    """One row: its ID, what it asks for in one line, and how far it is."""

    id: str
    line: str
    state: State

    @property
    def section(self) -> str:
        """`S1` of `S1-FLAG-04`."""
        return self.id.split("-", 1)[0]


@dataclass(frozen=True)
class Shown:
    """One test (`tests/unit/test_x.py::test_y`) that names a row."""

    requirement: str
    test: str


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error and not the last one wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise CatalogueError(f"{key!r} stands twice, the second time in line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_catalogue(path: Path = CATALOGUE) -> dict[str, Requirement]:
    """Read every requirement, in the order of the file.

    Raises CatalogueError for a double ID, an unknown state or a missing line.
    """
    with path.open(encoding="utf-8") as stream:
        rows = yaml.load(stream, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that is stricter still
    if not isinstance(rows, dict):
        raise CatalogueError(f"{path.name} must be a mapping from ID to {{state, line}}")
    return {str(identity): _requirement(str(identity), row) for identity, row in rows.items()}


def collect_shown(folder: Path = TESTS) -> list[Shown]:
    """Find every `pytest.mark.shows("ID", ...)` below `folder`, sorted by row and test.

    A marker on a class or in `pytestmark` is reported once for the class or file. Raises CatalogueError when an
    argument is not a literal string: the page is made from source.
    """
    found = {shown for path in sorted(folder.rglob("*.py")) for shown in _shown_in(path, folder)}
    return sorted(found, key=lambda shown: (shown.requirement, shown.test))


def problems(catalogue: Mapping[str, Requirement], shown: Iterable[Shown]) -> list[str]:
    """Say, one sentence each, where catalogue and tests contradict each other."""
    shown = list(shown)
    rows = {one.requirement for one in shown}
    unknown = [
        f'{one.test}: shows("{one.requirement}"), but docs/requirements.yaml has no such ID'
        for one in shown
        if one.requirement not in catalogue
    ]
    empty = [
        f'{row.id}: state "shown" without a test; mark one with @pytest.mark.shows("{row.id}") or write "planned"'
        for row in catalogue.values()
        if row.state == "shown" and row.id not in rows
    ]
    return unknown + empty


def hints(catalogue: Mapping[str, Requirement], shown: Iterable[Shown]) -> list[str]:
    """Rows that say `planned` while tests show something of them, or `partly` while none does."""
    rows = {one.requirement for one in shown}
    bare = [
        f'{row.id}: state "partly", but no test shows anything of it'
        for row in catalogue.values()
        if row.state == "partly" and row.id not in rows
    ]
    return bare + [
        f'{row.id}: tests show it, its state is "planned"; write "partly" or "shown"'
        for row in catalogue.values()
        if row.state == "planned" and row.id in rows
    ]


def render(catalogue: Mapping[str, Requirement], shown: Iterable[Shown]) -> str:
    """Make the Markdown page."""
    tests: dict[str, list[str]] = {}
    for one in shown:
        tests.setdefault(one.requirement, []).append(one.test)
    return "\n".join([*_head(catalogue), *_sections(catalogue, tests)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; exit code 1 when something must be done first."""
    parser = argparse.ArgumentParser(
        prog="requirements_page", description="docs/requirements.md from catalogue and tests"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is not current")
    options = parser.parse_args(arguments)
    try:
        catalogue, shown = load_catalogue(), collect_shown()
    except CatalogueError as error:
        print(f"requirements: {error}", file=sys.stderr)
        return 1
    complaints = problems(catalogue, shown)
    page = render(catalogue, shown)
    if options.check and not complaints and _current() != page:
        complaints = ["docs/requirements.md is not current; run make generate"]
    for line in complaints:
        print(f"requirements: {line}", file=sys.stderr)
    for line in hints(catalogue, shown):
        print(f"requirements: note: {line}")
    if complaints:
        return 1
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
    print(f"requirements: {len(catalogue)} rows, {len({one.requirement for one in shown})} named by tests")
    return 0


def _requirement(identity: str, row: object) -> Requirement:
    if not isinstance(row, dict) or set(row) != {"state", "line"}:
        raise CatalogueError(f"{identity}: write {{state: ..., line: ...}} and nothing else")
    state, line = row["state"], row["line"]
    if state not in STATES:
        raise CatalogueError(f"{identity}: state {state!r} is none of {', '.join(STATES)}")
    if not isinstance(line, str) or not line.strip() or "\n" in line or "|" in line:
        raise CatalogueError(f"{identity}: line must be one line of text without '|'")
    return Requirement(identity, line.strip(), state)


def _shown_in(path: Path, folder: Path) -> Iterator[Shown]:
    name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
    yield from _walk(ast.parse(path.read_text(encoding="utf-8"), filename=name), name)


def _walk(node: ast.AST, where: str) -> Iterator[Shown]:
    for child in ast.iter_child_nodes(node):
        inside = where
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{where}::{child.name}"
        if isinstance(child, ast.Call) and _is_marker(child.func):
            yield from _named(child, where)
        yield from _walk(child, inside)


def _is_marker(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "shows"
        and isinstance(function.value, ast.Attribute)
        and function.value.attr == "mark"
    )


def _named(call: ast.Call, where: str) -> Iterator[Shown]:
    if call.keywords or not call.args:
        raise CatalogueError(f'{where}: line {call.lineno}: write shows("ID", ...) with at least one ID')
    for argument in call.args:
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise CatalogueError(f"{where}: line {call.lineno}: shows() takes literal strings")
        yield Shown(argument.value, where)


def _head(catalogue: Mapping[str, Requirement]) -> list[str]:
    counts = {state: sum(row.state == state for row in catalogue.values()) for state in STATES}
    return [
        "<!-- Generated by `make generate` from requirements.yaml and the tests' shows() markers; do not edit. -->",
        "",
        "# Requirements",
        "",
        "What was asked for, and the tests that show it.",
        "",
        "| state | means | rows |",
        "|---|---|---|",
        f"| shown | tests show all of it | {counts['shown']} |",
        f"| partly | tests show some of it | {counts['partly']} |",
        f"| planned | nothing to show yet | {counts['planned']} |",
        f"| outside | not ours to build; the line names the nearest thing we do | {counts['outside']} |",
    ]


def _sections(catalogue: Mapping[str, Requirement], tests: Mapping[str, list[str]]) -> Iterator[str]:
    section = ""
    for row in catalogue.values():
        if row.section != section:
            section = row.section
            yield from ("", f"## {section}: {SECTIONS.get(section, section)}", "", "| ID | asks for | state | tests |")
            yield "|---|---|---|---|"
        shown = "<br>".join(f"`{test}`" for test in tests.get(row.id, ()))
        yield f"| {row.id} | {row.line} | {row.state} | {shown} |"


def _current() -> str:
    return PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
