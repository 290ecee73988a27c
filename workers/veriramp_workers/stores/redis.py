"""Cache and budget in Redis.

Public names: :class:`RedisBackend`.

Nothing needs to be pruned: every key has a time to live, counted by the server from when it was written.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from veriramp_workers.stores.backend import Outcome, Paid, Payment, StoreError, StoreTroubleError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class RedisBackend:
    """A ``Backend``; ``url`` is ``redis://`` or, with TLS, ``rediss://``. Redis Cluster is not supported."""

    def __init__(self, url: str) -> None:
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_SECONDS,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._pay = self._redis.register_script(_PAY)
        self._warned = False

    async def open(self) -> None:
        """See whether it answers, and warn once when it may forget what was paid."""
        try:
            await self._told(lambda: self._redis.exists(_BUDGET))
            if not self._warned:
                await self._warn()
        except StoreTroubleError as error:
            if isinstance(error.__cause__, _REFUSALS):
                raise StoreError(f"Redis refuses this user or password: {error.__cause__}") from error
            raise

    async def _warn(self) -> None:
        try:
            about = await self._redis.info("memory", "persistence")
        except RedisError as error:
            # A user may well be barred from it.
            _log.info("Redis does not tell how it keeps what was paid: %s", error)
            return
        self._warned = True
        if about.get("maxmemory", 0) and about.get("maxmemory_policy") != "noeviction":
            _log.warning(
                "Redis may evict what was paid (maxmemory-policy is not noeviction): the budget may be exceeded"
            )
        if not about.get("aof_enabled", 1):
            _log.warning("Redis forgets with a restart what was paid today (appendonly is off)")

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def read(self, key: str) -> bytes | None:
        """Read what has not expired by the server's clock."""
        value = await self._told(lambda: self._redis.get(_PREFIX + key))
        return value.encode() if isinstance(value, str) else value

    async def write(self, key: str, value: bytes, now: float, expires_at: float) -> None:
        """Write with a time to live."""
        milliseconds = max(1, round((expires_at - now) * 1000))
        await self._told(lambda: self._redis.set(_PREFIX + key, value, px=milliseconds))

    async def remove(self, key: str) -> None:
        """Remove one entry."""
        await self._told(lambda: self._redis.delete(_PREFIX + key))

    async def pay(self, payment: Payment) -> Paid:
        """Pay in one script, which Redis runs undisturbed."""
        day = f"{_BUDGET}:{payment.day}:{payment.tenant}"
        keys = (f"{day}:used", f"{day}:paid", f"{_BUDGET}:{payment.month}")
        arguments = (payment.digest, payment.free, payment.month_limit, payment.keep_seconds, _MONTH_SECONDS)
        outcome, used, month = await self._told(lambda: self._pay(keys=keys, args=arguments))
        return Paid(Outcome(outcome.decode()), int(used), int(month))

    async def _told(self, call: Callable[[], Awaitable[_T]]) -> _T:
        try:
            try:
                return await call()
            except RedisConnectionError:
                # After a restart of the server the idle ones are dead; every call here may safely be repeated.
                await self._redis.connection_pool.disconnect(inuse_connections=False)
                return await call()
        except (RedisError, OSError) as error:
            raise StoreTroubleError(f"Redis: {error}") from error


_REFUSALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_CONNECTIONS: Final = 16
# Behind the deadlines of cache and budget.
_SECONDS: Final = 5.0
_MONTH_SECONDS: Final = 40 * 86_400
_PREFIX: Final = "veriramp:"
_BUDGET: Final = "veriramp:budget"
_PAY: Final = """
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local month = tonumber(redis.call('GET', KEYS[3]) or '0')
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return {'repeated', used, month} end
if used >= tonumber(ARGV[2]) then return {'day', used, month} end
local limit = tonumber(ARGV[3])
if limit > 0 and month >= limit then return {'month', used, month} end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('INCR', KEYS[1])
redis.call('INCR', KEYS[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[5])
return {'granted', used + 1, month + 1}
"""
