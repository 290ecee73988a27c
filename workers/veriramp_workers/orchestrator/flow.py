"""What happens to a request, decided from what is known about it; pure.

Public names: :class:`Wait`, :class:`Defer`, :func:`after_backlog`, :func:`after_payment`, :func:`after_failure`,
:func:`has_expired`, :func:`lane_of`, :func:`share_of`, :func:`trouble_of`, :func:`effect_of`.

    request -> known verdict?            yes: answer, under the identity of this chunk
            -> backfill, and search is waiting for its answers?      wait, this lane only
            -> budget                    spent by all: wait for more; not known: wait, nothing is free
                                         spent by this tenant: out of the way of the others, a week at most
            -> verifier                  a verdict: answer; keep it for the next
                                         breaker open, our limit used up: wait
                                         no answer: try again later, three times, then give up

Whoever waits keeps its place: nothing is read meanwhile, so nothing is lost. Whoever is deferred comes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from veriramp_sdk.effects import Effect, Effects, FailureMode
from veriramp_sdk.events import Topic, Verdict
from veriramp_workers.orchestrator.backlog import Level
from veriramp_workers.orchestrator.limiter import ClosedError, TooManyRequestsError
from veriramp_workers.ports import Bound, BreakerOpenError, Judgement, Taken, VerifierUnavailableError

BACKFILL: Final = "backfill"
"""The lane that gives way; every other one is asked by a search."""

BREAKER: Final = "breaker"
RATE: Final = "rate"
OFF: Final = "off"
BUDGET: Final = "budget"
BUDGET_UNKNOWN: Final = "budget_unknown"
"""Reasons to wait; ``off`` is that of a request that was in work when the flags went off: their pause has its own."""


@dataclass(frozen=True)
class Wait:
    """Read nothing for so long, of these topics (none named: of all)."""

    seconds: float
    reason: str
    topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Defer:
    """Come again after so long at most, and do not keep others waiting until then."""

    seconds: float
    reason: str


def after_backlog(topic: str, level: Level) -> Wait | None:
    """Let a request of the backfill lane wait while searches do; one in a retry topic would keep theirs waiting."""
    if topic == Topic.BACKFILL and level >= Level.SEARCHES_ONLY:
        return Wait(_BACKLOG_SECONDS, "backlog", (Topic.BACKFILL,))
    return None


def lane_of(said: str, *topics: str) -> str:
    """Return the lane of a request: backfill when it says so itself, or was in that topic."""
    return BACKFILL if Topic.BACKFILL in topics else said


def share_of(lane: str, backfill_share: float) -> float:
    """Return how much (0..1) of what is free in the budget a request of this lane may use up."""
    return backfill_share if lane == BACKFILL else 1.0


def after_payment(taken: Taken | None, now: datetime) -> Wait | Defer | None:
    """Decide on the answer of the budget, None if it could not be asked."""
    if taken is None:
        return Wait(_UNKNOWN_BUDGET_SECONDS, BUDGET_UNKNOWN)
    if taken.granted:
        return None
    seconds = max((taken.next_at - now).total_seconds(), _SHORTEST_WAIT_SECONDS)
    if taken.refused_by is Bound.MONTH:
        return Wait(min(seconds, _LONGEST_WAIT_SECONDS), BUDGET)
    return Defer(seconds, f"budget_{taken.refused_by or Bound.DAY}")


def has_expired(since_ms: int, now: datetime) -> bool:
    """Tell whether a request that is deferred since then (0: is not) was deferred for too long: seven days.

    As long as its topic would have kept it, had it waited there.
    """
    return since_ms > 0 and now.timestamp() - since_ms / 1000 > _LONGEST_DEFERRAL_SECONDS


def after_failure(error: VerifierUnavailableError) -> Wait | None:
    """Decide on a verifier that gave no verdict; None: it was asked, so the request is tried again later."""
    if isinstance(error, BreakerOpenError):
        return Wait(max(error.retry_after, _SHORTEST_WAIT_SECONDS), BREAKER)
    if isinstance(error, TooManyRequestsError):
        return Wait(max(error.retry_after, _SHORTEST_WAIT_SECONDS), RATE)
    if isinstance(error, ClosedError):
        return Wait(_OFF_SECONDS, OFF)
    return None


def trouble_of(error: Exception) -> str:
    """Return why a request is tried again, for headers and logs: without what may quote the text."""
    if not isinstance(error, VerifierUnavailableError):
        return f"unexpected {type(error).__name__}"
    return f"the verifier answers {error.status}" if error.status is not None else str(error)


def effect_of(judgement: Judgement, effects: Effects) -> tuple[Effect, str]:
    """Return what a judgement does, and its reason as it is published.

    The reason of what was too hard begins with the mode, which the verdict alone does not say.
    """
    beyond = judgement.verdict is Verdict.TOO_HARD and judgement.reason.startswith(FailureMode.THEORY_INCOMPLETE)
    effect = effects.of(judgement.verdict, beyond_theory=beyond)
    if judgement.verdict is not Verdict.TOO_HARD or judgement.reason.startswith(effect.mode):
        return effect, judgement.reason
    return effect, f"{effect.mode}: {judgement.reason}"


_SHORTEST_WAIT_SECONDS: Final = 0.5
# A new limit or a store that was set back is noticed without a restart.
_LONGEST_WAIT_SECONDS: Final = 300.0
_LONGEST_DEFERRAL_SECONDS: Final = 7 * 86_400.0
_UNKNOWN_BUDGET_SECONDS: Final = 10.0
_OFF_SECONDS: Final = 60.0
_BACKLOG_SECONDS: Final = 30.0
