"""What looks unwise in a plan, a sentence each. Pure.

Public: :func:`unwise`, :func:`above_ceiling`, :class:`Short`, :func:`folded`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.config import Limits
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.vector import OFF
from veriramp_operator.cli.sight import EVERYBODY
from veriramp_operator.cli.timeline import A_MONDAY, StageOutlook
from veriramp_operator.engine import windows
from veriramp_operator.evidence import window_of
from veriramp_sdk.contract import Mode

DAY: Final = 86400.0
LONG_WAIT_SECONDS: Final = 7 * DAY
CEILING: Final = Limits().max_ranking_weight
STRETCHED: Final = 2.0
_PARAMETERS: Final = {
    "samplingRate": "sampling_rate",
    "canaryPercent": "canary_percent",
    "rankingWeight": "ranking_weight",
    "topK": "top_k",
}


class Short(NamedTuple):
    """A stage that gives a gate less time than it needs: ``lasts`` and ``needs`` in words."""

    stage: str
    lasts: str
    gate: str
    needs: str


def folded(shorts: Sequence[Short]) -> str:
    """Which stages are too short for which gates, each stage told once, and stages of the same gates together."""
    needing: dict[tuple[str, str], list[str]] = {}
    for short in shorts:
        needing.setdefault((short.stage, short.lasts), []).append(f'"{short.gate}" {short.needs}')
    together: dict[str, list[str]] = {}
    for (stage, lasts), gates in needing.items():
        together.setdefault(", ".join(gates), []).append(f'"{stage}" ({lasts})')
    parts = [
        f"{'stage' if len(named) == 1 else 'stages'} {', '.join(named)}: {gates}" for gates, named in together.items()
    ]
    return "; ".join(parts)


def unwise(spec: RolloutSpec, stages: Sequence[StageOutlook]) -> Iterator[str]:
    """Of the whole plan, then stage by stage, then what is short, a sentence for all stages and gates."""
    if spec.windows and windows.next_opening(spec.windows, A_MONDAY) is None:
        yield "no window ever opens, so nothing ever rises; correct days, times or timezone"
    yield from above_ceiling(spec)
    yield from _quick_steps_down(spec)
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
        yield from _never_decided(stage)
        yield from _stretched(stage)
        before = rung.vector
    yield from _short(spec, stages)


def above_ceiling(spec: RolloutSpec) -> Iterator[str]:
    """A sentence for each stage with a weight that an operator of default settings would not publish."""
    for stage in spec.stages:
        if (stage.ranking_weight or 0.0) > CEILING:
            yield (
                f'stage "{stage.name}": rankingWeight {stage.ranking_weight:g} is above {CEILING:g}, the ceiling of an '
                "operator with default settings, and would stall there; lower it, or raise the operator's "
                "limits.maxRankingWeight"
            )


def _quick_steps_down(spec: RolloutSpec) -> Iterator[str]:
    for gate in spec.gates:
        if gate.step_down is not None and gate.step_down < window_of(gate):
            needs = format_duration(window_of(gate))
            yield (
                f'gate "{gate.name}": stepDown {format_duration(gate.step_down)} is over before its window ({needs}) '
                f"shows whether the last stage down was enough; write {needs} or more"
            )


def _blind(spec: RolloutSpec, stage: StageOutlook) -> Iterator[str]:
    rung = stage.rung
    if rung.vector.mode is not Mode.LIVE:
        return
    acting = _acting(spec, rung.name)
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


def _never_decided(stage: StageOutlook) -> Iterator[str]:
    """A comparison for whose Pass no time is enough."""
    for need in stage.sight.needs:
        spec = need.gate.comparison
        if spec is not None and need.seconds is None:
            yield (
                f'stage "{stage.rung.name}": gate "{need.gate.name}" can never prove that nothing is worse by more '
                f"than {spec.tolerance:.3g} (tolerance); raise the tolerance or canaryPercent, or the stage ends by "
                "onInconclusive"
            )


def _short(spec: RolloutSpec, stages: Sequence[StageOutlook]) -> Iterator[str]:
    """Stages too short for what their required gates need, by what comes of it."""
    undecided, late, behind = [], [], []
    for stage in stages:
        rung, bake = stage.rung, f"bake {format_duration(stage.rung.bake)}"
        for need in stage.sight.needs:
            compared = need.gate.comparison
            if compared is None or need.seconds is None or need.seconds <= rung.bake:
                continue
            needs = f"about {_about(need.seconds)} (tolerance {compared.tolerance:.0%})"
            if need.seconds > rung.max_bake:
                lasts = f"maxBake {format_duration(rung.max_bake)}"
                undecided.append(Short(rung.name, lasts, need.gate.name, needs))
            else:
                late.append(Short(rung.name, bake, need.gate.name, needs))
        behind += [
            Short(rung.name, bake, gate.name, format_duration(window_of(gate)))
            for gate in (_acting(spec, rung.name) if rung.vector.mode is Mode.LIVE else ())
            if gate.is_required and window_of(gate) > rung.bake and gate.comparison is None
        ]
    if undecided:
        yield (
            f"a Pass needs longer than maxBake: {folded(undecided)}. Most healthy stages end by onInconclusive; raise "
            "maxBake, tolerance or canaryPercent"
        )
    if late:
        yield f"a Pass needs longer than the bake, so the stage lasts longer: {folded(late)}"
    if behind:
        yield f"promotion waits for evidence of the stage alone where a gate looks back further: {folded(behind)}"


def _acting(spec: RolloutSpec, stage: str) -> list[GateSpec]:
    asked = [gate for gate in spec.gates if not gate.stages or stage in gate.stages]
    return [gate for gate in asked if gate.on_regression is not OnRegression.REPORT]


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
