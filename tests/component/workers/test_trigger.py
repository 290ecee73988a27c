"""The trigger in the search service with a real broker: what reaches the topics, what a page shows, what faults do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord

from tests.support.flags import Operator, a_document
from tests.support.pipeline import (
    BOTH_BROKERS,
    STOP_ALONE_SECONDS,
    STOP_SECONDS,
    WORK_SECONDS,
    Program,
    Topics,
    a_client,
    a_program,
    free_port,
)
from tests.support.waiting import wait_until
from tools.toolchain import binary
from veriramp_operator.api.vector import Vector
from veriramp_sdk.contract import Mode
from veriramp_sdk.events import Topic, VerificationFailed, VerifyChunk, parse_event
from veriramp_search.corpus import shipped

SHADOW = Vector(mode=Mode.SHADOW, sampling_rate=1.0, canary_percent=50, ranking_weight=0.0, top_k=10)
QUERIES = tuple(shipped().references)
SECRETS = ("user-7", "swordfish")


@dataclass
class Site:
    """A search service that follows the flags."""

    program: Program
    client: httpx.AsyncClient

    async def ask(self, query: str, user: str = "user-0", **headers: str) -> dict[str, Any]:
        response = await self.client.get("/search", params={"q": query, "user": user}, headers=headers)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    async def follows(self, revision: int) -> None:
        async def reached() -> bool:
            return bool((await self.ask(QUERIES[0]))["revision"] == revision)

        await wait_until(reached, WORK_SECONDS, f"revision {revision}")

    async def chunks(self, outcome: str) -> float:
        return await self.program.metric("veriramp_trigger_chunks_total", outcome=outcome)

    async def dropped(self, reason: str) -> float:
        return await self.program.metric("veriramp_trigger_dropped_total", reason=reason)

    async def more(self, outcome: str, than: float, seconds: float = WORK_SECONDS) -> None:
        async def reached() -> bool:
            return await self.chunks(outcome) > than

        await wait_until(reached, seconds, f"more than {than:g} {outcome}")


def states(answer: dict[str, Any]) -> list[str]:
    return [result["verification"]["state"] for result in answer["results"]]


def asks_for(answer: dict[str, Any]) -> Callable[[list[ConsumerRecord]], bool]:
    """Whether each result of a page is asked for."""
    page = {result["id"] for result in answer["results"]}
    return lambda records: page <= {parse_event(VerifyChunk, record.value).document_id for record in records}


@pytest.fixture
async def site(tmp_path: Path, env: dict[str, str], operator: Operator) -> AsyncIterator[Site]:
    operator.publish(a_document(revision=1, vector=SHADOW))
    operator.renew()
    async with (
        a_program("veriramp_search.main", folder=tmp_path, env=env) as program,
        a_client(program.url) as client,
    ):
        yield Site(program, client)


@BOTH_BROKERS
@pytest.mark.shows("S1-TRIG-01", "S1-TRIG-05", "S1-EVT-01")
async def test_what_a_search_found_is_on_the_topic_without_its_user(site: Site, topics: Topics) -> None:
    await site.follows(1)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await site.ask(QUERIES[5], "user-7", traceparent=trace, authorization="Bearer swordfish")
    records = await topics.read(Topic.INTERACTIVE, asks_for(answer), "the ten results of the page")
    assert not [secret for record in records for secret in SECRETS if secret.encode() in record.value]
    assert ("traceparent", trace.encode()) in [header for record in records for header in record.headers]
    assert len({record.key for record in records}) == len(records), "each chunk once"


@BOTH_BROKERS
@pytest.mark.shows("S1-FLAG-05")
async def test_switched_off_under_load_nothing_reaches_the_topic(
    site: Site, topics: Topics, operator: Operator
) -> None:
    before = {query: [result["id"] for result in (await site.ask(query))["results"]] for query in QUERIES[60:80]}
    await site.follows(1)
    for query in QUERIES[:20]:
        await site.ask(query)
    await site.more("sent", 0)
    operator.publish(a_document(revision=2, vector=Vector()))
    await site.follows(2)
    sent = await site.chunks("sent")
    for query, order in before.items():
        assert [result["id"] for result in (await site.ask(query))["results"]] == order
    operator.publish(a_document(revision=3, vector=SHADOW))
    await site.follows(3)
    for query in QUERIES[90:]:
        await site.ask(query)
    await site.more("sent", sent)
    records = await topics.read(
        Topic.INTERACTIVE,
        lambda found: any(parse_event(VerifyChunk, record.value).revision == 3 for record in found),
        "a request of revision 3",
    )
    assert {parse_event(VerifyChunk, record.value).revision for record in records} == {1, 3}, "nothing while it was off"


@pytest.mark.shows("S1-TRIG-06", "S1-EVT-03")
async def test_in_progress_ends_with_a_failure_too(site: Site, topics: Topics) -> None:
    await site.follows(1)
    query = QUERIES[11]
    answer = await site.ask(query)
    assert states(answer) == ["pending"] * 10
    records = await topics.read(Topic.INTERACTIVE, asks_for(answer), "the requests")
    for record in records:
        request = parse_event(VerifyChunk, record.value)
        failed = VerificationFailed(
            **request.model_dump(), error="no answer", error_class="timeout", retryable=True, failed_at_ms=1
        )
        await topics.send_raw(Topic.FAILED, failed.to_bytes(), failed.key())

    async def given_up() -> bool:
        return states(await site.ask(query)) == ["unverified"] * 10

    await wait_until(given_up, WORK_SECONDS, "ten results that are verified no longer")
    document = (await site.client.get(f"/documents/{(await site.ask(query))['results'][0]['id']}")).json()
    assert document["verification"] == {"state": "unverified", "pending": False}


async def test_without_brokers_nothing_is_in_progress(tmp_path: Path, env: dict[str, str], operator: Operator) -> None:
    operator.publish(a_document(revision=1, vector=SHADOW))
    operator.renew()
    env = {**env, "VERIRAMP_BROKERS": ""}
    async with (
        a_program("veriramp_search.main", folder=tmp_path, env=env) as program,
        a_client(program.url) as client,
    ):
        site = Site(program, client)
        await site.follows(1)
        assert states(await site.ask(QUERIES[0])) == ["unverified"] * 10


@dataclass
class Broker:
    """A broker that can be stopped, continued and killed."""

    port: int
    folder: Path

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        arguments = [str(binary("broker")), "--port", str(self.port), "--default-partitions", "3"]
        with (
            (self.folder / "broker.log").open("ab") as log,
            subprocess.Popen(
                [*arguments, "--data-dir", str(self.folder)], stdout=subprocess.PIPE, stderr=log
            ) as process,
        ):
            assert process.stdout is not None
            try:
                assert json.loads(process.stdout.readline())["address"]
                yield process
            finally:
                process.kill()
                process.wait(timeout=STOP_SECONDS)


class TestBrokerFaults:
    @pytest.fixture
    def broker(self, tmp_path: Path) -> Broker:
        folder = tmp_path / "broker"
        folder.mkdir()
        return Broker(free_port(), folder)

    @pytest.fixture
    def brokers(self, broker: Broker) -> str:
        return f"127.0.0.1:{broker.port}"

    @pytest.mark.shows("S1-TRIG-01", "S1-PERF-07")
    async def test_a_broker_that_hangs_fails_no_search_and_is_used_again(self, site: Site, broker: Broker) -> None:
        with broker.up() as process:
            await site.follows(1)
            await site.more("sent", 0)
            os.kill(process.pid, signal.SIGSTOP)
            try:
                for query in QUERIES[1:60]:
                    assert len((await site.ask(query))["results"]) == 10

                async def given_up() -> bool:
                    return await site.dropped("failed") > 0

                await wait_until(given_up, 40, "a batch to be given up")
            finally:
                os.kill(process.pid, signal.SIGCONT)
            sent = await site.chunks("sent")
            for query in QUERIES[60:]:
                await site.ask(query)
            await site.more("sent", sent, 60)
            assert await site.program.stop() == 0

    @pytest.mark.shows("S1-TRIG-01", "S1-PERF-07")
    async def test_a_broker_that_dies_fails_no_search_and_is_used_again(self, site: Site, broker: Broker) -> None:
        await site.follows(1)
        for query in QUERIES[:20]:
            assert len((await site.ask(query))["results"]) == 10
        with broker.up():
            for query in QUERIES[20:40]:
                await site.ask(query)
            await site.more("sent", 0, 60)
        sent = await site.chunks("sent")
        for query in QUERIES[40:60]:
            assert len((await site.ask(query))["results"]) == 10
        with broker.up():
            for query in QUERIES[60:80]:
                await site.ask(query)
            await site.more("sent", sent, 60)

    @pytest.mark.shows("S1-TRIG-01")
    async def test_the_end_of_the_process_does_not_wait_for_a_broker_that_hangs(
        self, site: Site, broker: Broker
    ) -> None:
        with broker.up() as process:
            await site.follows(1)
            await site.more("sent", 0)
            os.kill(process.pid, signal.SIGSTOP)
            for query in QUERIES[1:20]:
                await site.ask(query)
            assert await site.program.stop(STOP_ALONE_SECONDS) == 0
