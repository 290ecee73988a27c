"""A process that takes from one budget: ``python -m tests.support.store_program URL LIMIT FIRST LAST``.

It takes for the events FIRST to LAST in turn, prints each one that was granted, as soon as it was, and asks again while
the budget cannot be asked.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from veriramp_workers.ports import BudgetUnavailableError, Taken
from veriramp_workers.stores import BudgetSettings, open_stores
from veriramp_workers.stores.opening import Stores

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAUSE_SECONDS = 0.05


async def main(url: str, limit: int, events: range) -> None:
    """Take, four at once."""
    async with open_stores(url, CollectorRegistry(), BudgetSettings(per_day=limit, at_once=1.0)) as stores:
        print("open", flush=True)  # noqa: T201 - who started this reads it
        await asyncio.gather(*(_take(stores, events[start::4]) for start in range(4)))


async def _take(stores: Stores, events: range) -> None:
    for event in events:
        if (await _taken(stores, event)).granted:
            print(event, flush=True)  # noqa: T201 - who started this reads it


async def _taken(stores: Stores, event: int) -> Taken:
    while True:
        try:
            return await stores.budget.take("acme", f"event {event}", NOON)
        except BudgetUnavailableError:
            await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4]))))
