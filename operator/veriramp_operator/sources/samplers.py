"""Fill the evidence cache: ask every gate's questions on its own clock, each question once for all who ask it.

Public: :class:`Samplers`. One task keeps a heap of what is due; a poll is a short task of its own. Polls of one
question keep a fixed rhythm with a phase of its own, so that many gates spread evenly over their interval. A poll that
still waits for its endpoint is not asked again, so a slow endpoint delays only itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.evidence import Mark, Questions, every_of, max_age_of, questions
from veriramp_operator.evidence.types import (
    NO_TRIAL,
    Answer,
    Failure,
    Matrix,
    PushedAlert,
    Reading,
    RuleSeen,
    Samples,
    Series,
    Trial,
)
from veriramp_operator.sources.cache import EvidenceCache, Key, Watch
from veriramp_operator.sources.counters import Counters

WAKE_BAD_SAMPLE: Final = "evidence"
WAKE_READING: Final = "reading"
WAKE_ALERT: Final = "push"
_SHARED_WITHIN: Final = 0.9
_SAME_TICK: Final = 0.1
_YOUNG_PART: Final = 2
_QUERIES_PER_POLL: Final = 5
_SPARE_QUERIES: Final = 64
_DEFAULT_SCRAPE_INTERVAL: Final = 15.0


class Endpoint(Protocol):
    """What is asked of a monitoring system.

    ``scrape_interval``: seconds. ``external_labels``: names of labels that it adds to the alerts that it sends.
    """

    scrape_interval: float
    external_labels: tuple[str, ...]

    async def instant(self, query: str, at: float) -> Answer:
        """The value of a query at a moment; faults are Failures."""

    async def matrix(self, query: str, at: float) -> Matrix | Failure:
        """The raw samples that a range selector selects at a moment; faults are Failures."""

    async def rules(self, alertnames: Sequence[str]) -> tuple[RuleSeen, ...] | Failure:
        """The alerting rules of these names; faults are Failures."""


PollKey = tuple[str, Questions]
_Rules = tuple[RuleSeen, ...] | Failure
_T_co = TypeVar("_T_co", covariant=True)


@dataclass(slots=True, eq=False)
class _Poll:
    """One set of questions at one endpoint, and the gates that wait for its answers."""

    key: PollKey
    endpoint: Endpoint
    watches: list[Watch] = field(default_factory=list)
    due: float = 0.0
    running: bool = False

    @property
    def interval(self) -> float:
        return min(every_of(watch.gate) for watch in self.watches)

    @property
    def max_age(self) -> float:
        return min(max_age_of(watch.gate, watch.scrape_interval) for watch in self.watches)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[_T_co]):
    """A question that polls share: the moment it was last asked about, and its (coming) answer."""

    at: float
    answer: asyncio.Task[_T_co]


class Samplers:
    """Keeps the evidence of all watched rollouts fresh.

    ``endpoints``: by the name that rollouts use. ``wake(key, reason)`` is called when a rollout's verdicts can have
    changed: on a bad sample, on a change between good, bad and unknown, on a pushed alert, on a further interval of
    compared counters. ``clock``: seconds since the epoch.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        wake: Callable[[Key, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoints, self._wake, self._clock = endpoints, wake, clock
        self._cache = EvidenceCache()
        self._counters = Counters(wake, clock)
        self._polls: dict[PollKey, _Poll] = {}
        self._poll_of: dict[Watch, PollKey] = {}
        self._asked: dict[tuple[str, str], _Asked[Answer]] = {}
        self._rules: dict[tuple[str, tuple[str, ...]], _Asked[_Rules]] = {}
        self._heap: list[tuple[float, int, PollKey]] = []
        self._planned = 0
        self._moved = asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    def watch(self, key: Key, spec: RolloutSpec, trial: Trial = NO_TRIAL) -> None:
        """Watch exactly the gates of this spec from now on; what is known of an unchanged gate stays.

        ``trial``: what the present stage compares; gates that compare count since it began, and anew for another one.
        """
        endpoint = self._endpoints.get(spec.prometheus)
        scrape_interval = _DEFAULT_SCRAPE_INTERVAL if endpoint is None else endpoint.scrape_interval
        external_labels = () if endpoint is None else endpoint.external_labels
        added, removed = self._cache.replace(key, spec, scrape_interval, external_labels)
        self._drop(removed)
        for watch in added:
            asked = questions(watch.gate, *key)
            if endpoint is not None and asked.query is not None:
                self._join((spec.prometheus, asked), endpoint, watch)
        self._counters.follow(key, endpoint, self._cache.watches(key), trial)

    def forget(self, key: Key) -> None:
        """Stop watching a rollout that is gone."""
        self._drop(self._cache.forget(key))
        self._counters.forget(key)

    def samples(self, key: Key) -> Mapping[str, Samples]:
        """Everything known for the gates of a rollout, by gate name."""
        return self._cache.samples(key)

    def push(self, alerts: Iterable[PushedAlert]) -> Mapping[Key, tuple[PushedAlert, ...]]:
        """Record pushed alerts and wake who names them; returns which rollouts got which alerts."""
        reached = self._cache.push(alerts, self._clock())
        for key in reached:
            self._wake(key, WAKE_ALERT)
        return reached

    async def run(self) -> None:
        """Poll until cancelled; may be run once."""
        async with self._tasks:
            self._tasks.create_task(self._counters.run(), name="counters")
            while True:
                self._moved.clear()
                for poll in self._due_now():
                    self._tasks.create_task(self._ask(poll), name="poll")
                wait = self._heap[0][0] - _monotonic() if self._heap else None
                try:
                    async with asyncio.timeout(wait):
                        await self._moved.wait()
                except TimeoutError:
                    continue

    def _join(self, poll_key: PollKey, endpoint: Endpoint, watch: Watch) -> None:
        poll = self._polls.get(poll_key)
        if poll is None:
            poll = self._polls[poll_key] = _Poll(poll_key, endpoint)
        poll.watches.append(watch)
        self._poll_of[watch] = poll_key
        # A new gate is asked at once; its rhythm begins after that.
        self._plan(poll, 0.0)

    def _drop(self, watches: Sequence[Watch]) -> None:
        for watch in watches:
            poll_key = self._poll_of.pop(watch, None)
            if poll_key is None:
                continue
            poll = self._polls[poll_key]
            poll.watches.remove(watch)
            if not poll.watches:
                del self._polls[poll_key]
        if len(self._asked) > _QUERIES_PER_POLL * len(self._polls) + _SPARE_QUERIES:
            used = {(name, query) for name, asked in self._polls for query in asked.queries}
            self._asked = {key: known for key, known in self._asked.items() if key in used}
            named = {(name, asked.alertnames) for name, asked in self._polls}
            self._rules = {key: known for key, known in self._rules.items() if key in named}

    def _plan(self, poll: _Poll, due: float) -> None:
        poll.due = due
        self._planned += 1
        heapq.heappush(self._heap, (due, self._planned, poll.key))
        self._moved.set()

    def _due_now(self) -> list[_Poll]:
        now, due = _monotonic(), []
        while self._heap and self._heap[0][0] <= now:
            planned, _, key = heapq.heappop(self._heap)
            poll = self._polls.get(key)
            if poll is None or poll.due != planned:
                continue
            self._plan(poll, _next_tick(now, poll.interval, key))
            if not poll.running:
                poll.running = True
                due.append(poll)
        return due

    async def _ask(self, poll: _Poll) -> None:
        asked, at = poll.key[1], self._clock()
        since = at - _SHARED_WITHIN * poll.interval
        try:
            main = self._once(poll, asked.query, at, at - _SAME_TICK * poll.interval)
            if main is None:
                return
            presence = self._once(poll, asked.presence, at, since)
            newest = self._newest(poll, asked.newest, at) or self._once(poll, asked.newest, at, since)
            # What is held against the main number is evaluated at the same moment.
            baseline, lower, upper = (
                self._once(poll, query, main.at, main.at) for query in (asked.baseline, asked.lower, asked.upper)
            )
            rules = self._rules_of(poll, at, since)
            reading = Reading(
                main.at,
                await asyncio.shield(main.answer),
                await _answer(presence),
                await _answer(newest),
                await _answer(baseline),
                await _answer(lower),
                await _answer(upper),
                await _answer(rules),
            )
        finally:
            poll.running = False
        for watch in tuple(poll.watches):
            if watch.add(reading):
                self._wake(watch.key, WAKE_BAD_SAMPLE if watch.mark is Mark.BAD else WAKE_READING)

    def _once(self, poll: _Poll, query: str | None, at: float, since: float) -> _Asked[Answer] | None:
        """Ask a query now, unless some poll has asked it since an instant: then its (coming) answer is shared."""
        if query is None:
            return None
        key = (poll.key[0], query)
        known = self._asked.get(key)
        if known is None or not since <= known.at <= at:
            known = _Asked(at, self._tasks.create_task(poll.endpoint.instant(query, at), name="query"))
            self._asked[key] = known
        return known

    def _rules_of(self, poll: _Poll, at: float, since: float) -> _Asked[_Rules] | None:
        """As above, for the state of alerting rules."""
        name, asked = poll.key
        if not asked.alertnames:
            return None
        key = (name, asked.alertnames)
        known = self._rules.get(key)
        if known is None or not since <= known.at <= at:
            known = _Asked(at, self._tasks.create_task(poll.endpoint.rules(asked.alertnames), name="rules"))
            self._rules[key] = known
        return known

    def _newest(self, poll: _Poll, query: str | None, at: float) -> _Asked[Answer] | None:
        """The known time of the newest sample while that is still young, else None.

        Time stamps only grow, so an old answer can only overstate the age: no evidence counts as fresher than it is.
        """
        known = None if query is None else self._asked.get((poll.key[0], query))
        if known is None or not known.answer.done():
            return None
        answer = known.answer.result()
        if not isinstance(answer, Series) or len(answer.values) != 1:
            return None
        return known if 0 <= at - answer.values[0] <= poll.max_age / _YOUNG_PART else None


async def _answer(asked: _Asked[_T_co] | None) -> _T_co | None:
    return None if asked is None else await asyncio.shield(asked.answer)


def _next_tick(now: float, interval: float, key: PollKey) -> float:
    """The next multiple of the interval, shifted by a phase that belongs to the questions."""
    # The same query has the same phase, whatever is asked beside it, so that it is due at one moment for all.
    name, asked = key
    digest = hashlib.sha256(f"{name}\0{asked.query}".encode()).digest()
    phase = int.from_bytes(digest[:4], "big") / 2**32 * interval
    return ((now - phase) // interval + 1) * interval + phase


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
