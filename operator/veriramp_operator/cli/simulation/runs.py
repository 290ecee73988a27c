"""What one simulated run is asked, and what happened in it.

Public: :class:`Options`, :class:`Moment`, :class:`Estimate`, :class:`Trace`, :class:`Run`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.api.vector import Vector
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.traffic import Traffic
from veriramp_operator.engine.types import Direction

MOST_ESTIMATES: Final = 1200
FINE_ESTIMATES: Final = 300
DEFAULT_START: Final = (
    1_767_225_600.0  # 2026-01-01T00:00:00Z, so that a simulation without --start is the same every day
)


@dataclass(frozen=True, slots=True)
class Options:
    """``start``: seconds since the epoch. ``traced``: keep what the comparisons estimate, for a picture."""

    injections: tuple[Injection, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    start: float = DEFAULT_START
    traced: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline: a change of vector, stage or reason."""

    at: float
    stage: str
    vector: Vector
    direction: Direction
    reason: str
    message: str


class Estimate(NamedTuple):
    """What a comparison makes of both arms: bounds of the treatment's rate less the control's, and what it tolerates.

    ``difference``: over the bake (on a ramp: so far), ``late``: over the last 15 minutes, ``limit``: at which the
    tolerance ends; rates are shares (0..1) of requests.
    """

    at: float
    difference: float
    lower: float
    upper: float
    limit: float
    late: float


class Trace:
    """Estimates over time: all of the last ones, fewer of those from long ago."""

    def __init__(self) -> None:
        self._coarse: list[Estimate] = []
        self._fine: deque[Estimate] = deque(maxlen=FINE_ESTIMATES)
        self._stride, self._seen = 1, 0

    def add(self, estimate: Estimate) -> None:
        """The next estimate."""
        if len(self._fine) == FINE_ESTIMATES:
            if self._seen % self._stride == 0:
                self._coarse.append(self._fine[0])
            self._seen += 1
            if len(self._coarse) > MOST_ESTIMATES:
                del self._coarse[1::2]
                self._stride *= 2
        self._fine.append(estimate)

    def __iter__(self) -> Iterator[Estimate]:
        """From the oldest to the newest."""
        yield from self._coarse
        yield from self._fine


@dataclass(slots=True)
class Run:
    """What happened. Times in seconds since the epoch.

    ``verdicts``: changes of each gate's verdict. ``injected_at``: when each injection took effect. ``ending``: why the
    simulation stopped, in words.
    """

    options: Options
    timeline: list[Moment] = field(default_factory=list)
    verdicts: dict[str, list[tuple[float, VerdictKind]]] = field(default_factory=dict)
    estimates: dict[str, Trace] = field(default_factory=dict)
    injected_at: dict[str, float] = field(default_factory=dict)
    first_bad_at: float | None = None
    detected_at: float | None = None
    published_at: float | None = None
    applied_at: float | None = None
    rollback_gate: str | None = None
    completed: bool = False
    ending: str = ""
    ended_at: float = 0.0
    passes: int = 0

    @property
    def onset(self) -> float | None:
        """When the regression that was found began; None when none was injected into the gate that rolled back."""
        at, detected_at = self.injected_at.get(self.rollback_gate or ""), self.detected_at
        return at if at is not None and detected_at is not None and at <= detected_at else None

    @property
    def detection_seconds(self) -> float | None:
        """From the onset of the injected regression to the decision to fall; None without either."""
        return None if self.onset is None or self.detected_at is None else self.detected_at - self.onset

    @property
    def safe_seconds(self) -> float | None:
        """From the onset to the moment when every process runs the safe vector; None without either."""
        return None if self.onset is None or self.applied_at is None else self.applied_at - self.onset

    def users_exposed(self) -> int | None:
        """Users of the treatment who searched between the onset and safety, each expected to search equally often.

        Of n users with m requests in between, n x (1 - exp(-m / n)) have come by.
        """
        onset, safe = self.onset, self.applied_at
        if onset is None or safe is None:
            return None
        requests, most = 0.0, 0.0
        traffic = self.options.traffic
        changes = [moment for moment in self.timeline if moment.direction is not Direction.HOLD]
        for number, moment in enumerate(changes):
            until = changes[number + 1].at if number + 1 < len(changes) else safe
            until = safe if moment.at <= (self.detected_at or 0.0) <= until else until
            share = moment.vector.canary_percent / 100
            seconds = min(until, safe) - max(moment.at, onset)
            if seconds > 0 and share > 0:
                requests += seconds * traffic.rps * share
                most = max(most, traffic.users * share)
        return round(most * -math.expm1(-requests / most)) if most else 0
