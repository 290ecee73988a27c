"""Who works on the same thing at once waits for the other.

Public names: :class:`Turns`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from veriramp_workers.ports import VerifierUnavailableError


class Turns:
    """One task at a time for each key; what is held in memory is bounded by the number of tasks."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of this key, and have it while inside.

        A :class:`VerifierUnavailableError` that is raised inside is raised in all that wait by then too: a question at
        which the verifier hangs would keep each of them for as long again. Who comes later has a turn of its own.
        """
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn:
                if turn.failure is not None:
                    raise turn.failure
                try:
                    yield
                except VerifierUnavailableError as error:
                    turn.failure = error
                    del self._turns[key]
                    raise
        finally:
            turn.users -= 1
            if not turn.users and self._turns.get(key) is turn:
                del self._turns[key]


class _Turn(asyncio.Lock):
    users = 0
    failure: VerifierUnavailableError | None = None
