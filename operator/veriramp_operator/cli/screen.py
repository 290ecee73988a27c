"""A rollout as one screen of text: where it is, why, what the evidence says, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from veriramp_operator.api.base import format_duration, format_instant
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import Phase, RolloutStatus, Severity, VerdictKind
from veriramp_operator.api.vector import OFF

BAR: Final = 30
STALE_SECONDS: Final = 30.0
_MARKS: Final = {
    VerdictKind.PASS: "ok",
    VerdictKind.REGRESSION: "BAD",
    VerdictKind.INCONCLUSIVE: "..",
    VerdictKind.NO_DATA: "??",
    VerdictKind.NOT_APPLICABLE: "--",
}


def render(rollout: Rollout, now: float) -> str:
    """The screen; ``now`` in seconds since the epoch."""
    return "\n".join(_lines(rollout, now)) + "\n"


def next_steps(rollout: Rollout, now: float) -> str:
    """What a person can do about where the rollout is; empty when nothing is asked of them."""
    status, name = rollout.status, rollout.name
    if status.phase is Phase.ROLLED_BACK:
        lasting = status.rollback is not None and status.rollback.severity is Severity.KILL_SWITCH
        return f"veriramp retry {name}   (or restart{'' if lasting else '; a changed spec lifts it too'})"
    if status.reason == "ApprovalRequired":
        return f"veriramp promote {name}"
    if status.reason == "Paused":
        return "set spec.paused to false"
    if status.phase is Phase.STALLED:
        return "correct what the reason names, then apply the rollout again"
    if status.reason == "NoConsumers" or (status.reason == "NotPropagated" and _late(rollout, now)):
        return "look at the processes that evaluate the flags: are they running, can they reach the flag server?"
    return ""


def _lines(rollout: Rollout, now: float) -> Iterator[str]:
    status = rollout.status
    yield f"{rollout.namespace}/{rollout.name}   {status.phase or 'Pending'}   generation {rollout.generation}"
    yield f"  why        {status.reason or '-'}: {status.message or 'the operator has not looked at it yet'}"
    steps = next_steps(rollout, now)
    if steps:
        yield f"  to do      {steps}"
    if status.clock is not None and now - status.clock.at > STALE_SECONDS:
        yield (
            f"  as of      {_short(now - status.clock.at)} ago: status is written when something changes, and every "
            "few minutes while a clock runs"
        )
    yield f"  in force   {status.parameters or OFF}"
    if rollout.spec is not None:
        yield from _stage(rollout.spec, status)
    yield from _flags(status, now)
    yield from _rollback(status)
    yield from _workers(status)
    yield from _gates(status, now)
    if status.next_decision_at is not None and status.next_decision_at > now:
        yield f"  next look  in {_short(status.next_decision_at - now)}"
    yield from _history(status)


def _stage(spec: RolloutSpec, status: RolloutStatus) -> Iterator[str]:
    ladder = "  ".join(
        f"[{stage.name}]" if status.stage and stage.name == status.stage.name else stage.name for stage in spec.stages
    )
    yield f"  stages     {ladder}"
    if status.stage is None:
        return
    stage = next((stage for stage in spec.stages if stage.name == status.stage.name), None)
    if stage is None:
        return
    if stage.ramp is not None:
        done = f"{_short(status.stage.ramp_seconds)} of {_short(stage.ramp.duration)} healthy"
        yield f"  ramp       {_bar(status.stage.ramp_fraction)} {status.stage.ramp_fraction:>4.0%}  {done}"
    bake = stage.bake_seconds
    share = min(1.0, status.stage.bake_seconds / bake) if bake else 1.0
    yield f"  bake       {_bar(share)} {share:>4.0%}  {_short(status.stage.bake_seconds)} of {_short(bake)} healthy"


def _flags(status: RolloutStatus, now: float) -> Iterator[str]:
    if status.flags is None:
        return
    propagation = status.propagation
    applied = f"{propagation.applied} of {propagation.expected} processes" if propagation else "nobody asked yet"
    confirmed = "confirmed" if propagation and propagation.confirmed_at else "not confirmed"
    age = _short(now - status.flags.published_at)
    yield f"  flags      revision {status.flags.revision}, published {age} ago, applied by {applied}, {confirmed}"
    if propagation and propagation.laggards:
        yield f"             late: {', '.join(propagation.laggards)}"


def _rollback(status: RolloutStatus) -> Iterator[str]:
    rollback = status.rollback
    if rollback is None:
        return
    yield f"  rollback   {rollback.severity} by {rollback.gate} in stage {rollback.from_stage}: {rollback.evidence}"
    steps = [("published", rollback.published_at), ("applied everywhere", rollback.applied_at)]
    timed = [f"{what} +{at - rollback.detected_at:.2f} s" for what, at in steps if at is not None]
    if timed:
        yield f"             detected, {', '.join(timed)}"


def _workers(status: RolloutStatus) -> Iterator[str]:
    if status.workers:
        counts = ", ".join(f"{worker.profile} {worker.ready}/{worker.desired}" for worker in status.workers)
        yield f"  workers    {counts} ready"


def _late(rollout: Rollout, now: float) -> bool:
    """The processes have had longer for the published revision than the rollout allows."""
    flags, spec = rollout.status.flags, rollout.spec
    return flags is not None and spec is not None and now - flags.published_at > spec.flags.propagation.timeout


def _gates(status: RolloutStatus, now: float) -> Iterator[str]:
    if not status.gates:
        return
    yield "  gates"
    width = max(len(gate.name) for gate in status.gates)
    for gate in status.gates:
        good = gate.verdict in {VerdictKind.PASS, VerdictKind.NOT_APPLICABLE}
        # What is well is not written anew at every look, so its age would be that of the status.
        age = "" if good or gate.observed_at is None else f" ({_short(now - gate.observed_at)} old)"
        value = f" value {gate.value:g}" if gate.value is not None else ""
        yield f"    {_MARKS[gate.verdict]:<4}{gate.name:<{width}}  {gate.verdict}/{gate.reason}{value}{age}"
        if not good and gate.message:
            yield f"        {gate.message}"


def _history(status: RolloutStatus) -> Iterator[str]:
    if not status.history:
        return
    yield "  history (newest last)"
    for line in status.history[-6:]:
        at = format_instant(line.at)[:19]
        yield f"    {at}Z  {line.direction:<4} {line.stage:<12} r{line.revision:<4} {line.reason}: {line.vector}"


def _bar(share: float) -> str:
    filled = round(BAR * max(0.0, min(1.0, share)))
    return "#" * filled + "." * (BAR - filled)


def _short(seconds: float) -> str:
    return format_duration(round(max(0.0, seconds)))
