"""The ``comparison`` gate: counters of both arms, scrape by scrape, and the buckets of users that each arm has seen.

Public: :class:`ArmsSignal`. Requests come as Poisson numbers in proportion to the arms' shares, each
bad with the base rate (1 %; 30 % where more events are better), which the injection multiplies or divides in the
treatment. The counts go through the operator's own ledger, so they are merged and judged as in the operator.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from veriramp_operator.api.rollout import ComparisonGate, Direction, GateSpec
from veriramp_operator.cli.simulation.runs import Estimate
from veriramp_operator.cli.simulation.signals import EDGE, Signal
from veriramp_operator.cli.simulation.traffic import DEFAULT_BASE_RATE, Bursts, Noise, Traffic, poisson
from veriramp_operator.evidence import judge
from veriramp_operator.evidence.comparison import DEFAULT_TRIAL_SECONDS
from veriramp_operator.evidence.counts import Row, extend, trial_start
from veriramp_operator.evidence.sequential import compare
from veriramp_operator.evidence.types import NO_TRIAL, Counts, Occupied, Reading, Samples, Series, Trial

DEFAULT_GOOD_RATE: Final = 0.3
BUCKETS: Final = 10_000
LATE_SECONDS: Final = 900.0
_Told = tuple[str, str, bool]


class ArmsSignal(Signal):
    """Two arms of one rollout, counted from the first scrape of a trial on."""

    def __init__(self, gate: GateSpec, traffic: Traffic, comparison: ComparisonGate) -> None:
        super().__init__(gate, traffic)
        # No poll shows more than the last scrape, and no scrape more than a poll.
        self.every = max(self.every, traffic.scrape)
        self._comparison = comparison
        self._less_is_better = comparison.direction is Direction.LOWER_IS_BETTER
        default = DEFAULT_BASE_RATE if self._less_is_better else DEFAULT_GOOD_RATE
        self._rate = default if traffic.base_rate is None else traffic.base_rate
        self._chance = traffic.stream(gate.name, "arms")
        self._bursts = Bursts(self._chance), Bursts(self._chance)
        self._trial = NO_TRIAL
        self._tick = -math.inf
        self._counts: Counts | None = None
        self._percents: list[tuple[float, float]] = [(-math.inf, 0.0)]
        self._told: _Told | None = None
        self._occupied_below: list[int] = []

    @property
    def counts(self) -> Counts | None:
        """What both arms have counted in the present trial."""
        return self._counts

    def expose(self, at: float, percent: float) -> None:
        """So many percent of the users are in the treatment from a moment on."""
        self._percents = [(since, share) for since, share in self._percents[-8:] if since < at] + [(at, percent)]

    def follow(self, trial: Trial) -> None:
        """The trial of the present stage, as the engine tells it."""
        self._trial = trial

    def next_bad(self, after: float, until: float) -> float | None:
        """Never by itself: each scrape is looked at (:meth:`look`)."""
        del after, until
        return None

    @property
    def next_tick(self) -> float:
        """The next interval's end; infinite while there are no two arms."""
        if not self._trial.has_arms or self._trial.began_at is None:
            return math.inf
        return max(self._tick, self.last_tick(self._trial.began_at)) + self.every

    def samples(self, now: float) -> Samples:
        """What both arms have counted up to the last scrape."""
        self._advance(now)
        if self._counts is None:
            return Samples(scrape_interval=self.every)
        tick = max(self._counts.until, self.last_tick(now))
        reading = Reading(tick, Series(()), newest=Series((tick,)))
        return Samples((reading,), scrape_interval=self.every, counts=self._counts, occupied=self._occupied(tick))

    def look(self, now: float) -> bool:
        """Count up to a moment; True when the verdict is no longer the one that was told last."""
        return self._verdict(now) != self._told

    def told(self, now: float) -> None:
        """Remember what a decision has seen."""
        self._told = self._verdict(now)

    def estimate(self, now: float) -> Estimate | None:
        """What the sequential test makes of the counts, for a picture; None before it says anything."""
        counts, trial = self._counts, self._trial
        began_at = trial_start(trial, now)
        if counts is None or not counts.at or began_at is None:
            return None
        seen = compare(
            counts,
            began_at=began_at,
            full_at=trial.full_at,
            direction=self._comparison.direction,
            tolerance=self._comparison.tolerance,
            alpha=self._comparison.alpha,
            stage_seconds=trial.seconds or DEFAULT_TRIAL_SECONDS,
        )
        if not math.isfinite(seen.upper - seen.lower):
            return None
        limit = self._comparison.tolerance * seen.control_rate * (1 if self._less_is_better else -1)
        difference = seen.treatment_rate - seen.control_rate
        return Estimate(counts.until, difference, seen.lower, seen.upper, limit, _late(counts))

    def _verdict(self, now: float) -> _Told:
        verdict = judge(self.gate, self.samples(now), now, None, self._trial)
        return verdict.kind.value, verdict.reason, verdict.leans_bad

    def _advance(self, now: float) -> None:
        start = trial_start(self._trial, now)
        if start is None or not self._trial.has_arms:
            self._counts = None
            return
        if self._counts is None or self._counts.since != start:
            self._counts = Counts(start, start)
            self._tick = math.floor(start / self.every + EDGE) * self.every
        rows: list[Row] = []
        while self._tick + self.every <= now + EDGE:
            self._tick = round((self._tick + self.every) / self.every) * self.every
            rows.append(self._row(start))
        if rows:
            self._counts = extend(self._counts, rows, self._tick, self.every)

    def _row(self, since: float) -> Row:
        end = self._tick
        begin = max(end - self.every, since)
        seconds = end - begin
        requests = self.traffic.rps * self.traffic.volume(end) * seconds
        share = self._share(begin, end)
        effect = 1 + (self.factor - 1) * self.share_in_effect(begin, end)
        healthy = self._rate * self.traffic.level(end)
        worse = healthy * effect if self._less_is_better else healthy / effect
        treated = self._arm(requests * share, worse, self._bursts[0])
        controlled = self._arm(requests * (1 - share), healthy, self._bursts[1])
        return (end, seconds, *treated, *controlled)

    def _arm(self, requests: float, rate: float, bursts: Bursts) -> tuple[float, float]:
        if self.traffic.noise is Noise.BURSTY:
            rate *= bursts.next()
        rate = min(1.0, rate)
        events = poisson(self._chance, requests * rate)
        return float(events), float(events + poisson(self._chance, requests * (1 - rate)))

    def _share(self, begin: float, end: float) -> float:
        """Mean share (0..1) of the users in the treatment over a span of time."""
        if self._percents[-1][0] <= begin:
            return self._percents[-1][1] / 100
        seconds = 0.0
        for number, (since, percent) in enumerate(self._percents):
            until = self._percents[number + 1][0] if number + 1 < len(self._percents) else end
            seconds += max(0.0, min(until, end) - max(since, begin)) * percent / 100
        return seconds / (end - begin)

    def _occupied(self, now: float) -> Occupied:
        """Buckets that one process has seen: those that are inhabited, as far as their users have come by."""
        since, percent = self._percents[-1]
        if not self._occupied_below:
            chance = self.traffic.stream("buckets")
            inhabited = 1 - math.exp(-self.traffic.users / BUCKETS)
            self._occupied_below = [0, *accumulate(chance.random() < inhabited for _ in range(BUCKETS))]
        seen = 1 - math.exp(-self.traffic.rps * max(0.0, now - since) / self.traffic.users)
        border = round(percent / 100 * BUCKETS)
        below, all_of_them = self._occupied_below[border], self._occupied_below[BUCKETS]
        return Occupied(now, round(seen * below), round(seen * (all_of_them - below)))


def _late(counts: Counts) -> float:
    """Rate of the treatment less the control's over the last 15 minutes; NaN without requests in both."""
    first = bisect_right(counts.at, counts.until - LATE_SECONDS)
    treated, controlled = sum(counts.treatment_total[first:]), sum(counts.control_total[first:])
    if not treated or not controlled:
        return math.nan
    return sum(counts.treatment_events[first:]) / treated - sum(counts.control_events[first:]) / controlled
