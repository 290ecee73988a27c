"""Errors that a process logged during a test although nobody expected them.

`LogGuard` remembers where each log file ended and reads what came after; `is_error()` knows the two forms in which our
processes log, JSON lines and `time LEVEL logger: message`, and a bare traceback. As a fixture, for the dev cluster:

    pytestmark = pytest.mark.usefixtures("log_guard")

    @pytest.mark.logs_error("connection to the API server lost")   # what this test provokes
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tools.devcluster.cluster import DevCluster

_LEVELS: Final = frozenset({"ERROR", "CRITICAL"})
_TEXT: Final = re.compile(r"\S+ \S+ (ERROR|CRITICAL) \S+: |Traceback \(most recent call last\):")


class LogGuard:
    """Reads the part of the logs in `folder` that is written after the guard was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = {path: path.stat().st_size for path in folder.glob("*.log")}

    def unexpected(self, expected: Iterable[str] = ()) -> list[str]:
        """New error lines (`file: line`) that none of the regular expressions matches."""
        patterns = [re.compile(pattern) for pattern in expected]
        return [
            f"{path.name}: {line}"
            for path in sorted(self._folder.glob("*.log"))
            for line in self._new_lines(path)
            if is_error(line) and not any(pattern.search(line) for pattern in patterns)
        ]

    def _new_lines(self, path: Path) -> list[str]:
        content = path.read_bytes()
        start = self._seen.get(path, 0)
        # A shorter file is another file of the same name.
        return content[start if start <= len(content) else 0 :].decode("utf-8", "replace").splitlines()


def is_error(line: str) -> bool:
    """Whether a log line reports an error."""
    if not line.startswith("{"):
        return _TEXT.match(line) is not None
    try:
        record = json.loads(line)
    except ValueError:  # cut off while it was written
        return False
    return isinstance(record, dict) and record.get("level") in _LEVELS


@contextmanager
def guarded(test: pytest.Item, folder: Path) -> Iterator[LogGuard]:
    """Fail the test when a log in `folder` got an error that no `logs_error` marker of the test matches."""
    guard = LogGuard(folder)
    yield guard
    expected = [str(pattern) for mark in test.iter_markers("logs_error") for pattern in mark.args]
    lines = guard.unexpected(expected)
    if lines:
        pytest.fail("unexpected errors in the logs:\n" + "\n".join(lines), pytrace=False)


@pytest.fixture
def log_guard(request: pytest.FixtureRequest, devcluster: DevCluster) -> Iterator[LogGuard]:
    """Guard the pods of the dev cluster during a test."""
    with guarded(request.node, devcluster.layout.pods) as guard:
        yield guard
