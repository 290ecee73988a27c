"""What is in force: the lower of status and the published document, whatever was cut between two writes.

Public: :class:`Standing`, :func:`catch_up`. The document is the record that survives: a finished rise is recognised by
its revision and hash, a fall brings its latch along, a missing document of a published rollout counts as Off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from veriramp_operator.api.status import FlagsStatus, PropagationStatus, RolloutStatus, StageStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.memory import after_publish, served_revision
from veriramp_operator.engine.rollback import to_status
from veriramp_operator.engine.stages import Plan, enter, reanchor
from veriramp_operator.engine.types import Direction, Observation, Published, PublishFlags
from veriramp_sdk.contract import Mode


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout really stands at the beginning of a pass.

    ``status``: as if every finished write had been noted; its parameters are what is in force. ``exposed``: vectors
    that processes may be running. ``missing``: there is no document though one was published. ``republish``: the
    document must be written anew although its vector need not change.
    """

    status: RolloutStatus
    exposed: tuple[Vector, ...]
    missing: bool = False
    republish: bool = False

    @property
    def in_force(self) -> Vector:
        """The vector that counts."""
        return self.status.parameters or OFF


def catch_up(plan: Plan, status: RolloutStatus, seen: Observation, now: float) -> Standing:
    """Compare status with the published document. Pure; never raises a parameter above either."""
    published = seen.published
    if published is None:
        return _without_document(plan, status, now)
    if status.flags is None:
        return _without_memory(plan, status, published, now)
    pending = status.pending
    if pending is not None and (pending.revision, pending.content_hash) == (published.revision, published.content_hash):
        return Standing(_finished(status, published), (published.vector,))
    if published.revision > status.flags.revision:
        return _cut_after_document(plan, status, published, now)
    return _same_or_older(plan, status, published, now, served=served_revision(seen))


def _without_document(plan: Plan, status: RolloutStatus, now: float) -> Standing:
    if status.flags is None:
        fresh = status.model_copy(update={"parameters": OFF, "stage": None})
        return Standing(fresh, (OFF,), republish=True)
    before = status.parameters or OFF
    update: dict[str, Any] = {"parameters": OFF, "pending": None}
    if status.rollback is not None:
        update |= {"stage": None, "rollback": status.rollback.model_copy(update={"target": OFF})}
    elif before.mode is not Mode.OFF:
        update["stage"] = _back_again(plan, reanchor(plan, status.stage, before, now), now)
    return Standing(status.model_copy(update=update), (before,), missing=True, republish=True)


def _back_again(plan: Plan, stage: StageStatus | None, now: float) -> StageStatus | None:
    """The way back after lost flags, by the rule of retry."""
    return None if stage is None else enter(plan.below(stage.index) or plan.first, OFF, now, reentry=True)


def _without_memory(plan: Plan, status: RolloutStatus, published: Published, now: float) -> Standing:
    update = _adopted(published) | {"stage": _place(plan, published, None, now)}
    return Standing(status.model_copy(update=update), (published.vector,))


def _finished(status: RolloutStatus, published: Published) -> RolloutStatus:
    command = PublishFlags(
        published.vector,
        published.revision,
        Direction.RISE,
        published.stage,
        published.salt,
        published.sample_salt,
    )
    return after_publish(status, command, published.content_hash, published.published_at)


def _cut_after_document(plan: Plan, status: RolloutStatus, published: Published, now: float) -> Standing:
    """The document is ahead: a fall whose status write was cut, or a document that nobody decided."""
    update = _adopted(published)
    vector = published.vector.meet(status.parameters or published.vector)
    stage = known = status.stage
    if known is not None and vector != status.parameters:
        stage = _place(plan, published, known, now)
        if stage is known or known.name == published.stage:
            stage = _again(plan, known, vector, status.parameters or OFF, now)
    update |= {"parameters": vector, "stage": stage}
    if published.latch is None:
        update["rollback"] = status.rollback
    return Standing(status.model_copy(update=update), (published.vector,))


def _same_or_older(plan: Plan, status: RolloutStatus, published: Published, now: float, *, served: int) -> Standing:
    recorded = status.parameters or published.vector
    flags = status.flags
    # The flag servers are ahead when they saw a document that was broken or gone for a while and sent Off for it.
    behind = flags is not None and published.revision < max(flags.revision, served)
    if published.vector == recorded:
        if status.parameters is None:
            status = status.model_copy(update={"parameters": recorded})
        return Standing(status, (recorded,), republish=behind)
    vector = published.vector.meet(recorded)
    update: dict[str, Any] = {"parameters": vector}
    if vector != recorded and status.stage is not None:
        update["stage"] = _again(plan, status.stage, vector, recorded, now)
    return Standing(status.model_copy(update=update), (published.vector, recorded), republish=True)


def _again(plan: Plan, stage: StageStatus, vector: Vector, recorded: Vector, now: float) -> StageStatus | None:
    """The same stage, its ramp begun anew and in small steps: somebody lowered what was published."""
    found = reanchor(plan, stage, recorded, now)
    return found and enter(plan.at(found), vector, now, reentry=True)


def _adopted(published: Published) -> dict[str, Any]:
    latch = published.latch
    return {
        "parameters": published.vector,
        "pending": None,
        "flags": FlagsStatus(
            revision=published.revision,
            content_hash=published.content_hash,
            published_at=published.published_at,
            salt=published.salt,
            sample_salt=published.sample_salt,
        ),
        "propagation": PropagationStatus(),
        "rollback": None if latch is None else to_status(latch, published.published_at),
    }


def _place(plan: Plan, published: Published, known: StageStatus | None, now: float) -> StageStatus | None:
    """The stage that a document was published for; never further on than status knew."""
    if published.vector.mode is Mode.OFF and not published.stage:
        return None
    rung = plan.named(published.stage)
    if known is not None and (rung is None or rung.index > known.index):
        return known
    if rung is None and published.latch is not None:
        return None
    if rung is None:
        lost = StageStatus(name="", index=0, hash="", entered_at=now)
        return reanchor(plan, lost, published.vector, now)
    return enter(rung, published.vector, now)
