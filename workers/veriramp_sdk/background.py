"""Run an asynchronous context in a thread of its own, for programs without an event loop.

Public names: :class:`Background`.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractAsyncContextManager


class Background:
    """Enters a context in a new daemon thread and leaves it at :meth:`stop`."""

    def __init__(self, context: AbstractAsyncContextManager[object], name: str) -> None:
        self._context = context
        self._settled = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name=name, daemon=True)
        self._thread.start()
        self._settled.wait()

    def stop(self) -> None:
        """Leave the context and wait for that."""
        if self._loop is not None and self._leave is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    async def _live(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._context:
                self._settled.set()
                await self._leave.wait()
        finally:
            self._settled.set()
