"""What a rollout lacks until its next step, and when that can be at the earliest. Pure.

Public: :class:`Missing`, :func:`missing_of`. It reads the live object alone, as the status was last written; the
operator decides on what it sees then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from veriramp_operator.api.base import format_duration, format_instant
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import Promotion, RolloutSpec
from veriramp_operator.api.status import RolloutStatus, StageStatus, VerdictKind
from veriramp_operator.engine.ramp import pace_of, vector_at
from veriramp_operator.engine.stages import Plan, Rung, plan_of
from veriramp_operator.engine.windows import is_open, next_opening

_CLOCK_TRUSTED_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Missing:
    """``step``: what comes next, empty = nothing does. ``items``: a sentence for each thing that it waits for.

    ``earliest``: seconds since the epoch, None where no time can be told. ``by_itself``: nothing but time is missing.
    """

    step: str = ""
    items: tuple[str, ...] = ()
    earliest: float | None = None
    by_itself: bool = True


def missing_of(rollout: Rollout, now: float) -> Missing:
    """Work it out from spec and status; ``now`` in seconds since the epoch."""
    spec, status = rollout.spec, rollout.status
    if spec is None or rollout.deleting or status.phase is None:
        return Missing()
    plan = plan_of(spec)
    stage = status.stage if status.stage is not None and status.stage.index < len(plan.rungs) else None
    if status.rollback is not None:
        return Missing("the way up", tuple(_blocking(spec, status)), by_itself=False)
    step, seconds, times = _due(plan, stage, status, now)
    if not step:
        return Missing()
    blocking = tuple(_blocking(spec, status))
    opens = None
    if not is_open(spec.windows, now + seconds):
        opens = next_opening(spec.windows, now + seconds)
        times += (f"a window of spec.windows: {f'opens {format_instant(opens)[:16]}Z' if opens else 'none opens'}",)
    never = spec.windows and opens is None and not is_open(spec.windows, now + seconds)
    earliest = None if never else opens or now + seconds
    return Missing(step, blocking + times, earliest, by_itself=not blocking)


def _due(
    plan: Plan, stage: StageStatus | None, status: RolloutStatus, now: float
) -> tuple[str, float, tuple[str, ...]]:
    """The next step, the healthy seconds until it is due, and what of time it waits for."""
    following = plan.after(stage)
    if stage is None:
        return (f'stage "{following.name}" begins' if following else ""), 0.0, ()
    rung = plan.at(stage)
    ran = _since_written(status, now)
    if status.parameters is not None and not rung.vector.is_at_most(status.parameters):
        pace = pace_of(plan, rung, stage)
        is_due = not vector_at(stage, rung, pace, stage.ramp_seconds).is_at_most(status.parameters)
        left = 0.0 if is_due else pace.next_step_in(stage.ramp_seconds)
        reached = pace.fraction(stage.ramp_seconds + left)
        left = max(0.0, left - ran) if status.clock and status.clock.ramp_runs else left
        items = (f"{_about(left)} of healthy time until the step is due",) if left > 0 else ()
        return f'stage "{stage.name}" ramps on, to {reached:.0%} of the way to {rung.vector}', left, items
    if following is None:
        return "", 0.0, ()
    return f'stage "{following.name}" begins', *_bake(rung, stage, status, ran)


def _bake(rung: Rung, stage: StageStatus, status: RolloutStatus, ran: float) -> tuple[float, tuple[str, ...]]:
    baked = stage.bake_seconds + (ran if status.clock and status.clock.bake_runs else 0.0)
    left = 0.0 if stage.time_skipped else max(0.0, rung.bake - baked)
    items = (f"{_about(left)} of {format_duration(rung.bake)} healthy time at the full vector",) if left > 0 else ()
    return left, items


def _blocking(spec: RolloutSpec, status: RolloutStatus) -> Iterator[str]:
    """What does not go away by waiting alone, or nobody knows when."""
    if status.rollback is not None:
        yield "the rollback is lifted (retry, restart)"
    if spec.kill_switch:
        yield "spec.killSwitch is false"
    if spec.paused:
        yield "spec.paused is false"
    if status.reason in _TOLD_BY_MESSAGE:
        yield f"{status.reason}: {(status.message or '').rstrip('.')}"
    seen = status.propagation
    if status.flags is not None and (seen is None or seen.confirmed_at is None):
        applied, expected = (seen.applied, seen.expected) if seen else (0, 0)
        late = f"; late: {', '.join(seen.laggards)}" if seen and seen.laggards else ""
        yield f"{applied} of {expected} processes run revision {status.flags.revision}{late}"
    yield from _evidence(spec, status)
    yield from _approval(spec, status)


def _evidence(spec: RolloutSpec, status: RolloutStatus) -> Iterator[str]:
    """Of each gate that does not pass; where all do, what else the operator finds unclear."""
    gates = tuple(_gates(spec, status))
    yield from gates
    if status.reason == Reason.INCONCLUSIVE and not gates:
        yield (status.message or "").rpartition(" cannot begin: ")[2].rstrip(".")


def _gates(spec: RolloutSpec, status: RolloutStatus) -> Iterator[str]:
    required = {gate.name for gate in spec.gates if gate.is_required}
    at_full = status.stage is None or status.stage.ramp_fraction >= 1.0
    returns = status.stage is not None and status.stage.reentry
    compared = {gate.name for gate in spec.gates if gate.comparison is not None}
    for gate in status.gates:
        if gate.name not in required or gate.verdict in {VerdictKind.PASS, VerdictKind.NOT_APPLICABLE}:
            continue
        # On a ramp an open question does not hold; a bad sign or no data does. On the way back it holds, but for what
        # a comparison can say only at the end of it.
        holds = at_full or status.reason == Reason.EVIDENCE_LEANS_BAD or (returns and gate.name not in compared)
        if gate.verdict is VerdictKind.INCONCLUSIVE and not holds:
            continue
        yield f'gate "{gate.name}" passes: now {gate.verdict} ({gate.reason})'


def _approval(spec: RolloutSpec, status: RolloutStatus) -> Iterator[str]:
    stage = next((each for each in spec.stages if status.stage and each.name == status.stage.name), None)
    if stage is None or status.stage is None or stage is spec.stages[-1] or status.stage.ramp_fraction < 1.0:
        return
    if stage.promotion is Promotion.MANUAL and not status.stage.approved:
        yield f'a person promotes stage "{stage.name}"'


def _since_written(status: RolloutStatus, now: float) -> float:
    """What the clocks have run since the status was written, if an operator is still at work."""
    passed = 0.0 if status.clock is None else now - status.clock.at
    return passed if 0.0 < passed <= _CLOCK_TRUSTED_SECONDS else 0.0


def _about(seconds: float) -> str:
    return format_duration(max(1.0, round(seconds)))


_TOLD_BY_MESSAGE = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.UNKNOWN_ENDPOINT,
        Reason.UNKNOWN_PROFILE,
        Reason.ABOVE_CEILING,
        Reason.NAME_CONFLICT,
        Reason.QUERY_REFUSED,
        Reason.DOCUMENT_REFUSED,
        Reason.NO_CONSUMERS,
        Reason.WORKERS_NOT_READY,
        Reason.SAMPLE_RATIO_MISMATCH,
    }
)
