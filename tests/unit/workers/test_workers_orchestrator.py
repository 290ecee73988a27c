"""The orchestrator's handler: what it publishes, keeps, pays for and waits for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from veriramp_sdk.effects import Effects
from veriramp_sdk.events import (
    Topic,
    Verdict,
    VerificationComplete,
    VerificationFailed,
    chunk_key,
    content_hash,
    parse_event,
)
from veriramp_workers.orchestrator import Ladder, Orchestrator, OrchestratorMetrics, Tuning
from veriramp_workers.orchestrator.limiter import TooManyRequestsError
from veriramp_workers.ports import (
    Bound,
    BreakerOpenError,
    BudgetUnavailableError,
    Judgement,
    PauseError,
    PoisonError,
    Question,
    Record,
    RetryLaterError,
    Taken,
    VerifierUnavailableError,
)
from veriramp_workers.verifier import judge


class InProcess:
    """The embedded verifier without its processes."""

    name, version = "in-process", "1"

    async def judge(self, question: Question) -> Judgement:
        return judge(question)


class Away(InProcess):
    async def judge(self, question: Question) -> Judgement:
        raise VerifierUnavailableError(f"the verifier answers 503 to {question.text!r}", status=503, attempts=3)


class Broken(InProcess):
    async def judge(self, question: Question) -> Judgement:
        raise ZeroDivisionError(question.text)


def an_orchestrator(verifier: InProcess, registry: CollectorRegistry | None = None) -> Orchestrator:
    metrics = OrchestratorMetrics(registry or CollectorRegistry())
    return Orchestrator(verifier, metrics, formaliser_version="1", clock=lambda: 12.5)


def a_record(value: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record(Topic.INTERACTIVE, 0, 0, b"key", value, (("traceparent", b"00-1"), ("other", b"x"), *headers))


@pytest.mark.shows("S1-EVT-02", "S1-FAIL-03", "S2-OBS-05")
async def test_a_verdict_answers_its_request() -> None:
    request = a_request("Anne is not old.", "Anne is old.")
    registry = CollectorRegistry()
    (message,) = await an_orchestrator(InProcess(), registry)(a_record(request.to_bytes()))
    answer = parse_event(VerificationComplete, message.value)
    assert (message.topic, message.key) == (Topic.COMPLETE, request.key())
    assert message.headers == (("traceparent", b"00-1"),)
    assert (answer.verdict, answer.signal) == (Verdict.CONTRADICTED, -1.0)
    assert answer.unsat_core == ("Anne is old.", "Anne is not old.")
    assert (answer.chunk_key, answer.content_hash) == (request.chunk_key, request.content_hash)
    assert answer.verified_at_ms == 12_500
    assert registry.get_sample_value("verification_verdicts_total", {"verdict": "contradicted"}) == 1


@pytest.mark.shows("S1-EVT-03", "S1-ORCH-04")
async def test_an_absent_verifier_is_tried_later_and_reported_when_that_has_not_helped() -> None:
    request = a_request("Anne is old.")
    record = replace(a_record(request.to_bytes()), attempt=3)
    with pytest.raises(RetryLaterError, match=r"^the verifier answers 503$") as later:
        await an_orchestrator(Away())(record)
    (message,) = later.value.last
    failed = parse_event(VerificationFailed, message.value)
    assert (message.topic, message.key, message.headers) == (Topic.FAILED, request.key(), (("traceparent", b"00-1"),))
    assert (failed.error_class, failed.retryable) == ("VerifierUnavailableError", True)
    assert (failed.http_status, failed.attempts) == (503, 3)
    assert failed.content == request.content


async def test_a_version_as_long_as_a_book_gets_a_short_reason() -> None:
    request = a_request("Anne is old.").model_copy(update={"schema_version": "9" * 100_000})
    with pytest.raises(PoisonError) as poison:
        await an_orchestrator(InProcess())(a_record(request.to_bytes()))
    assert len(str(poison.value)) < 200


@pytest.mark.shows("S1-ORCH-04")
async def test_an_unexpected_error_is_counted_and_its_log_has_no_content(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    with pytest.raises(RetryLaterError) as later:
        await an_orchestrator(Broken(), registry)(a_record(a_request("A secret.").to_bytes()))
    failed = parse_event(VerificationFailed, later.value.last[0].value)
    assert (failed.error_class, failed.retryable, failed.attempts) == ("ZeroDivisionError", False, 1)
    assert registry.get_sample_value("verification_requests_total", {"status": "error"}) == 1
    (line,) = caplog.records
    assert "secret" not in repr(vars(line))
    assert vars(line)["error_class"] == "ZeroDivisionError"
    assert vars(line)["at"].startswith("test_workers_orchestrator.py:")


async def test_what_cannot_be_read_is_poison() -> None:
    with pytest.raises(PoisonError, match="VerifyChunk"):
        await an_orchestrator(InProcess())(a_record(b"{}"))


class Cache:
    def __init__(self) -> None:
        self.kept: dict[str, tuple[Judgement, float]] = {}

    async def get(self, key: str) -> Judgement | None:
        return self.kept[key][0] if key in self.kept else None

    async def put(self, key: str, judgement: Judgement, ttl_seconds: float) -> None:
        self.kept[key] = (judgement, ttl_seconds)


class Purse:
    """A budget of so many; None: it cannot be asked."""

    def __init__(self, left: int | None) -> None:
        self.left = left
        self.asked: list[tuple[str, str, datetime, float]] = []

    async def take(self, tenant: str, key: str, now: datetime, *, share: float = 1.0) -> Taken:
        if self.left is None:
            raise BudgetUnavailableError("the store is away")
        paid = any(key == known for _, known, _, _ in self.asked)
        self.asked.append((tenant, key, now, share))
        granted = paid or self.left > 0
        self.left -= granted and not paid
        end = now + timedelta(hours=1)
        return Taken(granted, 3, 5, end, end, repeated=paid, refused_by=None if granted else Bound.DAY)


class Counting(InProcess):
    def __init__(self) -> None:
        self.asked: list[Question] = []

    async def judge(self, question: Question) -> Judgement:
        self.asked.append(question)
        return judge(question)


def an_outfit(
    cache: Cache | None = None, purse: Purse | None = None, now: float = 12.5
) -> tuple[Orchestrator, Counting, CollectorRegistry]:
    verifier, registry = Counting(), CollectorRegistry()
    metrics = OrchestratorMetrics(registry)
    clock = lambda: now  # noqa: E731 - the time stands still
    orchestrator = Orchestrator(verifier, metrics, formaliser_version="1", cache=cache, budget=purse, clock=clock)
    return orchestrator, verifier, registry


@pytest.mark.shows("S1-COST-01")
async def test_a_known_verdict_is_published_under_the_identity_of_the_chunk_that_asks() -> None:
    cache, purse = Cache(), Purse(1)
    orchestrator, verifier, registry = an_outfit(cache, purse)
    first = a_request("Anne is not old.", "Anne is old.", document="first")
    second = a_request("Anne is not old.", "Anne is old.", document="second")
    (message,) = await orchestrator(a_record(first.to_bytes()))
    assert parse_event(VerificationComplete, message.value).cache_hit is False
    (message,) = await orchestrator(a_record(second.to_bytes()))
    answer = parse_event(VerificationComplete, message.value)
    assert (answer.cache_hit, answer.verdict, answer.signal) == (True, Verdict.CONTRADICTED, -1.0)
    assert (answer.chunk_key, answer.document_id, message.key) == (second.chunk_key, "second", second.key())
    assert answer.unsat_core == ("Anne is old.", "Anne is not old.")
    assert (len(verifier.asked), len(purse.asked)) == (1, 1)
    assert registry.get_sample_value("verification_requests_total", {"status": "cache_hit"}) == 1
    assert registry.get_sample_value("verification_failure_mode_total", {"mode": "invalid"}) == 2
    assert [seconds for _, seconds in cache.kept.values()] == [30 * 86_400.0]


@pytest.mark.shows("S1-COST-01")
@pytest.mark.parametrize(
    "change", [{"org_id": "other"}, {"premises": ("Anne is tall.",)}, {"content": "Anne is tall."}]
)
async def test_what_differs_in_what_leads_to_a_verdict_is_judged_anew(change: dict[str, Any]) -> None:
    orchestrator, verifier, _ = an_outfit(Cache())
    request = a_request("Anne is not old.", "Anne is old.")
    other = request.model_copy(update=change)
    other = other.model_copy(update={"content_hash": content_hash(other.content)})
    key = chunk_key(other.org_id, other.document_id, other.block_id, other.content)
    await orchestrator(a_record(request.to_bytes()))
    await orchestrator(a_record(other.model_copy(update={"chunk_key": key}).to_bytes()))
    assert len(verifier.asked) == 2


@pytest.mark.shows("S1-COST-01")
async def test_the_same_text_at_once_is_paid_and_judged_once() -> None:
    cache, purse = Cache(), Purse(10)
    orchestrator, verifier, registry = an_outfit(cache, purse)
    requests = [a_request("Anne is tall.", document=str(number)) for number in range(8)]
    await asyncio.gather(*(orchestrator(a_record(request.to_bytes())) for request in requests))
    assert (len(verifier.asked), len(purse.asked)) == (1, 1)
    assert registry.get_sample_value("verification_requests_total", {"status": "cache_hit"}) == 7


class OnceAway(Counting):
    """Fails the first time it is asked."""

    def __init__(self, error: VerifierUnavailableError) -> None:
        super().__init__()
        self.error = error

    async def judge(self, question: Question) -> Judgement:
        await asyncio.sleep(0)
        if not self.asked:
            self.asked.append(question)
            raise self.error
        return await super().judge(question)


@pytest.mark.parametrize(
    ("error", "ends", "asked"),
    [
        (VerifierUnavailableError("the verifier answers 503", status=503), [RetryLaterError] * 3, 1),
        (BreakerOpenError("x", 1.0), [PauseError, tuple, tuple], 2),
    ],
)
async def test_who_waits_for_the_same_text_shares_its_failure_but_no_pause(
    error: VerifierUnavailableError, ends: list[type], asked: int
) -> None:
    verifier = OnceAway(error)
    metrics = OrchestratorMetrics(CollectorRegistry())
    orchestrator = Orchestrator(verifier, metrics, formaliser_version="1", cache=Cache())
    requests = [a_request("Anne is tall.", document=str(number)) for number in range(3)]
    records = [a_record(request.to_bytes()) for request in requests]
    found = await asyncio.gather(*map(orchestrator, records), return_exceptions=True)
    assert [type(end) for end in found] == ends
    assert len(verifier.asked) == asked
    for request, end in zip(requests, found, strict=True):
        if isinstance(end, RetryLaterError):
            failed = parse_event(VerificationFailed, end.last[0].value)
            assert (failed.chunk_key, failed.http_status) == (request.chunk_key, 503)
    await orchestrator(records[0])
    assert len(verifier.asked) == 2, "who comes later asks"


async def test_undecided_verdicts_are_kept_for_an_hour_and_errors_not() -> None:
    cache = Cache()
    orchestrator, _, _ = an_outfit(cache)
    await orchestrator(a_record(a_request("Anne may be old.").to_bytes()))
    assert [seconds for _, seconds in cache.kept.values()] == [3_600.0]


@pytest.mark.shows("S1-COST-03")
async def test_a_budget_that_cannot_be_asked_lets_nothing_through() -> None:
    orchestrator, verifier, _ = an_outfit(purse=Purse(None))
    with pytest.raises(PauseError, match="budget_unknown"):
        await orchestrator(a_record(a_request("Anne is old.").to_bytes()))
    assert verifier.asked == []


async def test_a_budget_that_is_away_is_told_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    purse = Purse(None)
    orchestrator, _, _ = an_outfit(purse=purse)
    for left in (None, None, 5, 5, None):
        purse.left = left
        with suppress(PauseError):
            await orchestrator(a_record(a_request("Anne is old.").to_bytes()))
    assert [record.getMessage() for record in caplog.records] == [
        "the store is away",
        "the budget can be asked again",
        "the store is away",
    ]


@pytest.mark.shows("S1-ORCH-03")
async def test_an_open_breaker_pauses_and_no_event_tells_of_it() -> None:
    class Refused(InProcess):
        async def judge(self, question: Question) -> Judgement:
            raise BreakerOpenError(question.text, 40.0)

    registry = CollectorRegistry()
    with pytest.raises(PauseError) as paused:
        await an_orchestrator(Refused(), registry)(a_record(a_request("Anne is old.").to_bytes()))
    assert (paused.value.reason, paused.value.seconds, paused.value.topics) == ("breaker", 40.0, ())
    assert registry.get_sample_value("verification_requests_total", {"status": "error"}) == 0


async def test_our_own_limit_is_no_degradation() -> None:
    class Limited(InProcess):
        async def judge(self, question: Question) -> Judgement:  # noqa: ARG002 - that of the port
            raise TooManyRequestsError(60.0)

    registry = CollectorRegistry()
    orchestrator = an_orchestrator(Limited(), registry)
    with pytest.raises(PauseError, match="rate"):
        await orchestrator(a_record(a_request("Anne is old.").to_bytes()))
    orchestrator.tick()
    assert registry.get_sample_value("veriramp_degradation_level") == 0


async def test_to_look_at_the_level_changes_nothing() -> None:
    class Refused(InProcess):
        async def judge(self, question: Question) -> Judgement:
            raise BreakerOpenError(question.text, 40.0)

    levels = []
    for looks in (0, 3):
        registry, now = CollectorRegistry(), [10**8 + 0.5]
        metrics, clock = OrchestratorMetrics(registry), lambda now=now: now[0]
        ladder = Ladder(clock=clock)
        orchestrator = Orchestrator(Refused(), metrics, formaliser_version="1", ladder=ladder, clock=clock)
        with pytest.raises(PauseError):
            await orchestrator(a_record(a_request("Anne is old.").to_bytes()))
        for _ in range(looks):
            assert registry.get_sample_value("veriramp_degradation_level") == 2
        now[0] += 41.0
        levels.append(orchestrator.level)
    assert levels == [0, 0]


async def test_backfill_waits_while_searches_wait() -> None:
    orchestrator, _, registry = an_outfit(now=10**8 + 12.5)
    old = a_request("Anne is old.").model_copy(update={"enqueued_at_ms": 10**11})
    orchestrator.tune(Tuning(backlog_seconds=12.0), off=False)
    backfill = replace(a_record(old.model_copy(update={"lane": "backfill"}).to_bytes()), topic=Topic.BACKFILL)
    await orchestrator(backfill)
    await orchestrator(a_record(old.to_bytes()))
    assert registry.get_sample_value("verification_backlog_seconds") == 12.5
    with pytest.raises(PauseError) as paused:
        await orchestrator(backfill)
    assert (paused.value.reason, paused.value.topics) == ("backlog", (Topic.BACKFILL,))
    await orchestrator(a_record(old.to_bytes()))


@pytest.mark.parametrize(
    ("topic", "origin", "lane", "share"),
    [
        (Topic.INTERACTIVE, "", "interactive", 1.0),
        (Topic.INTERACTIVE, "", "backfill", 0.5),
        (Topic.BACKFILL, "", "interactive", 0.5),
        (Topic.RETRY_SOON, Topic.BACKFILL, "interactive", 0.5),
        (Topic.RETRY_SOON, Topic.INTERACTIVE, "interactive", 1.0),
    ],
)
async def test_backfill_is_what_its_topic_or_its_field_says(topic: Topic, origin: str, lane: str, share: float) -> None:
    purse = Purse(9)
    orchestrator, _, _ = an_outfit(purse=purse, now=10**8 + 99.5)
    old = a_request("Anne is old.").model_copy(update={"enqueued_at_ms": 10**11})
    orchestrator.tune(Tuning(backlog_seconds=60.0), off=False)
    request = replace(a_record(old.model_copy(update={"lane": lane}).to_bytes()), topic=topic, origin=origin)
    await orchestrator(request)
    assert purse.asked[-1][3] == share
    if topic == Topic.BACKFILL:
        await orchestrator(a_record(old.to_bytes()))
        with pytest.raises(PauseError, match="backlog"):
            await orchestrator(request)


@pytest.mark.shows("S1-FAIL-01")
async def test_the_configured_multipliers_make_the_signal() -> None:
    orchestrator, _, _ = an_outfit()
    orchestrator.tune(Tuning(effects=Effects(verified_sat=1.4, invalid=0.65)), off=False)
    signals = []
    for claim in ("Anne is old.", "Anne is not old.", "Anne is tall."):
        (message,) = await orchestrator(a_record(a_request(claim, "Anne is old.").to_bytes()))
        signals.append(parse_event(VerificationComplete, message.value).signal)
    assert signals == [pytest.approx(0.5), pytest.approx(-0.5), 0.0]
