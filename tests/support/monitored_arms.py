"""Two processes whose counters of both arms are scraped, and the operator's own reader of these counters.

Public: :class:`Arms` (what there is to scrape), :class:`Reader` (what the operator knows of it), :data:`SCRAPE`,
:data:`PAST`.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.support.builders import inconclusive, regresses
from tests.support.walk.world import Saying, Split, leans_bad
from veriramp_operator.api.rollout import Direction, GateSpec, RolloutSpec
from veriramp_operator.evidence.counts import ARMS
from veriramp_operator.evidence.types import Failure, Matrix, RawSeries, Samples, Trial
from veriramp_operator.sources.cache import EvidenceCache
from veriramp_operator.sources.counters import Counters, _Chunk, _Trail

SCRAPE: Final = 5.0
MOST_CHUNKS: Final = 6
"""A long history is not read in one pass."""
PAST: Final = 400.0
_MOST_SCRAPES: Final = 200
_REQUESTS: Final = 20_000.0
"""Of each process and scrape, in both arms together: so many that breakage shows in the next few scrapes."""
_RATES: Final = {Direction.LOWER_IS_BETTER: (0.02, 0.5), Direction.HIGHER_IS_BETTER: (0.5, 0.02)}
_KEY: Final = ("search", "rollout")
_SELECTED: Final = "{"


class Scrape(NamedTuple):
    """What there was at one scrape: ``percent`` of the users in the treatment, whether the treatment was broken."""

    at: float
    percent: float
    saying: Saying
    split: Split


@dataclass
class _Process:
    """``series``: by metric, arm and instance; ``sums``: the counters as they stand."""

    name: str
    instance: int = 0
    sums: dict[tuple[str, str], float] = field(default_factory=dict)
    series: dict[tuple[str, str, int], tuple[list[float], list[float]]] = field(default_factory=dict)

    def expose(self, metric: str, arm: str, at: float, value: float) -> None:
        times, values = self.series.setdefault((metric, arm, self.instance), ([], []))
        times.append(at)
        values.append(value)

    def restart(self, *, replaced: bool) -> None:
        """Counters begin at 0; ``replaced``: under another name."""
        self.sums.clear()
        self.instance += replaced


class Arms:
    """Both arms of one rollout, as monitoring has stored them: an endpoint for the operator's reader.

    ``answers``: what to answer instead of samples. ``hidden``: the arm that nobody exports. ``spoilt``: the counters
    that are NaN where anything is.
    """

    scrape_interval = SCRAPE
    external_labels: tuple[str, ...] = ()

    def __init__(self, gate: GateSpec, now: float) -> None:
        assert gate.comparison is not None
        self.events, self.total = gate.comparison.events, gate.comparison.total
        self.rates = _RATES[gate.comparison.direction]
        self.scrapes: list[Scrape] = []
        self.answers: Failure | None = None
        self.hidden = ""
        self.spoilt: tuple[str, ...] = (self.events, self.total)
        self.restarts = 0
        self._to = math.floor((now - PAST) / SCRAPE) * SCRAPE
        self._processes = (_Process("a"), _Process("b"))

    def counts(self, gate: GateSpec) -> bool:
        """True when these are the counters that a gate compares."""
        return gate.comparison is not None and _RATES[gate.comparison.direction] is self.rates

    def pass_time(self, now: float, percent: float, revision: int, saying: Saying, split: Split) -> None:
        """Count and scrape up to now; what was long not looked at, monitoring has missed as well."""
        self._to = max(self._to, math.floor(now / SCRAPE - _MOST_SCRAPES) * SCRAPE)
        while self._to + SCRAPE <= now:
            self._to += SCRAPE
            self._count(percent, broken=saying is regresses)
            if saying is not inconclusive:
                self.scrapes.append(Scrape(self._to, percent, saying, split))
                self._scrape(percent, revision, split, readable=saying is not leans_bad)

    def processes_restart(self) -> None:
        """One process restarts; every other time under another name."""
        self.restarts += 1
        self._processes[self.restarts % 2].restart(replaced=self.restarts % 4 > 1)

    async def matrix(self, query: str, at: float) -> Matrix | Failure:
        """What a range selector selects at a moment."""
        if self.answers is not None:
            return self.answers
        name = query.partition(_SELECTED)[0]
        since = at - float(query[query.rindex("[") + 1 : -2])
        return Matrix(tuple(self._selected(name, since, at)))

    def _selected(self, name: str, since: float, until: float) -> list[RawSeries]:
        found = []
        for process in self._processes:
            for (metric, arm, instance), (times, values) in process.series.items():
                if metric == name and (arm != self.hidden or not arm):
                    first, last = bisect_right(times, since), bisect_right(times, until)
                    if first < last:
                        labels = {"pod": f"{process.name}{instance}"} | ({"arm": arm} if arm else {})
                        found.append(RawSeries(labels, tuple(times[first:last]), tuple(values[first:last])))
        return found

    def _count(self, percent: float, *, broken: bool) -> None:
        healthy, bad = self.rates
        shares = (percent / 100, 1 - percent / 100)
        for number, process in enumerate(self._processes):
            for arm, share, rate in zip(ARMS, shares, (bad if broken else healthy, healthy), strict=True):
                requests = _REQUESTS * share * (1 + number)
                for metric, growth in ((self.total, requests), (self.events, requests * rate)):
                    process.sums[metric, arm] = process.sums.get((metric, arm), 0.0) + growth

    def _scrape(self, percent: float, revision: int, split: Split, *, readable: bool) -> None:
        for process in self._processes:
            for metric in (self.total, self.events):
                for arm in ARMS:
                    spoilt = metric in self.spoilt and not readable
                    process.expose(metric, arm, self._to, math.nan if spoilt else process.sums[metric, arm])
            late = process.name == "b" and self.restarts % 2 == 1
            process.expose("veriramp_flag_applied_revision", "", self._to, revision - late)
            if split not in (Split.STALE, Split.UNKNOWN):
                # Who runs an older revision deals as that one says.
                seen = Split.DOUBLED.occupied(percent) if late else split.occupied(percent)
                for arm, buckets in zip(ARMS, seen, strict=True):
                    process.expose("veriramp_occupied_buckets", arm, self._to, buckets)


class Reader:
    """The part of the operator that follows counters, in virtual time; a new one has read nothing yet."""

    def __init__(self, arms: Arms) -> None:
        self.arms = arms
        self._now = 0.0
        self._cache = EvidenceCache()
        self._counters = Counters(lambda _key, _reason: None, lambda: self._now)
        self._trail: _Trail | None = None
        self._read_at = -math.inf

    def read(self, spec: RolloutSpec, trial: Trial, now: float) -> Mapping[str, Samples]:
        """What is known by now of every gate; reads at most every :data:`SCRAPE` seconds."""
        self._now = now
        self._cache.replace(_KEY, spec, SCRAPE)
        self._counters.follow(_KEY, self.arms, self._cache.watches(_KEY), trial)
        trail = self._counters._trails.get(_KEY)
        due = not self._read_at <= now < self._read_at + SCRAPE
        if trail is not None and (due or trail is not self._trail):
            self._trail, self._read_at = trail, now
            asyncio.run(self._catch_up(trail, now))
        return self._cache.samples(_KEY)

    async def _catch_up(self, trail: _Trail, now: float) -> None:
        for _ in range(MOST_CHUNKS):
            behind = min(ledger.counts.until for ledger in trail.ledgers.values())
            going_on = await _Chunk(trail, behind, now).read(lambda _key, _reason: None)
            if not going_on or now - behind <= trail.chunk - trail.overlap:
                return
