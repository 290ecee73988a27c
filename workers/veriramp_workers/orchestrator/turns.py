"""Who works on the same thing at once waits for the other.

Public names: :class:`Turns`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """One task at a time for each key; what is held in memory is bounded by the number of tasks."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of this key, and have it while inside."""
        lock = self._locks.setdefault(key, _Lock())
        lock.users += 1
        try:
            async with lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]

    def __len__(self) -> int:
        return len(self._locks)


class _Lock(asyncio.Lock):
    users = 0
