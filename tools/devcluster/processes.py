"""Local processes that outlive their starter and are never mistaken for others.

`spawn` starts one in its own session, `Process` names it by pid *and* start time, so that a state file that is
older than a reboot or a wrapped pid counter never leads to the wrong process being signalled.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its pid and its start time in clock ticks since boot (field 22 of /proc/<pid>/stat)."""

    pid: int
    started: int

    @staticmethod
    def parse(stat: str) -> Process:
        """Read a line of /proc/<pid>/stat; raises ValueError for anything else."""
        fields = stat.rsplit(")", 1)[-1].split()
        return Process(int(stat.split(" ", 1)[0]), int(fields[19]))

    @staticmethod
    def of(pid: int) -> Process | None:
        """Tell the process that has this pid now; None when there is none or only a zombie is left."""
        stat = _stat(pid)
        if stat is None or stat.rsplit(")", 1)[-1].split()[0] in "ZX":
            return None
        return Process.parse(stat)

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        _reap(self.pid)
        return Process.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal this process; False when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if Process.of(self.pid) != self:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def kill_group(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal its whole process group, also when the leader is gone and only children are left."""
        if _stat(self.pid) is not None and Process.of(self.pid) not in (self, None):
            return  # the pid belongs to a stranger, so the group of that number cannot be ours
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def wait_gone(self, seconds: float) -> bool:
        """Wait until it has ended, at most so many seconds; False when it still runs."""
        deadline = time.monotonic() + seconds
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            while self.alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                select.select([handle], [], [], left)
        finally:
            os.close(handle)
        return True


def spawn(argv: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
    """Start a program in a session of its own, its output appended to a log file.

    Inheritable descriptors are passed on: the claim on the cluster's addresses lives as long as one component.
    Raises OSError when the program cannot be started.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGPIPE],
    )
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(f"{argv[0]} (pid {pid}) vanished as it was started")
    return Process.parse(stat)


def stop_all(processes: Sequence[Process], seconds: float) -> None:
    """End processes together: SIGTERM to all, SIGKILL to the groups of those still there after the time."""
    for process in processes:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)  # one that a fault test has stopped must be able to hear
    deadline = time.monotonic() + seconds
    for process in processes:
        process.wait_gone(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill_group()
        process.wait_gone(seconds)


def _stat(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot and tiny
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _reap(pid: int) -> None:
    """Take the exit status of a child of ours, so that it does not stay as a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
