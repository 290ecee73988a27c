"""How many verdicts a second can be looked up and kept, and how many verifications paid, in each store.

A worker's own view: one process and one event loop, one or eight calls at a time, keys that differ, entries of about a
kilobyte, one tenant (so that all payments meet in one row). Redis and PostgreSQL run on the same machine, as Debian
has them: Redis with `appendonly`, PostgreSQL with its journal on the disk.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from tests.bench import report
from tests.bench.report import Figure, percentile, say, stated
from tests.support.databases import a_postgres, a_redis
from tests.support.stores import PATIENT, a_judgement
from veriramp_workers.stores import BudgetSettings, Stores, open_stores

CALLS: Final = 4_000
WARM: Final = 200
CONCURRENT: Final = (1, 8)
NOON: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
JUDGEMENT: Final = a_judgement(smt_lib="(assert (=> (red mill) (old mill)))\n" * 20)
HOUR: Final = 3_600.0

Call = Callable[[int], Awaitable[object]]


def main() -> None:
    """Measure and write build/bench/stores.json."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as urls:
        for name, url in urls.items():
            say(name)
            figures += asyncio.run(measure(name, url))
    settings = {"calls": f"{CALLS} of each kind after {WARM} to warm up", "entry": "1.1 KB", "tenants": 1}
    report.write("stores", figures, settings)


@contextmanager
def places(folder: Path) -> Iterator[dict[str, str]]:
    """The stores by name."""
    with ExitStack() as stack:
        yield {
            "SQLite": f"sqlite://{folder}/stores.db",
            "Redis": stack.enter_context(a_redis(folder / "redis")).url,
            "PostgreSQL": stack.enter_context(a_postgres(folder / "postgres")).url,
        }


async def measure(name: str, url: str) -> list[Figure]:
    """Figures of one store."""
    figures = []
    settings = BudgetSettings(per_day=10**9, at_once=1.0)
    async with open_stores(url, CollectorRegistry(), settings, deadlines=PATIENT) as stores:
        for concurrent in CONCURRENT:
            for what, call in calls(stores, concurrent).items():
                await run(call, range(WARM), concurrent)
                rate, p99 = await run(call, range(WARM, WARM + CALLS), concurrent)
                label = f"{name}: {what}, {concurrent} at a time"
                figures += [stated(label, rate, "per second"), stated(f"{label}, p99", p99 * 1000, "ms")]
                say(f"{label}: {rate:.0f} per second")
    return figures


def calls(stores: Stores, concurrent: int) -> dict[str, Call]:
    """What is measured; each number is another key."""

    async def look_up(number: int) -> None:
        if await stores.cache.get(f"key {concurrent} {number}") != JUDGEMENT:
            raise SystemExit("a verdict that was kept is not there: the store is too slow or in trouble")

    async def pay(number: int) -> None:
        await stores.budget.take("acme", f"event {concurrent} {number}", NOON)

    return {
        "keep a verdict": lambda number: stores.cache.put(f"key {concurrent} {number}", JUDGEMENT, HOUR),
        "look up a verdict": look_up,
        "pay for a verification": pay,
    }


async def run(call: Call, numbers: range, concurrent: int) -> tuple[float, float]:
    """Calls a second, and the p99 of one in seconds."""
    waiting = iter(numbers)
    seconds: list[float] = []

    async def worker() -> None:
        for number in waiting:
            began = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    return len(numbers) / (time.perf_counter() - began), percentile(seconds, 0.99)


if __name__ == "__main__":
    main()
