"""From a budget that runs short, through the broker, to searches that ask for less."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from tests.component.workers.test_search import FULL, QUERY, a_search, ask, follows
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.pipeline import BOTH_BROKERS, Program, Topics, a_client, an_orchestrator
from tests.support.waiting import wait_until
from veriramp_sdk.budget import BUDGET_LEFT
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.decision import VerificationDecision
from veriramp_sdk.events import Topic, Verdict, VerificationComplete, parse_event
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.selection import Chunk
from veriramp_sdk.trigger import VerificationTrigger
from veriramp_search.broker import follow_verdicts
from veriramp_search.corpus import ORG, shipped

VERIFY: Final = VerificationDecision(Mode.LIVE, Arm.TREATMENT, verify=True, weight=0.1, top_k=10, revision=1)
SECONDS: Final = 60.0
PRICE: Final = 0.25


def with_budget(env: dict[str, str], folder: Path, per_day: int) -> dict[str, str]:
    return {
        **env,
        "VERIRAMP_STORE_URL": f"sqlite:///{folder}/store.db",
        "VERIRAMP_BUDGET_PER_DAY": str(per_day),
        "VERIRAMP_BUDGET_AT_ONCE": "1",
        "VERIRAMP_BUDGET_PER_MONTH": "1000",
        "VERIRAMP_PRICE": str(PRICE),
    }


@pytest.mark.shows("S1-COST-04", "S1-COST-05", "S2-BUD-01", "S2-BUD-02")
async def test_a_search_service_asks_for_nothing_more_when_the_day_is_spent(
    tmp_path: Path, env: dict[str, str], operator: Operator
) -> None:
    topics = list(shipped().references)
    async with (
        obeyed(operator, a_document(revision=1, vector=FULL)),
        an_orchestrator(tmp_path, with_budget(env, tmp_path, 30)) as worker,
        a_search(tmp_path, env) as search,
        a_client(search.url) as client,
    ):
        await follows(client, 1)
        asked = iter(topics * 20)

        async def spent() -> bool:
            await ask(client, "user-1", next(asked))
            return await search.metric("veriramp_trigger_budget_share") == 0.0

        assert QUERY in topics
        await wait_until(spent, SECONDS, "the news that nothing is left")
        assert await worker.metric("veriramp_budget_takes_total", outcome="granted") == 30
        await what_it_cost(worker, search)
        before = await search.metric("veriramp_trigger_chunks_total", outcome="queued")
        left_out = await search.metric("veriramp_trigger_chunks_total", outcome="budget")
        for topic in topics:
            await ask(client, "user-1", topic)
        assert await search.metric("veriramp_trigger_chunks_total", outcome="queued") == before
        assert await search.metric("veriramp_trigger_chunks_total", outcome="budget") >= left_out + len(topics)


async def what_it_cost(worker: Program, search: Program) -> None:
    """The figures of a day, as the queries of the documentation make them of the metrics."""
    cost = await worker.metric("veriramp_verification_cost_total")
    assert cost == pytest.approx(30 * PRICE)
    assert await worker.metric("veriramp_budget_used", tenant=ORG) == 30
    assert await worker.metric("veriramp_budget_remaining", tenant=ORG) == 0
    assert await worker.metric("veriramp_budget_warning", bound="day") == 1
    assert await worker.metric("veriramp_budget_month_remaining") == 1_000 - 30

    async def verdicts() -> float:
        given = [await worker.metric("verification_verdicts_total", verdict=verdict) for verdict in Verdict]
        return sum(given) if sum(given) >= cost / PRICE else 0.0

    # The news that nothing is left may be there before the verdict on what was paid for last.
    given = await wait_until(verdicts, SECONDS, "a verdict for each that was paid for")
    assert 0.0 < cost / given <= PRICE, "known verdicts cost nothing"
    searches = sum([await search.metric("veriramp_search_requests_total", arm=arm) for arm in Arm])
    assert 0.0 < cost / searches <= FULL.top_k * PRICE


@BOTH_BROKERS
@pytest.mark.shows("S1-COST-04")
async def test_the_share_of_one_tenant_is_its_own(
    tmp_path: Path, env: dict[str, str], brokers: str, operator: Operator, topics: Topics
) -> None:
    async with (
        obeyed(operator, a_document(revision=1, vector=LIVE)),
        an_orchestrator(tmp_path, with_budget(env, tmp_path, 10)),
        a_trigger(brokers) as trigger,
    ):
        assert trigger.offer(VERIFY, chunks("poor"), "query") == 10
        found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 10, "the first answers")
        assert all(0.0 <= float(dict(record.headers)[BUDGET_LEFT]) < 1.0 for record in found)
        numbers = itertools.count()

        async def nothing() -> bool:
            return trigger.offer(VERIFY, chunks("poor", block=f"new {next(numbers)}")[:1], "query") == 0

        await wait_until(nothing, SECONDS, "nothing more to be asked for")
        assert trigger.offer(VERIFY, chunks("rich"), "query") == 10
        found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 20, "those of the other tenant")
        assert Counter(parse_event(VerificationComplete, record.value).org_id for record in found) == {
            "poor": 10,
            "rich": 10,
        }


def chunks(tenant: str, *, block: str = "0") -> list[Chunk]:
    return [Chunk(tenant, f"document {number}", block, f"The tower {number} is tall.") for number in range(10)]


@asynccontextmanager
async def a_trigger(brokers: str) -> AsyncIterator[VerificationTrigger]:
    """A trigger that hears of the verdicts, as in the search service."""
    async with VerificationTrigger(
        KafkaSender(KafkaSettings(brokers)), rollout="search/demo", registry=CollectorRegistry()
    ) as one:
        following = asyncio.create_task(follow_verdicts(KafkaSettings(brokers), one.answered))
        try:
            yield one
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
