"""``veriramp explain``: why a rollout is where it is, what is missing, and what a person can do. One page for 3 am."""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from veriramp_operator.api.base import format_duration, format_instant
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.status import GateStatus, Phase, RollbackStatus, Severity, VerdictKind
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.cli.ask import _stage as stage_meant
from veriramp_operator.cli.kubectl import Kubectl, add_cluster_flags
from veriramp_operator.cli.missing import Missing, missing_of
from veriramp_operator.cli.remedies import (
    DECLARED_OFF,
    DECLARED_OFF_AND_LATCHED,
    NO_DATA,
    NO_GUARD,
    REMEDIES,
    Remedy,
)
from veriramp_operator.engine.gates import lacks_a_guard
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode

OLD_SECONDS: Final = 900.0
"""Status is written every 10 minutes at least while an operator works."""
_FALLS: Final = frozenset(
    {
        Reason.REGRESSION,
        Reason.STEP_DOWN,
        Reason.NO_DATA_TOO_LONG,
        Reason.INCONCLUSIVE_TOO_LONG,
        Reason.ABOVE_TARGET,
        Reason.SHADOW_REQUESTED,
        Reason.FLAGS_MISSING,
    }
)
_RISES: Final = frozenset({Reason.RAMP_STEP, Reason.PROMOTE})
_NOT_SEEN: Final = Remedy(
    "No operator has looked at this rollout yet: is one running, and does it watch this namespace?",
    ("kubectl get pods -A -l app.kubernetes.io/component=operator",),
)
_GOOD: Final = frozenset({VerdictKind.PASS, VerdictKind.NOT_APPLICABLE})
_WIDTH: Final = 100

Subparsers = Any


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is told. ``age``: seconds since the operator wrote its status; None = never."""

    rollout: Rollout
    direction: Direction
    age: float | None
    missing: Missing
    advice: Remedy

    @property
    def is_old(self) -> bool:
        """No operator has confirmed the status for so long that none may be running."""
        return self.age is not None and self.age > OLD_SECONDS


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("explain", help="why a rollout is where it is, what is missing, what to do")
    parser.add_argument("name")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    add_cluster_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the rollout and print the page."""
    now = time.time()
    told = explain(Kubectl.of(arguments).rollout(arguments.name), now)
    print(json.dumps(as_json(told), indent=2) if arguments.output == "json" else as_text(told, now), end="")
    if arguments.output == "json":
        print()
    return 0


def explain(rollout: Rollout, now: float) -> Explanation:
    """Work out what to tell; ``now`` in seconds since the epoch. Pure."""
    status = rollout.status
    reason = _reason(rollout)
    direction = Direction.FALL if reason in _FALLS else Direction.RISE if reason in _RISES else Direction.HOLD
    advice = _advice(rollout, reason)
    values = {"name": rollout.name, "ns": rollout.namespace, "stage": stage_meant(rollout) or "STAGE"}
    commands = tuple(command.format(**values) for command in advice.commands)
    age = None if status.clock is None else max(0.0, now - status.clock.at)
    return Explanation(rollout, direction, age, missing_of(rollout, now), Remedy(advice.text, commands))


def as_json(told: Explanation) -> dict[str, Any]:
    """The stable form for machines: {phase, direction, reason, message, gates[], next}."""
    status = told.rollout.status
    return {
        "phase": str(status.phase or Phase.PENDING),
        "direction": str(told.direction),
        "reason": status.reason,
        "message": status.message,
        "vector": (status.parameters or OFF).to_api(),
        "statusAgeSeconds": told.age,
        "rollback": status.rollback.to_api() if status.rollback else None,
        "gates": [{**gate.to_api(), "advice": _gate_advice(gate) or None} for gate in status.gates],
        "next": {
            "step": told.missing.step or None,
            "earliest": None if told.missing.earliest is None else format_instant(told.missing.earliest),
            "missing": list(told.missing.items),
            "advice": told.advice.text,
            "commands": list(told.advice.commands),
        },
    }


def as_text(told: Explanation, now: float) -> str:
    """The page."""
    return "\n".join(_lines(told, now)) + "\n"


def _lines(told: Explanation, now: float) -> Iterator[str]:
    rollout, status = told.rollout, told.rollout.status
    yield f"{rollout.namespace}/{rollout.name}: {_in_words(status.parameters or OFF)}"
    if told.is_old:
        yield from _wrapped(
            f"OLD: the operator last wrote this {_short(told.age or 0)} ago. It may not be running: nothing rises or "
            "falls then, and every process goes off when the lease of its flags is over. Look first at: "
            "kubectl get pods -A -l app.kubernetes.io/component=operator",
            "  ! ",
        )
    place = f', stage "{status.stage.name}"' if status.stage else ""
    yield ""
    yield "WHY"
    yield f"  {status.phase or Phase.PENDING}{place}, {told.direction}: {status.reason or 'not looked at yet'}"
    if status.message:
        yield from _wrapped(status.message, "  ")
    if status.rollback is not None:
        yield from _rollback(status.rollback, now)
    yield from _gates(status.gates, now)
    yield from _missing(told.missing, now)
    yield ""
    yield "WHAT TO DO"
    yield from _wrapped(told.advice.text or "Nothing is known about this reason: read the message.", "  ")
    for command in told.advice.commands:
        yield f"    {command}"
    if (status.parameters or OFF).mode is not Mode.OFF and not any(" abort " in each for each in told.advice.commands):
        yield "  Not safe enough? Everything off, at once:"
        yield f"    kubectl veriramp abort {rollout.name} -n {rollout.namespace}"


def _rollback(rollback: RollbackStatus, now: float) -> Iterator[str]:
    yield ""
    yield "THE ROLLBACK"
    yield from _wrapped(
        f'{rollback.gate} sent it from stage "{rollback.from_stage}" to {rollback.target}, {_short(now - rollback.at)} '
        f"ago ({format_instant(rollback.at)[:19]}Z): {rollback.evidence.rstrip('.')}.",
        "  ",
    )
    steps = [f"detected {_precise(max(0.0, rollback.detected_at - rollback.at))} after it began"]
    if rollback.published_at is not None:
        steps.append(f"safe document out {_precise(rollback.published_at - rollback.detected_at)} later")
    if rollback.applied_at is not None:
        steps.append(f"applied everywhere {_precise(rollback.applied_at - (rollback.published_at or 0))} after that")
    else:
        steps.append("NOT yet known to be applied everywhere")
    yield from _wrapped(", ".join(steps) + ".", "  ")
    lifted = "only by retry or restart" if rollback.severity is Severity.KILL_SWITCH else "by retry, restart or an edit"
    yield f"  The latch is lifted {lifted}."


def _gates(gates: tuple[GateStatus, ...], now: float) -> Iterator[str]:
    if not gates:
        return
    yield ""
    yield "GATES"
    for gate in gates:
        if gate.verdict in _GOOD:
            continue
        since = f" for {_short(now - gate.since)}" if gate.since is not None else ""
        yield f"  {gate.name}: {gate.verdict} ({gate.reason}){since}"
        if gate.message:
            yield from _wrapped(f"{gate.message.rstrip('.')}.", "      ")
        if advice := _gate_advice(gate):
            yield from _wrapped(f"Look: {advice}", "      ")
    good = [gate.name for gate in gates if gate.verdict in _GOOD]
    if good:
        yield from _wrapped(f"well, or not asked here: {', '.join(good)}", "  ")


def _missing(missing: Missing, now: float) -> Iterator[str]:
    if not missing.step:
        return
    yield ""
    yield f"NEXT: {missing.step}"
    for item in missing.items:
        yield from _wrapped(f"- {item}", "  ", "    ")
    if missing.earliest is not None and missing.earliest <= now + 1.0:
        yield "  At the next look." if missing.by_itself else "  As soon as that is there."
    elif missing.earliest is not None:
        when = f"{format_instant(missing.earliest)[:16]}Z, in {_short(missing.earliest - now)}"
        yield f"  At the earliest {when}{'' if missing.by_itself else ', once what is missing is there'}."


def _advice(rollout: Rollout, reason: Reason | None) -> Remedy:
    if rollout.status.phase is None:
        return _NOT_SEEN
    if rollout.spec is not None and rollout.spec.kill_switch and not rollout.deleting:
        return DECLARED_OFF if rollout.status.rollback is None else DECLARED_OFF_AND_LATCHED
    if reason is Reason.INCONCLUSIVE and rollout.spec and lacks_a_guard(plan_of(rollout.spec), rollout.status):
        return NO_GUARD
    return REMEDIES.get(reason, Remedy("")) if reason else Remedy("")


def _reason(rollout: Rollout) -> Reason | None:
    try:
        return Reason(rollout.status.reason or "")
    except ValueError:
        # Written by another version.
        return None


def _gate_advice(gate: GateStatus) -> str:
    if gate.verdict is not VerdictKind.NO_DATA or gate.reason not in set(NoDataReason):
        return ""
    return NO_DATA[NoDataReason(gate.reason)]


def _in_words(vector: Vector) -> str:
    if vector.mode is Mode.OFF:
        return "OFF. Nothing is verified, the ranking is untouched."
    queries = f"{100 * vector.sampling_rate:.4g} %"
    if vector.mode is Mode.SHADOW:
        return f"SHADOW. {queries} of the queries are verified, the ranking is untouched."
    return (
        f"LIVE. {vector.canary_percent:g} % of the users see a ranking with weight {vector.ranking_weight:g}; "
        f"{queries} of the queries are verified."
    )


def _wrapped(text: str, indent: str, later: str | None = None) -> list[str]:
    more = " " * len(indent) if later is None else later
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )


def _short(seconds: float) -> str:
    return format_duration(round(max(0.0, seconds)))


def _precise(seconds: float) -> str:
    return f"{max(0.0, seconds):.2f} s"
