"""Who runs the published revision, as far as a decision needs it: the quorum of each role, and everybody.

A revision stays confirmed once it was (sticky), so that a restarting process does not stop the clocks. A fall counts as
applied only when *every* expected process has it, or its lease is over.
"""

from __future__ import annotations

import math

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import PropagationStatus, RollbackStatus, RolloutStatus, StageStatus
from veriramp_operator.engine.types import Observation, PropagationSeen

MOST_LAGGARDS = 10


def speaks_of(seen: Observation, revision: int) -> bool:
    """True when the observation was made and is about this revision of this object."""
    propagation = seen.propagation
    return (
        propagation.observed_at is not None and propagation.revision == revision and propagation.uid in ("", seen.uid)
    )


def expected(seen: PropagationSeen) -> int:
    """Processes of all roles that should apply the revision."""
    return sum(count.expected for count in seen.roles.values())


def applied(seen: PropagationSeen) -> int:
    """Processes of all roles that do."""
    return sum(count.applied for count in seen.roles.values())


def by_quorum(seen: PropagationSeen, quorum: float) -> bool:
    """True when each role reaches the quorum; a role of which nobody is expected does."""
    return all(count.applied >= math.ceil(count.expected * quorum - 1e-9) for count in seen.roles.values())


def by_all(seen: PropagationSeen) -> bool:
    """True when every expected process of every role applies the revision."""
    return all(count.applied >= count.expected for count in seen.roles.values())


def propagated(spec: RolloutSpec, status: RolloutStatus, seen: Observation, now: float) -> PropagationStatus | None:
    """The next ``status.propagation``; the same object when nothing changed."""
    old = status.propagation
    if status.flags is None or not speaks_of(seen, status.flags.revision):
        return old
    view = seen.propagation
    confirmed_at = old.confirmed_at if old else None
    if confirmed_at is None and by_quorum(view, spec.flags.propagation.quorum):
        confirmed_at = min(now, max(view.observed_at or now, status.flags.published_at))
    new = {
        "expected": expected(view),
        "applied": applied(view),
        "unmeasured": view.unmeasured,
        "confirmed_at": confirmed_at,
        "p99_seconds": view.p99_seconds,
        "laggards": view.laggards[:MOST_LAGGARDS],
    }
    return old if old is not None and old.says(new) else PropagationStatus.typed(new)


def confirmed_stage(stage: StageStatus | None, full: bool, propagation: PropagationStatus | None) -> StageStatus | None:
    """The stage with the first confirmation of a revision in it, and of its full vector; both are sticky.

    ``full``: the stage's full vector is in force. The same object when nothing changed.
    """
    if stage is None:
        return None
    began_at, full_at = stage.began_at, stage.full_at if full else None
    confirmed_at = propagation.confirmed_at if propagation else None
    if confirmed_at is not None:
        began_at = max(confirmed_at, stage.entered_at) if began_at is None else began_at
        full_at = max(confirmed_at, began_at) if full and full_at is None else full_at
    if (began_at, full_at) == (stage.began_at, stage.full_at):
        return stage
    return stage.model_copy(update={"began_at": began_at, "full_at": full_at})


def fall_applied(spec: RolloutSpec, status: RolloutStatus, seen: Observation, now: float) -> RollbackStatus | None:
    """``status.rollback`` with ``applied_at`` set as soon as nobody can still run what was before the fall."""
    rollback = status.rollback
    if rollback is None or rollback.applied_at is not None or rollback.published_at is None or status.flags is None:
        return rollback
    if speaks_of(seen, status.flags.revision) and by_all(seen.propagation):
        at = seen.propagation.last_applied_at or seen.propagation.observed_at or now
        return rollback.model_copy(update={"applied_at": max(at, rollback.published_at)})
    lease = spec.flags.lease_seconds
    if lease and now >= rollback.published_at + lease:
        return rollback.model_copy(update={"applied_at": rollback.published_at + lease})
    return rollback
