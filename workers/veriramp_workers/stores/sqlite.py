"""Cache and budget in one SQLite file, shared by the processes of one machine.

Public names: :class:`SqliteBackend`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from veriramp_workers.stores.backend import Outcome, Paid, Payment, StoreError, StoreTroubleError

_T = TypeVar("_T")

SCHEMA_VERSION: Final = 1
"""``PRAGMA user_version`` of the file."""

MAX_ENTRIES: Final = 500_000
"""Entries of the cache that are kept; the ones that expire first go first."""


class SqliteBackend:
    """A ``Backend``; ``path`` is the file, which must not be on a network file system (WAL needs shared memory)."""

    def __init__(self, path: Path, *, max_entries: int = MAX_ENTRIES) -> None:
        self._path = path
        self._max_entries = max_entries
        # In WAL mode a reader is never blocked by who writes, hence a thread for reads alone.
        self._reader = _Connection(path)
        self._writer = _Connection(path)
        self._writes = 0

    async def open(self) -> None:
        """Make file, folder and tables where they are missing; raises ``StoreError`` for a file of no use."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self._writer.run(lambda database: _migrate(database, self._path))
            await self._reader.run(lambda database: database.execute("PRAGMA query_only=1"))
        except OSError as error:
            raise StoreError(f"the folder of {self._path} cannot be made: {error.strerror}") from error
        except sqlite3.Error as error:
            if _is_passing(error):
                raise StoreTroubleError(f"{self._path}: {error}") from error
            raise StoreError(_lesson(self._path, error)) from error

    async def close(self) -> None:
        """Close both connections."""
        await self._reader.close()
        await self._writer.close()

    async def read(self, key: str) -> bytes | None:
        """Read on the connection that waits for nobody."""
        row = await self._run(self._reader, lambda database: database.execute(_READ, (key,)).fetchone())
        return None if row is None else bytes(row[0])

    async def write(self, key: str, value: bytes, now: float, expires_at: float) -> None:
        """Write, and now and then remove what has expired."""

        def work(database: sqlite3.Connection) -> None:
            database.execute(_WRITE, (key, value, expires_at))
            self._writes += 1
            if self._writes % _PRUNE_EVERY == 0:
                self._prune(database, now)

        await self._run(self._writer, work)

    async def remove(self, key: str) -> None:
        """Remove one entry."""
        await self._run(self._writer, lambda database: database.execute("DELETE FROM cache WHERE key = ?", (key,)))

    async def pay(self, payment: Payment) -> Paid:
        """Pay in one transaction."""
        return await self._run(self._writer, lambda database: _pay(database, payment))

    def _prune(self, database: sqlite3.Connection, now: float) -> None:
        database.execute(_PRUNE_EXPIRED, (now, _PRUNE_STEP))
        (entries,) = database.execute("SELECT count(*) FROM cache").fetchone()
        if entries > self._max_entries:
            database.execute(_PRUNE_SOONEST, (min(_PRUNE_STEP, entries - self._max_entries),))

    async def _run(self, connection: _Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return await connection.run(work)
        except sqlite3.Error as error:
            raise StoreTroubleError(_lesson(self._path, error)) from error


class _Connection:
    """One connection in one thread; what is cancelled before its turn is not done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._database: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))

    async def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, database.close)
        self._thread.shutdown(wait=False)

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            # A kill loses nothing; a power cut may lose the last moments.
            database.execute("PRAGMA synchronous=NORMAL")
            self._database = database
        return self._database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this program knows {SCHEMA_VERSION}: it was written by a newer one; "
            "use that one, or another file"
        )
    database.execute("PRAGMA journal_mode=WAL")
    with _transaction(database):
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES:
                database.execute(statement)
            database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _pay(database: sqlite3.Connection, payment: Payment) -> Paid:
    day = (payment.day, payment.tenant)
    with _transaction(database):
        used = _count(database.execute("SELECT used FROM budget_day WHERE day = ? AND tenant = ?", day))
        month = _count(database.execute("SELECT used FROM budget_month WHERE month = ?", (payment.month,)))
        if database.execute(_IS_PAID, (*day, payment.digest)).fetchone():
            return Paid(Outcome.REPEATED, used, month)
        if used >= payment.free:
            return Paid(Outcome.DAY, used, month)
        if 0 < payment.month_limit <= month:
            return Paid(Outcome.MONTH, used, month)
        database.execute("INSERT INTO budget_paid VALUES (?, ?, ?)", (*day, payment.digest))
        database.execute(_PAY_DAY, day)
        database.execute(_PAY_MONTH, (payment.month,))
        if used % _PRUNE_EVERY == 0:
            database.execute(_PRUNE_PAID, (payment.oldest, _PRUNE_STEP))
            database.execute(_PRUNE_DAYS, (payment.oldest, _PRUNE_STEP))
        return Paid(Outcome.GRANTED, used + 1, month + 1)


def _count(cursor: sqlite3.Cursor) -> int:
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _is_passing(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _lesson(path: Path, error: sqlite3.Error) -> str:
    advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return f"{path}: {error}" + (f"; {advice}" if advice else "")


_ADVICE: Final = {
    sqlite3.SQLITE_NOTADB: "stop the workers, move the file away and start again; what was paid today is forgotten",
    sqlite3.SQLITE_CORRUPT: "stop the workers, move the file away and start again; what was paid today is forgotten",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_CANTOPEN: "is the folder there, and may this user write to it?",
    sqlite3.SQLITE_READONLY: "may this user write to it and to its folder?",
    sqlite3.SQLITE_IOERR: "is the disk healthy, and no network file system?",
}
_BUSY_SECONDS: Final = 1.5
_PRUNE_EVERY: Final = 100
# More than is written between two times, so that a backlog of old rows gets shorter.
_PRUNE_STEP: Final = 300
_TABLES: Final = (
    "CREATE TABLE cache (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires_at REAL NOT NULL)",
    "CREATE INDEX cache_expires_at ON cache (expires_at)",
    "CREATE TABLE budget_day (day TEXT, tenant TEXT, used INTEGER NOT NULL, PRIMARY KEY (day, tenant)) WITHOUT ROWID",
    "CREATE TABLE budget_month (month TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE budget_paid (day TEXT, tenant TEXT, digest BLOB, PRIMARY KEY (day, tenant, digest)) WITHOUT ROWID",
)
_READ: Final = "SELECT CAST(value AS BLOB) FROM cache WHERE key = ?"
_WRITE: Final = (
    "INSERT INTO cache VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
)
_PRUNE_EXPIRED: Final = (
    "DELETE FROM cache WHERE key IN (SELECT key FROM cache WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
)
_PRUNE_SOONEST: Final = "DELETE FROM cache WHERE key IN (SELECT key FROM cache ORDER BY expires_at LIMIT ?)"
_IS_PAID: Final = "SELECT 1 FROM budget_paid WHERE day = ? AND tenant = ? AND digest = ?"
_PAY_DAY: Final = "INSERT INTO budget_day VALUES (?, ?, 1) ON CONFLICT (day, tenant) DO UPDATE SET used = used + 1"
_PAY_MONTH: Final = "INSERT INTO budget_month VALUES (?, 1) ON CONFLICT (month) DO UPDATE SET used = used + 1"
_PRUNE_PAID: Final = (
    "DELETE FROM budget_paid WHERE (day, tenant, digest) IN "
    "(SELECT day, tenant, digest FROM budget_paid WHERE day < ? LIMIT ?)"
)
_PRUNE_DAYS: Final = (
    "DELETE FROM budget_day WHERE (day, tenant) IN (SELECT day, tenant FROM budget_day WHERE day < ? LIMIT ?)"
)
