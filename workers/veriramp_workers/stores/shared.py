"""The rules of cache and budget, over any backend: deadlines, counting, what a failure means.

Public names: :class:`Door`, :class:`SharedCache`, :class:`SharedBudget`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from veriramp_workers.breaker import BreakerSettings, CircuitBreaker, Outcome
from veriramp_workers.ports import Bound, BreakerOpenError, BudgetUnavailableError, Judgement, Taken
from veriramp_workers.stores import backend as store
from veriramp_workers.stores.backend import Backend, Paid, Payment, StoreError, StoreTroubleError
from veriramp_workers.stores.day import Day, day_of, free, free_at, left_of_day, left_of_month
from veriramp_workers.stores.entry import FORMAT, MAX_BYTES, CorruptEntryError, UnwritableError, decode, encode
from veriramp_workers.stores.metrics import StoreMetrics, Usage
from veriramp_workers.stores.settings import BudgetSettings, Deadlines

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Door:
    """The way to a backend: it is opened before the first use and again after trouble, within the call's deadline."""

    def __init__(self, backend: Backend, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self._backend = backend
        self._open = False

    async def open(self) -> None:
        """Open it; raises ``StoreError`` or ``StoreTroubleError``."""
        async with _deadline(self.deadlines.budget):
            await self._backend.open()
            self._open = True

    async def use(self, seconds: float, call: Callable[[Backend], Awaitable[_T]]) -> _T:
        """Call, for at most that long; raises ``StoreTroubleError`` whatever is wrong."""
        async with _deadline(seconds):
            if not self._open:
                try:
                    await self.open()
                except StoreError as error:
                    raise StoreTroubleError(str(error)) from error
            try:
                return await call(self._backend)
            except StoreTroubleError:
                # Perhaps the tables are gone.
                self._open = False
                raise


class SharedCache:
    """A ``VerdictCache``. After three failures in a row it is left alone for five seconds, so that nobody waits."""

    def __init__(self, door: Door, metrics: StoreMetrics, clock: Callable[[], float]) -> None:
        self._door = door
        self._metrics = metrics
        self._clock = clock
        self._breaker = CircuitBreaker("the verdict cache", _CACHE_BREAKER)
        self._away = False

    async def get(self, key: str) -> Judgement | None:
        """Return the judgement, or None."""
        outcome, judgement = await self._read(_versioned(key))
        self._metrics.reads.labels(outcome).inc()
        return judgement

    async def put(self, key: str, judgement: Judgement, ttl_seconds: float) -> None:
        """Keep it, if possible."""
        if ttl_seconds > 0:
            self._metrics.writes.labels(await self._write(_versioned(key), judgement, ttl_seconds)).inc()

    async def _read(self, key: str) -> tuple[str, Judgement | None]:
        try:
            value = await self._guarded(lambda backend: backend.read(key))
        except _Skipped:
            return "skipped", None
        except StoreTroubleError:
            return "error", None
        if value is None:
            return "miss", None
        try:
            judgement, expires_at = decode(value)
        except CorruptEntryError as error:
            _log.warning("an entry of the verdict cache was not readable and is removed: %s", error)
            await self._remove(key)
            return "corrupt", None
        return ("expired", None) if expires_at <= self._clock() else ("hit", judgement)

    async def _write(self, key: str, judgement: Judgement, ttl_seconds: float) -> str:
        now = self._clock()
        expires_at = now + ttl_seconds
        try:
            value = encode(judgement, expires_at)
            if len(value) > MAX_BYTES:
                return "too_large"
            await self._guarded(lambda backend: backend.write(key, value, now, expires_at))
        except _Skipped:
            return "skipped"
        except (StoreTroubleError, UnwritableError):
            return "error"
        return "stored"

    async def _remove(self, key: str) -> None:
        try:
            await self._guarded(lambda backend: backend.remove(key))
        except (_Skipped, StoreTroubleError):
            _log.info("the entry stays for now")

    async def _guarded(self, call: Callable[[Backend], Awaitable[_T]]) -> _T:
        try:
            permit = self._breaker.admit()
        except BreakerOpenError as error:
            raise _Skipped from error
        outcome = Outcome.ABANDONED
        try:
            result = await self._door.use(self._door.deadlines.cache, call)
            outcome = Outcome.SUCCESS
        except StoreTroubleError as error:
            outcome = Outcome.FAILURE
            if not self._away:
                _log.warning("the verdict cache is of no use for now: %s", error)
            self._away = True
            raise
        finally:
            permit.done(outcome)
        if self._away:
            _log.info("the verdict cache answers again")
        self._away = False
        return result


class SharedBudget:
    """A ``Budget``: paced over the day and exact over all processes that share the backend."""

    def __init__(self, door: Door, settings: BudgetSettings, metrics: StoreMetrics, usage: Usage) -> None:
        self._door = door
        self._settings = settings
        self._metrics = metrics
        self._usage = usage
        self._zone = ZoneInfo(settings.zone)
        metrics.price.set(settings.price)

    async def take(self, tenant: str, key: str, now: datetime, *, share: float = 1.0) -> Taken:
        """Pay for one verification; raises ``BudgetUnavailableError``."""
        day = day_of(now, self._zone)
        payment = self._payment(_stored_name(tenant), key, now, day, share)
        try:
            paid = await self._door.use(self._door.deadlines.budget, lambda backend: backend.pay(payment))
        except StoreTroubleError as error:
            self._metrics.takes.labels("unavailable").inc()
            raise BudgetUnavailableError(f"the budget cannot be asked, nothing is verified: {error}") from error
        taken = self._taken(paid, day, now, share)
        self._count(payment.tenant, taken, paid, day)
        return taken

    def _payment(self, tenant: str, key: str, now: datetime, day: Day, share: float) -> Payment:
        released = free(self._settings.per_day, self._settings.at_once, day, now)
        return Payment(
            tenant=tenant,
            day=day.name,
            month=day.month,
            digest=hashlib.sha256(key.encode(errors="surrogatepass")).digest()[:16],
            free=released * _per_mille(share) // 1000,
            month_limit=self._settings.per_month,
            keep_seconds=int((day.ends_at - now + _KEPT_AFTER).total_seconds()),
            oldest=day_of(now - _KEPT_AFTER, self._zone).name,
        )

    def _taken(self, paid: Paid, day: Day, now: datetime, share: float) -> Taken:
        limit = self._settings.per_day
        granted = paid.outcome in {store.Outcome.GRANTED, store.Outcome.REPEATED}
        next_at, refused_by = now, None
        if not granted and 0 < self._settings.per_month <= paid.month_used:
            # Also when the tenant has spent its own: what holds for all is told first.
            next_at, refused_by = day.month_ends_at, Bound.MONTH
        elif not granted:
            next_at = _next_at(paid.used + 1, limit, self._settings.at_once, day, share)
            refused_by = Bound.PACE if next_at < day.ends_at else Bound.DAY
        return Taken(
            granted=granted,
            used=paid.used,
            limit=limit,
            resets_at=day.ends_at,
            next_at=max(now, next_at),
            repeated=paid.outcome is store.Outcome.REPEATED,
            refused_by=refused_by,
            left=min(
                left_of_day(paid.used, limit, self._settings.at_once, day, now),
                left_of_month(paid.month_used, self._settings.per_month, day, now),
            ),
            spent_until=self._spent_until(paid, day),
        )

    def _spent_until(self, paid: Paid, day: Day) -> datetime | None:
        if 0 < self._settings.per_month <= paid.month_used:
            return day.month_ends_at
        return day.ends_at if paid.used >= self._settings.per_day else None

    def _count(self, tenant: str, taken: Taken, paid: Paid, day: Day) -> None:
        self._metrics.takes.labels(taken.refused_by or paid.outcome).inc()
        if paid.outcome is store.Outcome.GRANTED:
            self._metrics.cost.inc(self._settings.price)
        self._usage.saw(tenant, taken, paid.month_used, day)


class _Skipped(Exception):  # noqa: N818 - nothing went wrong now
    """The cache was not asked."""


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StoreTroubleError(f"the store gave no answer within {seconds:g} s") from error


def _versioned(key: str) -> str:
    return f"{key}:{FORMAT}"


def _next_at(count: int, limit: int, at_once: float, day: Day, share: float) -> datetime:
    per_mille = _per_mille(share)
    return free_at(-(-count * 1000 // per_mille), limit, at_once, day) if per_mille else day.ends_at


def _per_mille(share: float) -> int:
    return min(1000, max(0, round(share * 1000)))


def _stored_name(tenant: str) -> str:
    # Not every store takes every text as a key, and none takes one of any length.
    if _PLAIN.fullmatch(tenant):
        return tenant
    return f"sha256:{hashlib.sha256(tenant.encode(errors='surrogatepass')).hexdigest()[:32]}"


_PLAIN: Final = re.compile(r"[\w.@/-]{1,100}", re.ASCII)
_KEPT_AFTER: Final = timedelta(days=2)
_CACHE_BREAKER: Final = BreakerSettings(failures=3, open_seconds=5.0, probes=1)
