"""What the orchestrator answers has the same identity however often a request is delivered, and pays once for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from tests.unit.workers.test_workers_orchestrator import Cache, Purse, a_record, an_outfit
from veriramp_sdk.events import PERIOD_MS, Topic, Verdict, VerificationComplete, VerifyChunk, parse_event
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics
from veriramp_workers.ports import Judgement, Question


class Saying:
    """A verifier that says one verdict after the other, the last one again and again."""

    def __init__(self, *verdicts: Verdict, name: str = "saying", version: str = "1") -> None:
        self.name, self.version = name, version
        self._verdicts = list(verdicts)

    async def judge(self, question: Question) -> Judgement:
        verdict = self._verdicts.pop(0) if len(self._verdicts) > 1 else self._verdicts[0]
        return Judgement(verdict, f"so it is: {question.text}")


def orchestrator_of(
    verifier: Saying, *, formaliser: str = "1", cache: Cache | None = None, purse: Purse | None = None, now: float = 1e9
) -> Orchestrator:
    metrics = OrchestratorMetrics(CollectorRegistry())
    return Orchestrator(verifier, metrics, formaliser_version=formaliser, cache=cache, budget=purse, clock=lambda: now)


async def answer(orchestrator: Orchestrator, request: VerifyChunk, attempt: int = 1) -> VerificationComplete:
    (message,) = await orchestrator(replace(a_record(request.to_bytes()), topic=Topic.RETRY_LATE, attempt=attempt))
    return parse_event(VerificationComplete, message.value)


async def ids(orchestrators: Sequence[Orchestrator], request: VerifyChunk) -> set[str]:
    return {(await answer(one, request)).event_id for one in orchestrators}


@pytest.mark.shows("S1-EVT-02", "S1-ORCH-01")
async def test_every_delivery_of_a_message_has_the_id_of_the_first() -> None:
    request, cache = a_request("Anne is old.", "Anne is tall."), Cache()
    verifier = Saying(Verdict.ENTAILED)
    with_cache = orchestrator_of(verifier, cache=cache)
    first = await answer(with_cache, request)
    hit = await answer(with_cache, request)
    assert (first.cache_hit, hit.cache_hit) == (False, True)
    retried = await answer(with_cache, request, attempt=3)
    cache_away, weeks_later = orchestrator_of(verifier), orchestrator_of(verifier, now=1e9 + 3 * PERIOD_MS / 1000)
    others = await ids([cache_away, weeks_later], request)
    assert {hit.event_id, retried.event_id, *others} == {first.event_id}


@pytest.mark.shows("S1-EVT-02")
async def test_what_is_found_out_anew_has_another_id() -> None:
    request = a_request("Anne is old.", "Anne is tall.")
    entailed = Saying(Verdict.ENTAILED)
    first = await answer(orchestrator_of(entailed), request)
    others = [
        orchestrator_of(Saying(Verdict.ENTAILED, name="other")),
        orchestrator_of(Saying(Verdict.ENTAILED, version="2")),
        orchestrator_of(entailed, formaliser="2"),
        orchestrator_of(Saying(Verdict.UNDETERMINED)),
    ]
    later = request.model_copy(update={"enqueued_at_ms": request.enqueued_at_ms + PERIOD_MS})
    found = {
        first.event_id,
        *[(await answer(one, request)).event_id for one in others],
        (await answer(orchestrator_of(entailed), later)).event_id,
        (await answer(orchestrator_of(entailed), request.model_copy(update={"premises": ()}))).event_id,
    }
    assert len(found) == 7


@pytest.mark.shows("S1-EVT-02")
async def test_a_decisive_verdict_after_an_undecided_one_is_seen_by_a_sink_that_counts_each_id_once() -> None:
    request = a_request("Anne is old.")
    orchestrator = orchestrator_of(Saying(Verdict.TOO_HARD, Verdict.CONTRADICTED))
    undecided, decided = [await answer(orchestrator, request) for _ in range(2)]
    assert (undecided.verdict, decided.verdict) == (Verdict.TOO_HARD, Verdict.CONTRADICTED)
    assert undecided.event_id != decided.event_id


@pytest.mark.shows("S1-COST-01", "S1-TRIG-04")
async def test_who_asks_for_news_does_not_get_the_old_verdict_from_the_cache_and_refreshes_it() -> None:
    """O10: a check that the cache answers would count old evidence again."""
    cache, day = Cache(), 86_400.0
    verifier = Saying(Verdict.CONTRADICTED, Verdict.ENTAILED)
    request = a_request("Anne is old.")
    first = await answer(orchestrator_of(verifier, cache=cache, now=1e9), request)
    request = request.model_copy(update={"enqueued_at_ms": int((1e9 + 8 * day) * 1000)})
    plain = await answer(orchestrator_of(verifier, cache=cache, now=1e9 + 8 * day), request)
    again = request.model_copy(update={"newer_than_ms": first.verified_at_ms})
    later = orchestrator_of(verifier, cache=cache, now=1e9 + 8 * day)
    news, repeated = [await answer(later, again) for _ in range(2)]
    other_chunk = await answer(later, a_request("Anne is old.", document="other"))
    found = [(one.verdict, one.cache_hit) for one in (first, plain, news, repeated, other_chunk)]
    assert found == [
        (Verdict.CONTRADICTED, False),
        (Verdict.CONTRADICTED, True),
        (Verdict.ENTAILED, False),
        (Verdict.ENTAILED, True),
        (Verdict.ENTAILED, True),
    ]
    assert news.event_id == repeated.event_id != first.event_id


@pytest.mark.shows("S1-TRIG-04")
async def test_a_host_that_keeps_times_in_seconds_gets_news_too() -> None:
    """A store's last_verified is in seconds, so before the very judgement that it is of."""
    cache, request = Cache(), a_request("Anne is old.")
    first = await answer(orchestrator_of(Saying(Verdict.ENTAILED), cache=cache, now=1e9 + 0.9), request)
    in_seconds = first.verified_at_ms // 1000 * 1000
    week_later = orchestrator_of(Saying(Verdict.ENTAILED), cache=cache, now=1e9 + 8 * 86_400)
    asked = request.model_copy(update={"newer_than_ms": in_seconds})
    assert [(await answer(week_later, asked)).cache_hit for _ in range(2)] == [False, True]


async def test_an_entry_of_a_version_that_noted_no_time_is_no_news() -> None:
    cache, request = Cache(), a_request("Anne is old.")
    orchestrator = orchestrator_of(Saying(Verdict.ENTAILED), cache=cache)
    await answer(orchestrator, request)
    cache.kept = {key: (replace(known, judged_at_ms=0), 1.0) for key, (known, _) in cache.kept.items()}
    assert (await answer(orchestrator, request)).cache_hit
    assert not (await answer(orchestrator, request.model_copy(update={"newer_than_ms": 1}))).cache_hit


@pytest.mark.shows("S1-COST-03")
async def test_each_request_is_paid_for_once_and_another_question_for_itself() -> None:
    purse = Purse(10)
    orchestrator, _, _ = an_outfit(purse=purse)
    request = a_request("Anne is old.", "Anne is tall.")
    copies = [
        request,
        request.model_copy(update={"enqueued_at_ms": request.enqueued_at_ms + 1}),
        request.model_copy(update={"premises": ("Anne is small.",)}),
    ]
    for copy in [*copies, *copies]:
        await orchestrator(replace(a_record(copy.to_bytes()), offset=5))
    assert purse.left == 7
    assert len({key for _, key, _, _ in purse.asked}) == 3
