"""A spent budget: who waits, where, for how long, and what is told about it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from veriramp_sdk.events import Topic, Verdict, VerificationFailed, VerifyChunk, parse_event
from veriramp_workers.bus.retry import DEFERRED_SINCE, Route
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics, Tuning
from veriramp_workers.ports import (
    Bound,
    DeferError,
    Judgement,
    Message,
    PauseError,
    Question,
    Record,
    Taken,
)

DAY = 86_400.0


@dataclass
class Stocks:
    """A budget of so many for each tenant, until the day is over in an hour; ``spent`` is a bound of all.

    With ``pace`` one more is free after so many seconds, and so on until the day is over.
    """

    left: dict[str, int]
    spent: bool = False
    pace: float = 0.0
    paid: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, datetime, float]] = field(default_factory=list)

    async def take(self, tenant: str, key: str, now: datetime, *, share: float = 1.0) -> Taken:
        self.asked.append((tenant, key, now, share))
        end = now + timedelta(hours=1)
        if key in self.paid:
            return Taken(True, 3, 5, end, now, repeated=True)
        if self.left[tenant] < 1 and self.pace and not self.spent:
            limit = 3 + int(3_600 / self.pace)
            return Taken(False, 3, limit, end, now + timedelta(seconds=self.pace), refused_by=Bound.PACE)
        if self.left[tenant] < 1 or self.spent:
            return Taken(False, 3, 5, end, end, refused_by=Bound.MONTH if self.spent else Bound.DAY)
        self.left[tenant] -= 1
        self.paid.add(key)
        return Taken(True, 3, 5, end, now)


class Verifier:
    name, version = "counting", "1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def judge(self, question: Question) -> Judgement:
        self.asked.append(question.text)
        return Judgement(Verdict.UNDETERMINED, "consistent by itself")


class Stand:
    """An orchestrator with a clock of the test's."""

    def __init__(self, **left: int) -> None:
        self.now = 1_800_000_000.0
        self.stocks, self.verifier, self.registry = Stocks(left), Verifier(), CollectorRegistry()
        metrics = OrchestratorMetrics(self.registry)
        self.orchestrator = Orchestrator(
            self.verifier, metrics, formaliser_version="1", budget=self.stocks, clock=lambda: self.now
        )
        self._numbers: Iterator[int] = itertools.count()

    def request(self, tenant: str, lane: str = "interactive") -> VerifyChunk:
        request = a_request("The tower is tall.", document=str(next(self._numbers)), org=tenant)
        return request.model_copy(update={"lane": lane, "enqueued_at_ms": int(self.now * 1000)})

    async def ask(
        self, request: VerifyChunk, topic: str = Topic.INTERACTIVE, headers: Mapping[str, bytes] | None = None
    ) -> tuple[Message, ...]:
        found = tuple((headers or {}).items())
        record = Record(topic, 0, 0, request.key(), request.to_bytes(), found)
        return await self.orchestrator(Route((), "dead").counted(record))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    @property
    def level(self) -> float | None:
        """How far it is degraded, without the calm that the ladder waits for."""
        self.orchestrator.tune(Tuning(), off=True)
        assert self.metric("veriramp_degradation_level") == 3
        self.orchestrator.tune(Tuning(), off=False)
        return self.metric("veriramp_degradation_level")


@pytest.mark.shows("S1-COST-03")
async def test_a_tenant_that_has_spent_its_budget_gives_way_and_the_others_go_on() -> None:
    stand = Stand(rich=9, poor=1)
    paid = stand.request("poor")
    await stand.ask(paid)
    for topic, lane in ((Topic.INTERACTIVE, "interactive"), (Topic.BACKFILL, "backfill"), (Topic.RETRY_SOON, "any")):
        with pytest.raises(DeferError) as deferred:
            await stand.ask(stand.request("poor", lane), topic)
        assert (deferred.value.reason, deferred.value.seconds) == ("budget_day", 3_600.0)
        await stand.ask(stand.request("rich", lane), topic)
    await stand.ask(paid)
    assert len(stand.verifier.asked) == 5, "what was paid is judged, also when it comes again"
    assert stand.metric("verification_waits_total", reason="budget_day") == 3
    assert stand.level == 0


@pytest.mark.shows("S1-COST-03")
async def test_each_of_those_refused_at_their_pace_comes_again_when_one_more_is_free_for_it() -> None:
    stand, waits = Stand(poor=0, other=0), []
    stand.stocks.pace = 2.0

    async def refused(tenant: str) -> float:
        with pytest.raises(DeferError) as deferred:
            await stand.ask(stand.request(tenant))
        assert deferred.value.reason == "budget_pace"
        return deferred.value.seconds

    waits = [await refused("poor") for _ in range(400)]
    assert waits[:4] == pytest.approx([2.0, 4.0, 6.0, 8.0], abs=0.02)
    assert waits[301:] == [600.0] * 99, "no further ahead, or who comes later waits for them"
    assert await refused("other") == 2.0
    stand.now += 598.0
    assert await refused("poor") == pytest.approx(4.0, abs=0.02)
    stand.now += 600.0
    assert await refused("poor") == 2.0


@pytest.mark.shows("S1-COST-03", "S1-COST-04")
async def test_a_bound_of_all_pauses_everything() -> None:
    stand = Stand(rich=9)
    await stand.ask(stand.request("rich"))
    stand.stocks.spent = True
    with pytest.raises(PauseError) as paused:
        await stand.ask(stand.request("rich"))
    assert (paused.value.reason, paused.value.seconds, paused.value.topics) == ("budget", 300.0, ())
    assert stand.metric("verification_waits_total", reason="budget") == 1
    assert stand.level == 2
    stand.orchestrator.unblock()
    assert stand.level == 2, "the verifier has nothing to do with it"
    stand.stocks.spent = False
    await stand.ask(stand.request("rich"))
    assert stand.level == 0, "what was waited for is over"


@pytest.mark.shows("S1-COST-04")
async def test_backfill_asks_for_a_share() -> None:
    stand = Stand(rich=9)
    await stand.ask(stand.request("rich", "backfill"), Topic.BACKFILL)
    assert stand.stocks.asked[-1][3] == 0.5


async def test_it_is_degraded_when_nobody_has_had_anything_for_a_minute() -> None:
    stand = Stand(rich=1, poor=0)
    for seconds, level in ((0, 0), (59, 0), (60, 2), (61, 2)):
        stand.now = 1_800_000_000.0 + seconds
        with pytest.raises(DeferError):
            await stand.ask(stand.request("poor"))
        assert stand.level == level
    await stand.ask(stand.request("rich"))
    assert stand.level == 0


async def test_a_backlog_goes_round_at_a_bounded_rate() -> None:
    stand, ends = Stand(poor=0), []
    for _ in range(600):
        try:
            await stand.ask(stand.request("poor"), Topic.DEFERRED)
        except (DeferError, PauseError) as end:
            ends.append(end)
    pauses = [end for end in ends if isinstance(end, PauseError)]
    assert {(pause.reason, pause.topics) for pause in pauses} == {("deferred", (Topic.DEFERRED,))}
    assert min(pause.seconds for pause in pauses) >= 1.0
    assert 500 <= len(ends) - len(pauses) < 600, "ten seconds' worth at once"
    with pytest.raises(DeferError):
        await stand.ask(stand.request("poor"))


@pytest.mark.parametrize(
    ("headers", "expired"),
    [
        ({}, False),
        ({DEFERRED_SINCE: b"1800000000000"}, False),
        ({DEFERRED_SINCE: b"1799999000000"}, True),
        ({DEFERRED_SINCE: b"yesterday"}, False),
        ({DEFERRED_SINCE: b"9" * 5_000}, False),
    ],
)
async def test_a_request_that_waited_for_a_week_is_reported(headers: dict[str, bytes], expired: bool) -> None:
    stand = Stand(poor=0)
    stand.now += 7 * DAY
    request = stand.request("poor")
    if not expired:
        with pytest.raises(DeferError):
            await stand.ask(request, Topic.DEFERRED, headers)
        return
    (message,) = await stand.ask(request, Topic.DEFERRED, headers)
    failed = parse_event(VerificationFailed, message.value)
    assert (message.topic, message.key) == (Topic.FAILED, request.key())
    assert (failed.chunk_key, failed.error_class, failed.retryable) == (request.chunk_key, "NoBudgetError", True)
    assert stand.metric("verification_requests_total", status="expired") == 1
    assert stand.verifier.asked == []


@pytest.mark.parametrize(("pace", "bound", "limit"), [(0.0, "day", 5), (0.6, "pace", 6_003), (30.0, "pace", 123)])
async def test_a_spent_budget_is_explained_once_in_five_minutes(
    caplog: pytest.LogCaptureFixture, pace: float, bound: str, limit: int
) -> None:
    caplog.set_level("INFO")
    stand = Stand(poor=0)
    stand.stocks.pace = pace
    for seconds in (12.5, 300.0, 313.0):
        stand.now = 1_800_000_000.0 + seconds
        with pytest.raises(DeferError):
            await stand.ask(stand.request("poor"))
    names = ("message", "tenant", "bound", "used", "limit")
    told = ("no budget is free", "poor", bound, 3, limit)
    assert [tuple(vars(record)[name] for name in names) for record in caplog.records] == [told, told]
    if not pace:
        ends = ["2027-01-15T09:00:12+00:00", "2027-01-15T09:05:13+00:00"]
        assert [vars(record)["goes_on_at"] for record in caplog.records] == ends
