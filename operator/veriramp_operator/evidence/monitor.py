"""The running comparison of two arms: interval after interval in, what they say at any time out.

Public: :class:`Monitor`, :class:`Comparison`, :func:`smallest_effect`; :class:`Interval` and :class:`Terms` as inputs.
What is tested and how is told in :mod:`.sequential`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from veriramp_operator.api.rollout import Direction
from veriramp_operator.evidence.mixture import log_normal_mixture, normal_bound, tuned
from veriramp_operator.evidence.tally import (
    FIRST_SHARE,
    STEEPEST,
    WORSENINGS,
    Interval,
    Tally,
    Terms,
    counted,
    dispersion,
    nothing,
    seen_dispersion,
    usable,
    with_prior,
)

__all__ = ["Comparison", "Interval", "Monitor", "Terms", "smallest_effect"]

FEWEST_INTERVALS: Final = 20
"""Intervals before (a) says anything, of the stage and of each restart."""
FEWEST_FOR_RATIO: Final = 4
"""Intervals before (b) says anything: one strange scrape is no breakage."""
BEST_AT: Final = 60.0
"""Scrapes at which the bounds of (a) are tightest."""
RESTART_EVERY: Final = 300.0
"""Seconds between restarts of (a); (b) restarts with each interval."""
RATIO_SHARE: Final = 0.2
"""Share of alpha that (b) has."""
LEANS_AT: Final = 1.5
"""Standard errors by which the contrast must be past the tolerance to lean bad."""
SLACK: Final = 1e-3
"""Seconds by which an interval may begin before the trial: rounding of time stamps."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the two arms say about each other.

    ``regression``: worse than the tolerance beyond doubt; ``by``: the test that says so, ``interval`` or ``ratio``,
    ``since``: the beginning (seconds since the epoch) from which it says so. ``lower``, ``upper``: one-sided bounds
    (each at alpha, valid at every scrape) of treatment rate - control rate over the bake at the full vector, or over
    the ramp while that is all there is; NaN without requests in both arms. ``treatment_rate``, ``control_rate``: events
    per request over the same time; ``ratio``: of the two, infinite when only the control has none. ``leans_bad``: past
    the tolerance by some standard errors, without being sure, and ``leans_since``: from when on, of the whole trial and
    of late, where it shows most; None while it does not. ``within_tolerance``: surely inside the tolerance, as are two
    arms without a single event of which fewer are better.
    ``smallest_detectable``: relative worsening (0.3 = 30 %) that would have shown itself by the end of the stage, were
    it there from the beginning; None when nothing can be detected any more. ``scrapes``: intervals in which both arms
    were asked; ``treatment_requests``, ``control_requests``: requests counted over the bake.
    """

    regression: bool
    by: str
    since: float | None
    lower: float
    upper: float
    treatment_rate: float
    control_rate: float
    ratio: float
    leans_bad: bool
    leans_since: float | None
    within_tolerance: bool
    smallest_detectable: float | None
    scrapes: int
    treatment_requests: float
    control_requests: float


class Monitor:
    """The comparison of a trial, fed with one interval after the other, oldest first."""

    def __init__(self, terms: Terms) -> None:
        self.terms: Final = terms
        self._tallies = [nothing(terms.began_at)]
        self._restarts = [(0, FIRST_SHARE)]

    def add(self, interval: Interval) -> None:
        """Count an interval; one that began before the trial, or in which an arm was silent, says nothing."""
        began_at, last = self.terms.began_at, self._tallies[-1]
        if not usable(interval) or interval.at <= last.at or interval.at - interval.seconds < began_at - SLACK:
            return
        if last.intervals and (interval.at - began_at) // RESTART_EVERY > (last.at - began_at) // RESTART_EVERY:
            before = self._tallies[self._restarts[-1][0]].at
            self._restarts.append((last.intervals, self.terms.share_between(before, last.at)))
        self._tallies.append(counted(self._tallies, interval, self.terms))

    def forget(self, after: float) -> None:
        """Drop every interval that ended later than ``after`` (seconds since the epoch)."""
        keep = bisect_right(self._tallies, after, lo=1, key=attrgetter("at"))
        del self._tallies[keep:]
        while self._restarts[-1][0] >= max(keep - 1, 1):  # a restart is made by the interval after it
            self._restarts.pop()

    def comparison(self, full_at: float | None) -> Comparison:
        """What all intervals so far say; ``full_at``: when the bake at the full vector began, None while it has not."""
        now = self._tallies[-1]
        scale = max(dispersion(now), _least_dispersion(now))
        by, since = self._rejected(scale)
        bake = self._at(full_at)
        lower, upper, inside = self._bounds(bake, scale)
        leans_since = None if by else self._leans_since(scale)
        treatment, control = _rates(bake, now)
        return Comparison(
            regression=bool(by),
            by=by,
            since=since,
            lower=lower,
            upper=upper,
            treatment_rate=treatment,
            control_rate=control,
            ratio=treatment / control if control else math.inf if treatment else math.nan,
            leans_bad=leans_since is not None,
            leans_since=leans_since,
            within_tolerance=inside and full_at is not None,
            smallest_detectable=self._smallest(),
            scrapes=now.intervals,
            treatment_requests=now.treatment_total - bake.treatment_total,
            control_requests=now.control_total - bake.control_total,
        )

    def evidence(self) -> tuple[float, float]:
        """Evidence of (a) and (b) that the treatment is past the tolerance; 1 / (their share of alpha) is enough."""
        now = self._tallies[-1]
        by_interval, _ = self._interval_evidence(max(dispersion(now), _least_dispersion(now)))
        return by_interval, self._ratio_evidence()

    def _rejected(self, scale: float) -> tuple[str, float | None]:
        """The test that rejects and the beginning from which it does; (a) first."""
        evidence, since = self._interval_evidence(scale)
        if evidence >= 1 / ((1 - RATIO_SHARE) * self.terms.alpha):
            return "interval", since
        if self._ratio_evidence() >= 1 / (RATIO_SHARE * self.terms.alpha):
            largest = self._tallies[-1].evidence
            which = largest.index(max(largest))
            return "ratio", min(self._tallies[:-1], key=lambda tally: tally.logs[which]).at
        return "", None

    def _interval_evidence(self, scale: float) -> tuple[float, float]:
        """The normal mixture, mixed over the restarts, and the restart that adds most to it."""
        tallies, terms = self._tallies, self.terms
        now = tallies[-1]
        if now.intervals < FEWEST_INTERVALS or terms.factor <= 0 or not now.pooled > 0:
            return 0.0, terms.began_at
        rho = tuned(self._scrape_variance() * scale * BEST_AT, (1 - RATIO_SHARE) * terms.alpha)
        evidence, most, since = 0.0, 0.0, terms.began_at
        for start, share in self._restarts:
            old = tallies[start]
            if now.intervals - start < FEWEST_INTERVALS:
                break
            if (contrast := now.contrast - old.contrast) <= 0:
                continue
            log = log_normal_mixture(contrast, _variance(old, now) * scale, rho)
            gain = share * math.exp(min(log, STEEPEST))
            evidence += gain
            if gain > most:
                most, since = gain, old.at
        return evidence, since

    def _ratio_evidence(self) -> float:
        """The likelihood ratios, mixed over the restarts and the worsenings."""
        now = self._tallies[-1]
        return sum(now.evidence) / len(WORSENINGS) if now.intervals >= FEWEST_FOR_RATIO else 0.0

    def _scrape_variance(self) -> float:
        """Poisson variance per interval of late: old intervals may have been merged."""
        now = self._tallies[-1]
        back = self._tallies[max(0, now.intervals - int(BEST_AT))]
        late = _variance(back, now) / max(now.intervals - back.intervals, 1)
        return late if late > 0 else _variance(self._tallies[0], now) / max(now.intervals, 1)

    def _at(self, instant: float | None) -> Tally:
        """The sums at an instant: after the first interval that ended at or after it, unless it ended just there."""
        if instant is None:
            return self._tallies[0]
        index = bisect_right(self._tallies, instant + SLACK, lo=1, key=attrgetter("at")) - 1
        straddles = self._tallies[index].at < instant - SLACK and index + 1 < len(self._tallies)
        return self._tallies[index + straddles]

    def _bounds(self, bake: Tally, scale: float) -> tuple[float, float, bool]:
        """One-sided bounds of the difference of the rates, and whether the worse one is inside the tolerance."""
        now, terms = self._tallies[-1], self.terms
        weight = now.weight - bake.weight
        if weight <= 0:
            return math.nan, math.nan, False
        intervals = now.intervals - bake.intervals
        mean = (now.contrast - bake.contrast) / weight
        one_more = _control_share(bake, now) ** 2  # few events are no proof that there are none
        variance = _variance(bake, now) * scale + one_more
        rho = tuned(max(self._scrape_variance() * scale, one_more) * BEST_AT, terms.alpha)
        reach = normal_bound(variance, rho, terms.alpha) / weight
        _, control = _rates(bake, now)
        allowed = (terms.factor - 1.0) * control
        ends = sorted(allowed + terms.sign * (mean + side * reach) for side in (-1, 1))
        silent = terms.sign > 0 and now.pooled == bake.pooled
        return ends[0], ends[1], intervals >= FEWEST_INTERVALS and (silent or mean + reach <= 0)

    def _leans_since(self, scale: float) -> float | None:
        tallies = self._tallies
        now = tallies[-1]
        if now.intervals < FEWEST_INTERVALS or self.terms.factor <= 0:
            return None
        most, since = LEANS_AT, None
        for old in (tallies[0], tallies[max(0, now.intervals - int(BEST_AT))]):
            error = math.sqrt(_variance(old, now) * scale)
            if error > 0 and (lean := (now.contrast - old.contrast) / error) > most:
                most, since = lean, old.at
        return since

    def _smallest(self) -> float | None:
        now, terms = self._tallies[-1], self.terms
        elapsed = now.at - terms.began_at
        left = max(terms.stage_seconds - elapsed, 0.0)
        if now.control_events <= 0 or elapsed <= 0 or terms.factor <= 0:
            return None
        growth = 1 + left / elapsed
        return smallest_effect(
            direction=terms.direction,
            control_rate=now.control_events / now.control_total,
            treatment_requests=now.treatment_total * growth,
            control_requests=now.control_total * growth,
            scrapes=max(now.intervals * growth, 1.0),
            tolerance=terms.tolerance,
            alpha=terms.alpha,
            seen=seen_dispersion(now),
        )


def smallest_effect(
    *,
    direction: Direction,
    control_rate: float,
    treatment_requests: float,
    control_requests: float,
    scrapes: float,
    tolerance: float,
    alpha: float,
    seen: float = 1.0,
) -> float | None:
    """The relative worsening (0.3 = 30 %) that test (a) finds in half of all cases by the end of such a stage.

    ``control_rate``: events per request, > 0; requests and ``scrapes``: over the whole stage; ``seen``: the dispersion
    that the stage will show. None when there is nothing to compare, or not even the loss of all good events would show.
    """
    if min(control_rate, treatment_requests, control_requests) <= 0 or scrapes < FEWEST_INTERVALS:
        return None
    sign = 1.0 if direction is Direction.LOWER_IS_BETTER else -1.0
    budget, factor, effect = (1 - RATIO_SHARE) * alpha, 1 + sign * tolerance, tolerance
    for _ in range(8):  # the variance depends on the effect: a few rounds settle it
        rates = max(1 + sign * effect, 0.0) / treatment_requests + factor**2 / control_requests
        variance = max(with_prior(seen, scrapes) * control_rate * rates, 1e-300)
        rho = tuned(variance * BEST_AT / scrapes, budget)
        effect = tolerance + normal_bound(variance, rho, budget * FIRST_SHARE) / control_rate
    return effect if sign > 0 or effect <= 1 else None


def _rates(old: Tally, now: Tally) -> tuple[float, float]:
    """Events per request in both arms between two tallies; NaN without requests."""
    treatment, control = now.treatment_total - old.treatment_total, now.control_total - old.control_total
    return (
        (now.treatment_events - old.treatment_events) / treatment if treatment > 0 else math.nan,
        (now.control_events - old.control_events) / control if control > 0 else math.nan,
    )


def _variance(old: Tally, now: Tally) -> float:
    """Poisson variance of the contrast between two tallies: with the rates as seen or as pooled, whichever is more.

    With a small treatment arm the first, with a small control arm the second covers the skewness of small counts.
    """
    return max(now.variance - old.variance, now.pooled - old.pooled, 0.0)


def _control_share(old: Tally, now: Tally) -> float:
    control = now.control_total - old.control_total
    return control / (control + now.treatment_total - old.treatment_total)


def _least_dispersion(tally: Tally) -> float:
    """Variance of independent yes-or-no events per Poisson variance; estimates below it are luck."""
    total = tally.treatment_total + tally.control_total
    rate = (tally.treatment_events + tally.control_events) / total if total > 0 else 0.0
    return max(1.0 - rate, 0.05)
