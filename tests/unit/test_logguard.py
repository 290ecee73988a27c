"""Which log lines make a test fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.logguard import LogGuard, is_error

ERROR = "2026-01-01 10:00:00,000 ERROR veriramp.flagserver: stream broke"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (ERROR, True),
        ("2026-01-01 10:00:00,000 CRITICAL veriramp.worker: no settings", True),
        ("Traceback (most recent call last):", True),
        (json.dumps({"time": "t", "level": "ERROR", "message": "m"}), True),
        (json.dumps({"time": "t", "level": "CRITICAL", "message": "m"}), True),
        (json.dumps({"time": "t", "level": "WARNING", "message": "an ERROR in the text"}), False),
        ("2026-01-01 10:00:00,000 INFO veriramp.worker: 3 ERROR answers", False),
        ('{"level": "ERROR", "mess', False),
        ("", False),
    ],
)
def test_is_error(line: str, error: bool) -> None:
    assert is_error(line) is error


def test_only_what_was_written_since_counts(tmp_path: Path) -> None:
    log = tmp_path / "ns_pod_operator.log"
    log.write_text(f"{ERROR} (old)\n", encoding="utf-8")
    guard = LogGuard(tmp_path)
    assert guard.unexpected() == []
    with log.open("a", encoding="utf-8") as stream:
        stream.write("all is well\n")
    (tmp_path / "ns_new_worker.log").write_text(f"{ERROR}\n", encoding="utf-8")
    assert guard.unexpected() == [f"ns_new_worker.log: {ERROR}"]


def test_an_expected_error_is_no_surprise(tmp_path: Path) -> None:
    guard = LogGuard(tmp_path)
    (tmp_path / "a.log").write_text(f"{ERROR}\n{ERROR} again\n", encoding="utf-8")
    assert guard.unexpected(["stream broke$"]) == [f"a.log: {ERROR} again"]
    assert guard.unexpected(["stream broke"]) == []


def test_a_log_that_started_anew_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        "a long line of the first life of this pod, much longer than what follows here and now\n" * 2, "utf-8"
    )
    guard = LogGuard(tmp_path)
    log.write_text(f"{ERROR}\n", encoding="utf-8")
    assert guard.unexpected() == [f"a.log: {ERROR}"]
