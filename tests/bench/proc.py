"""What a process has used, from /proc.

Public: :func:`cpu_seconds`, :func:`cpu_nanoseconds`, :func:`rss_mib`, :func:`peak_mib`, :func:`children`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time of a process since its start, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else float("nan")


def peak_mib(pid: int) -> float:
    """Largest resident memory of a process so far, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else float("nan")


def cpu_nanoseconds(pid: int) -> int:
    """CPU time of the threads that a process has now, in the kernel's finest unit."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="utf-8").split()[0]) for task in tasks)


def children(pid: int) -> set[int]:
    """The processes that a process has started and that are there."""
    found = set[int]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found.update(int(number) for number in (task / "children").read_text(encoding="utf-8").split())
    return found
