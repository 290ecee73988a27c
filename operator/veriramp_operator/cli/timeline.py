"""When each stage of a plan begins and ends at the earliest, with the vector at each step. Pure.

Public: :func:`stages_of`, :class:`StageOutlook`, :class:`Step`, :data:`A_MONDAY`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from veriramp_operator.api.rollout import Promotion, RolloutSpec, WindowSpec
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.cli.sight import Sight, sight_of
from veriramp_operator.engine import windows
from veriramp_operator.engine.ramp import Pace, pace_of
from veriramp_operator.engine.stages import Plan, Rung, enter, plan_of

A_MONDAY: Final = 1_767_571_200.0
"""2026-01-05T00:00:00Z: where windows are counted from when nobody names a start."""
MOST_STEPS: Final = 10_000


class Step(NamedTuple):
    """A vector on the way into a stage, and how many seconds after the start it is published."""

    after: float
    vector: Vector


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """One stage; times in seconds, the earliest possible, waiting for windows included.

    ``starts_after``: from the start of the plan. ``ramp``: from the first to the full vector. ``interval``: between two
    steps, in healthy time. ``steps``: the vector at each ramp step.
    """

    rung: Rung
    starts_after: float
    ramp: float
    interval: float
    steps: tuple[Step, ...]
    sight: Sight

    @property
    def bake(self) -> float:
        """Seconds at the full vector."""
        return self.rung.bake

    @property
    def duration(self) -> float:
        """Ramp and bake."""
        return self.ramp + self.bake

    @property
    def ends_after(self) -> float:
        """From the start of the plan."""
        return self.starts_after + self.duration

    @property
    def detectable(self) -> float | None:
        """Smallest relative worsening that a comparison of both arms shows in the bake; None without two arms."""
        return self.sight.detectable

    @property
    def is_manual(self) -> bool:
        """A person has to let this stage end."""
        return self.rung.spec.promotion is Promotion.MANUAL


def stages_of(spec: RolloutSpec, rps: float, base_rate: float | None, start: float) -> tuple[StageOutlook, ...]:
    """All stages, one after the other; see :func:`~veriramp_operator.cli.outlook.outlook_of`."""
    plan = plan_of(spec)
    stages: list[StageOutlook] = []
    now, before = start, OFF
    for rung in plan.rungs:
        stage = _stage(spec, plan, rung, before, now, start, sight_of(spec, rung, rps, base_rate))
        stages.append(stage)
        now, before = start + stage.ends_after, rung.vector
    return tuple(stages)


def _stage(
    spec: RolloutSpec, plan: Plan, rung: Rung, before: Vector, now: float, start: float, sight: Sight
) -> StageOutlook:
    begins = _open(spec.windows, now)
    entered = enter(rung, before, begins)
    pace = pace_of(plan, rung, entered)
    steps = [Step(begins - start, entered.start.toward(rung.vector, pace.fraction(0.0)))]
    at, seconds = begins, 0.0
    while seconds < pace.duration:
        wait = min(max(pace.next_step_in(seconds), pace.duration / MOST_STEPS), pace.duration - seconds)
        at, seconds = at + wait, seconds + wait
        vector = entered.start.toward(rung.vector, pace.fraction(seconds))
        if vector != steps[-1].vector:
            at = _open(spec.windows, at)
            steps.append(Step(at - start, vector))
    return StageOutlook(rung, begins - start, at - begins, _interval(pace), tuple(steps), sight)


def _interval(pace: Pace) -> float:
    return pace.interval if pace.interval > 0 else pace.duration / MOST_STEPS


def _open(spans: tuple[WindowSpec, ...], at: float) -> float:
    """The moment itself when it is inside a window, else the next opening; windows that never open do not wait."""
    if windows.is_open(spans, at):
        return at
    opens = windows.next_opening(spans, at)
    return at if opens is None or not math.isfinite(opens) else opens
