"""Cache and budget for tests: one fresh place in each product, and a look into it from outside.

Public names: :class:`Place`, :func:`a_judgement`, :func:`at`, :func:`zone_at_noon`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement
from veriramp_workers.stores import BudgetSettings, Stores, open_stores
from veriramp_workers.stores.settings import Deadlines

PATIENT: Final = Deadlines(cache=60.0, budget=60.0)


@dataclass
class Opened:
    """Stores with their metrics."""

    stores: Stores
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float | None:
        """One sample, None if it is absent."""
        return self.registry.get_sample_value(name, labels)


@dataclass
class Place:
    """Where cache and budget are; ``now`` is the clock of the cache, in seconds since the epoch."""

    kind: str
    url: str
    now: float = 1_800_000_000.0

    @asynccontextmanager
    async def opened(
        self, settings: BudgetSettings | None = None, deadlines: Deadlines = PATIENT
    ) -> AsyncIterator[Opened]:
        """Open it as a worker would, but wait as long as a machine with much else to do may take."""
        registry = CollectorRegistry()
        async with open_stores(self.url, registry, settings, deadlines=deadlines, clock=lambda: self.now) as stores:
            yield Opened(stores, registry)

    async def sql(self, statement: str, *arguments: object) -> list[tuple[object, ...]]:
        """Run one statement behind the back of the workers; ``?`` is a parameter."""
        if self.kind == "sqlite":
            return await asyncio.to_thread(self._sqlite, statement, arguments)
        connection = await asyncpg.connect(self.url)
        try:
            for number in range(1, len(arguments) + 1):
                statement = statement.replace("?", f"${number}", 1)
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """A client of one's own."""
        client: Redis = Redis.from_url(self.url)
        try:
            yield client
        finally:
            await client.aclose()

    async def entries(self) -> dict[str, bytes]:
        """What the cache holds, as bytes."""
        if self.kind == "redis":
            async with self.redis() as client:
                found = {}
                async for key in client.scan_iter("veriramp:verification:*"):
                    value = await client.get(key)
                    assert isinstance(value, bytes)
                    found[key.decode().removeprefix("veriramp:")] = value
                return found
        rows = await self.sql(_ENTRIES[self.kind])
        return {str(key): bytes(value) for key, value in rows if isinstance(value, bytes)}

    async def spoil(self, key: str, value: bytes) -> None:
        """Overwrite an entry."""
        if self.kind == "redis":
            async with self.redis() as client:
                await client.set(f"veriramp:{key}", value)
        else:
            await self.sql(_SPOIL[self.kind], value, key)

    def _sqlite(self, statement: str, arguments: tuple[object, ...]) -> list[tuple[object, ...]]:
        database = sqlite3.connect(self.file, isolation_level=None)
        try:
            return database.execute(statement, arguments).fetchall()
        finally:
            database.close()

    @property
    def file(self) -> Path:
        """The file of SQLite."""
        return Path(self.url.removeprefix("sqlite://"))


def a_judgement(**changed: object) -> Judgement:
    """A judgement with something in each field."""
    fields: dict[str, object] = {
        "verdict": Verdict.CONTRADICTED,
        "reason": "the mill is red and is not red",
        "check_sat": "unsat",
        "smt_lib": "(assert (red mill))",
        "conflict": ("The mill is red.", "The mill is not red."),
        "skipped": ("Perhaps.",),
        "similarity": 0.75,
        "degradation": 0.5,
        "solver_seconds": 0.25,
        "total_seconds": 1.5,
        "judged_at_ms": 1_790_000_000_123,
    }
    return Judgement(**{**fields, **changed})  # type: ignore[arg-type]


def zone_at_noon() -> str:
    """A time zone in which it is between twelve and one now: no test has a midnight in the middle."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # the signs of these names are the wrong way round


def at(text: str) -> datetime:
    """An instant from its ISO form with an offset."""
    return datetime.fromisoformat(text).astimezone(UTC)


_ENTRIES: Final = {
    "sqlite": "SELECT key, value FROM cache",
    "postgres": "SELECT key, value FROM veriramp_cache",
}
_SPOIL: Final = {
    "sqlite": "UPDATE cache SET value = ? WHERE key = ?",
    "postgres": "UPDATE veriramp_cache SET value = ? WHERE key = ?",
}
