"""Rules of the house that no linter knows: shape of the tree, sizes, what may stand in a tracked file."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import veriramp_sdk

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("operator", "workers", "tools", "tests")
MAX_FILE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 50
# Taken apart so that this file does not break its own rule.
FOREIGN: Final = re.compile(
    "|".join(
        (
            r"(?<![\w.~-])/(?:work|root|opt/wh" + r"eels|home/\w+|Users/\w+)/\w",
            r"pypi\." + r"org|files\.python" + r"hosted|proxy\.golang\." + r"org|sum\.golang\." + r"org",
            r"registry\.npmjs\." + r"org|repo\d*\.maven",
            r"--(?:extra-)?index-url[ =]" + r"http|^--find-" + r"links",
        )
    ),
    re.MULTILINE,
)
SHARED: Final = "../" + "shared"


def tracked() -> list[Path]:
    """Files that git knows or would add, so that a rule bites before the commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = (ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    return [path for path in files if path.is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found.group().lower()


def dependencies() -> set[str]:
    about = project()
    groups = [
        about["project"]["dependencies"],
        *about["project"]["optional-dependencies"].values(),
        *about["dependency-groups"].values(),
    ]
    return {name_of(requirement) for group in groups for requirement in group}


@pytest.mark.parametrize("folder", ["operator", "workers"])
def test_the_outer_folders_are_no_packages(folder: str) -> None:
    """A package called `operator` would shadow the standard library."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_tests_live_in_tests() -> None:
    stray = [
        path
        for path in sources()
        if path.relative_to(ROOT).parts[0] in {"operator", "workers"}
        and (path.name.startswith("test_") or path.name == "conftest.py" or "tests" in path.parts)
    ]
    assert stray == []


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_FILE_LINES] == []


def test_functions_are_short() -> None:
    long = [
        f"{path}:{node.lineno}: {node.name} has {length} lines"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
        for name, text in texts()
        if not name.endswith("go.sum")
        for match in FOREIGN.finditer(text)
    ]
    assert found == []


def test_the_project_stands_alone() -> None:
    """Only benches may read what lies beside the repository."""
    assert [name for name, text in texts() if SHARED in text and not name.startswith("tests/bench/")] == []


@pytest.mark.shows("S4-SEC-01")
@pytest.mark.parametrize("lock", ["dev", "operator", "workers", "search"])
def test_locked_requirements_are_names_versions_and_hashes(lock: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    allowed = re.compile(r"[a-z0-9.-]+==[\w.]+( ; [^/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not allowed.fullmatch(line)] == []


def test_every_direct_dependency_is_locked() -> None:
    locked = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").lower()
    names = set(re.findall(r"^([a-z0-9._-]+)==", locked, re.MULTILINE))
    assert dependencies() - names == set()


def test_every_dependency_is_reasoned() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    listed = set(re.findall(r"^\| `([a-z0-9._-]+)` \|", table, re.MULTILINE))
    assert listed == dependencies()


def test_the_version_stands_in_one_place() -> None:
    about = project()
    assert "version" in about["project"]["dynamic"]
    assert about["tool"]["hatch"]["version"]["path"] == "workers/veriramp_sdk/__init__.py"
    assigned = [path for path in sources() if re.search(r"^__version__\s*=", path.read_text("utf-8"), re.MULTILINE)]
    assert assigned == [ROOT / "workers" / "veriramp_sdk" / "__init__.py"]


def test_the_chart_carries_the_same_version() -> None:
    chart = ROOT / "charts" / "veriramp" / "Chart.yaml"
    if not chart.exists():
        pytest.skip("charts/veriramp is not there yet")
    about = yaml.safe_load(chart.read_text(encoding="utf-8"))
    assert (about["version"], about["appVersion"]) == (veriramp_sdk.__version__, veriramp_sdk.__version__)
