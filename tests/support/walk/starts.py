"""Where a walk begins: anywhere on the ladder, on a ramp, at full vector, latched, on the way back, or cut by a crash.

Random walks from a new object seldom get that far, so most of them are put there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.support.builders import SALTS, START, UID, content_hash
from tests.support.walk.draws import Draws
from tests.support.walk.world import WalkWorld
from veriramp_operator.api.rollout import RolloutSpec, Scaling
from veriramp_operator.api.status import (
    ClockStatus,
    EvidenceAnchor,
    FlagsStatus,
    HandledRequests,
    PendingRise,
    PropagationStatus,
    RolloutStatus,
    Severity,
    StageStatus,
    Transition,
)
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.ramp import pace_of
from veriramp_operator.engine.rollback import from_status, to_status
from veriramp_operator.engine.stages import Plan, Rung, enter, plan_of
from veriramp_operator.engine.types import Direction, Latch, Published, PublishFlags, WorkerSeen
from veriramp_sdk.contract import Mode

_REVISION: Final = 7
_BEFORE: Final = START - 200.0
_LONG_BEFORE: Final = START - 380.0
_GENERATION: Final = 3
_FULL: Final = 1.0


def begin(spec: RolloutSpec, draws: Draws, made_of: type[WalkWorld]) -> WalkWorld:
    """A world to walk on from; a new object where the first byte is small."""
    kind = draws.byte()
    world = made_of(spec)
    if kind < 24:
        return world
    plan = plan_of(spec)
    rung = plan.rungs[draws.below(len(plan.rungs))]
    world.generation = _GENERATION
    if kind < 184:
        _in_stage(world, plan, rung, draws)
    elif kind < 228:
        _latched(world, plan, rung, draws)
    else:
        _cut_rise(world, plan, rung, draws)
    worker = spec.workers[0] if spec.workers else None
    if worker is not None and world.vector().mode is not Mode.OFF:
        ready = 1 if worker.replicas.scaling is not Scaling.SAMPLING_RATE else 8
        world.workers = {worker.profile: WorkerSeen(worker.profile, ready, ready)}
    return world


def _in_stage(world: WalkWorld, plan: Plan, rung: Rung, draws: Draws) -> None:
    """On the ramp or at the full vector, perhaps on the way back after a retry."""
    below = plan.below(rung.index)
    start = below.vector if below else OFF
    again = draws.one_in(3)
    stage = enter(rung, OFF if again else start, _BEFORE, reentry=again)
    fraction = draws.pick((_FULL, _FULL, 0.0, 0.25, 0.5, 0.9))
    vector = stage.start.toward(rung.vector, fraction)
    duration = pace_of(plan, rung, stage).duration
    bake = draws.pick((0.0, 0.9, 1.0, 2.0)) * rung.bake if vector == rung.vector else 0.0
    # The ramp may have ended long ago, or just so long ago that the bake fits in.
    full_at = draws.pick((_BEFORE + 1, max(_BEFORE + 1, START - bake - 20.0)))
    world.status = _status(
        vector,
        stage.model_copy(
            update={
                "ramp_seconds": fraction * duration,
                "ramp_fraction": fraction,
                "bake_seconds": bake,
                "approved": draws.one_in(16),
                "began_at": _BEFORE + 1,
                "full_at": full_at if vector == rung.vector else None,
            }
        ),
        draws,
    )
    if again and plan.gates:
        anchor = EvidenceAnchor(gate=draws.pick(plan.gates).gate.name, at=START - draws.pick((5.0, 20.0, 60.0)))
        world.status = world.status.model_copy(update={"anchors": (anchor,)})
    _publish(world, vector, rung.name)


def _latched(world: WalkWorld, plan: Plan, rung: Rung, draws: Draws) -> None:
    """Rolled back from a stage; the fall perhaps not yet confirmed."""
    severity = draws.pick((Severity.PREVIOUS_STAGE, Severity.SHADOW, Severity.KILL_SWITCH))
    below = plan.below(rung.index)
    stage: StageStatus | None = None
    target = OFF
    if severity is Severity.PREVIOUS_STAGE and below is not None:
        target, stage = below.vector, enter(below, below.vector, _BEFORE)
    elif severity is Severity.SHADOW:
        shadow = plan.shadow_below(rung.index)
        target = rung.vector.shadowed() if shadow is None else rung.vector.shadowed().meet(shadow.vector)
        stage = None if shadow is None else enter(shadow, target, _BEFORE)
    if target.mode is Mode.LIVE and stage is not None and draws.one_in(2):
        # A status of before came back and met the latch: it knows the stage from the way up.
        stage = stage.model_copy(update={"entered_at": _LONG_BEFORE, "began_at": _LONG_BEFORE, "full_at": _LONG_BEFORE})
    gate = draws.pick([asking.gate.name for asking in plan.gates] or ["request/shadow"])
    latch = Latch(gate, severity, _BEFORE - 10, rung.name, _GENERATION, target, "5 is above 1", _BEFORE)
    applied = draws.pick((_BEFORE + 1, None))
    rollback = to_status(latch, _BEFORE).model_copy(update={"applied_at": applied})
    status = _status(target, stage, draws)
    seen = status.propagation if applied else PropagationStatus()
    world.status = status.model_copy(update={"rollback": rollback, "propagation": seen})
    _publish(world, target, stage.name if stage else "", latch=from_status(rollback))


def _cut_rise(world: WalkWorld, plan: Plan, rung: Rung, draws: Draws) -> None:
    """A rise into a stage was written to status; the document may be out, the status after it is not."""
    below = plan.below(rung.index)
    start = below.vector if below else OFF
    standing = enter(below, start, _BEFORE) if below else None
    vector = start.toward(rung.vector, draws.pick((0.3, _FULL)))
    rise = PublishFlags(vector, _REVISION + 1, Direction.RISE, rung.name, *SALTS)
    pending = PendingRise(
        revision=rise.revision,
        content_hash=content_hash(rise),
        stage=rung.name,
        vector=vector,
        entering=enter(rung, start, _BEFORE),
    )
    world.status = _status(start, standing, draws).model_copy(update={"pending": pending})
    _publish(world, start, standing.name if standing else "")
    if draws.one_in(2):
        world._write(rise)


def _status(vector: Vector, stage: StageStatus | None, draws: Draws) -> RolloutStatus:
    ago = draws.pick((5.0, 1.0, 60.0, 500.0))
    at_full = stage is not None and stage.ramp_fraction == _FULL
    lines = draws.pick((0, 1, 19, 20))
    line = Transition(
        at=_BEFORE, stage="", direction="Rise", reason="Promote", message="", vector=vector, revision=_REVISION
    )
    return RolloutStatus(
        observed_generation=_GENERATION,
        stage=stage,
        parameters=vector,
        flags=FlagsStatus(
            revision=_REVISION, content_hash="", published_at=_BEFORE, salt=SALTS[0], sample_salt=SALTS[1]
        ),
        propagation=PropagationStatus(expected=3, applied=3, confirmed_at=_BEFORE + 1),
        history=tuple(line.model_copy(update={"message": str(number)}) for number in range(lines)),
        last_handled_request=HandledRequests(at=_BEFORE),
        reason="Baking" if at_full else "Ramping",
        clock=ClockStatus(at=START - ago, ramp_runs=not at_full, bake_runs=at_full, interval=1.0),
    )


def _publish(world: WalkWorld, vector: Vector, stage: str, *, latch: Latch | None = None) -> None:
    direction = Direction.RISE if latch is None else Direction.FALL
    command = PublishFlags(vector, _REVISION, direction, stage, *SALTS, latch)
    hashed = content_hash(command)
    world.published = Published(UID, _REVISION, hashed, vector, direction, stage, *SALTS, _BEFORE, latch)
    if world.status.flags is not None:
        flags = world.status.flags.model_copy(update={"content_hash": hashed})
        world.status = world.status.model_copy(update={"flags": flags})
    world.says = {}


def restarted(world: WalkWorld) -> None:
    """The operator starts anew: what it knows, it knows from the API server."""
    world.status = RolloutStatus.model_validate(world.status.to_api())
    if world.published is not None:
        world.published = replace(world.published)
