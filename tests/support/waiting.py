"""Wait for a condition with a deadline: the only way in which tests pass time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

PAUSE_SECONDS: Final = 0.05

PATIENCE: Final = 2.0
"""Deadlines are what a quiet machine needs; a machine that others use too gets so many times as long."""


def wait_for(condition: Callable[[], T], deadline: float, what: str) -> T:
    """Ask until the answer is truthy and return it; fails after `deadline` x PATIENCE seconds.

    `what` completes the sentence "waited 10 s for ...".
    """
    end = time.monotonic() + deadline * PATIENCE
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(_failure(deadline, what, answer))
        time.sleep(PAUSE_SECONDS)
    return answer


async def wait_until(condition: Callable[[], Awaitable[T]], deadline: float, what: str) -> T:
    """Do the same for a coroutine function."""
    end = time.monotonic() + deadline * PATIENCE
    while not (answer := await condition()):
        if time.monotonic() > end:
            raise AssertionError(_failure(deadline, what, answer))
        await asyncio.sleep(PAUSE_SECONDS)
    return answer


def _failure(deadline: float, what: str, answer: object) -> str:
    return f"waited {deadline * PATIENCE:g} s for {what}; the last answer was {answer!r}"
