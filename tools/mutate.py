"""Mutation testing of the pure core: finds the small faults in it that no test would notice.

``python -m tools.mutate [--minutes 60] [MODULE ...]`` (``engine/ramp``, ``evidence``; default all), or ``--sample 600``
for so many mutants by lot, because all of them take a core for a night. mutmut works in a copy of the tree under
``build/mutation``, where it finds the package as it likes it, and takes up there what was not tested or has changed
since. ``docs/mutation.json`` holds the counts and the survivors, ``docs/mutation.md`` shows them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
WORK: Final = ROOT / "build" / "mutation"
PACKAGE: Final = "veriramp_operator"
FOLDERS: Final = ("engine", "evidence")
COPIED: Final = {
    "operator/veriramp_operator": PACKAGE,
    "workers/veriramp_sdk": "veriramp_sdk",
    "tests": "tests",
    "tools": "tools",
    "docs": "docs",
    "examples": "examples",
}
SURVIVED: Final = 0
NEVER_RUN: Final = frozenset({5, 33, None})
_STRING: Final = re.compile(r"""[rbfu]*("(\\.|[^"\\])*"|'(\\.|[^'\\])*')""", re.IGNORECASE)

_DIFFS: Final = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for name, path in json.load(sys.stdin):
    print(json.dumps([name, get_diff_for_mutant(name, path=path)]))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, within the time given, and write the page."""
    parser = argparse.ArgumentParser(description="Mutation testing of the engine and of the evidence.")
    parser.add_argument("modules", nargs="*", help="for instance engine/ramp or evidence; default all")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long; the next run goes on")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--sample", type=int, default=0, help="only so many, drawn by lot from those never run")
    parser.add_argument("--seed", type=int, default=1, help="of the lot")
    parser.add_argument("--report", action="store_true", help="only write the page of what has been run")
    asked = parser.parse_args(arguments)
    if not asked.report:
        copy_tree()
        mutants = drawn(asked.sample, asked.seed) if asked.sample else names_of(asked.modules)
        run(mutants, asked.minutes, asked.jobs)
    write(results())
    return 0


def copy_tree() -> None:
    """The tree as mutmut understands it: the package at the top. Unchanged files keep their times."""
    for source, target in COPIED.items():
        here, there = ROOT / source, WORK / target
        wanted = {
            path.relative_to(here) for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }
        for path in [path for path in there.rglob("*") if path.is_file() and "__pycache__" not in path.parts]:
            if path.relative_to(there) not in wanted:
                path.unlink()
        for path in sorted(wanted):
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here / path, there / path)
    (WORK / "pyproject.toml").write_text(_configuration(), encoding="utf-8")


def _configuration() -> str:
    tests = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "unit").glob("test_engine_*.py"))
    settings = {
        "source_paths": [f"{PACKAGE}/{folder}/" for folder in FOLDERS],
        "also_copy": sorted(set(COPIED.values()) - {"tests"}),
        "pytest_add_cli_args_test_selection": [*tests, "tests/unit/evidence"],
        "pytest_add_cli_args": ["-p", "no:randomly", "-p", "no:cacheprovider"],
        # Not the plain fork: what functions remember from the run before would hide their mutants.
        "process_isolation": "forkserver",
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return "\n".join([project, "[tool.mutmut]", *lines, ""])


def names_of(modules: Iterable[str]) -> list[str]:
    """The patterns of all mutants of some modules."""
    return [f"{PACKAGE}.{module.strip('/').replace('/', '.')}.*" for module in modules]


def drawn(count: int, seed: int) -> list[str]:
    """Mutants that were never run, by lot; all where there are no more. Raises SystemExit before the first run."""
    waiting = sorted(name for codes in _codes().values() for name, code in codes.items() if code is None)
    if not waiting:
        raise SystemExit("mutate: no mutant waits; run once without --sample to make them")
    lot = random.Random(seed)  # noqa: S311 a sample, not a secret
    return lot.sample(waiting, min(count, len(waiting)))


def _codes() -> dict[str, Mapping[str, int | None]]:
    """What became of each mutant, by module."""
    place = WORK / "mutants" / PACKAGE
    return {
        path.relative_to(place).as_posix().removesuffix(".py.meta"): json.loads(path.read_text(encoding="utf-8"))[
            "exit_code_by_key"
        ]
        for path in sorted(place.rglob("*.py.meta"))
    }


def run(names: Sequence[str], minutes: float, jobs: int) -> None:
    """Run mutmut on these mutants for so long at most. Raises SystemExit when it cannot begin."""
    environment = os.environ | {"HYPOTHESIS_PROFILE": "ci", "ENGINE_CASES": "150", "PYTHONPATH": ""}
    command = ["nice", "-n", "10", sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names]
    with (WORK / "run.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=WORK, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(timeout=60 * minutes)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGTERM)
            code = 0
            process.wait()
            print(f"mutate: stopped after {minutes:g} minutes; run it again to go on")
    if code:
        raise SystemExit(f"mutate: mutmut ended with {code}; see {(WORK / 'run.log').relative_to(ROOT)}")


def results() -> dict[str, Any]:
    """Counts per module, and the survivors with their differences."""
    modules: dict[str, Counter[str]] = {}
    survivors: dict[str, str] = {}
    for module, codes in _codes().items():
        if module.split("/")[0] in FOLDERS and codes:
            modules[module] = Counter(_kind(code) for code in codes.values())
            survivors |= {name: module for name, code in codes.items() if code == SURVIVED}
    lived = [
        {"module": survivors[name], "name": name.rpartition(".")[2], "text": is_text(difference), "diff": difference}
        for name, difference in _differences(survivors)
    ]
    for module, counts in modules.items():
        counts["texts"] = len([each for each in lived if each["module"] == module and each["text"]])
    return {"modules": modules, "survivors": lived}


def _kind(code: int | None) -> str:
    if code is None:
        return "not run"
    if code in NEVER_RUN:
        return "no test"
    return "survived" if code == SURVIVED else "killed"


def _differences(survivors: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    asked = json.dumps([(name, f"{PACKAGE}/{module}.py") for name, module in sorted(survivors.items())])
    told = subprocess.run(
        [sys.executable, "-c", _DIFFS], cwd=WORK, input=asked, capture_output=True, text=True, check=True
    )
    for line in told.stdout.splitlines():
        name, difference = json.loads(line)
        changed = [each for each in difference.splitlines() if each[:1] in "+-" and each[:3] not in ("+++", "---")]
        yield name, "\n".join(changed)


def is_text(difference: str) -> bool:
    """True when the mutant changes nothing but the words of a string."""
    lines = difference.splitlines()
    old = [_STRING.sub('""', line[1:]) for line in lines if line[0] == "-"]
    new = [_STRING.sub('""', line[1:]) for line in lines if line[0] == "+"]
    return old == new


def write(found: Mapping[str, Any]) -> None:
    """``docs/mutation.json`` and ``docs/mutation.md``."""
    docs = ROOT / "docs"
    (docs / "mutation.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    notes = docs / "mutation-equivalents.md"
    told = notes.read_text(encoding="utf-8") if notes.exists() else ""
    (docs / "mutation.md").write_text(page(found, told), encoding="utf-8")


def page(found: Mapping[str, Any], notes: str) -> str:
    """The page for people."""
    lines = [
        "# Mutation testing",
        "",
        "`make mutation` changes the engine and the evidence in one small place at a time and runs the unit tests that",
        "reach it. A mutant that no test notices has survived. *Score* leaves out mutants of mere words in messages",
        "(*words*), which no test should pin letter by letter; mutants that no test reaches count as survivors.",
        "",
        "| module | mutants | killed | survived | words | no test | not run | score |",
        "|---|---|---|---|---|---|---|---|",
    ]
    total: Counter[str] = Counter()
    for module, counts in sorted(found["modules"].items()):
        total.update(counts)
        lines.append(_row(f"`{module}`", counts))
    lines += [_row("**all**", total), "", notes.strip(), "", "## Survivors", ""]
    for each in found["survivors"]:
        if not each["text"]:
            lines += [f"`{each['module']}` {each['name']}", "```diff", each["diff"], "```"]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, counts: Mapping[str, int]) -> str:
    killed, texts, unreached = counts.get("killed", 0), counts.get("texts", 0), counts.get("no test", 0)
    survived = counts.get("survived", 0) - texts
    waiting = counts.get("not run", 0)
    judged = killed + survived + unreached
    score = f"{killed / judged:.1%}" if judged else "-"
    mutants = judged + texts + waiting
    return f"| {name} | {mutants} | {killed} | {survived} | {texts} | {unreached} | {waiting} | {score} |"


if __name__ == "__main__":
    raise SystemExit(main())
