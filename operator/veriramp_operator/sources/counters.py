"""Follow the counters that comparison gates compare: the history of the stage once, then only its tail.

Public: :class:`Counters`. Raw samples are asked for in chunks of at most 15 minutes that overlap by 5, forward from the
beginning of the trial, so that a restarted operator comes to the same counts as one that watched all along. Few chunks
are in flight at once, so that a long history keeps no other gate waiting; a fault is a reading of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence import every_of
from veriramp_operator.evidence.counts import STALE_SECONDS, Ledger, newest_of, problem_of, trial_start
from veriramp_operator.evidence.ratio import occupied_of
from veriramp_operator.evidence.types import Failure, Matrix, Occupied, Reading, Series, Trial
from veriramp_operator.sources.cache import Key, Watch

WAKE_COUNTS: Final = "counts"
CHUNK_SECONDS: Final = 900.0
SETTLE_SECONDS: Final = 1.0
"""How long a scrape may take to be stored; what comes later counts one interval later."""
HISTORIES_AT_ONCE: Final = 2
TAILS_AT_ONCE: Final = 4
_PHASE_SECONDS: Final = 1.0
_SCRAPES_IN_CHUNK: Final = 4.0
_SCRAPES_SEEN: Final = 3.0
_LONGEST_SLEEP: Final = 60.0
_MOST_AHEAD: Final = 60.0
"""Seconds that counts may be ahead of a clock that was put back, before all is read anew."""
_ARMS: Final = 'arm=~"treatment|control"'


class CounterEndpoint(Protocol):
    """What is asked of a monitoring system."""

    scrape_interval: float

    async def matrix(self, query: str, at: float) -> Matrix | Failure:
        """The raw samples that a range selector selects at a moment; faults are Failures."""


class _Turns:
    """Who may ask one endpoint now: a slow one keeps nobody waiting who asks another."""

    def __init__(self) -> None:
        self.history = asyncio.Semaphore(HISTORIES_AT_ONCE)
        self.tail = asyncio.Semaphore(TAILS_AT_ONCE)


@dataclass(slots=True, eq=False)
class _Trail:
    """One rollout whose arms are compared: a ledger per gate, all since the same instant."""

    key: Key
    endpoint: CounterEndpoint
    since: float
    chunk: float
    ledgers: dict[Watch, Ledger] = field(default_factory=dict)
    due: float = 0.0
    running: bool = False
    dropped: bool = False

    @property
    def interval(self) -> float:
        return min(every_of(watch.gate) for watch in self.ledgers)

    @property
    def overlap(self) -> float:
        return min(STALE_SECONDS, self.chunk / 3)

    def is_ahead(self, now: float) -> bool:
        """True when the clock was ahead for a while: what has been closed up to then would take nothing in."""
        return any(ledger.counts.until > max(now, self.since) + _MOST_AHEAD for ledger in self.ledgers.values())


class Counters:
    """Fills the watches of comparison gates with counts; ``wake`` and ``clock`` as in ``Samplers``."""

    def __init__(self, wake: Callable[[Key, str], None], clock: Callable[[], float]) -> None:
        self._wake, self._clock = wake, clock
        self._trails: dict[Key, _Trail] = {}
        self._moved = asyncio.Event()
        self._turns: defaultdict[CounterEndpoint, _Turns] = defaultdict(_Turns)

    def follow(self, key: Key, endpoint: CounterEndpoint | None, watches: Iterable[Watch], trial: Trial) -> None:
        """Count for exactly these gates of a rollout from now on; a new stage begins new counts."""
        compared = [watch for watch in watches if watch.gate.comparison is not None]
        now = self._clock()
        since = trial_start(trial, now) if trial.has_arms else None
        trail = self._trails.get(key)
        if not compared or endpoint is None or since is None:
            self.forget(key)
            for watch in compared:
                watch.uncount()
            return
        if trail is None or trail.endpoint is not endpoint or trail.since != since or trail.is_ahead(now):
            self.forget(key)
            chunk = max(CHUNK_SECONDS, _SCRAPES_IN_CHUNK * endpoint.scrape_interval)
            trail = self._trails[key] = _Trail(key, endpoint, since, chunk)
            self._moved.set()
        for watch in compared:
            if watch not in trail.ledgers:
                watch.uncount()
                trail.ledgers[watch] = Ledger(trail.since, endpoint.scrape_interval)
                trail.due = 0.0
                self._moved.set()
        trail.ledgers = {watch: trail.ledgers[watch] for watch in compared}

    def forget(self, key: Key) -> None:
        """Stop counting for a rollout."""
        trail = self._trails.pop(key, None)
        if trail is not None:
            trail.dropped = True

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._moved.clear()
                now = self._clock()
                for trail in self._trails.values():
                    # A clock that went back must not leave a trail waiting for a moment that is far away.
                    late = not now < trail.due <= now + trail.interval + _PHASE_SECONDS + SETTLE_SECONDS
                    if late and not trail.running:
                        trail.running, trail.due = True, _next_tick(now, trail)
                        tasks.create_task(self._read(trail), name="counters")
                due = [trail.due - now for trail in self._trails.values() if not trail.running]
                try:
                    async with asyncio.timeout(max(0.0, min([*due, _LONGEST_SLEEP]))):
                        await self._moved.wait()
                except TimeoutError:
                    continue

    async def _read(self, trail: _Trail) -> None:
        """Read forward until the present, or until something fails."""
        try:
            while not trail.dropped and trail.ledgers:
                now = self._clock()
                behind = min(ledger.counts.until for ledger in trail.ledgers.values())
                history = now - behind > trail.chunk - trail.overlap
                turns = self._turns[trail.endpoint]
                async with turns.history if history else turns.tail:
                    going_on = await _Chunk(trail, behind, now).read(self._wake)
                if not going_on or not history:
                    return
        finally:
            trail.running = False
            self._moved.set()


class _Chunk:
    """One step forward of a trail: what is asked, and what becomes of the answers."""

    def __init__(self, trail: _Trail, behind: float, now: float) -> None:
        self._trail, self._now = trail, now
        self._until = min(now, behind + trail.chunk - trail.overlap)
        self._tail = self._until == now
        self._seconds = max(1, math.ceil(self._until - behind + trail.overlap))

    async def read(self, wake: Callable[[Key, str], None]) -> bool:
        """Ask and count; False when something failed, so that the next attempt waits."""
        trail = self._trail
        names = {
            name
            for watch in trail.ledgers
            if (spec := watch.gate.comparison) is not None
            for name in (spec.events, spec.total)
        }
        answers = dict(zip(sorted(names), await asyncio.gather(*map(self._raw, sorted(names))), strict=True))
        occupied = await self._occupied() if self._tail else None
        if trail.dropped:
            return False
        if self._shrunk(answers):
            return True
        news = [self._count(watch, ledger, answers, occupied) for watch, ledger in trail.ledgers.items()]
        if any(news):
            wake(trail.key, WAKE_COUNTS)
        return not any(isinstance(answer, Failure) for answer in answers.values())

    def _count(
        self, watch: Watch, ledger: Ledger, answers: Mapping[str, Matrix | Failure], occupied: Occupied | Failure | None
    ) -> bool:
        """Hand a gate what its counters grew by; True when its verdict can have changed."""
        spec = watch.gate.comparison
        if spec is None or spec.events not in answers or spec.total not in answers:
            return False
        events, total = answers[spec.events], answers[spec.total]
        if isinstance(total, Failure):
            return watch.count(self._failed(spec.total, total), watch.counts, watch.occupied)
        if isinstance(events, Failure):
            return watch.count(self._failed(spec.events, events), watch.counts, watch.occupied)
        if not self._tail:
            ledger.fold(events.series, total.series, self._until)
            return watch.count(Reading(self._now, Series(())), ledger.counts, watch.occupied)
        before = ledger.counts
        ledger.fold(events.series, total.series, self._until - SETTLE_SECONDS)
        problem = problem_of(events.series, total.series, (spec.events, spec.total))
        newest = newest_of(events.series, total.series)
        age = None if newest is None else Series((newest,))
        if isinstance(occupied, Failure):
            occupied = watch.occupied
        changed = watch.count(Reading(self._now, problem or Series(()), newest=age), ledger.counts, occupied)
        return changed or ledger.counts is not before

    def _failed(self, name: str, failure: Failure) -> Reading:
        return Reading(self._now, Failure(failure.reason, f"{name}: {failure.message}"))

    def _shrunk(self, answers: Mapping[str, Matrix | Failure]) -> bool:
        """Ask for less at once where an answer is too large, as long as there is less to ask for."""
        trail = self._trail
        half = trail.chunk / 2
        failures = {found.reason for found in answers.values() if isinstance(found, Failure)}
        if NoDataReason.TOO_LARGE not in failures or half < _SCRAPES_IN_CHUNK * trail.endpoint.scrape_interval:
            return False
        trail.chunk = half
        return True

    async def _raw(self, name: str) -> Matrix | Failure:
        return await self._range(f"{name}{{{self._of()},{_ARMS}}}", self._seconds)

    async def _occupied(self) -> Occupied | Failure | None:
        """The split of the users; None where nobody tells it."""
        seconds = math.ceil(_SCRAPES_SEEN * self._trail.endpoint.scrape_interval)
        gauges, revisions = await asyncio.gather(
            self._range(f"veriramp_occupied_buckets{{{self._of()},{_ARMS}}}", seconds),
            self._range(f"veriramp_flag_applied_revision{{{self._of()}}}", seconds),
        )
        if isinstance(gauges, Failure):
            return gauges
        if isinstance(revisions, Failure):
            return revisions
        return occupied_of(gauges.series, revisions.series)

    async def _range(self, selector: str, seconds: int) -> Matrix | Failure:
        return await self._trail.endpoint.matrix(f"{selector}[{seconds}s]", self._until)

    def _of(self) -> str:
        namespace, name = self._trail.key
        return f'namespace="{namespace}",rollout="{name}"'


def _next_tick(now: float, trail: _Trail) -> float:
    """Shortly after the next interval of the counts has closed, with a phase that belongs to the rollout."""
    digest = hashlib.sha256("/".join(trail.key).encode()).digest()
    phase = SETTLE_SECONDS + int.from_bytes(digest[:4], "big") / 2**32 * min(_PHASE_SECONDS, trail.interval / 4)
    return ((now - phase) // trail.interval + 1) * trail.interval + phase
