"""What is recorded of the decisions, where it goes, and that nothing of it stops anybody."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from tests.support.builders import World, a_ladder
from tests.support.waiting import wait_for
from veriramp_operator.engine import decide
from veriramp_operator.evidence.types import Reading, Samples, Series
from veriramp_operator.resources import journal as book
from veriramp_operator.resources.journal import JournalEntry, Scribe, read_entry
from veriramp_operator.runtime import journal as runtime
from veriramp_operator.runtime.journal import Journal, JournalSettings
from veriramp_operator.runtime.journal_files import RotatedFiles
from veriramp_operator.runtime.metrics import Metrics

KEY: Final = ("search", "demo")


@pytest.fixture(autouse=True)
def all_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow must not cut the journal off at its end."""
    monkeypatch.setattr(runtime, "STOP_SECONDS", 60.0)


def entries(world: World) -> Iterator[JournalEntry]:
    """A decision per second of a running rollout."""
    while True:
        world.now += 1.0
        readings = (Reading(world.now, Series(()), Series((5.0,)), Series((world.now,))),)
        seen = replace(world.observe(), namespace=KEY[0], name=KEY[1], samples={"errors": Samples(readings)})
        decision = decide(world.spec, world.status, seen, world.now)
        yield JournalEntry(world.now, *KEY, world.spec, world.status, seen, decision)
        world.apply(decision)


def a_journal(folder: Path | None = None, **settings: Any) -> Journal:
    return Journal(JournalSettings(folder=folder, **settings), "pod_1", Metrics(CollectorRegistry()), lambda: 1.8e9)


def counted(journal: Journal, outcome: str) -> float:
    return journal._metrics.registry.get_sample_value("veriramp_journal_lines_total", {"outcome": outcome}) or 0.0


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


def test_a_line_stands_alone_and_is_read_back_as_it_was() -> None:
    world = World(a_ladder().build())
    for entry, _ in zip(entries(world), range(30), strict=False):
        line = Scribe().line(entry)
        assert "\n" not in line
        assert read_entry(json.loads(line), {}) == entry
        assert Scribe().line(entry) == line


def test_what_changed_nothing_is_recorded_every_ten_minutes_only(tmp_path: Path) -> None:
    world = World(a_ladder().build())
    journal = a_journal(tmp_path)
    for entry, _ in zip(entries(world), range(1900), strict=False):
        journal.note(entry)
    journal.stop()
    lines = told(tmp_path)
    assert [line["decision"]["reason"] for line in lines[:2]] == ["Pending", "Promote"]
    waits = [later["at"] - earlier["at"] for earlier, later in pairwise(lines)]
    assert max(waits) == runtime.AT_LEAST_EVERY_SECONDS
    assert len(lines) < 120
    assert counted(journal, "written") == len(lines)
    assert [json.loads(line) for line in journal.lines(KEY)] == lines[-runtime.LINES_PER_ROLLOUT :]


def test_lines_go_to_stdout_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, book.LOGGER):
        journal = a_journal()
        journal.note(next(entries(World(a_ladder().build()))))
        journal.stop()
    [record] = [record for record in caplog.records if record.name == book.LOGGER]
    assert json.loads(record.getMessage())["logger"] == book.LOGGER


def test_stdout_can_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        journal = a_journal(tmp_path, stdout=False)
        journal.note(next(entries(World(a_ladder().build()))))
        journal.stop()
    assert caplog.records == []
    assert len(told(tmp_path)) == 1


def test_an_unwritable_folder_is_told_once_and_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "volume"
    folder.write_text("a file where a folder should be")
    journal = a_journal(folder, stdout=False)
    every = entries(World(a_ladder().build()))
    for _ in range(40):
        journal.note(next(every))
    wait_for(lambda: counted(journal, "failed") >= 3, 10, "lines to fail")
    folder.unlink()
    for _ in range(700):
        journal.note(next(every))
    journal.stop()
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "the journal's files cannot be written",
        "the journal's files can be written again",
    ][: len(caplog.records)]
    assert len(told(folder)) == counted(journal, "written") > 0
    assert len(journal.lines(KEY)) == counted(journal, "written") + counted(journal, "failed")


def test_decisions_that_come_too_fast_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "MOST_WAITING", 2)
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    journal = a_journal(stdout=False)
    every = entries(World(a_ladder().build()))
    for _ in range(800):
        journal.note(next(every))
    assert counted(journal, "dropped") > 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_memory_keeps_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "MOST_BYTES_IN_MEMORY", 4000)
    memory = runtime._Memory()
    for number in range(2000):
        memory.keep(("search", f"demo-{number % 7}"), f'{{"at":{number}}}')
        assert memory._bytes <= 4000
    kept = [line for name in range(7) for line in memory.lines(("search", f"demo-{name}"))]
    assert sorted(json.loads(line)["at"] for line in kept) == list(range(2000 - len(kept), 2000))
    assert memory.lines(("search", "nobody")) == []


def test_files_are_bounded_in_size_and_together(tmp_path: Path) -> None:
    now = [1.8e9]
    files = RotatedFiles(tmp_path, "pod/1", 1000, 3, lambda: now[0])
    for number in range(500):
        now[0] += 1
        files.write(f'{{"number": {number}, "text": "{"x" * 70}"}}\n'.encode())
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3000
    files.close()
    paths = sorted(tmp_path.iterdir())
    assert all(path.stat().st_size <= 1000 for path in paths)
    assert [line["number"] for line in told(tmp_path)] == list(range(500 - len(told(tmp_path)), 500))
    assert all(path.name.endswith("Z-pod_1.jsonl") for path in paths)


def test_restarts_do_not_push_the_past_out(tmp_path: Path) -> None:
    for number in range(20):
        files = RotatedFiles(tmp_path, "pod", 100_000, 3, lambda: 1.8e9 + number)  # noqa: B023 called at once
        files.write(b'{"start": true}\n')
        files.close()
    assert len(told(tmp_path)) == 20


def test_a_file_that_was_deleted_is_begun_again(tmp_path: Path) -> None:
    now = [1.8e9]
    files = RotatedFiles(tmp_path, "pod", 100_000, 3, lambda: now[0])
    files.write(b'{"number": 1}\n')
    for path in tmp_path.iterdir():
        path.unlink()
    now[0] += 1
    files.write(b'{"number": 2}\n')
    files.close()
    assert told(tmp_path) == [{"number": 2}]


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path: Path) -> None:
    """RLIMIT_FSIZE fails a write in the middle of a line, as a full disk does."""
    files = RotatedFiles(tmp_path, "pod", 100_000, 3, lambda: 1.8e9)
    line = b'{"text": "' + b"x" * 80 + b'"}\n'
    files.write(line)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(line) + 10, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|No space"):
            files.write(line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    files.write(line)
    files.close()
    assert len(told(tmp_path)) == 2


_WRITER: Final = """
import sys, time
from pathlib import Path
from veriramp_operator.runtime.journal_files import RotatedFiles
files = RotatedFiles(Path(sys.argv[1]), sys.argv[2], 4000, 8, time.time)
for number in range(400):
    files.write(b'{"number": %d, "text": "%s"}\\n' % (number, b"x" * 50))
files.close()
"""


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name]) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lines = told(tmp_path)
    assert len(lines) > 100
    assert 399 in {line["number"] for line in lines}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 8 * 4000
