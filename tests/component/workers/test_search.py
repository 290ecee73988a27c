"""The search service as a process: with the orchestrator, a real broker and a real flag server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from tests.component.workers.test_bus import NoText
from tests.support.flags import Operator, a_document
from tests.support.pipeline import WORK_SECONDS, Program, Topics, a_client, a_program
from tests.support.waiting import wait_until
from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_operator.api.vector import Vector
from veriramp_sdk.contract import Mode
from veriramp_sdk.events import Topic
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_search.broker import Answer, Headers, Take, follow_verdicts
from veriramp_search.corpus import shipped

FULL = Vector(mode=Mode.LIVE, sampling_rate=1.0, canary_percent=50, ranking_weight=0.15, top_k=10)
CORPUS = shipped()
QUERY = next(iter(CORPUS.references))


def a_search(folder: Path, env: dict[str, str], **more: str) -> AbstractAsyncContextManager[Program]:
    return a_program("veriramp_search.main", folder=folder, env={**env, **more})


@pytest.fixture
async def search(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[Program]:
    async with a_search(tmp_path, env, VERIRAMP_DEBUG="1") as program:
        yield program


@pytest.fixture
async def client(search: Program) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(search.url) as client:
        yield client


async def ask(client: httpx.AsyncClient, user: str, query: str = QUERY) -> dict[str, Any]:
    response = await client.get("/search", params={"q": query, "user": user})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


async def follows(client: httpx.AsyncClient, revision: int) -> None:
    async def reached() -> bool:
        return bool((await ask(client, "user-0"))["revision"] == revision)

    await wait_until(reached, WORK_SECONDS, f"revision {revision}")


async def users_by_arm(client: httpx.AsyncClient) -> dict[str, str]:
    """One user of each arm."""
    answers = [await ask(client, f"user-{number}") for number in range(30)]
    return {answer["arm"]: f"user-{number}" for number, answer in enumerate(answers)}


def ids(answer: dict[str, Any]) -> list[str]:
    return [result["id"] for result in answer["results"]]


@pytest.mark.shows(
    "S1-RANK-04", "S1-CAN-04", "S0-04", "S1-FLAG-05", "S1-RBK-01", "S1-EVT-02", "S1-RANK-05", "S1-TRIG-06"
)
async def test_the_ranking_weight_changes_the_order_of_the_treatment_only(
    tmp_path: Path, env: dict[str, str], operator: Operator, client: httpx.AsyncClient
) -> None:
    baseline = ids(await ask(client, "user-0"))
    operator.publish(a_document(revision=1, vector=FULL))
    operator.renew()
    await follows(client, 1)
    users = await users_by_arm(client)
    unverified = (await ask(client, users["control"]))["results"]
    assert {result["verification"]["state"] for result in unverified} == {"pending"}
    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env):

        async def verified() -> bool:
            answer = await ask(client, users["control"])
            return all(result["verification"]["state"] == "verified" for result in answer["results"])

        await wait_until(verified, WORK_SECONDS, "a verdict on each document of the page")
    control, treatment = await ask(client, users["control"]), await ask(client, users["treatment"])
    assert ids(control) == baseline
    assert ids(treatment) != baseline
    assert treatment["orderChanged"]
    first = treatment["results"][0]
    assert first["verification"]["verdict"] == "entailed"
    assert first["breakdown"]["weights"] == {"relevance": 0.75, "verification": 0.25}
    assert (treatment["mode"], treatment["revision"], treatment["rankingWeight"]) == ("Live", 1, 0.15)
    document = (await client.get(f"/documents/{first['id']}")).json()
    assert document["verification"] == first["verification"]
    operator.publish(a_document(revision=2, vector=Vector()))
    await follows(client, 2)
    assert ids(await ask(client, users["treatment"])) == baseline


async def test_verdicts_are_rebuilt_from_the_topic_at_the_start(
    tmp_path: Path, env: dict[str, str], operator: Operator, client: httpx.AsyncClient
) -> None:
    operator.publish(a_document(revision=1, vector=FULL))
    operator.renew()
    await follows(client, 1)

    async def known(of: httpx.AsyncClient) -> bool:
        return bool((await ask(of, "user-1"))["results"][0]["verification"]["state"] == "verified")

    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env):
        await wait_until(lambda: known(client), WORK_SECONDS, "a verdict")
    async with a_search(tmp_path, env) as another, a_client(another.url) as newcomer:
        await wait_until(lambda: known(newcomer), WORK_SECONDS, "the same verdict in a new process")


async def test_an_answer_that_somebody_fails_at_keeps_the_others_from_nobody(brokers: str, topics: Topics) -> None:
    seen = set[str]()

    def take(event: Answer, _: Headers) -> None:
        if event.document_id == "0":
            raise ZeroDivisionError
        seen.add(event.document_id)

    await topics.send_all(verdicts(0, 1, 2))
    async with follows_verdicts(brokers, take):
        await wait_until(lambda: holds(seen == {"1", "2"}), 30, "the other answers")


async def test_a_message_that_no_client_can_read_keeps_the_others_from_nobody(
    brokers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[str]()
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with AIOKafkaProducer(bootstrap_servers=brokers) as raw:
        for number in range(3):
            for _, value, key in verdicts(number):
                await raw.send_and_wait(Topic.COMPLETE, value, key)
                await raw.send_and_wait(Topic.COMPLETE, value, key, headers=[(NoText("name"), b"1")])
    monkeypatch.undo()
    async with follows_verdicts(brokers, lambda event, _: seen.add(event.document_id)):
        await wait_until(lambda: holds(seen == {"0", "1", "2"}), 30, "what can be read")
        await topics.send_all(verdicts(3))
        await wait_until(lambda: holds("3" in seen), 30, "what comes later")


def verdicts(*numbers: int) -> list[tuple[str, bytes, bytes]]:
    events = [a_verdict().model_copy(update={"document_id": str(number)}) for number in numbers]
    return [(Topic.COMPLETE, event.to_bytes(), event.key()) for event in events]


async def holds(condition: bool) -> bool:
    return condition


@asynccontextmanager
async def follows_verdicts(brokers: str, take: Take) -> AsyncIterator[None]:
    following = asyncio.create_task(follow_verdicts(KafkaSettings(brokers), take))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_the_regression_switch_strikes_its_arm_only(operator: Operator, client: httpx.AsyncClient) -> None:
    operator.publish(a_document(revision=1, vector=FULL))
    operator.renew()
    await follows(client, 1)
    users = await users_by_arm(client)
    response = await client.post("/debug/regression", json={"arm": "treatment", "errorRate": 1.0})
    assert response.json() == {"regression": {"arm": "treatment", "errorRate": 1.0, "extraLatencySeconds": 0.0}}
    failed = await client.get("/search", params={"q": QUERY}, headers={"X-User-Id": users["treatment"]})
    assert (failed.status_code, failed.json()["arm"]) == (500, "treatment")
    await ask(client, users["control"])
    text = (await client.get("/metrics")).text
    labels = 'arm="treatment",namespace="search",rollout="demo"'
    assert f"veriramp_search_errors_total{{{labels}}} 1.0" in text
    await client.post("/debug/regression", json={"arm": "treatment"})
    await ask(client, users["treatment"])


async def test_wrong_requests_are_told_what_to_write(client: httpx.AsyncClient) -> None:
    for path, sentence in (
        ("/search", "write /search?q="),
        ("/search?q=x&limit=0", "from 1 to 30"),
        ("/documents/none", 'there is no document "none"'),
    ):
        assert sentence in (await client.get(path)).json()["error"]
    refused = await client.post("/debug/regression", json={"arm": "treatment", "errorRate": 2})
    assert refused.status_code == 400
    assert "errorRate" in refused.json()["error"]


@pytest.mark.shows("S1-SEC-02")
async def test_without_the_debug_setting_there_is_no_switch(tmp_path: Path, env: dict[str, str]) -> None:
    async with a_search(tmp_path, env) as program, a_client(program.url) as plain:
        assert (await plain.post("/debug/regression", json={"arm": "treatment"})).status_code == 404


@pytest.mark.shows("S1-TRIG-01", "S0-04", "S1-PERF-07")
async def test_searches_go_on_without_a_broker(tmp_path: Path, env: dict[str, str], operator: Operator) -> None:
    operator.publish(a_document(revision=1, vector=FULL))
    operator.renew()
    async with (
        a_search(tmp_path, env, VERIRAMP_BROKERS="127.0.0.1:9") as program,
        a_client(program.url) as alone,
    ):
        await follows(alone, 1)
        for number in range(50):
            assert len((await ask(alone, f"user-{number}"))["results"]) == 10
        assert await program.stop() == 0


async def test_the_load_generator_reports_by_arm(
    operator: Operator, client: httpx.AsyncClient, search: Program
) -> None:
    operator.publish(a_document(revision=1, vector=FULL))
    operator.renew()
    await follows(client, 1)
    arguments = ("--url", search.url, "--rps", "50", "--seconds", "3", "--users", "100")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veriramp_search.load", *arguments), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    summary = json.loads(output)
    assert process.returncode == 0
    assert summary["errors"] == 0
    assert set(summary["arms"]) == {"control", "treatment"}
    assert summary["requests"] == sum(arm["requests"] for arm in summary["arms"].values())
