"""Between searches in any thread and the one task that sends: a bounded queue.

Public names: :class:`Ask`, :class:`AskQueue`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from veriramp_sdk.selection import Chunk

MAX_CHARACTERS: Final = 16_000_000
"""Texts that may wait, in characters over all chunks: with many long ones the memory stays bounded too."""


@dataclass(slots=True)
class Ask:
    """A chunk that waits. ``at`` is in seconds since the epoch; ``digest`` and ``key`` are empty until computed."""

    chunk: Chunk
    percentile: float
    revision: int
    query_id: str | None
    traceparent: str | None
    at: float
    digest: str = ""
    key: str = ""

    @property
    def characters(self) -> int:
        """Length of its texts."""
        return len(self.chunk.content) + sum(map(len, self.chunk.premises))


class AskQueue:
    """First in, first out; ``put`` from any thread, everything else in the loop that it was opened in."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Ask] = deque()
        self._characters = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    def room(self) -> float:
        """Return what share of a query to take: 1 up to half full, then less and less, never quite 0."""
        return max(_LEAST_SHARE, min(1.0, 2.0 * (1.0 - len(self._items) / self._capacity)))

    def put(self, ask: Ask) -> bool:
        """Append, or return False: full or closed."""
        size = ask.characters
        with self._lock:
            if self.closed or len(self._items) >= self._capacity or self._characters + size > MAX_CHARACTERS:
                return False
            self._items.append(ask)
            self._characters += size
            if len(self._items) == 1 and self._loop is not None:
                self._loop.call_soon_threadsafe(self._arrived.set)
        return True

    def take(self, most: int) -> list[Ask]:
        """Remove and return the first ones."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._characters -= sum(ask.characters for ask in taken)
        return taken

    def open(self) -> None:
        """Start, in the running loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken out."""
        with self._lock:
            self.closed = True
        self._closing.set()
        self._arrived.set()

    async def wait(self) -> bool:
        """Return True when something waits, False when nothing will come any more."""
        while not self._items:
            if self.closed:
                return False
            self._arrived.clear()
            if not self._items:
                await self._arrived.wait()
        return True

    async def pause(self, seconds: float) -> None:
        """Wait that long, or until it is closed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


_LEAST_SHARE: Final = 1e-6
