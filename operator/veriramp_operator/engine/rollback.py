"""How far a fall goes, the latch it leaves, and what lifts a latch.

Public: :func:`off`, :func:`shadow`, :func:`previous_stage`, :func:`stage_further_down`, :func:`steps_down_at`,
:func:`latch`, :func:`fell`, :func:`counts_from`, :func:`to_status`, :func:`from_status`, :func:`lift_by_generation`,
:func:`lift_to_retry`, :func:`lift_to_restart`, :func:`none_later`.

What a fall or a retry makes of the evidence from before it: a gate that fell is *anchored* when the latch is lifted.
One that did not is not: a retry must not make a kill switch wait that has not spoken yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import (
    EvidenceAnchor,
    RollbackStatus,
    RolloutStatus,
    Severity,
    StageStatus,
    VerdictKind,
)
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.stages import Plan, at_first, enter
from veriramp_operator.engine.types import Latch
from veriramp_sdk.contract import Mode

ABORT_REQUEST: Final = "request/abort"
SHADOW_REQUEST: Final = "request/shadow"
"""Who holds the latch when a person asked: no gate can have a name with a slash."""

_WAITED_FROM: Final = {
    "rollback": ("detected_at", "published_at", "applied_at"),
    "propagation": ("confirmed_at",),
    "stage": ("entered_at", "began_at", "full_at"),
}
"""Instants in status from which something is waited for, by its part."""

_RANK: Final = {Severity.PREVIOUS_STAGE: 0, Severity.SHADOW: 1, Severity.KILL_SWITCH: 2}


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a fall ends: the vector, and the stage that the rollout then stands in (None = in none)."""

    vector: Vector
    stage: StageStatus | None


def off() -> Landing:
    """Everything off."""
    return Landing(OFF, None)


def shadow(plan: Plan, status: RolloutStatus, in_force: Vector, now: float) -> Landing:
    """No influence on ranking; sampling at most now's and the last Shadow stage's."""
    vector = in_force.shadowed()
    rung = plan.shadow_below(len(plan.rungs) - 1 if status.stage is None else status.stage.index)
    if rung is None:
        return Landing(vector, None)
    vector = vector.meet(rung.vector)
    return Landing(vector, enter(rung, vector, now))


def previous_stage(plan: Plan, status: RolloutStatus, in_force: Vector, now: float) -> Landing:
    """The vector of the stage before the present one, Off below the first; never more than what is in force."""
    rung = None if status.stage is None else plan.below(status.stage.index)
    if rung is None:
        return off()
    vector = in_force.meet(rung.vector)
    return Landing(vector, enter(rung, vector, now))


def stage_further_down(plan: Plan, status: RolloutStatus, in_force: Vector, now: float) -> Landing:
    """The nearest stage below the present one that lowers something; Off below the first."""
    rung = None if status.stage is None else plan.below(status.stage.index)
    while rung is not None and in_force.is_at_most(rung.vector):
        rung = plan.below(rung.index)
    return off() if rung is None else Landing(in_force.meet(rung.vector), enter(rung, in_force.meet(rung.vector), now))


def steps_down_at(plan: Plan, status: RolloutStatus) -> float | None:
    """When a gate's ``stepDown`` takes the rollout one stage further down; None when nothing does or all is off."""
    holding = status.rollback
    if holding is None or (status.parameters or OFF).mode is Mode.OFF:
        return None
    pace = next((asking.gate.step_down for asking in plan.gates if asking.gate.name == holding.gate), None)
    return None if pace is None else holding.detected_at + pace


def latch(
    status: RolloutStatus, gate: str, severity: Severity, evidence: str, began_at: float, generation: int, now: float
) -> Latch:
    """The latch of a fall; at least as severe as one that already holds. The target is filled in when it is known."""
    holding = status.rollback
    from_stage = status.stage.name if status.stage else (holding.from_stage if holding else "")
    if holding is not None:
        severity = max(severity, holding.severity, key=lambda each: _RANK[each])
    return Latch(
        gate=gate,
        severity=severity,
        at=min(began_at, now),
        from_stage=from_stage,
        generation=generation,
        target=OFF,
        evidence=evidence,
        detected_at=now,
    )


def is_worse(one: Latch, other: Latch) -> bool:
    """True when the first latch is the more severe."""
    return _RANK[one.severity] > _RANK[other.severity]


def fell(status: RolloutStatus) -> set[str]:
    """Everybody who fell since there was a latch, a person's request included."""
    holding = status.rollback
    return set() if holding is None else {holding.gate, *holding.also_fell}


def counts_from(plan: Plan, status: RolloutStatus, now: float) -> dict[str, float]:
    """By gate: evidence about the time before this instant may neither pass nor trip it.

    While a latch holds, these are the gates that would walk on down the ladder: one bad window must not walk it whole.
    After it is lifted, they are those that had fallen, also when meanwhile another one causes the next fall.
    """
    since = {anchor.gate: anchor.at for anchor in (status.anchor, *status.anchors) if anchor is not None}
    if status.rollback is not None:
        walking = [asking.name for asking in plan.gates if asking.gate.on_regression is OnRegression.PREVIOUS_STAGE]
        since |= dict.fromkeys(walking, _fall_confirmed_at(status, now))
    return since


def to_status(latch: Latch, published_at: float | None = None) -> RollbackStatus:
    """The latch as status shows it."""
    return RollbackStatus(
        gate=latch.gate,
        severity=latch.severity,
        at=latch.at,
        from_stage=latch.from_stage,
        evidence=latch.evidence,
        generation=latch.generation,
        target=latch.target,
        detected_at=latch.detected_at,
        also_fell=latch.also_fell,
        published_at=published_at,
    )


def from_status(rollback: RollbackStatus) -> Latch:
    """The latch as the published document carries it."""
    return Latch(
        gate=rollback.gate,
        severity=rollback.severity,
        at=rollback.at,
        from_stage=rollback.from_stage,
        generation=rollback.generation,
        target=rollback.target,
        evidence=rollback.evidence,
        detected_at=rollback.detected_at,
        also_fell=rollback.also_fell,
    )


def lift_by_generation(plan: Plan, status: RolloutStatus, generation: int, now: float) -> RolloutStatus:
    """A new generation lifts a latch, except a kill switch's, and starts at the first stage."""
    rollback = status.rollback
    if rollback is None or rollback.severity is Severity.KILL_SWITCH or generation <= rollback.generation:
        return status
    return lift_to_restart(plan, status, now)


def lift_to_restart(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus:
    """No latch, and back to the first stage."""
    return _lifted(plan, status, at_first(plan, status.parameters or OFF, now), now)


def lift_to_retry(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus:
    """No latch, and on from the nearest stage below the one that fell, in small steps."""
    fell = plan.named(status.rollback.from_stage) if status.rollback else None
    rung = (plan.below(fell.index) if fell else None) or plan.first
    return _lifted(plan, status, enter(rung, status.parameters or OFF, now, reentry=True), now)


def none_later(status: RolloutStatus, now: float, *, deleting: bool = False) -> RolloutStatus:
    """Nothing that is waited from is later than now: a clock that was put back must not add to what is waited for.

    What began then counts from now, so that nothing gets nearer than it was when it began. When it began to go wrong
    (``rollback.at``) stays: it names the rollback. So does when the flags were published unless the object is
    ``deleting``: who was there by then has to confirm. The same object when nothing changed.
    """
    update: dict[str, object] = {}
    if any(anchor.at > now for anchor in status.anchors):
        update["anchors"] = tuple(
            anchor if anchor.at <= now else EvidenceAnchor(gate=anchor.gate, at=now) for anchor in status.anchors
        )
    if status.anchor is not None and status.anchor.at > now:
        update["anchor"] = EvidenceAnchor(gate=status.anchor.gate, at=now)
    for part, fields in _WAITED_FROM.items():
        told = getattr(status, part)
        times = {} if told is None else {field: getattr(told, field) for field in fields}
        if later := {field: now for field, at in times.items() if at is not None and at > now}:
            update[part] = told.changed(**later)
    if deleting and status.flags is not None and status.flags.published_at > now:
        update["flags"] = status.flags.changed(published_at=now)
    return status.changed(**update) if update else status


def _lifted(plan: Plan, status: RolloutStatus, stage: StageStatus | None, now: float) -> RolloutStatus:
    update: dict[str, object] = {"rollback": None, "stage": stage}
    if status.rollback is not None:
        update |= {"anchors": _anchors(plan, status, now), "anchor": None}
    return status.model_copy(update=update)


def _anchors(plan: Plan, status: RolloutStatus, now: float) -> tuple[EvidenceAnchor, ...]:
    """What counts from now on only with new evidence: who fell, and who regresses with nothing left to lower."""
    regressing = {gate.name for gate in status.gates if gate.verdict is VerdictKind.REGRESSION}
    since = counts_from(plan, status, now) | dict.fromkeys(fell(status) | regressing, now)
    return tuple(
        EvidenceAnchor(gate=asking.name, at=min(since[asking.name], now))
        for asking in plan.gates
        if asking.acts and asking.name in since
    )


def _fall_confirmed_at(status: RolloutStatus, now: float) -> float:
    """When the last fall was confirmed; while it is not, a moment still to come."""
    confirmed = status.propagation.confirmed_at if status.propagation else None
    applied = status.rollback.applied_at if status.rollback else None
    times = [time for time in (confirmed, applied) if time is not None]
    return min(times) if times else now + 1.0
