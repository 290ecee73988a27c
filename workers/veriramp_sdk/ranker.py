"""Let verification influence the order of search results, in proportion to the flags' ranking weight.

Public names: :class:`Candidate`, :class:`Ranked`, :class:`Breakdown`, :class:`RankingDecision`,
:class:`VerificationRanker`, :func:`influence`, :func:`rank_normalised`.

``final = original + l * (blend - original)`` on rank-normalised scores, with ``l = min(1, weight / 0.15)`` and
``blend`` the weighted mean of relevance (0.45), PageRank percentile (0.30), verification (0.15) and history (0.10);
signals that no candidate has are left out and the other weights renormalised. All signals lie in 0..1, so no pair
changes order whose original gap is larger than ``l / (1 - l)``; with ``l = 0`` the input comes back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.effects import bounded_signal

FULL_WEIGHT: Final = 0.15
"""Ranking weight at which the blend replaces the original score altogether."""

DECAY_PER_DAY: Final = 0.01
"""A verdict's signal fades by exp(-0.01 x days) toward neutral (half-life 69.3 days), whole hours counted."""

NEUTRAL: Final = 0.5
"""What a candidate without a signal counts as, while others have it: neither a bonus nor a penalty."""


class RankingDecision(Protocol):
    """The part of a flag decision that ranking obeys."""

    @property
    def mode(self) -> Mode: ...
    @property
    def arm(self) -> Arm: ...
    @property
    def weight(self) -> float: ...


@dataclass(frozen=True)
class Candidate:
    """One result of the search, in the search's own order.

    ``score`` is the search's own score (any unit, higher is better); ``verification`` the verdict's signal (-1..1) and
    ``verified_at`` its time (seconds since the epoch); ``pagerank`` and ``history`` are percentiles (0..1). ``None``
    means unknown.
    """

    id: str
    score: float
    verification: float | None = None
    verified_at: float | None = None
    pagerank: float | None = None
    history: float | None = None


@dataclass(frozen=True)
class Breakdown:
    """Why a result stands where it stands: signals (0..1), the weights applied to them, and the influence ``l``."""

    original: float
    blend: float
    final: float
    influence: float
    relevance: float
    pagerank: float | None
    verification: float | None
    history: float | None
    weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Ranked:
    """A candidate at its final place; ``moved`` is the number of places gained (positive) or lost."""

    candidate: Candidate
    moved: int
    breakdown: Breakdown


class VerificationRanker:
    """Rank candidates under a decision. Pure: same inputs, same output; nothing is added and nothing is lost."""

    def rank(self, results: Sequence[Candidate], decision: RankingDecision, now: float) -> tuple[Ranked, ...]:
        """Return every candidate once, best first; ``now`` is in seconds since the epoch.

        Without influence (weight 0, mode not Live, arm neither treatment nor forced) the order is the input's.
        """
        strength = influence(decision)
        originals = rank_normalised([result.score for result in results])
        signals = [_signals(result, original, now) for result, original in zip(results, originals, strict=True)]
        weights = _weights(signals)
        scored = [_breakdown(signal, weights, strength) for signal in signals]
        order = list(range(len(results)))
        if strength > 0.0:
            order.sort(key=lambda place: -scored[place].final)
        return tuple(
            Ranked(candidate=results[old], moved=old - new, breakdown=scored[old]) for new, old in enumerate(order)
        )


def influence(decision: RankingDecision) -> float:
    """Return l in 0..1: how far the blend replaces the original score under this decision."""
    if decision.mode is not Mode.LIVE or decision.arm not in _INFLUENCED:
        return 0.0
    if not math.isfinite(decision.weight) or decision.weight <= 0.0:
        return 0.0
    return min(1.0, decision.weight / FULL_WEIGHT)


def rank_normalised(scores: Sequence[float]) -> list[float]:
    """Map places (best first) to 1..0 evenly; neighbours with equal scores share the mean of their places."""
    last = len(scores) - 1
    normalised: list[float] = []
    start = 0
    while start < len(scores):
        end = start
        while end < last and scores[end + 1] == scores[start]:
            end += 1
        value = 1.0 - (start + end) / 2.0 / last if last else 1.0
        normalised.extend([value] * (end - start + 1))
        start = end + 1
    return normalised


_INFLUENCED: Final = frozenset({Arm.TREATMENT, Arm.FORCED})
_BLEND: Final = (("relevance", 0.45), ("pagerank", 0.30), ("verification", 0.15), ("history", 0.10))
_SECONDS_PER_HOUR: Final = 3_600.0
_HOURS_PER_DAY: Final = 24.0


def _signals(result: Candidate, original: float, now: float) -> dict[str, float | None]:
    return {
        "relevance": original,
        "pagerank": _unit(result.pagerank),
        "verification": _verification(result, now),
        "history": _unit(result.history),
    }


def _verification(result: Candidate, now: float) -> float | None:
    if result.verification is None or not math.isfinite(result.verification):
        return None
    signal = bounded_signal(result.verification)
    at = result.verified_at if result.verified_at is not None and math.isfinite(result.verified_at) else now
    # From hour to hour of the clock: else results with equal scores would stand in the order in which their verdicts
    # happened to come, or change places when the age of one is a whole hour.
    hours = max(0.0, now // _SECONDS_PER_HOUR - at // _SECONDS_PER_HOUR)
    return NEUTRAL + signal * math.exp(-DECAY_PER_DAY * hours / _HOURS_PER_DAY) / 2.0


def _unit(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, value))


def _weights(signals: Sequence[dict[str, float | None]]) -> tuple[tuple[str, float], ...]:
    present = [(name, share) for name, share in _BLEND if any(signal[name] is not None for signal in signals)]
    total = sum(share for _, share in present)
    return tuple((name, share / total) for name, share in present)


def _breakdown(signal: dict[str, float | None], weights: tuple[tuple[str, float], ...], strength: float) -> Breakdown:
    relevance = signal["relevance"]
    original = NEUTRAL if relevance is None else relevance
    blend = 0.0
    for name, share in weights:
        value = signal[name]
        blend += share * (NEUTRAL if value is None else value)
    return Breakdown(
        original=original,
        blend=blend,
        final=original + strength * (blend - original),
        influence=strength,
        relevance=original,
        pagerank=signal["pagerank"],
        verification=signal["verification"],
        history=signal["history"],
        weights=weights,
    )
