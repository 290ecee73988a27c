"""Walks with real readings and counters, and the real judge of evidence, between what gates are told and the engine.

Public: :class:`MonitoredWalk`, :data:`MONITORED` (the invariants, and what only such walks show).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Final

from tests.support.builders import no_data, passes, regresses
from tests.support.monitored_arms import PAST, SCRAPE, Arms, Reader, Scrape
from tests.support.monitored_machine import EVERY, MonitoredWorld, Poll, real
from tests.support.walk.invariants import INVARIANTS
from tests.support.walk.rows import BAKE_ROWS, RAMP_ROWS
from tests.support.walk.specs import kinds_of, spec_of, with_arms
from tests.support.walk.walk import MOST_PASSES, Judge, Tick, Walk
from tests.support.walk.world import News, Split, WalkWorld, leans_bad
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.status import Severity, VerdictKind
from veriramp_operator.engine import trial_of
from veriramp_operator.engine.types import Direction, Observation
from veriramp_operator.evidence import Mark, for_of
from veriramp_operator.evidence.monitor import FEWEST_FOR_RATIO, FEWEST_INTERVALS
from veriramp_operator.evidence.types import Failure, Reading, Samples, Series, Trial
from veriramp_operator.sources.counters import CHUNK_SECONDS

GAP: Final = 2.5 * EVERY
"""For so long a breach outlives polls without data."""
FRESH: Final = 30.0
"""So old the newest sample may be."""
_LATE: Final = 6 * SCRAPE
_PREVIOUS_STAGE: Final = OnRegression.PREVIOUS_STAGE
_TIMEOUT: Final = Failure(NoDataReason.TIMEOUT, "no answer within 10 s")


@dataclass
class MonitoredWalkWorld(WalkWorld, MonitoredWorld):
    """Gates are polled and counters scraped; what gates are told to say moves what monitoring answers.

    ``hides``: without data the treatment is not exported, instead of nobody answering. ``broke``: the arms have
    differed at least once. ``rewound``: the clock has gone back, so that times do not tell what came first.
    ``jumped``: it has just gone so far ahead that counters have a history to be read. ``bad_until``: the treatment was
    broken up to then, before the walk.
    """

    arms: Arms | None = None
    reader: Reader | None = None
    known: dict[str, Samples] = field(default_factory=dict)
    hides: bool = False
    broke: bool = False
    rewound: bool = False
    looked_at: float = -math.inf
    jumped: bool = False
    bad_until: float = -math.inf

    def observe(self) -> Observation:
        """One snapshot of readings and counters."""
        return MonitoredWorld.observe(self)

    def samples(self) -> dict[str, Samples]:
        """What the operator knows of each gate by now."""
        self.rewound = self.rewound or self.now < self.looked_at
        if self.now != self.looked_at:
            self.jumped = self.now - self.looked_at > CHUNK_SECONDS / 2
        self.looked_at = self.now
        known = super().samples()
        gate = next((gate for gate in self.spec.gates if gate.comparison is not None), None)
        if gate is not None:
            known[gate.name] = self._compared(gate)
        self.known = known
        return known

    def _compared(self, gate: GateSpec) -> Samples:
        if self.arms is None and not self._trial().has_arms:
            return Samples()
        saying = self.says.get(gate.name, passes)
        revision = self.published.revision if self.published else 0
        if self.arms is None or not self.arms.counts(gate):
            self.arms, self.reader = Arms(gate, self.now), None
            self.arms.spoilt = self.arms.spoilt[: 1 + self.hides]
            if self.bad_until > self.now - PAST:
                self.broke = True
                self.arms.pass_time(self.bad_until, self.vector().canary_percent, revision, regresses, self.split)
            if saying is leans_bad:  # NaN of late, and numbers before: what was NaN for ever is another fault
                self.arms.pass_time(self.now - FRESH, self.vector().canary_percent, revision, passes, self.split)
        self.broke = self.broke or saying is regresses
        self.arms.pass_time(self.now, self.vector().canary_percent, revision, saying, self.split)
        self.arms.answers = _TIMEOUT if saying is no_data and not self.hides else None
        self.arms.hidden = "treatment" if saying is no_data and self.hides else ""
        self.reader = self.reader or Reader(self.arms)
        return self.reader.read(self.spec, self._trial(), self.now)[gate.name]

    def _trial(self) -> Trial:
        return trial_of(self.status)

    def processes_restart(self) -> None:
        if self.arms is not None:
            self.arms.processes_restart()

    def operator_restarts(self) -> None:
        self.polls.clear()
        self.reader = None

    def news(self, gate: GateSpec) -> News:
        """What the readings of a gate say as everybody can see."""
        if gate.comparison is not None:
            return self._news_of_arms(gate)
        if gate.firing is not None:
            return News.BAD if self.is_firing(gate) else News.SILENT
        return _news_of_polls(self.polls[gate.name], for_of(gate), self.now)

    def _news_of_arms(self, gate: GateSpec) -> News:
        """Nothing is asked for (``GOOD``) where only the statistics can tell."""
        trial, samples = self._trial(), self.known[gate.name]
        for anchor in self.status.anchors:
            trial = trial.clipped(anchor.at) if anchor.gate == gate.name else trial
        began = math.inf if trial.began_at is None else trial.began_at
        newest = samples.readings[-1] if samples.readings else None
        if self.arms is None or not trial.has_arms or newest is None or max(began, newest.at) > self.now:
            return News.GOOD
        told = [scrape for scrape in self.arms.scrapes if scrape.saying is not leans_bad]  # NaN tells nothing
        scraped = [scrape for scrape in told if began + SCRAPE <= scrape.at <= newest.at - 1]
        last = max((scrape.at for scrape in told if scrape.at <= newest.at), default=-math.inf)
        if self._is_blind(gate, newest, last, began):
            # A history that is read anew holds, and makes nothing fall.
            behind = self.jumped or samples.counts is None or newest.at - samples.counts.until >= 2 * SCRAPE
            unread = behind and newest.newest is None and newest.answer == Series(())
            history = unread or len(samples.readings) == 1
            return News.LEANS_BAD if self.rewound or history else News.NONE
        counts = samples.counts
        if counts is not None and _surely_broken(scraped) and not self.rewound:
            caught_up = newest.at - counts.until < 2 * SCRAPE and counts.since <= began
            return News.BAD if caught_up else News.GOOD
        baked = trial.full_at is not None and self.now - trial.full_at >= FEWEST_INTERVALS * SCRAPE
        return News.GOOD if baked else News.UNCLEAR

    def _is_blind(self, gate: GateSpec, newest: Reading, last: float, began: float) -> bool:
        """Nobody answers, or an arm is no longer exported or scraped; in the first moments it may be still to come."""
        if newest.answer == _TIMEOUT:
            return True
        old = newest.at - last > FRESH + SCRAPE
        gone = self.says.get(gate.name) is no_data and newest.at == self.now
        return self.now - began > FRESH + 3 * SCRAPE and (old or gone)

    def split_for_certain(self) -> Split | None:
        """How the users have been dealt out in all the last scrapes, if these have been read."""
        gate = next((gate for gate in self.spec.gates if gate.comparison is not None), None)
        if self.arms is None or gate is None or self.rewound or not self.known[gate.name].readings:
            return None
        newest = self.known[gate.name].readings[-1]
        if newest.newest is None:
            return None  # still reading the history, and the split only after it
        late = [scrape for scrape in self.arms.scrapes if self.now - _LATE < scrape.at <= self.now]
        told = {(scrape.split, scrape.percent) for scrape in late}
        readable = newest.at > self.now - SCRAPE and not isinstance(newest.answer, Failure)
        return late[0].split if readable and len(told) == 1 and len(late) >= _LATE // SCRAPE else None


def _surely_broken(scraped: list[Scrape]) -> bool:
    late = scraped[-3:]
    return (
        len(scraped) >= 6
        and all(scrape.saying is regresses and 1 <= scrape.percent <= 99 for scrape in late)
        and late[-1].at - late[0].at == 2 * SCRAPE
    )


def _news_of_polls(polls: list[Poll], lasting: float, now: float) -> News:
    newest = polls[-1]
    if newest.mark is Mark.GOOD:
        return News.GOOD
    if newest.mark is Mark.UNSURE:
        return News.LEANS_BAD if newest.leans_bad else News.UNCLEAR
    if newest.mark is Mark.UNKNOWN:
        late = [poll for poll in polls if now - poll.reading.at <= GAP + EVERY]
        return News.LEANS_BAD if any(poll.mark is Mark.BAD for poll in late) else News.NONE
    row = list(takewhile(lambda poll: poll.mark is Mark.BAD, reversed(polls)))
    gaps = any(later.reading.at - earlier.reading.at > GAP for later, earlier in pairwise(row))
    lasted = row[0].reading.at - row[-1].reading.at
    return News.BAD if lasted >= lasting and not gaps else News.LEANS_BAD


class MonitoredWalk(Walk):
    """A walk through such a world."""

    made_of = MonitoredWalkWorld

    def __init__(self, data: bytes, judges: tuple[Judge, ...]) -> None:
        super().__init__(data, judges)
        assert isinstance(self.world, MonitoredWalkWorld)
        self.world.hides = bool(data[0] & 1)
        if data[0] % 8 > 5:
            # NaN shows only where it lasts for longer than evidence stays fresh, which bursts seldom do.
            for gate in self.world.spec.gates:
                if gate.comparison is not None:
                    self.world.begin_burst(gate.name, leans_bad, MOST_PASSES)
        latch = self.world.published and self.world.published.latch
        if latch and latch.severity is Severity.PREVIOUS_STAGE:
            self.world.bad_until = latch.detected_at
        self.news_before: dict[str, News] = {}

    def spec_of(self, dna: bytes) -> RolloutSpec:
        return _real(dna)

    def counts_again_after(self, gate: GateSpec) -> float:
        """A burn rate, alerts and counters tell old from new by themselves."""
        if gate.burn_rate is not None:
            return min(window.short for window in gate.burn_rate.windows)
        if gate.comparison is not None:
            return (FEWEST_FOR_RATIO - 1) * SCRAPE
        return 0.0 if gate.firing is not None else super().counts_again_after(gate)

    def news(self, fresh: bool) -> dict[str, News]:
        """Of an observation of before: the news that was in it."""
        now = super().news(fresh)
        if fresh:
            self.news_before = now
            return now
        return {gate.name: self.news_before.get(gate.name, News.GOOD) for gate in self.world.spec.gates}


@lru_cache(maxsize=256)
def _real(dna: bytes) -> RolloutSpec:
    return real(spec_of(with_arms(dna)), kinds_of(dna))


def _healthy_arms_never_regress(walk: Walk, tick: Tick) -> None:
    """Neither restarts nor gaps, NaN or a long history look like a difference between two arms."""
    assert isinstance(walk.world, MonitoredWalkWorld)
    for gate in tick.decision.status.gates:
        compared = any(each.name == gate.name and each.comparison is not None for each in tick.spec.gates)
        assert not compared or walk.world.broke or gate.verdict is not VerdictKind.REGRESSION, gate.message


def _passes_are_of_the_bake(walk: Walk, tick: Tick) -> None:
    """A comparison passes on scrapes at the full vector, and on those since a fall or a retry that concerns it."""
    stage = tick.decision.status.stage
    if stage is None or tick.decision.direction is Direction.FALL or walk.rewound:
        return  # after a fall the stage is another one than that in which the gates were asked
    since = {anchor.gate: anchor.at for anchor in tick.decision.status.anchors}
    compared = {gate.name for gate in tick.spec.gates if gate.comparison is not None}
    for gate in tick.decision.status.gates:
        if gate.name in compared and gate.verdict is VerdictKind.PASS:
            assert stage.full_at is not None, f"{gate.name} passes on the ramp"
            told = tick.now - max(stage.full_at, since.get(gate.name, 0.0))
            assert told >= FEWEST_INTERVALS * SCRAPE, f"{gate.name} passes on what was before, {told:g} s into the bake"


def _splits_are_read_as_they_are(walk: Walk, tick: Tick) -> None:
    """Of the processes that run the newest revision; others may still deal by another percent."""
    assert isinstance(walk.world, MonitoredWalkWorld)
    split, seen = walk.world.split_for_certain(), tick.decision.status.propagation
    if split is None or not tick.whole or seen is None or seen.confirmed_at is None:
        return
    if split is Split.DOUBLED and tick.comparing() and seen.confirmed_at <= tick.now - _LATE:
        assert tick.reason not in BAKE_ROWS | RAMP_ROWS, "went on with a wrong split"
    if split is not Split.DOUBLED and split is not Split.LOST:
        assert tick.reason is not Reason.SAMPLE_RATIO_MISMATCH, "called a right split wrong"


def _what_was_counted_before_a_fall_trips_nothing(walk: Walk, tick: Tick) -> None:
    """While a latch holds, whoever would walk on down the ladder has been bad since the fall.

    Judged before the other invariants, which take note of a fall of this very pass.
    """
    assert isinstance(walk.world, MonitoredWalkWorld)
    fell, arms, latch = walk.memory.fell_at, walk.world.arms, tick.decision.status.rollback
    if arms is None or fell is None or walk.rewound or tick.before.rollback is None or latch is None:
        return
    walking = {gate.name for gate in tick.spec.gates if gate.comparison and gate.on_regression is _PREVIOUS_STAGE}
    for gate in tick.decision.status.gates:
        if gate.name in walking and gate.verdict is VerdictKind.REGRESSION:
            bad = [scrape for scrape in arms.scrapes if scrape.at > fell and scrape.saying is regresses]
            assert bad, f"{gate.name} regresses on what was counted before the fall: {gate.message}"


MONITORED: Final[dict[str, Judge]] = {
    "what_was_counted_before_a_fall_trips_nothing": _what_was_counted_before_a_fall_trips_nothing,
    **INVARIANTS,
    "healthy_arms_never_regress": _healthy_arms_never_regress,
    "passes_are_of_the_bake": _passes_are_of_the_bake,
    "splits_are_read_as_they_are": _splits_are_read_as_they_are,
}
