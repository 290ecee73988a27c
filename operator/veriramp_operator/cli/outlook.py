"""What a plan means before it runs: times, steps, what each stage can detect, and what looks unwise. Pure.

Public: :func:`outlook_of`, :class:`Outlook`, :class:`StageOutlook`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.rollout import GateSpec, OnRegression, Promotion, RolloutSpec
from veriramp_operator.api.support import not_yet_supported
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.ramp import pace_of
from veriramp_operator.engine.stages import Plan, Rung, enter, plan_of
from veriramp_operator.evidence import window_of
from veriramp_sdk.contract import Mode

ALPHA: Final = 0.05
POWER: Final = 0.8
EVERYBODY: Final = 100.0
_PARAMETERS: Final = {
    "samplingRate": "sampling_rate",
    "canaryPercent": "canary_percent",
    "rankingWeight": "ranking_weight",
    "topK": "top_k",
}


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """One stage; times in seconds of healthy time, so the earliest possible.

    ``steps``: the vector at each ramp step. ``detectable``: the smallest relative increase of the error rate that the
    bake shows, None without two arms.
    """

    rung: Rung
    starts_after: float
    ramp: float
    interval: float
    bake: float
    steps: tuple[Vector, ...]
    detectable: float | None

    @property
    def duration(self) -> float:
        """Ramp and bake."""
        return self.ramp + self.bake

    @property
    def is_manual(self) -> bool:
        """A person has to let this stage end."""
        return self.rung.spec.promotion is Promotion.MANUAL


@dataclass(frozen=True, slots=True)
class Outlook:
    """All stages, and a sentence for each thing that looks unwise."""

    stages: tuple[StageOutlook, ...]
    warnings: tuple[str, ...]

    @property
    def duration(self) -> float:
        """Seconds to the end of the last bake, at the earliest."""
        return self.stages[-1].starts_after + self.stages[-1].duration


def outlook_of(spec: RolloutSpec, rps: float, base_rate: float) -> Outlook:
    """Work out the plan for traffic of ``rps`` requests per second, of which ``base_rate`` (0..1) are bad anyway."""
    plan = plan_of(spec)
    stages, now, before = [], 0.0, OFF
    for rung in plan.rungs:
        stage = _stage(plan, rung, before, now, rps, base_rate)
        stages.append(stage)
        now, before = now + stage.duration, rung.vector
    return Outlook(tuple(stages), tuple(_warnings(spec, stages)))


def smallest_detectable_effect(requests: float, share: float, base_rate: float) -> float | None:
    """Smallest relative increase over ``base_rate`` that a comparison of two arms shows.

    ``requests`` in both arms together, ``share`` (0..1) of them in the treatment. One-sided level 5 %, power 80 %, both
    variances taken at the base rate: Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", 3rd
    edition, chapter 4. Requests are taken for independent, so this is the best case. None without two arms.
    """
    treated, control = requests * share, requests * (1 - share)
    if treated <= 0 or control <= 0 or not 0 < base_rate < 1:
        return None
    quantiles = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(POWER)
    deviation = math.sqrt(base_rate * (1 - base_rate) * (1 / treated + 1 / control))
    return quantiles * deviation / base_rate


def _stage(plan: Plan, rung: Rung, before: Vector, now: float, rps: float, base_rate: float) -> StageOutlook:
    entered = enter(rung, before, now)
    pace = pace_of(plan, rung, entered)
    steps: list[Vector] = []
    seconds = 0.0
    while True:
        vector = entered.start.toward(rung.vector, pace.fraction(seconds))
        if not steps or vector != steps[-1]:
            steps.append(vector)
        if seconds >= pace.duration:
            break
        seconds += max(pace.next_step_in(seconds), 1e-3)
    share = rung.vector.canary_percent / EVERYBODY
    effect = smallest_detectable_effect(rps * rung.bake, share, base_rate) if rung.vector.mode is Mode.LIVE else None
    return StageOutlook(rung, now, pace.duration, pace.interval, rung.bake, tuple(steps), effect)


def _warnings(spec: RolloutSpec, stages: list[StageOutlook]) -> Iterator[str]:
    yield from not_yet_supported(spec)
    before = OFF
    for stage in stages:
        rung = stage.rung
        raised = [name for name, field in _PARAMETERS.items() if getattr(rung.vector, field) > getattr(before, field)]
        if len(raised) > 1 and before.mode is not Mode.OFF:
            yield (
                f'stage "{rung.name}" raises {" and ".join(raised)} at once: if a gate regresses, nobody knows which '
                "did it; write one stage for each"
            )
        yield from _blind(spec, stage)
        before = rung.vector


def _blind(spec: RolloutSpec, stage: StageOutlook) -> Iterator[str]:
    rung = stage.rung
    if rung.vector.mode is not Mode.LIVE:
        return
    asked = [gate for gate in spec.gates if not gate.stages or rung.name in gate.stages]
    acting = [gate for gate in asked if gate.on_regression is not OnRegression.REPORT]
    if not acting:
        yield f'stage "{rung.name}" has no gate that acts: a regression there stays; add one or widen its "stages"'
    elif rung.vector.canary_percent >= EVERYBODY and not any(_is_absolute(gate) for gate in acting):
        yield (
            f'stage "{rung.name}" has 100 % treatment and only comparison gates, which need a control; add an alert, '
            "threshold or firing gate"
        )
    if stage.detectable is not None and stage.detectable > 1:
        yield (
            f'stage "{rung.name}" cannot tell less than a {stage.detectable:.0%} higher error rate from chance; bake '
            "longer or raise canaryPercent"
        )
    slow = [gate for gate in acting if gate.is_required and window_of(gate) > rung.bake]
    for gate in slow:
        yield (
            f'stage "{rung.name}" bakes {format_duration(rung.bake)}, but gate "{gate.name}" looks '
            f"{format_duration(window_of(gate))} back: promotion waits for evidence of this stage alone"
        )


def _is_absolute(gate: GateSpec) -> bool:
    return gate.comparison is None
