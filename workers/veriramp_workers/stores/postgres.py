"""Cache and budget in PostgreSQL.

Public names: :class:`PostgresBackend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from veriramp_workers.stores.backend import Outcome, Paid, Payment, StoreError, StoreTroubleError
from veriramp_workers.stores.postgres_schema import LOCK, SCHEMA_VERSION, STATEMENTS

_T = TypeVar("_T")

MAX_ENTRIES: Final = 500_000
"""Entries of the cache that are kept; the ones that expire first go first."""


class PostgresBackend:
    """A ``Backend``; ``url`` as libpq has it. Tables are made where missing, in the first schema of the search path."""

    def __init__(self, url: str, *, max_entries: int = MAX_ENTRIES) -> None:
        self._url = url
        self._max_entries = max_entries
        self._idle: list[asyncpg.Connection] = []
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._writes = 0

    async def open(self) -> None:
        """Make the tables; several starters wait for each other. Raises ``StoreError`` for a refusal."""
        try:
            await self._run(_migrate)
        except ValueError:
            raise
        except _REFUSALS as error:
            raise StoreError(f"PostgreSQL: {error}") from error
        except _TROUBLE as error:
            raise StoreTroubleError(f"PostgreSQL: {_text(error)}") from error

    async def close(self) -> None:
        """Drop the connections; none has anything left to say."""
        while self._idle:
            self._idle.pop().terminate()

    async def read(self, key: str) -> bytes | None:
        """Read one row."""
        value = await self._told(lambda database: database.fetchval(_READ, key))
        return None if value is None else bytes(value)

    async def write(self, key: str, value: bytes, now: float, expires_at: float) -> None:
        """Write, and now and then remove what has expired."""
        await self._told(lambda database: database.execute(_WRITE, key, value, expires_at))
        self._writes += 1
        if self._writes % _PRUNE_EVERY == 0:
            await self._told(lambda database: database.execute(_PRUNE, now, self._max_entries, _PRUNE_STEP))

    async def remove(self, key: str) -> None:
        """Remove one row."""
        await self._told(lambda database: database.execute("DELETE FROM veriramp_cache WHERE key = $1", key))

    async def pay(self, payment: Payment) -> Paid:
        """Pay in one statement."""
        row = await self._told(
            lambda database: database.fetchrow(
                _PAY,
                payment.day,
                payment.tenant,
                payment.month,
                payment.digest,
                payment.free,
                payment.month_limit,
                payment.oldest,
            )
        )
        return Paid(Outcome(row["outcome"]), row["used_today"], row["used_this_month"])

    async def _told(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        try:
            return await self._run(work)
        except _TROUBLE as error:
            raise StoreTroubleError(f"PostgreSQL: {_text(error)}") from error

    async def _run(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        async with self._slots:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_closed():
                    continue
                try:
                    return await self._use(connection, work)
                except _LOST:
                    # After a restart of the server the idle ones are dead; every call here may safely be repeated.
                    continue
            return await self._use(await asyncpg.connect(self._url, timeout=_SECONDS), work)

    async def _use(self, connection: asyncpg.Connection, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        try:
            result = await work(connection)
        except BaseException:
            # Also when the caller stopped waiting: nobody knows what this connection would answer next.
            connection.terminate()
            raise
        self._idle.append(connection)
        return result


async def _migrate(database: asyncpg.Connection) -> None:
    if await _version(database) == SCHEMA_VERSION:
        return
    # Locked before the transaction begins: one that has begun may still take new tables for missing.
    await database.execute("SELECT pg_advisory_lock($1)", LOCK)
    async with database.transaction():
        version = await _version(database)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the tables in PostgreSQL have schema version {version}, this program knows {SCHEMA_VERSION}: they "
                "were made by a newer one; use that one, or another database"
            )
        if version == 0:
            for statement in STATEMENTS:
                await database.execute(statement)
    await database.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _version(database: asyncpg.Connection) -> int:
    if await database.fetchval("SELECT to_regclass('veriramp_stores')") is None:
        return 0
    return int(await database.fetchval("SELECT version FROM veriramp_stores"))


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_TROUBLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_REFUSALS: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_CONNECTIONS: Final = 8
# Behind the deadlines of cache and budget.
_SECONDS: Final = 5.0
_PRUNE_EVERY: Final = 100
_PRUNE_STEP: Final = 300
_READ: Final = "SELECT value FROM veriramp_cache WHERE key = $1"
_WRITE: Final = (
    "INSERT INTO veriramp_cache VALUES ($1, $2, $3) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
)
_PRUNE: Final = "SELECT veriramp_prune_cache($1, $2, $3)"
_PAY: Final = "SELECT * FROM veriramp_pay($1, $2, $3, $4, $5, $6, $7)"
