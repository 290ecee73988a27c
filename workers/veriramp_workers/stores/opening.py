"""From a URL to cache and budget.

Public names: :func:`open_stores`, :class:`Stores`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from prometheus_client import CollectorRegistry

from veriramp_workers.ports import Budget, VerdictCache
from veriramp_workers.stores.backend import Backend, StoreError, StoreTroubleError
from veriramp_workers.stores.metrics import StoreMetrics, Usage
from veriramp_workers.stores.settings import BudgetSettings, Deadlines
from veriramp_workers.stores.shared import Door, SharedBudget, SharedCache

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stores:
    """What workers on one store share."""

    cache: VerdictCache
    budget: Budget


@asynccontextmanager
async def open_stores(
    url: str,
    registry: CollectorRegistry,
    settings: BudgetSettings | None = None,
    *,
    deadlines: Deadlines | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Stores]:
    """Open ``sqlite:///path``, ``redis://...``, ``rediss://...`` or ``postgresql://...``.

    A server that is away or slow is no error here: the cache then has nothing and the budget raises, until it is back.
    ``clock`` gives seconds since the epoch. Raises :class:`StoreError` for what a person must change.
    """
    settings = settings or BudgetSettings()
    backend = _backend(url)
    door = Door(backend, deadlines or Deadlines())
    try:
        try:
            await door.open()
        except StoreError as error:
            raise StoreError(f"VERIRAMP_STORE_URL is {_shown(url)}: {error}") from error
        except ValueError as error:
            raise StoreError(f"VERIRAMP_STORE_URL is {_shown(url)}; {_FORMS}") from error
        except StoreTroubleError as error:
            _log.warning("the store %s cannot be used yet: %s", _shown(url), error)
        metrics = StoreMetrics(registry)
        usage = Usage(registry, per_month=settings.per_month, warning=settings.warning, clock=clock)
        yield Stores(SharedCache(door, metrics, clock), SharedBudget(door, settings, metrics, usage))
    finally:
        await backend.close()


def _backend(url: str) -> Backend:
    try:
        return _backend_of(url)
    except ImportError as error:
        scheme = url.partition(":")[0]
        extra = "postgres" if scheme.startswith("postgres") else "redis"
        raise StoreError(
            f"VERIRAMP_STORE_URL is {_shown(url)}: the package {error.name} is missing; "
            f"install veriramp[workers,{extra}]"
        ) from error
    except ValueError as error:
        raise StoreError(f"VERIRAMP_STORE_URL is {_shown(url)}; {_FORMS}") from error


def _backend_of(url: str) -> Backend:
    # Each adapter is imported where it is asked for: a worker without Redis needs no Redis client.
    parts = urlsplit(url)
    if parts.netloc.count("@") > 1:
        raise ValueError(url)
    match parts.scheme:
        case "sqlite":
            from veriramp_workers.stores.sqlite import SqliteBackend  # noqa: PLC0415

            return SqliteBackend(_file(url))
        case "redis" | "rediss" if parts.hostname:
            from veriramp_workers.stores.redis import RedisBackend  # noqa: PLC0415

            return RedisBackend(url)
        case "postgresql" | "postgres" if parts.hostname or "host=" in parts.query:
            from veriramp_workers.stores.postgres import PostgresBackend  # noqa: PLC0415

            return PostgresBackend(url)
    raise ValueError(url)


def _file(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc or parts.query or parts.fragment or not path.strip("/") or path.endswith("/") or "\0" in path:
        raise ValueError(url)
    return Path("/" + path.lstrip("/"))


def _shown(url: str) -> str:
    """Return the URL without what may be secret: password, query, and whatever stands where no URL is."""
    scheme, found, rest = url.partition("://")
    if not found:
        return "no URL"
    user, at, place = rest.rpartition("@")
    if _NO_USER.search(user):
        # Nobody knows where that password begins and ends.
        return f'"{scheme}://***"'
    return f'"{scheme}://{at and "***@"}{re.split("[?#]", place)[0]}"'


_NO_USER: Final = re.compile("[/?#]")
_FORMS: Final = (
    "write sqlite:///folder/file.db, redis://host:6379/0, rediss://host:6379/0 or postgresql://user@host:5432/database "
    "(in a password, %40 for @)"
)
