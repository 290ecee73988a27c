"""What status remembers from one pass to the next: history, the published document, and when it is worth a write.

Public: :func:`after_publish`, :func:`remember`, :func:`needs_write`, :func:`next_revision`.
"""

from __future__ import annotations

from typing import Any, Final

from veriramp_operator.api.status import FlagsStatus, PropagationStatus, RolloutStatus, Transition
from veriramp_operator.engine.types import Direction, Observation, PublishFlags

MOST_TRANSITIONS: Final = 20
MOST_UNFLUSHED_SECONDS: Final = 600.0
UNFLUSHED_SHARE: Final = 0.05

_VOLATILE: Final = frozenset({"clock", "message", "next_decision_at"})
_VOLATILE_STAGE: Final = {"ramp_fraction": 0.0, "ramp_seconds": 0.0, "bake_seconds": 0.0}
_VOLATILE_GATE: Final = {"message": "", "value": None, "sample_size": None, "observed_at": None}
_VOLATILE_PROPAGATION: Final = {
    "expected": 0,
    "applied": 0,
    "unmeasured": 0,
    "p99_seconds": None,
    "laggards": (),
}


def next_revision(status: RolloutStatus, seen: Observation) -> int:
    """One more than every revision that may already be out; a number is never used for two contents."""
    known = [0]
    if status.flags is not None:
        known.append(status.flags.revision)
    if status.pending is not None:
        known.append(status.pending.revision)
    if seen.published is not None:
        known.append(seen.published.revision)
    return max(*known, served_revision(seen)) + 1


def served_revision(seen: Observation) -> int:
    """The newest revision that the flag servers know of this very object; 0 when they have not been heard."""
    view = seen.propagation
    return view.revision if view.observed_at is not None and view.uid == seen.uid else 0


def after_publish(
    status: RolloutStatus, command: PublishFlags, content_hash: str, published_at: float
) -> RolloutStatus:
    """The status once the document is out; ``status`` is the decision's, ``published_at`` in seconds since the epoch.

    A finished rise enters its stage now; a fall learns when it was published. Nobody has applied the revision yet.
    """
    update: dict[str, Any] = {
        "parameters": command.vector,
        "pending": None,
        "flags": FlagsStatus(
            revision=command.revision,
            content_hash=content_hash,
            published_at=published_at,
            salt=command.salt,
            sample_salt=command.sample_salt,
        ),
        "propagation": PropagationStatus(),
    }
    pending = status.pending
    if command.direction is Direction.RISE and pending is not None and pending.entering is not None:
        update["stage"] = pending.entering.model_copy(update={"entered_at": published_at})
        update["history"] = remember(
            status.history,
            Transition(
                at=published_at,
                stage=pending.stage,
                direction=Direction.RISE.value,
                reason=status.reason or "",
                message=status.message or "",
                vector=command.vector,
                revision=command.revision,
            ),
        )
    if status.rollback is not None and status.rollback.published_at is None:
        update["rollback"] = status.rollback.model_copy(update={"published_at": published_at})
    return status.model_copy(update=update)


def remember(history: tuple[Transition, ...], line: Transition) -> tuple[Transition, ...]:
    """History with one more line; the oldest goes when it is full."""
    return (*history, line)[-MOST_TRANSITIONS:]


def needs_write(old: RolloutStatus, new: RolloutStatus, now: float, flushed_at: float, bake: float) -> bool:
    """True when status is worth a write: a transition at once, clocks and values every min(10 min, 5 % of the bake).

    ``old``: as last written at ``flushed_at``. ``bake``: of the present stage, in seconds; 0 = no bake to lose.
    """
    if old is new or old == new:
        return False
    if _steady(old) != _steady(new):
        return True
    limit = min(MOST_UNFLUSHED_SECONDS, UNFLUSHED_SHARE * bake) if bake > 0 else MOST_UNFLUSHED_SECONDS
    return now - flushed_at >= limit


def _steady(status: RolloutStatus) -> dict[str, Any]:
    fields = {name: value for name, value in status if name not in _VOLATILE}
    if status.stage is not None:
        fields["stage"] = status.stage.model_copy(update=_VOLATILE_STAGE)
    if status.propagation is not None:
        fields["propagation"] = status.propagation.model_copy(update=_VOLATILE_PROPAGATION)
    fields["gates"] = tuple(gate.model_copy(update=_VOLATILE_GATE) for gate in status.gates)
    fields["conditions"] = tuple(condition.model_copy(update={"message": ""}) for condition in status.conditions)
    return fields
