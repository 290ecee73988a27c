"""What processes hold while they run: memory, files, threads, again and again; and whether it grows.

Public: :class:`Sample`, :class:`Watch`, :func:`slope`, :func:`hold`.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import httpx

from tests.bench.proc import children, rss_mib
from tests.support.pipeline import Program


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a worker, ``at`` seconds after the start; memory in MiB, ``solvers`` are its child processes."""

    at: float
    worker: str
    pid: int
    rss: float
    solvers: tuple[float, ...]
    files: int
    threads: int
    lag: float


@dataclass
class Watch:
    """Looks at the workers that are in ``workers`` now, and writes down each look at once."""

    log: TextIO
    workers: dict[str, Program] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def of(self, worker: str, first: float = 0.0, last: float = math.inf) -> list[Sample]:
        """The samples of a worker between two moments."""
        return [each for each in self.samples if each.worker == worker and first <= each.at <= last]

    async def look(self, at: float, client: httpx.AsyncClient, more: Mapping[str, float]) -> None:
        """Take one sample of each worker; ``more`` is written beside them."""
        for name, program in tuple(self.workers.items()):
            try:
                lag = await _lag(client, program)
                sample = _sample(at, name, program.process.pid, lag)
            except FileNotFoundError:
                continue  # it ended meanwhile
            self.samples.append(sample)
            self.log.write(json.dumps({**asdict(sample), **more}) + "\n")
        self.log.flush()


@asynccontextmanager
async def hold(running: asyncio.Task[None]) -> AsyncIterator[None]:
    """Let a task run beside; its failure is raised at the end, or else it is cancelled."""
    try:
        yield
    finally:
        if not running.done():
            running.cancel()
        await asyncio.wait([running])
    if not running.cancelled():
        running.result()


def slope(points: Sequence[tuple[float, float]], most: int = 400) -> float:
    """Growth of y for one unit of x: the median over all pairs (Theil 1950, Sen 1968), which outliers do not move.

    At most so many points, evenly picked, are paired; NaN for fewer than two.
    """
    step = max(1, math.ceil(len(points) / most))
    picked = points[::step]
    pairs = ((one, two) for place, one in enumerate(picked) for two in picked[place + 1 :])
    slopes = [(two[1] - one[1]) / (two[0] - one[0]) for one, two in pairs if two[0] != one[0]]
    return statistics.median(slopes) if slopes else math.nan


def _sample(at: float, worker: str, pid: int, lag: float) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (threads,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
    solvers = []
    for child in sorted(children(pid)):
        try:
            solvers.append(rss_mib(child))
        except FileNotFoundError:
            continue  # it was replaced meanwhile
    return Sample(
        at, worker, pid, rss_mib(pid), tuple(solvers), len(list(Path(f"/proc/{pid}/fd").iterdir())), threads, lag
    )


async def _lag(client: httpx.AsyncClient, program: Program) -> float:
    """What waits in its partitions of all topics, NaN when it does not know or cannot be asked."""
    try:
        text = (await client.get(f"{program.url}/metrics")).text
    except httpx.TransportError:
        return math.nan
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("kafka_consumer_lag{"))
