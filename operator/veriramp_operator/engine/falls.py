"""Pass A: what makes the vector fall. All are evaluated, the lowest resulting vector wins; nothing can mask a fall."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import reduce
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import NoDataAction, OnInconclusive, OnRegression
from veriramp_operator.api.status import Severity, StageStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine import rollback
from veriramp_operator.engine.gates import Judged
from veriramp_operator.engine.requests import MOST_QUOTED
from veriramp_operator.engine.rollback import ABORT_REQUEST, SHADOW_REQUEST, Landing
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.types import Direction, Finding, Latch
from veriramp_operator.evidence.terms import terms_of

Fall = Callable[[Scene], Iterator[Finding]]


def deleting(scene: Scene) -> Iterator[Finding]:
    """The object goes: everything off first."""
    if scene.seen.deleting:
        yield _fall(Reason.DELETING, "The rollout is being deleted: everything goes off first.", rollback.off())


def kill_switch(scene: Scene) -> Iterator[Finding]:
    """``spec.killSwitch`` makes no latch; an abort request does, even when there is nothing left to lower."""
    if scene.spec.kill_switch:
        yield _fall(Reason.KILL_SWITCH, "spec.killSwitch is true: everything is off.", rollback.off())
    if scene.abort:
        message = f'A person asked to abort ("{(scene.seen.requests.abort or "")[:MOST_QUOTED]}"): everything goes off.'
        latch = _latch(scene, ABORT_REQUEST, Severity.KILL_SWITCH, message, scene.now)
        yield replace(_fall(Reason.KILL_SWITCH, message, rollback.off(), latch=latch), forced=True)


def shadow_requested(scene: Scene) -> Iterator[Finding]:
    """A person asked for Shadow."""
    if scene.shadow:
        message = "A person asked for Shadow: ranking is no longer influenced."
        latch = _latch(scene, SHADOW_REQUEST, Severity.SHADOW, message, scene.now)
        yield _fall(Reason.SHADOW_REQUESTED, message, _to_shadow(scene), latch=latch)


def regression(scene: Scene) -> Iterator[Finding]:
    """Every gate that regresses, in any stage and phase, to its own vector."""
    regressing = scene.bench.regressing
    actions = {judged.gate.on_regression for judged in regressing}
    consequences = {action: _consequence(scene, action) for action in actions}
    for judged in regressing:
        severity, landing = consequences[judged.gate.on_regression]
        message = f'Gate "{judged.gate.name}" regresses: {judged.verdict.message}.'
        began = judged.verdict.breached_at
        latch = _latch(scene, judged.gate.name, severity, judged.verdict.message, scene.now if began is None else began)
        yield _fall(Reason.REGRESSION, message, landing, gate=judged.gate.name, latch=latch)


def no_data_too_long(scene: Scene) -> Iterator[Finding]:
    """Required evidence has stayed away for longer than ``onNoData.after``.

    It walks one stage down and no further: there is no evidence from after the fall either. What a new leader has yet
    to ask or to read is there: it holds the rollout, and does not make it fall.
    """
    action = scene.spec.on_no_data.action
    if action is NoDataAction.HOLD:
        return
    if action is NoDataAction.PREVIOUS_STAGE and scene.status.rollback is not None:
        return
    for judged in scene.bench.blind:
        too_long = scene.now - judged.since >= scene.spec.on_no_data.after
        if too_long and not _still_comes(scene, judged):
            yield _blind(scene, judged, OnRegression(action.value))


def inconclusive_too_long(scene: Scene) -> Iterator[Finding]:
    """A required gate is still unclear at maxBake, and ``onInconclusive: Rollback`` says what that means.

    After the last stage there is nothing left to decide. A gate that has only just become unclear decides nothing
    before its evidence is all from that time.
    """
    rung, stage = scene.rung, scene.stage
    if scene.spec.on_inconclusive is not OnInconclusive.ROLLBACK or not scene.is_past_max_bake:
        return
    if rung is None or stage is None or stage.overrides or scene.plan.after(stage) is None or scene.status.rollback:
        return
    for judged in scene.bench.unclear:
        if scene.now - judged.since >= judged.window:
            severity, landing = _consequence(scene, OnRegression.PREVIOUS_STAGE)
            at = format_duration(rung.max_bake)
            message = f'Gate "{judged.gate.name}" is still unclear at maxBake ({at}): {judged.verdict.message}.'
            latch = _latch(scene, judged.gate.name, severity, message, judged.since)
            yield _fall(Reason.INCONCLUSIVE_TOO_LONG, message, landing, gate=judged.gate.name, latch=latch)


def step_down(scene: Scene) -> Iterator[Finding]:
    """The gate that brought the rollout down has a ``stepDown``: each time it has passed, one stage further."""
    holding = scene.status.rollback
    due_at = rollback.steps_down_at(scene.plan, scene.status)
    if holding is None or due_at is None or scene.now < due_at:
        return
    passed = format_duration(due_at - holding.detected_at)
    message = (
        f'The stepDown of gate "{holding.gate}" ({passed}) has passed since the last fall: one stage further down.'
    )
    landing = rollback.stage_further_down(scene.plan, scene.status, scene.in_force, scene.now)
    latch = _latch(scene, holding.gate, holding.severity, holding.evidence, holding.at)
    yield _fall(Reason.STEP_DOWN, message, landing, gate=holding.gate, latch=latch)


def above_target(scene: Scene) -> Iterator[Finding]:
    """An edit, a restart or a lifted latch put the target below what is in force; makes no latch."""
    target = scene.in_force.meet(_allowed(scene))
    if all(exposed.is_at_most(target) for exposed in scene.exposed):
        return
    message = f"The target is now {target}, below what is published: the vector follows at once."
    yield _fall(Reason.ABOVE_TARGET, message, Landing(target, scene.stage))


def flags_missing(scene: Scene) -> Iterator[Finding]:
    """The published document is gone, which every process takes for Off; it is written again as Off."""
    if scene.missing:
        message = "The flag ConfigMap is gone, which is Off for every process: it is published again as Off."
        yield _fall(Reason.FLAGS_MISSING, message, Landing(OFF, scene.stage))


FALLS: Final[tuple[Fall, ...]] = (
    deleting,
    kill_switch,
    shadow_requested,
    regression,
    no_data_too_long,
    inconclusive_too_long,
    step_down,
    flags_missing,
    above_target,
)


def lowest(scene: Scene, findings: Iterable[Finding]) -> Finding | None:
    """The componentwise lowest vector of all findings that lower something, told by the one that lowers most.

    The latch is the most severe one. A fall that would lower nothing is no fall and makes no latch.
    """
    real = [finding for finding in findings if finding.forced or _lowers(scene, finding)]
    if not real:
        return None
    vector = reduce(Vector.meet, (_reached(scene, finding) for finding in real))
    headline = next((finding for finding in real if _reached(scene, finding) == vector), real[0])
    latch = _worst([finding.latch for finding in real if finding.latch is not None])
    if latch is not None:
        latch = replace(latch, target=vector, also_fell=_also_fell(scene, real, latch.gate))
    return replace(headline, target=vector, stage=_lowest_stage([finding.stage for finding in real]), latch=latch)


def _reached(scene: Scene, finding: Finding) -> Vector:
    return scene.in_force if finding.target is None else scene.in_force.meet(finding.target)


def _lowers(scene: Scene, finding: Finding) -> bool:
    target = _reached(scene, finding)
    return any(not exposed.is_at_most(target) for exposed in scene.exposed)


def _worst(latches: list[Latch]) -> Latch | None:
    return reduce(lambda one, other: other if rollback.is_worse(other, one) else one, latches) if latches else None


def _also_fell(scene: Scene, real: list[Finding], holder: str) -> tuple[str, ...]:
    """The gates beside the holder of the latch that fall now, or have fallen since there was a latch."""
    fell = {finding.gate for finding in real} | rollback.fell(scene.status)
    return tuple(asking.name for asking in scene.plan.gates if asking.name in fell and asking.name != holder)


def _lowest_stage(stages: list[StageStatus | None]) -> StageStatus | None:
    known = [stage for stage in stages if stage is not None]
    return min(known, key=lambda stage: stage.index) if len(known) == len(stages) else None


def _fall(
    reason: Reason, message: str, landing: Landing, *, gate: str | None = None, latch: Latch | None = None
) -> Finding:
    return Finding(Direction.FALL, reason, message, target=landing.vector, gate=gate, latch=latch, stage=landing.stage)


def _latch(scene: Scene, gate: str, severity: Severity, evidence: str, began_at: float) -> Latch:
    return rollback.latch(scene.status, gate, severity, evidence, began_at, scene.seen.generation, scene.now)


def _to_shadow(scene: Scene) -> Landing:
    return rollback.shadow(scene.plan, scene.status, scene.in_force, scene.now)


def _consequence(scene: Scene, action: OnRegression) -> tuple[Severity, Landing]:
    match action:
        case OnRegression.KILL_SWITCH:
            return Severity.KILL_SWITCH, rollback.off()
        case OnRegression.SHADOW:
            return Severity.SHADOW, _to_shadow(scene)
        case _:
            landing = rollback.previous_stage(scene.plan, scene.status, scene.in_force, scene.now)
            return Severity.PREVIOUS_STAGE, landing


def _still_comes(scene: Scene, judged: Judged) -> bool:
    """True while a new leader reads the history, or has not asked for longer than an answer speaks about now."""
    reason = judged.verdict.reason
    asks = reason == NoDataReason.NEVER_ASKED and scene.now - judged.since <= terms_of(judged.gate).patience
    return asks or reason == NoDataReason.CATCHING_UP


def _blind(scene: Scene, judged: Judged, action: OnRegression) -> Finding:
    severity, landing = _consequence(scene, action)
    blind = format_duration(round(scene.now - judged.since))
    message = f'Gate "{judged.gate.name}" has had no data for {blind} ({judged.verdict.message}).'
    latch = _latch(scene, judged.gate.name, severity, message, judged.since)
    return _fall(Reason.NO_DATA_TOO_LONG, message, landing, gate=judged.gate.name, latch=latch)


def _allowed(scene: Scene) -> Vector:
    """The most that may be in force: the latched vector, or the stage's target, or Off before the first stage."""
    if scene.status.rollback is not None:
        return scene.status.rollback.target
    return OFF if scene.rung is None else scene.rung.vector
