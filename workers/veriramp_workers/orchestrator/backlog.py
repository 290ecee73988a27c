"""How old the requests of searches have become, and how far the orchestrator is degraded by it.

Public names: :class:`Backlog`, :class:`Ladder`, :class:`Level`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """What is still done, with the values of ``veriramp_degradation_level``."""

    FULL = 0
    SEARCHES_ONLY = 1
    KNOWN_VERDICTS_ONLY = 2
    OFF = 3


class Backlog:
    """The age of the oldest request that waits, seen from the one that was taken last.

    A topic is read in order, so what still waits behind the last request is younger than it. ``lag`` is the number of
    requests that wait, NaN while that is not known: then what was known last holds. ``clock`` gives seconds since the
    epoch.
    """

    def __init__(self, lag: Callable[[], float] = lambda: 1.0, clock: Callable[[], float] = time.time) -> None:
        self._lag = lag
        self._clock = clock
        self._asked_at: float | None = None
        self._waiting = False

    def took(self, enqueued_at_ms: int) -> None:
        """Note the request that was just taken."""
        self._asked_at = enqueued_at_ms / 1000

    @property
    def oldest_seconds(self) -> float:
        """0 when nothing waits or nothing was taken yet."""
        lag = self._lag()
        if not math.isnan(lag):
            self._waiting = lag > 0
        if self._asked_at is None or not self._waiting:
            return 0.0
        return max(0.0, self._clock() - self._asked_at)


class Ladder:
    """Goes up at once and comes down in calm weather only; ``clock`` is monotonic, in seconds.

    It moves in :meth:`step`, which is to be called every second or so: to look at it changes nothing.

    The first level begins at a backlog of ``old_seconds`` and ends below half of it. Every step down takes
    ``calm_seconds`` without a reason for a higher level.
    """

    def __init__(
        self, old_seconds: float = 60.0, *, calm_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.old_seconds = old_seconds
        self._calm_seconds = calm_seconds
        self._clock = clock
        self._level = Level.FULL
        self._reason_at = clock()

    def level(self, *, oldest_seconds: float, blocked: bool, off: bool) -> Level:
        """Return the level for what is seen now; ``blocked``: breaker open or budget spent."""
        wanted = self._wanted(oldest_seconds, blocked=blocked, off=off)
        return wanted if self._level is Level.OFF else max(wanted, self._level)

    def step(self, *, oldest_seconds: float, blocked: bool, off: bool) -> Level:
        """Go where what is seen now leads, and return that level."""
        now = self._clock()
        wanted = self._wanted(oldest_seconds, blocked=blocked, off=off)
        if wanted >= self._level or self._level is Level.OFF:
            # Off is an order and no weather: nothing has to calm down after it.
            self._level, self._reason_at = wanted, now
        elif now - self._reason_at >= self._calm_seconds:
            self._level, self._reason_at = Level(self._level - 1), now
        return self._level

    def _wanted(self, oldest_seconds: float, *, blocked: bool, off: bool) -> Level:
        if off:
            return Level.OFF
        if blocked:
            return Level.KNOWN_VERDICTS_ONLY
        enough = self.old_seconds * (_LEAVE if self._level >= Level.SEARCHES_ONLY else 1.0)
        return Level.SEARCHES_ONLY if oldest_seconds >= enough else Level.FULL


_LEAVE: Final = 0.5
