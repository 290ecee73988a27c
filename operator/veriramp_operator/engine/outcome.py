"""From the finding that counts to the decision: the document to publish, the commands, the next status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import (
    ClockStatus,
    FlagsStatus,
    PendingRise,
    RollbackStatus,
    RolloutStatus,
    StageStatus,
    Transition,
)
from veriramp_operator.engine import propagation
from veriramp_operator.engine.conditions import conditions, phase_of
from veriramp_operator.engine.force import Standing
from veriramp_operator.engine.gates import gate_statuses
from veriramp_operator.engine.memory import next_revision, remember
from veriramp_operator.engine.requests import Asked
from veriramp_operator.engine.rollback import from_status, to_status
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.types import (
    Announce,
    Command,
    Decision,
    Direction,
    Finding,
    PublishFlags,
    ReleaseFinalizer,
)
from veriramp_operator.engine.workers import scale, worker_statuses
from veriramp_sdk.contract import Mode

LONGEST_LOOK: Final = 60.0
SHORTEST_LOOK: Final = 0.1
AFTER_PUBLISHING: Final = 1.0
DELETION_TIMEOUTS: Final = 3.0

_QUIET: Final = frozenset(
    {
        Reason.RAMPING,
        Reason.RAMP_STEP,
        Reason.BAKING,
        Reason.NOT_PROPAGATED,
        Reason.PENDING,
        Reason.PROMOTE,
        Reason.ROLLED_BACK,
    }
)
"""Holds that are the ordinary course of things, or follow from an Event already written."""

_GOOD: Final = frozenset(
    {Reason.GUARDING, Reason.APPROVAL_REQUIRED, Reason.PAUSED, Reason.DELETING, Reason.KILL_SWITCH}
)


def decision_from(scene: Scene, finding: Finding, standing: Standing, asked: Asked, before: RolloutStatus) -> Decision:
    """Put the decision together. ``before``: the status that the pass began with."""
    publish = _publish(scene, finding, standing, before)
    status = _next_status(scene, finding, publish, standing)
    return Decision(
        direction=finding.direction,
        reason=finding.reason,
        message=finding.message,
        vector=scene.in_force if finding.target is None else finding.target,
        status=status,
        commands=tuple(_commands(scene, finding, publish, asked, before)),
        next_decision_at=status.next_decision_at,
        problems=tuple(problem.message for problem in scene.problems),
    )


def _publish(scene: Scene, finding: Finding, standing: Standing, before: RolloutStatus) -> PublishFlags | None:
    if scene.seen.deleting and scene.seen.published is None:
        return None  # the flag servers turn a missing document into Off by themselves; nothing may bring it back
    if finding.target is None and not standing.republish:
        return None
    stage = scene.stage if finding.target is None else finding.stage
    holding = scene.status.rollback
    salt, sample_salt = _salts(scene)
    return PublishFlags(
        vector=scene.in_force if finding.target is None else finding.target,
        revision=next_revision(before, scene.seen),
        direction=finding.direction,
        stage=stage.name if stage else "",
        salt=salt,
        sample_salt=sample_salt,
        latch=finding.latch or (from_status(holding) if holding else None),
    )


def _salts(scene: Scene) -> tuple[str, str]:
    """The salts never change: only a rollout that has never published takes fresh ones."""
    flags = scene.status.flags
    return scene.seen.salts if flags is None else (flags.salt, flags.sample_salt)


def _next_status(scene: Scene, finding: Finding, publish: PublishFlags | None, standing: Standing) -> RolloutStatus:
    status = scene.status
    update: dict[str, Any] = {
        "observed_generation": scene.seen.generation,
        "reason": finding.reason.value,
        "message": finding.message,
        "gates": gate_statuses(scene.bench),
        "workers": worker_statuses(scene),
        "stage": _stage(scene, finding),
        "parameters": scene.in_force,
        "pending": None,  # a planned rise that is not out by now was decided on evidence that has passed
        "history": _history(scene, finding, publish, standing),
    }
    if finding.direction is Direction.FALL:
        update |= {"stage": finding.stage, "parameters": finding.target, "rollback": _rollback(scene, finding)}
    elif finding.direction is Direction.RISE and publish is not None:
        update["pending"] = PendingRise(
            revision=publish.revision,
            content_hash="",
            stage=publish.stage,
            vector=publish.vector,
            entering=None if finding.stage is scene.stage else finding.stage,
        )
    if scene.seen.deleting and scene.missing:
        update["flags"] = _implied_off(status.flags, scene.now)
    interval = _look_again_in(scene, finding, publish)
    update["next_decision_at"] = scene.now + interval
    update["clock"] = ClockStatus.typed(
        {"at": scene.now, "ramp_runs": finding.ramp_runs, "bake_runs": finding.bake_runs, "interval": interval}
    )
    new = status.changed(**update)
    phase = phase_of(finding, new, deleting=scene.seen.deleting)
    return new.changed(phase=phase, conditions=conditions(scene, finding, phase, new))


def _stage(scene: Scene, finding: Finding) -> StageStatus | None:
    stage, ramp = scene.stage, scene.ramp
    if stage is None or ramp is None:
        return None
    due = finding.reason is Reason.WINDOW_CLOSED  # the time that made the step due counts, so that it stays due
    ramp_seconds = ramp.seconds if finding.ramp_runs or due else stage.ramp_seconds
    bake_seconds = scene.bake_seconds if finding.bake_runs else stage.bake_seconds
    fraction = 1.0 if scene.at_full_vector else min(ramp.pace.fraction(ramp_seconds), 0.9999)
    if (ramp_seconds, bake_seconds, fraction) == (stage.ramp_seconds, stage.bake_seconds, stage.ramp_fraction):
        return stage
    return stage.changed(ramp_seconds=ramp_seconds, bake_seconds=bake_seconds, ramp_fraction=fraction)


def _rollback(scene: Scene, finding: Finding) -> RollbackStatus | None:
    if finding.latch is not None:
        return to_status(finding.latch)
    holding = scene.status.rollback
    if holding is None or finding.target is None:
        return holding
    return holding.model_copy(update={"target": finding.target})


def _history(
    scene: Scene, finding: Finding, publish: PublishFlags | None, standing: Standing
) -> tuple[Transition, ...]:
    history = scene.status.history
    lifted = standing.status.rollback
    revision = scene.status.flags.revision if scene.status.flags else 0
    if lifted is not None and scene.status.rollback is None:
        line = _line(
            scene, scene.stage, Direction.HOLD, Reason.NOT_ROLLED_BACK, f"The latch of {lifted.gate} is lifted."
        )
        history = remember(history, line.model_copy(update={"vector": scene.in_force, "revision": revision}))
    if finding.direction is Direction.FALL:
        line = _line(scene, finding.stage or scene.stage, finding.direction, finding.reason, finding.message)
        vector = scene.in_force if finding.target is None else finding.target
        number = publish.revision if publish else revision
        history = remember(history, line.model_copy(update={"vector": vector, "revision": number}))
    return history


def _line(scene: Scene, stage: StageStatus | None, direction: Direction, reason: Reason, message: str) -> Transition:
    return Transition(
        at=scene.now,
        stage=stage.name if stage else "",
        direction=direction.value,
        reason=reason.value,
        message=message,
        vector=scene.in_force,
        revision=0,
    )


def _implied_off(flags: FlagsStatus | None, now: float) -> FlagsStatus | None:
    """The Off at the next revision that the flag servers made of a missing document."""
    if flags is None or not flags.content_hash:
        return flags
    return flags.model_copy(update={"revision": flags.revision + 1, "content_hash": "", "published_at": now})


def _look_again_in(scene: Scene, finding: Finding, publish: PublishFlags | None) -> float:
    """Seconds until something may have changed without anybody saying so."""
    looks = [LONGEST_LOOK, scene.plan.every]
    if publish is not None:
        looks.append(AFTER_PUBLISHING)
    if finding.look_again is not None:
        looks.append(finding.look_again)
    return max(SHORTEST_LOOK, min(looks))


def _commands(
    scene: Scene, finding: Finding, publish: PublishFlags | None, asked: Asked, before: RolloutStatus
) -> Iterator[Command]:
    if publish is not None:
        yield publish
    vector = scene.in_force if finding.target is None else finding.target
    confirmed = scene.status.propagation is not None and scene.status.propagation.confirmed_at is not None
    yield from scale(scene, vector, applied=confirmed and publish is None)
    yield from asked.events
    yield from _announcements(scene, finding, before)
    yield from _release(scene, finding)


def _announcements(scene: Scene, finding: Finding, before: RolloutStatus) -> Iterator[Announce]:
    if finding.direction is Direction.FALL:
        yield Announce("Warning", finding.reason, finding.message)
    elif finding.reason is Reason.PROMOTE and finding.direction is Direction.RISE:
        kind = "Warning" if finding.stage is not None and finding.stage.exception else "Normal"
        yield Announce(kind, finding.reason, finding.message)
    elif finding.reason not in _QUIET and finding.reason.value != before.reason:
        yield Announce("Normal" if finding.reason in _GOOD else "Warning", finding.reason, finding.message)
    for judged in scene.bench.reported:
        if judged.since == scene.now:
            message = f'Gate "{judged.gate.name}" regresses and only reports: {judged.verdict.message}.'
            yield Announce("Warning", Reason.REGRESSION, message)


def _release(scene: Scene, finding: Finding) -> Iterator[Command]:
    """Let a deleted object go as soon as nobody can still run what was published."""
    if not scene.seen.deleting or finding.direction is Direction.FALL or scene.in_force.mode is not Mode.OFF:
        return
    flags = scene.status.flags
    if flags is None:
        yield ReleaseFinalizer()
        return
    spec = scene.spec.flags
    age = scene.now - flags.published_at
    if propagation.speaks_of(scene.seen, flags.revision) and propagation.by_all(scene.seen.propagation):
        why, kind = "every process is off", "Normal"
    elif spec.lease_seconds and age >= spec.lease_seconds:
        why, kind = "the lease of every process is over", "Normal"
    elif age >= DELETION_TIMEOUTS * spec.propagation.timeout:
        why, kind = "nobody confirmed it within three propagation timeouts", "Warning"
    else:
        return
    yield Announce(kind, Reason.SAFE_OFF, f"Everything is off: {why}. The object may go.")
    yield ReleaseFinalizer()
