"""What a run will take, and a summary at its end: counts per folder, rows shown, loudly what was skipped or repeated.

A pytest plugin, loaded by tests/conftest.py. A row counts as shown when at least one of its tests passed and none
failed. `Run` holds the counts, `lines()` makes the text; both know nothing of pytest's terminal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest

Outcome = Literal["passed", "failed", "skipped"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("passed", "failed", "skipped")
_ROW_WIDTH: Final = 100
_DURATIONS: Final = "veriramp/durations"
_RED: Final = ("REQUIREMENT", "FAILED")


@dataclass
class Run:
    """What happened so far."""

    outcomes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    rows: dict[str, set[Outcome]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Tests that failed and were tried once more, in CI only (tests/conftest.py)."""

    def finish(self, test: str, outcome: Outcome, rows: tuple[str, ...] = (), reason: str = "") -> None:
        """Count one test (`tests/unit/...::name`), the rows it names, and why it was skipped."""
        self.outcomes[folder_of(test), outcome] += 1
        for row in rows:
            self.rows.setdefault(row, set()).add(outcome)
        if outcome == "skipped":
            self.reasons[reason or "no reason given"] += 1

    @property
    def shown(self) -> list[str]:
        """Rows of which a test passed and none failed."""
        return sorted(row for row, seen in self.rows.items() if "passed" in seen and "failed" not in seen)

    @property
    def broken(self) -> list[str]:
        """Rows of which a test failed."""
        return sorted(row for row, seen in self.rows.items() if "failed" in seen)


def folder_of(test: str) -> str:
    """`tests/unit` of `tests/unit/engine/test_x.py::test_y`."""
    return "/".join(test.split("::", 1)[0].split("/")[:2])


def expectation(tests: Sequence[str], durations: Mapping[str, float]) -> str:
    """How long these tests took last time, from seconds per test; empty when none of them ever ran here."""
    known = [durations[test] for test in tests if test in durations]
    if not known:
        return ""
    new = f"; {len(tests) - len(known)} of {len(tests)} are new" if len(known) < len(tests) else ""
    return f"last time {sum(known):.0f} s{new}"


def lines(run: Run) -> Iterator[str]:
    """The summary, line by line."""
    yield f"{'folder':<18}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>10}"
    for folder in sorted({folder for folder, _ in run.outcomes}):
        passed, failed, skipped = (run.outcomes[folder, outcome] for outcome in OUTCOMES)
        yield f"{folder:<18}{passed:>8}{failed:>8}{skipped:>9}{run.seconds[folder]:>10.1f}"
    yield from _rows("requirement rows shown", run.shown)
    yield from _rows("REQUIREMENT ROWS BROKEN", run.broken)
    for reason, count in sorted(run.reasons.items()):
        yield f"NOT RUN: {count} test{'s' if count > 1 else ''}: {reason}"
    for test in run.lost:
        yield f"FAILED AT THE FIRST TRY, mend its race: {test}"


def _rows(title: str, rows: list[str]) -> Iterator[str]:
    if not rows:
        return
    yield f"{title}: {len(rows)}"
    line = " "
    for row in rows:
        if len(line) + len(row) >= _ROW_WIDTH:
            yield line
            line = " "
        line += f" {row}"
    yield line


class SummaryPlugin:
    """Feeds a `Run` from pytest's reports and prints it."""

    def __init__(self, cache: pytest.Cache | None) -> None:
        self.run = Run()
        self._cache = cache
        self._durations: defaultdict[str, float] = defaultdict(float)
        self._rows: dict[str, tuple[str, ...]] = {}
        self._decided: dict[str, tuple[Outcome, str]] = {}
        self._lost: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember which rows each test names."""
        for item in session.items:
            self._rows[item.nodeid] = tuple(str(name) for mark in item.iter_markers("shows") for name in mark.args)

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> list[str]:
        """Say before the first test how long they took last time."""
        line = expectation([item.nodeid for item in items], self._remembered())
        return [line] if line else []

    def pytest_sessionfinish(self) -> None:
        """Remember how long each test took."""
        if self._cache is not None and self._durations:
            self._cache.set(_DURATIONS, {**self._remembered(), **self._durations})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that skips itself, or cannot be imported, counts as one test."""
        if report.skipped:
            self.run.finish(report.nodeid, "skipped", reason=_reason(report.longrepr))
        elif report.failed:
            self.run.finish(report.nodeid, "failed")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test is decided by the worst of set-up, call and tear-down, and counted once."""
        self.run.seconds[folder_of(report.nodeid)] += report.duration
        self._durations[report.nodeid] += report.duration
        if str(report.outcome) == "rerun":
            self.run.lost.append(report.nodeid)
            self._lost.add(report.nodeid)
        elif report.failed:
            self._decided[report.nodeid] = ("failed", "")
        elif report.skipped:
            self._decided.setdefault(report.nodeid, ("skipped", _reason(report.longrepr)))
        if report.when == "teardown" and self._tried_again(report.nodeid):
            self._decided.pop(report.nodeid, None)
        elif report.when == "teardown":
            outcome, reason = self._decided.pop(report.nodeid, ("passed", ""))
            self.run.finish(report.nodeid, outcome, self._rows.get(report.nodeid, ()), reason)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary; pytest's own last line follows it."""
        if not self.run.outcomes:
            return
        terminalreporter.section("summary")
        for line in lines(self.run):
            terminalreporter.write_line(line, yellow=line.startswith("NOT RUN"), red=line.startswith(_RED))

    def _tried_again(self, test: str) -> bool:
        """Whether this was the tear-down of a try that does not count."""
        lost = test in self._lost
        self._lost.discard(test)
        return lost

    def _remembered(self) -> dict[str, float]:
        known = self._cache.get(_DURATIONS, None) if self._cache is not None else None
        return known if isinstance(known, dict) else {}


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin for this run."""
    config.pluginmanager.register(SummaryPlugin(getattr(config, "cache", None)), "veriramp-summary")


def _reason(longrepr: object) -> str:
    if isinstance(longrepr, tuple):
        return str(longrepr[-1]).removeprefix("Skipped: ")
    return str(longrepr or "")
