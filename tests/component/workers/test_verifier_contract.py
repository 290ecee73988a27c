"""One suite for every verifier over HTTP: recorded answers, the embedded verifier as a process, and one outside.

The one outside is asked when ``VERIRAMP_TEST_VERIFIER_URL`` names it; it may take minutes for each question.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.support.faulty_verifier import (
    FAILED_FIELD,
    FAILED_STEP,
    HALF,
    SAT,
    UNSAT,
    Act,
    a_faulty_verifier,
    answer,
)
from tests.support.flags import LIVE, Operator, a_document
from tests.support.pipeline import Topics, a_client, a_program, a_request
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, Verdict, VerificationComplete, parse_event
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics
from veriramp_workers.ports import Question, Record
from veriramp_workers.verifier_http import RemoteMetrics, RemoteSettings, RemoteVerifier

OUTSIDE = os.environ.get("VERIRAMP_TEST_VERIFIER_URL", "")
CLAIM, DENIAL, VAGUE = "The mill is red.", "The mill is not red.", "Wat ziet men daar?"
HEALTH = {"status": "healthy", "service": "recorded", "version": "1", "embedding_model": "m"}


def recorded(path: str, body: Any) -> Act:
    """What the real service answers, for the few texts of this suite."""
    if path == "/health":
        return answer(HEALTH)
    text = str(body.get("informal_text"))
    if not 1 <= len(text) <= 100_000:
        return answer(FAILED_FIELD, 422)
    if text == VAGUE:
        return answer(FAILED_STEP, 422)
    return answer(UNSAT if CLAIM in text and DENIAL in text else SAT)


@pytest.fixture(params=["recorded", "faulty", "embedded", "outside"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        if request.param == "outside":
            if not OUTSIDE:
                pytest.skip("VERIRAMP_TEST_VERIFIER_URL names no verifier to ask")
            yield OUTSIDE
        elif request.param == "embedded":
            program = a_program("veriramp_workers.main", "verifier", folder=tmp_path, env={"VERIRAMP_SOLVERS": "1"})
            yield (await stack.enter_async_context(program)).url
        else:
            turns = 0

            def with_faults(path: str, body: Any) -> Act:
                nonlocal turns
                turns += 1
                faults = {1: HALF, 2: answer(b"", 429, retry_after="0")} if turns % 3 else {}
                return faults.get(turns % 3, recorded(path, body))

            choose = recorded if request.param == "recorded" else with_faults
            yield (await stack.enter_async_context(a_faulty_verifier(choose=choose))).url


@pytest.fixture
async def verifier(url: str) -> AsyncIterator[RemoteVerifier]:
    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    # The faults of several questions at once mix; more attempts let each have its third.
    settings = RemoteSettings(url, attempts=3 if url == OUTSIDE else 50)
    sleeps = asyncio.sleep if url == OUTSIDE else sleep
    async with RemoteVerifier(settings, RemoteMetrics(CollectorRegistry()), sleep=sleeps) as remote:
        yield remote


@pytest.mark.shows("S1-VER-02", "S1-VER-10", "S1-FAIL-02")
@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        (Question(CLAIM), Verdict.UNDETERMINED),
        (Question(f"{CLAIM} {DENIAL}"), Verdict.INCONSISTENT),
        (Question(CLAIM, (DENIAL,)), Verdict.CONTRADICTED),
        (Question(CLAIM, ("The dam is old.",)), Verdict.UNDETERMINED),
        (Question("", ()), Verdict.NOT_FORMALISABLE),
        (Question("x" * 100_001, ()), Verdict.NOT_FORMALISABLE),
    ],
)
async def test_every_verifier_says_the_same(verifier: RemoteVerifier, question: Question, verdict: Verdict) -> None:
    judgement = await verifier.judge(question)
    assert judgement.verdict is verdict
    assert judgement.reason


async def test_what_is_not_understood_is_a_verdict(url: str, verifier: RemoteVerifier) -> None:
    judgement = await verifier.judge(Question(VAGUE))
    assert url == OUTSIDE or judgement.verdict is Verdict.NOT_FORMALISABLE


@pytest.mark.shows("S1-EVT-02")
async def test_each_judgement_makes_an_event(verifier: RemoteVerifier) -> None:
    orchestrator = Orchestrator(verifier, OrchestratorMetrics(CollectorRegistry()), formaliser_version="1")
    request = a_request(f"{CLAIM} {DENIAL}")
    (message,) = await orchestrator(Record(Topic.INTERACTIVE, 0, 0, b"", request.to_bytes()))
    event = parse_event(VerificationComplete, message.value)
    assert (event.verdict, event.check_sat_result) == (Verdict.INCONSISTENT, "unsat")
    assert event.smt_lib_code


async def test_questions_may_be_asked_at_once(verifier: RemoteVerifier) -> None:
    answers = await asyncio.gather(*(verifier.judge(Question(CLAIM)) for _ in range(5)))
    assert {one.verdict for one in answers} == {Verdict.UNDETERMINED}


@pytest.mark.shows("S1-VER-04", "S1-VER-08")
@pytest.mark.parametrize("url", ["recorded", "embedded", "outside"], indirect=True)
async def test_health_and_the_refusal_of_a_wrong_request_have_the_contracts_form(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=150.0) as client:
        assert set(HEALTH) <= set((await client.get("/health")).json())
        refused = await client.post("/pipeline/process", json={"informal_text": ""})
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == ["body", "informal_text"]


async def test_the_service_ends_when_told_and_finishes_its_questions(tmp_path: Path) -> None:
    env = {"VERIRAMP_SOLVERS": "1"}
    body = {"informal_text": CLAIM, "premises": [DENIAL]}
    async with (
        a_program("veriramp_workers.main", "verifier", folder=tmp_path, env=env) as program,
        a_client(program.url) as client,
    ):
        asking = [asyncio.create_task(client.post("/pipeline/process", json=body)) for _ in range(3)]

        async def all_taken() -> bool:
            answered = await program.metric("veriramp_verifier_requests_total")
            return await program.metric("veriramp_verifier_busy") + answered >= 3

        await wait_until(all_taken, 30, "the three questions to be taken")
        assert await program.stop() == 0
        assert [reply.status_code for reply in await asyncio.gather(*asking)] == [200] * 3


@pytest.mark.shows("S1-VER-01", "S1-ORCH-01")
async def test_the_orchestrator_asks_the_service_that_it_is_given(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    async with a_program(
        "veriramp_workers.main", "verifier", folder=tmp_path, env={"VERIRAMP_SOLVERS": "1"}
    ) as service:
        env |= {
            "VERIRAMP_VERIFIER_URL": service.url,
            "VERIRAMP_VERIFIER_VERSION": "7",
            "VERIRAMP_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        }
        async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env) as program:
            await topics.send(Topic.INTERACTIVE, a_request(CLAIM, DENIAL))
            found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the answer")
            event = parse_event(VerificationComplete, found[0].value)
            assert (event.verdict, event.verifier, event.verifier_version) == (Verdict.CONTRADICTED, "remote", "7")
            assert await program.metric("circuit_breaker_state", service="hupyy_api") == 0
            assert await program.metric("hupyy_api_latency_seconds_count") >= 2
            assert await service.metric("veriramp_verifier_verdicts_total", verdict="contradicted") == 1
