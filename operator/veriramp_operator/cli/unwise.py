"""What looks unwise in a plan, a sentence each. Pure.

Public: :func:`unwise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.vector import OFF
from veriramp_operator.cli.sight import EVERYBODY
from veriramp_operator.cli.timeline import A_MONDAY, StageOutlook
from veriramp_operator.engine import windows
from veriramp_operator.evidence import window_of
from veriramp_sdk.contract import Mode

DAY: Final = 86400.0
LONG_WAIT_SECONDS: Final = 7 * DAY
STRETCHED: Final = 2.0
_PARAMETERS: Final = {
    "samplingRate": "sampling_rate",
    "canaryPercent": "canary_percent",
    "rankingWeight": "ranking_weight",
    "topK": "top_k",
}


def unwise(spec: RolloutSpec, stages: Sequence[StageOutlook]) -> Iterator[str]:
    """Of the whole plan, then stage by stage."""
    if spec.windows and windows.next_opening(spec.windows, A_MONDAY) is None:
        yield "no window ever opens, so nothing ever rises; correct days, times or timezone"
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
        yield from _undecided(stage)
        yield from _stretched(stage)
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
    if stage.sight.compared and (stage.detectable is None or stage.detectable > 1):
        worsening = "any worsening" if stage.detectable is None else f"less than {stage.detectable:.0%} worse"
        yield (
            f'stage "{rung.name}" cannot tell {worsening} from chance in {format_duration(rung.bake)}; bake longer or '
            "raise canaryPercent"
        )
    for gate in acting:
        if gate.is_required and window_of(gate) > rung.bake and gate.comparison is None:
            yield (
                f'stage "{rung.name}" bakes {format_duration(rung.bake)}, but gate "{gate.name}" looks '
                f"{format_duration(window_of(gate))} back: promotion waits for evidence of this stage alone"
            )


def _undecided(stage: StageOutlook) -> Iterator[str]:
    """A comparison that the stage gives too little time for its Pass."""
    rung = stage.rung
    for need in stage.sight.needs:
        spec = need.gate.comparison
        if spec is None:
            continue
        what = f'stage "{rung.name}": gate "{need.gate.name}"'
        if need.seconds is None:
            yield (
                f"{what} can never prove that nothing is worse by more than {spec.tolerance:.3g} (tolerance); raise "
                "the tolerance or canaryPercent, or the stage ends by onInconclusive"
            )
        elif need.seconds > rung.max_bake:
            yield (
                f"{what} needs about {_about(need.seconds)} for a Pass within a tolerance of {spec.tolerance:.0%}, but "
                f"maxBake is {format_duration(rung.max_bake)}: most healthy stages end by onInconclusive; raise "
                "maxBake, tolerance or canaryPercent"
            )
        elif need.seconds > rung.bake:
            yield (
                f"{what} needs about {_about(need.seconds)} for a Pass within a tolerance of {spec.tolerance:.0%}, so "
                f"the stage lasts longer than its bake of {format_duration(rung.bake)}"
            )


def _stretched(stage: StageOutlook) -> Iterator[str]:
    ramp = stage.rung.spec.ramp
    declared = ramp.duration if ramp else 0.0
    if stage.ramp - declared > LONG_WAIT_SECONDS and stage.ramp > STRETCHED * declared:
        yield (
            f'stage "{stage.rung.name}": the windows stretch its ramp of {format_duration(declared)} to '
            f"{stage.ramp / DAY:.0f} days, because steps wait for the next opening; write a longer interval (fewer, "
            "larger steps) or wider windows"
        )


def _about(seconds: float) -> str:
    step = 60.0 if seconds < DAY else 3600.0
    return format_duration(max(1.0, round(seconds / step)) * step)


def _is_absolute(gate: GateSpec) -> bool:
    return gate.comparison is None
