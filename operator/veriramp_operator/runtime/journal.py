"""Keeps the decisions that changed something: on stdout, in files, and the last ones in memory.

Public: :class:`Journal`, :class:`JournalSettings`. A thread of its own writes; a pass only hands over frozen values,
and what the thread cannot take in time is counted and let go. So no disk, and no reader of stdout, delays a decision.
"""

from __future__ import annotations

import logging
import queue
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from veriramp_operator.resources.journal import LOGGER, JournalEntry, Scribe
from veriramp_operator.runtime.journal_files import RotatedFiles
from veriramp_operator.runtime.metrics import Metrics

Key = tuple[str, str]

AT_LEAST_EVERY_SECONDS: Final = 600.0
MOST_WAITING: Final = 2000
LINES_PER_ROLLOUT: Final = 50
MOST_BYTES_IN_MEMORY: Final = 16 * 1024 * 1024
STOP_SECONDS: Final = 2.0

_log = logging.getLogger("veriramp.runtime.journal")


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where lines go. ``folder``: None = no files; it holds ``most_files`` of ``most_bytes``, or more smaller ones."""

    stdout: bool = True
    folder: Path | None = None
    most_bytes: int = 32 * 1024 * 1024
    most_files: int = 8


class Journal:
    """``note`` takes every decision, keeps what matters and returns at once; ``lines`` are the last ones of a rollout.

    ``identity``: of this process, in the names of its files.
    """

    def __init__(self, settings: JournalSettings, identity: str, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics, self._stdout = metrics, logging.getLogger(LOGGER) if settings.stdout else None
        self._files = (
            None
            if settings.folder is None
            else RotatedFiles(settings.folder, identity, settings.most_bytes, settings.most_files, clock)
        )
        self._last: dict[Key, tuple[float, object]] = {}
        self._waiting: queue.Queue[JournalEntry | None] = queue.Queue(MOST_WAITING)
        self._memory = _Memory()
        self._scribe = Scribe()
        self._writer: threading.Thread | None = None
        self._trouble = {"files": False, "queue": False}

    def note(self, entry: JournalEntry) -> None:
        """Record a decision if it differs from the rollout's last recorded one, or that is 10 minutes old."""
        key, shape = (entry.namespace, entry.name), _shape(entry)
        known = self._last.get(key)
        if known is not None and known[1] == shape and 0 <= entry.at - known[0] < AT_LEAST_EVERY_SECONDS:
            return
        self._last[key] = entry.at, shape
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
            self._writer.start()
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:
            self._metrics.journal.labels("dropped").inc()
            self._tell("queue", "the journal cannot be written fast enough; decisions are left out of it and counted")
        else:
            self._trouble["queue"] &= self._waiting.qsize() > MOST_WAITING // 2

    def lines(self, key: Key) -> list[str]:
        """The last recorded decisions of a rollout (namespace, name), oldest first."""
        return self._memory.lines(key)

    def forget(self, key: Key) -> None:
        """A rollout is gone; its last lines stay until others need their room."""
        self._last.pop(key, None)

    def stop(self) -> None:
        """Write what waits, for at most two seconds; after that nothing more may be noted."""
        if self._writer is None:
            return
        try:
            self._waiting.put(None, timeout=STOP_SECONDS)
        except queue.Full:
            return
        self._writer.join(STOP_SECONDS)

    def _write_all(self) -> None:
        while (entry := self._waiting.get()) is not None:
            try:
                self._write(entry)
            except (TypeError, ValueError, AttributeError):
                # A decision that cannot be told must not end the journal of all others.
                self._metrics.journal.labels("failed").inc()
                _log.exception("%s/%s: a decision could not be written down", entry.namespace, entry.name)
        if self._files is not None:
            self._files.close()

    def _write(self, entry: JournalEntry) -> None:
        line = self._scribe.line(entry)
        self._memory.keep((entry.namespace, entry.name), line)
        if self._stdout is not None:
            self._stdout.info(line)
        if self._files is not None:
            try:
                self._files.write(f"{line}\n".encode())
            except OSError as error:
                self._metrics.journal.labels("failed").inc()
                self._tell("files", f"the journal's files cannot be written ({error}); lines are missing in them")
                return
            if self._trouble["files"]:
                self._trouble["files"] = False
                _log.info("the journal's files can be written again")
        self._metrics.journal.labels("written").inc()

    def _tell(self, trouble: str, sentence: str) -> None:
        """Once, until it is over: a full disk is no reason to fill the log too."""
        if not self._trouble[trouble]:
            self._trouble[trouble] = True
            _log.warning("%s", sentence)


class _Memory:
    """The last lines of each rollout, deflated; the oldest of all go when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[Key, bytes]] = OrderedDict()
        self._of: dict[Key, deque[int]] = {}
        self._bytes = self._count = 0

    def keep(self, key: Key, line: str) -> None:
        small = zlib.compress(line.encode(), 1)
        with self._lock:
            self._count += 1
            numbers = self._of.setdefault(key, deque())
            numbers.append(self._count)
            self._kept[self._count] = key, small
            self._bytes += len(small)
            if len(numbers) > LINES_PER_ROLLOUT:
                self._drop(numbers[0])
            while self._bytes > MOST_BYTES_IN_MEMORY:
                self._drop(next(iter(self._kept)))

    def lines(self, key: Key) -> list[str]:
        with self._lock:
            small = [self._kept[number][1] for number in self._of.get(key, ())]
        return [zlib.decompress(each).decode() for each in small]

    def _drop(self, number: int) -> None:
        key, small = self._kept.pop(number)
        self._bytes -= len(small)
        numbers = self._of[key]
        numbers.popleft()
        if not numbers:
            del self._of[key]


def _shape(entry: JournalEntry) -> object:
    """What makes a decision another one: not its clocks, values and sentences."""
    decision, status = entry.decision, entry.decision.status
    return (
        entry.observation.generation,
        decision.direction,
        decision.reason,
        decision.vector,
        decision.commands,
        len(decision.problems),
        status.phase,
        status.stage.name if status.stage else None,
        tuple(gate.verdict for gate in status.gates),
    )
