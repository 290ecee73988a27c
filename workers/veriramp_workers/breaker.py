"""A circuit breaker for asynchronous calls: who fails too often is left alone for a while, then probed with few calls.

Public names: :class:`CircuitBreaker`, :class:`BreakerSettings`, :class:`BreakerState`, :class:`Outcome`,
:class:`Permit`, :func:`export_state`.

*Closed*: calls go through; five failures in a row, or too large a share of failures among the last calls, open it.
*Open*: calls are refused until the time is over. *Half-open*: a fixed number of probes go through, all others are
refused and not queued; when all probes succeed it closes, when one fails it opens again. A call that began before the
last change of state says nothing about now and is not counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge

from veriramp_workers.ports import BreakerOpenError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class BreakerState(IntEnum):
    """The states, with their values in ``circuit_breaker_state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Outcome(StrEnum):
    """What a call showed.

    ``NEUTRAL`` is an answer that says nothing about the other side but that it is there; ``ABANDONED`` is no answer,
    because the caller gave up.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class BreakerSettings:
    """When to open and how to close.

    It opens after ``failures`` in a row, or when at least ``failure_rate`` (0..1) of the last ``window`` calls failed,
    once there are ``minimum`` of them. It stays open for ``open_seconds`` and up to ``jitter`` times as long in
    addition, so that many workers do not come back at once. ``probes`` calls go through when half-open; who is refused
    meanwhile is told to come back in ``probe_wait`` seconds.
    """

    failures: int = 5
    failure_rate: float = 0.5
    window: int = 20
    minimum: int = 10
    open_seconds: float = 60.0
    jitter: float = 0.1
    probes: int = 2
    probe_wait: float = 5.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for settings under which the breaker could never open or never close."""
        if min(self.failures, self.probes, self.minimum) < 1 or self.window < self.minimum:
            raise ValueError("failures, probes and minimum must be at least 1, window at least minimum")
        if not 0 < self.failure_rate <= 1 or self.open_seconds <= 0 or self.jitter < 0:
            raise ValueError("failure_rate must be in (0, 1], open_seconds above 0, jitter not below 0")


class CircuitBreaker:
    """One breaker, for one event loop; ``clock`` gives monotonic seconds, ``chance`` a number in [0, 1)."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.settings = settings or BreakerSettings()
        self._clock = clock
        self._chance = chance
        self._state = BreakerState.CLOSED
        self._era = 0
        self._failures = 0
        self._window: deque[bool] = deque(maxlen=self.settings.window)
        self._open_until = 0.0
        self._left_closed_at = 0.0
        self._probing = 0
        self._proven = 0

    @property
    def state(self) -> BreakerState:
        """The state now: open turns into half-open as the time goes by, also when nobody calls."""
        if self._state is BreakerState.OPEN and self._clock() >= self._open_until:
            return BreakerState.HALF_OPEN
        return self._state

    @property
    def retry_after(self) -> float:
        """Seconds until asking again is worth it; 0 when closed."""
        if self.state is BreakerState.OPEN:
            return self._open_until - self._clock()
        return self.settings.probe_wait if self.state is BreakerState.HALF_OPEN else 0.0

    @property
    def not_closed_seconds(self) -> float:
        """Seconds since it was last closed, through all probes that failed; 0 when closed."""
        return 0.0 if self._state is BreakerState.CLOSED else self._clock() - self._left_closed_at

    def configure(self, settings: BreakerSettings) -> None:
        """Use other settings from now on; the state stays, and an opening that has begun keeps its time."""
        self.settings = settings
        self._window = deque(self._window, maxlen=settings.window)

    def reset(self) -> None:
        """Close it by hand and forget what it has seen."""
        self._change(BreakerState.CLOSED)

    async def call(
        self,
        function: Callable[[], Awaitable[_T]],
        *,
        neutral: Callable[[_T], bool],
        given_up: tuple[type[Exception], ...] = (),
    ) -> _T:
        """Call and count: an exception is a failure, a result a success or, if ``neutral`` says so, neither.

        An exception of ``given_up`` says that the caller gave up, which does not count.
        Raises :class:`BreakerOpenError` without calling when the breaker refuses, else what ``function`` raises.
        """
        permit = self.admit()
        try:
            result = await function()
        except Exception as error:
            permit.done(Outcome.ABANDONED if isinstance(error, given_up) else Outcome.FAILURE)
            raise
        except asyncio.CancelledError:
            permit.done(Outcome.ABANDONED)
            raise
        permit.done(Outcome.NEUTRAL if neutral(result) else Outcome.SUCCESS)
        return result

    def admit(self) -> Permit:
        """Let one call through, whose holder must say how it ended; raises :class:`BreakerOpenError`."""
        state = self.state
        if state is BreakerState.OPEN:
            raise BreakerOpenError(self.name, self._open_until - self._clock())
        if state is BreakerState.HALF_OPEN:
            if self._state is BreakerState.OPEN:
                self._change(BreakerState.HALF_OPEN)
            if self._probing + self._proven >= self.settings.probes:
                raise BreakerOpenError(self.name, self.settings.probe_wait)
            self._probing += 1
        return Permit(self, self._era)

    def count(self, era: int, outcome: Outcome) -> None:
        """Take in how a call of that era ended; for :class:`Permit`."""
        if era != self._era:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._count_probe(outcome)
        elif outcome in {Outcome.SUCCESS, Outcome.FAILURE}:
            failed = outcome is Outcome.FAILURE
            self._window.append(failed)
            self._failures = self._failures + 1 if failed else 0
            if failed and self._fails_too_often():
                self._open()

    def _count_probe(self, outcome: Outcome) -> None:
        self._probing -= 1
        if outcome is Outcome.FAILURE:
            self._open()
        elif outcome is not Outcome.ABANDONED:
            # Whoever refuses a text as not formalisable is there: without this, refusals alone would never close it.
            self._proven += 1
            if self._proven >= self.settings.probes:
                self._change(BreakerState.CLOSED)

    def _fails_too_often(self) -> bool:
        seen = len(self._window)
        enough = seen >= self.settings.minimum and sum(self._window) >= self.settings.failure_rate * seen
        return enough or self._failures >= self.settings.failures

    def _open(self) -> None:
        seconds = self.settings.open_seconds * (1 + self.settings.jitter * self._chance())
        if self._state is BreakerState.CLOSED:
            self._left_closed_at = self._clock()
            _log.warning("the breaker of %s opens for %.0f s: it failed too often", self.name, seconds)
        self._change(BreakerState.OPEN)
        self._open_until = self._clock() + seconds

    def _change(self, state: BreakerState) -> None:
        if state is BreakerState.CLOSED and self._state is not BreakerState.CLOSED:
            _log.info("the breaker of %s is closed after %.0f s", self.name, self.not_closed_seconds)
        self._state = state
        self._era += 1
        self._failures = self._probing = self._proven = 0
        self._window.clear()


class Permit:
    """One call that was let through; only the first word on how it ended counts."""

    def __init__(self, breaker: CircuitBreaker, era: int) -> None:
        self._breaker = breaker
        self._era = era
        self._open = True

    def done(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        if not self._open:
            return
        self._open = False
        self._breaker.count(self._era, outcome)


def export_state(breaker: CircuitBreaker, registry: CollectorRegistry) -> None:
    """Export the state as it is at each scrape.

    ``circuit_breaker_state{service}``: 0 closed, 1 half-open, 2 open; ``circuit_breaker_not_closed_seconds{service}``.
    """
    gauge = Gauge(
        "circuit_breaker_state",
        "State of the breaker before a service: 0 closed, 1 half-open, 2 open",
        ("service",),
        registry=registry,
    )
    gauge.labels(breaker.name).set_function(lambda: float(breaker.state))
    age = Gauge(
        "circuit_breaker_not_closed_seconds",
        "Seconds since the breaker was last closed, probes that failed included; 0 when it is closed",
        ("service",),
        registry=registry,
    )
    age.labels(breaker.name).set_function(lambda: breaker.not_closed_seconds)
