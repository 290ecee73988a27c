"""How far a fall goes, the latch it leaves, and what lifts a latch.

Public: :func:`off`, :func:`shadow`, :func:`previous_stage`, :func:`stage_further_down`, :func:`steps_down_at`,
:func:`latch`, :func:`to_status`, :func:`from_status`, :func:`lift_by_generation`, :func:`lift_to_retry`,
:func:`lift_to_restart`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.status import EvidenceAnchor, RollbackStatus, RolloutStatus, Severity, StageStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.stages import Plan, at_first, enter
from veriramp_operator.engine.types import Latch
from veriramp_sdk.contract import Mode

ABORT_REQUEST: Final = "request/abort"
SHADOW_REQUEST: Final = "request/shadow"
"""Who holds the latch when a person asked: no gate can have a name with a slash."""

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
    )


def lift_by_generation(plan: Plan, status: RolloutStatus, generation: int, now: float) -> RolloutStatus:
    """A new generation lifts a latch, except a kill switch's, and starts at the first stage."""
    rollback = status.rollback
    if rollback is None or rollback.severity is Severity.KILL_SWITCH or generation <= rollback.generation:
        return status
    return lift_to_restart(plan, status, now)


def lift_to_restart(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus:
    """No latch, and back to the first stage."""
    return _lifted(status, at_first(plan, status.parameters or OFF, now), now)


def lift_to_retry(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus:
    """No latch, and on from the nearest stage below the one that fell, in small steps."""
    fell = plan.named(status.rollback.from_stage) if status.rollback else None
    rung = (plan.below(fell.index) if fell else None) or plan.first
    return _lifted(status, enter(rung, status.parameters or OFF, now, reentry=True), now)


def _lifted(status: RolloutStatus, stage: StageStatus | None, now: float) -> RolloutStatus:
    anchor = EvidenceAnchor(gate=status.rollback.gate, at=now) if status.rollback else status.anchor
    return status.model_copy(update={"rollback": None, "anchor": anchor, "stage": stage})
