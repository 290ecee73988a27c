"""The verifier is away: no search fails, every page is what it was, and what was asked for is verified later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.faulty_verifier import SAT, a_faulty_verifier, answer
from tests.support.flags import Operator, a_document, obeyed
from tests.support.pipeline import Program, a_client, a_program, an_orchestrator, free_port
from tests.support.waiting import wait_until
from veriramp_operator.api.vector import Vector
from veriramp_sdk.contract import Mode
from veriramp_search.corpus import shipped

SECONDS = 60.0
SEARCHES = 1_000
FULL = Vector(mode=Mode.LIVE, sampling_rate=1.0, canary_percent=50, ranking_weight=0.15, top_k=10)
SETTINGS = {"orchestrator": {"maxConcurrentVerifications": 10, "circuitBreakerTimeoutSeconds": 1}}
QUERIES = list(shipped().references)


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=FULL, worker_settings=SETTINGS)):
        yield


@pytest.fixture
async def client(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        a_program("veriramp_search.main", folder=tmp_path, env=env) as search,
        a_client(search.url) as client,
    ):
        yield client


async def page(client: httpx.AsyncClient, query: str, user: str = "user-1") -> dict[str, Any]:
    """A search's answer; fails when the search does."""
    response = await client.get("/search", params={"q": query, "user": user})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> list[str]:
    return [result["id"] for result in answer["results"]]


async def verified(client: httpx.AsyncClient, query: str) -> None:
    """Wait until every result of a query has a verdict."""

    async def all_are() -> bool:
        results = (await page(client, query))["results"]
        return all(result["verification"]["state"] == "verified" for result in results)

    await wait_until(all_are, SECONDS, f"verdicts on all results of {query!r}")


async def pause_is(worker: Program, value: float) -> None:
    async def is_so() -> bool:
        return await worker.metric("veriramp_bus_paused", reason="breaker") == value

    await wait_until(is_so, SECONDS, f"the breaker's pause to be {value:g}; see {worker.log}")


@pytest.mark.shows("S1-PERF-07", "S0-04", "S1-ORCH-03")
async def test_searches_go_on_while_the_verifier_is_away(
    tmp_path: Path, env: dict[str, str], client: httpx.AsyncClient
) -> None:
    port, known, asked = free_port(), QUERIES[0], QUERIES[1:]
    remote = {
        "VERIRAMP_VERIFIER_URL": f"http://127.0.0.1:{port}",
        "VERIRAMP_BUDGET_PER_DAY": "none",
        "VERIRAMP_RETRY_SECONDS": "1,1",
    }
    async with an_orchestrator(tmp_path, {**env, **remote}) as worker:
        async with a_faulty_verifier(answer(SAT), port=port):
            await verified(client, known)
        before = {query: ids(await page(client, query)) for query in QUERIES}
        await pause_is(worker, 1)
        for number in range(SEARCHES):
            query = QUERIES[number % len(QUERIES)]
            assert ids(await page(client, query, f"user-{number}")) == before[query]
        assert await worker.metric("circuit_breaker_state", service="hupyy_api") != 0
        states = {result["verification"]["state"] for result in (await page(client, known))["results"]}
        assert states == {"verified"}, "what was known stays known"
        async with a_faulty_verifier(answer(SAT), port=port):
            for query in asked[:3]:
                await verified(client, query)
            await pause_is(worker, 0)
        assert await worker.stop() == 0
