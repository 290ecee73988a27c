"""A bound on concurrent work that may change while work goes on.

Public names: :class:`Slots`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Slots:
    """An async context manager that at most ``limit`` tasks are inside of; first come, first served."""

    def __init__(self, limit: int) -> None:
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._limit = _checked(limit)

    def resize(self, limit: int) -> None:
        """Change the limit; who is inside stays inside. Raises ``ValueError`` below 1."""
        self._limit = _checked(limit)
        self._let_in()

    async def __aenter__(self) -> None:
        if self._taken < self._limit and not self._waiting:
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the turn came together with the cancellation: pass it on
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._taken < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)


def _checked(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"{limit} slots let nobody in; give at least 1")
    return limit
