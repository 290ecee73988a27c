"""Which of the chunks that a search returned are worth a verification, and how urgently. Pure.

Public names: :class:`Chunk`, :class:`Known`, :func:`how_many`, :func:`percentiles`, :func:`lane_of`,
:func:`is_fresh`, :func:`type_problem`, :func:`unit_problem`, :func:`verifier_of`.

``tests/data/trigger.json`` holds golden values for other languages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from types import NoneType
from typing import Final

from veriramp_sdk.events import PERIOD_MS, Topic, VerificationComplete
from veriramp_sdk.ranker import rank_normalised

FRESH_MS: Final = PERIOD_MS
"""A verdict younger than this, on the same content by the same verifier, is not asked for again.

No shorter than the period of an ``event_id``: what is found out anew must have another one.
"""

LATER_BELOW: Final = 0.7


@dataclass(frozen=True, slots=True)
class Known:
    """What is known from the last verdict on a chunk. ``verified_at_ms`` is in milliseconds since the epoch."""

    content_hash: str
    verifier: str
    verified_at_ms: int

    @classmethod
    def of(cls, event: VerificationComplete) -> Known:
        """Take it from the event that told the verdict."""
        return cls(event.content_hash, verifier_of(event), event.verified_at_ms)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that a search returned, with its score there (any unit, higher is better; None: only its place counts).

    ``premises`` are taken for true by the verifier. ``content_hash`` (64 hexadecimal digits) spares hashing the content
    where the index keeps it; ``known`` is the last verdict, also one on an older content.
    """

    org_id: str
    document_id: str
    block_id: str
    content: str
    premises: tuple[str, ...] = ()
    score: float | None = None
    content_hash: str | None = None
    known: Known | None = None


def verifier_of(event: VerificationComplete) -> str:
    """Who judged: the name and the versions that decide whether a verdict would still be the same."""
    return f"{event.verifier}/{event.verifier_version}+{event.formaliser_version}"


def how_many(scores: Sequence[float | None], ceiling: int, *, fewest: int | None = None, share: float = 1.0) -> int:
    """Return how many of the results, best first, to ask for: at most ``ceiling``, 0 for none.

    With ``fewest`` a clear query asks for fewer, but for at least that many: as many as results that really compete,
    which is the inverse Simpson index ``1 / sum(p^2)`` (Hill number of order 2) of the shares ``p`` of the scores above
    the lowest one. It does not depend on the scores' unit or zero point: 1 when one result stands out, all of them when
    all are equal, three quarters when they fall evenly. A score that is missing or not finite makes no query clear.

    ``share`` (0..1) is what budget and backlog leave; the result is rounded up, so that only 0 asks for nothing.
    """
    count = max(0, min(ceiling, len(scores)))
    if fewest is not None:
        count = min(count, max(fewest, math.ceil(_competing(scores) - _ROUNDING)))
    allowed = min(1.0, share) if share > 0.0 else 0.0
    return max(0, math.ceil(count * allowed - _ROUNDING))


def percentiles(scores: Sequence[float | None]) -> list[float]:
    """Return where each of the results (best first) stands: 1 the best to 0 the last, equal neighbours the same.

    When a score is missing only the places count.
    """
    known = [score for score in scores if score is not None]
    if len(known) == len(scores):
        return rank_normalised(known)
    return rank_normalised([float(-place) for place in range(len(scores))])


def lane_of(percentile: float, *, verified: bool) -> Topic:
    """Return the topic to ask on; ``verified``: this very content has a verdict already, if an old one.

    The seed's priorities by the percentile of the score (1 best, 0 last) instead of its value, which has no fixed unit:
    high when never verified or above 0.9, low when verified and below 0.7, else normal. High and normal are
    interactive, low is backfill.
    """
    return Topic.BACKFILL if verified and percentile < LATER_BELOW else Topic.INTERACTIVE


def is_fresh(known: Known | None, digest: str, verifier: str | None, now_ms: int) -> bool:
    """Tell whether a verdict still stands: same content, same verifier (None: any), at most seven days old."""
    if known is None or known.content_hash != digest or verifier not in (None, known.verifier):
        return False
    return now_ms - known.verified_at_ms <= FRESH_MS


def type_problem(chunk: object) -> str | None:
    """Say which field of a result is of a type that a :class:`Chunk` does not have, else None."""
    if not isinstance(chunk, Chunk):
        return f"a result of type {type(chunk).__name__} is no Chunk"
    for name, types, what in _FIELDS:
        value = getattr(chunk, name)
        if not isinstance(value, types):
            return f"{name} of type {type(value).__name__}; write {what}"
    for premise in chunk.premises:
        if not isinstance(premise, str):
            return f"a premise of type {type(premise).__name__}; write a text"
    return None


def unit_problem(known: Known | None, now_ms: int) -> str | None:
    """Say what is wrong with ``verified_at_ms`` when it cannot be milliseconds, else None.

    Seconds taken for milliseconds would make every verdict old, and every query verify again; microseconds would make
    every verdict fresh for ever.
    """
    if known is None or _EARLIEST_MS <= known.verified_at_ms <= now_ms + _AHEAD_MS:
        return None
    return (
        f"verified_at_ms {known.verified_at_ms} is no time in milliseconds since the epoch (now is {now_ms}); "
        "write seconds times 1000"
    )


def _competing(scores: Sequence[float | None]) -> float:
    halves = [0.0 if score is None else score / 2.0 for score in scores]  # halves: a difference cannot overflow
    if any(score is None for score in scores) or not all(math.isfinite(half) for half in halves) or not halves:
        return float(len(scores))
    lowest, span = min(halves), max(halves) - min(halves)
    if span <= 0.0:
        return float(len(scores))
    total = squares = 0.0
    for half in halves:
        above = (half - lowest) / span
        total += above
        squares += above * above
    return total * total / squares


_FIELDS: Final[tuple[tuple[str, tuple[type, ...], str], ...]] = (
    *((name, (str,), "a text") for name in ("org_id", "document_id", "block_id", "content")),
    ("premises", (tuple, list), "a tuple of texts"),
    ("score", (float, NoneType, Real), "a number or None"),  # the slow one last: numpy has numbers of its own
    ("content_hash", (NoneType, str), "64 hexadecimal digits or None"),
    ("known", (NoneType, Known), "a Known or None"),
)
_ROUNDING: Final = 1e-9
_EARLIEST_MS: Final = 100_000_000_000
"""March 1973: no verdict is older, and no time in seconds is as large."""
_AHEAD_MS: Final = 86_400_000
"""How far the clock of a worker may be ahead of ours before its times are not believed."""
