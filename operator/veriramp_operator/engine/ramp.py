"""The way from a stage's start to its vector, in steps of healthy time.

Public: :class:`Pace`, :func:`pace_of`, :func:`vector_at`, :class:`Ramp`, :func:`ramp_of`. A step moves all parameters
at once, to a whole, quantised vector. A re-entry after a retry takes at least three steps, each long enough for
evidence of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from veriramp_operator.api.rollout import RampSpec, Shape
from veriramp_operator.api.status import StageStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.stages import Plan, Rung
from veriramp_operator.evidence.memo import by_identity

REENTRY_STEPS: Final = 3
LEAST_REENTRY_INTERVAL: Final = 1.0
DEFAULT_INTERVAL: Final = 600.0
LEAST_INTERVAL: Final = 1e-3
"""A shorter interval is no step at all: the ramp is then continuous."""
_EPSILON: Final = 1e-6
"""Sums of float seconds may miss a whole step by so much."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``duration`` and ``interval`` of a ramp in healthy seconds; a duration of 0 is a single step at once.

    ``fractions``: how far (0..1] each step of a stepped ramp goes, one per interval; empty for a linear one.
    """

    duration: float
    interval: float
    fractions: tuple[float, ...] = ()

    def fraction(self, seconds: float) -> float:
        """How far (0..1) the ramp may be after so many healthy seconds: the last step that is due."""
        if seconds + _EPSILON >= self.duration:
            return 1.0
        if self.interval < LEAST_INTERVAL:
            return seconds / self.duration
        taken = int((seconds + _EPSILON) / self.interval)
        if self.fractions:
            return self.fractions[min(taken, len(self.fractions)) - 1] if taken > 0 else 0.0
        return min(1.0, taken * self.interval / self.duration)

    def next_step_in(self, seconds: float) -> float:
        """Healthy seconds until the next step is due."""
        if self.interval < LEAST_INTERVAL:
            return min(1.0, max(0.0, self.duration - seconds))
        due = (int((seconds + _EPSILON) / self.interval) + 1) * self.interval
        return max(0.0, min(due, self.duration) - seconds)

    def counted(self, seconds: float, more: float) -> float:
        """The seconds of the ramp after some more of them: at most to the next step, so that a late pass skips none."""
        return seconds + (more if self.interval < LEAST_INTERVAL else min(more, self.next_step_in(seconds)))


def pace_of(plan: Plan, rung: Rung, stage: StageStatus) -> Pace:
    """The ramp of the stage as declared, or stretched to a re-entry."""
    ramp = rung.spec.ramp
    declared = _declared(ramp) if ramp else Pace(0.0, 0.0)
    if not stage.reentry:
        return declared
    if len(declared.fractions) >= REENTRY_STEPS:
        return declared
    if declared.duration > 0:
        shortest = declared.duration / REENTRY_STEPS
        return Pace(declared.duration, min(declared.interval or shortest, shortest))
    interval = max((LEAST_REENTRY_INTERVAL, *(asking.window for asking in plan.gates)))
    return Pace(REENTRY_STEPS * interval, interval)


def _pace(ramp: RampSpec) -> Pace:
    if ramp.shape is Shape.LINEAR or not ramp.steps:
        return Pace(ramp.duration, DEFAULT_INTERVAL if ramp.interval is None else ramp.interval)
    fractions = ramp.steps if ramp.steps[-1] >= 1 else (*ramp.steps, 1.0)
    return Pace(ramp.duration, ramp.duration / len(fractions), fractions)


_declared: Final = by_identity(_pace)
"""The pace that a spec declares, remembered per object, because every pass asks."""


def vector_at(stage: StageStatus, rung: Rung, pace: Pace, seconds: float) -> Vector:
    """The vector that is due after so many healthy seconds."""
    return stage.start.toward(rung.vector, pace.fraction(seconds))


class Ramp(NamedTuple):
    """The ramp of a stage as one pass finds it: its healthy seconds if this pass counts, and the vector then due."""

    pace: Pace
    seconds: float
    due: Vector


def ramp_of(stage: StageStatus, rung: Rung, pace: Pace, in_force: Vector, more: float) -> Ramp:
    """The ramp after ``more`` healthy seconds; never past the step that comes next."""
    seconds = stage.ramp_seconds
    due = vector_at(stage, rung, pace, seconds)
    if not more or not due.is_at_most(in_force):
        return Ramp(pace, seconds, due)  # a step that has not been taken yet waits; the one after it comes no nearer
    counted = pace.counted(seconds, more)
    if pace.fraction(counted) != pace.fraction(seconds):
        due = vector_at(stage, rung, pace, counted)
    return Ramp(pace, counted, due)
