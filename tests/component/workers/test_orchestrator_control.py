"""The orchestrator under the orders of flags, breaker, budget and people, with a verifier of the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord

from tests.support.databases import a_redis
from tests.support.faulty_verifier import SAT, Act, FaultyVerifier, a_faulty_verifier, answer
from tests.support.flags import LIVE, OFF, Operator, a_document
from tests.support.pipeline import BOTH_BROKERS, STOP_SECONDS, Program, Topics, a_client, a_program, a_request
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerificationComplete, VerificationFailed, VerifyChunk, parse_event

PROBE = "The mill is red."
DOWN = answer(b"", 404)  # a status that is not tried again within the same question
TOKEN = "a-token-of-twenty-signs"
SECONDS = 30


class Gate:
    """Answers that wait until the test lets them go."""

    def __init__(self) -> None:
        self.way = asyncio.Event()
        self.inside = 0
        self.then: Act = answer(SAT)

    def __call__(self, _: str, __: Any) -> Act:
        async def act(writer: asyncio.StreamWriter) -> None:
            self.inside += 1
            try:
                await self.way.wait()
            finally:
                self.inside -= 1
            await self.then(writer)

        return act


class Stand:
    """A running orchestrator with a verifier of the test's."""

    def __init__(self, program: Program, verifier: FaultyVerifier, topics: Topics, operator: Operator) -> None:
        self.program = program
        self.verifier = verifier
        self.topics = topics
        self._operator = operator
        self._revision = 2

    def publish(self, **settings: float) -> None:
        self._next(vector=LIVE, worker_settings={"orchestrator": settings})

    def switch_off(self) -> None:
        self._next(vector=OFF)

    def _next(self, **changes: Any) -> None:
        self._revision += 1
        self._operator.publish(a_document(revision=self._revision, **changes))

    async def paused(self, reason: str, *, ended: bool = False) -> None:
        async def as_wanted() -> bool:
            return (await self.program.metric("veriramp_bus_paused", reason=reason) == 1) is not ended

        await wait_until(as_wanted, SECONDS, f"the pause for {reason} to {'end' if ended else 'begin'}")

    async def asked(self, count: int) -> None:
        async def often() -> bool:
            return len(self.verifier.asked) >= count

        await wait_until(often, SECONDS, f"{count} questions, not {len(self.verifier.asked)}")

    async def some_polls(self) -> None:
        before = await self.program.metric("veriramp_bus_polls_total")

        async def more() -> bool:
            return await self.program.metric("veriramp_bus_polls_total") >= before + 5

        await wait_until(more, SECONDS, "five more polls")

    async def lag(self, count: int, topic: str = Topic.INTERACTIVE) -> None:
        async def as_many() -> bool:
            lags = [
                await self.program.metric("kafka_consumer_lag", topic=topic, partition=str(each)) for each in range(3)
            ]
            return sum(lags) == count

        await wait_until(as_many, SECONDS, f"a lag of {count} in {topic}")

    async def all_answered(self, requests: list[VerifyChunk]) -> list[ConsumerRecord]:
        def all_there(records: list[ConsumerRecord]) -> bool:
            return {record.key for record in records} >= {request.key() for request in requests}

        return await self.topics.read(Topic.COMPLETE, all_there, "an answer to each")

    async def admin(self, method: str, path: str, token: str = TOKEN) -> httpx.Response:
        async with a_client(self.program.url, authorization=f"Bearer {token}") as client:
            return await client.request(method, f"/admin/{path}")


@pytest.fixture
def env(env: dict[str, str], operator: Operator) -> dict[str, str]:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    return {
        **env,
        "VERIRAMP_BUDGET_PER_DAY": "none",
        "VERIRAMP_ADMIN_TOKEN": TOKEN,
        "VERIRAMP_RETRY_SECONDS": "1,1",
        "VERIRAMP_LOG_LEVEL": "DEBUG",
    }


@asynccontextmanager
async def a_stand(
    folder: Path, env: dict[str, str], topics: Topics, operator: Operator, choose: Any, **settings: str
) -> AsyncIterator[Stand]:
    async with a_faulty_verifier(choose=choose) as verifier:
        env = {**env, "VERIRAMP_VERIFIER_URL": verifier.url, **settings}
        async with a_program("veriramp_workers.main", "orchestrator", folder=folder, env=env) as program:
            yield Stand(program, verifier, topics, operator)


def numbered(count: int) -> list[VerifyChunk]:
    return [a_request(f"The tower {number} is tall.", document=str(number)) for number in range(count)]


@BOTH_BROKERS
@pytest.mark.shows("S1-FLAG-04", "S1-FLAG-05", "S1-ORCH-02")
async def test_off_under_load_no_call_begins_and_the_backlog_is_whole(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    gate, requests = Gate(), numbered(100)
    gate.then = answer(b"", 503)  # tried again, if it were not for the switch
    async with a_stand(tmp_path, env, topics, operator, gate) as stand:
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.asked(10)
        stand.switch_off()
        await stand.paused("mode")
        gate.way.set()
        await stand.paused("off")
        await stand.some_polls()
        assert len(stand.verifier.asked) == 10
        assert (await stand.admin("GET", "stats")).json()["degradation_level"] == 3
        await stand.lag(100)
        assert await stand.program.ready()
        gate.then = answer(SAT)
        stand.publish()
        found = await stand.all_answered(requests)
        assert len(found) == len(requests)
        assert await stand.program.metric("veriramp_bus_records_total", outcome="retry") == 0


@pytest.mark.shows("S1-FLAG-02", "S1-FLAG-04", "S1-ORCH-02")
async def test_the_concurrency_follows_the_flag(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    gate, requests = Gate(), numbered(40)
    async with a_stand(tmp_path, env, topics, operator, gate) as stand:
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.asked(10)
        stand.publish(maxConcurrentVerifications=14)
        await stand.asked(14)
        await stand.some_polls()
        assert gate.inside == 14
        stand.publish(maxConcurrentVerifications=0)

        async def complained() -> bool:
            stats = (await stand.admin("GET", "stats")).json()
            return stats["concurrency"] == 10 and "write a whole number from 1" in str(stats["complaints"])

        await wait_until(complained, SECONDS, "the sentence about a setting that is wrong")
        gate.way.set()
        await stand.all_answered(requests)


@pytest.mark.shows("S1-VER-09", "S1-FLAG-02")
async def test_our_own_limit_sets_the_pace_and_follows_the_flag(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    requests = numbered(30)
    operator.publish(a_document(revision=2, vector=LIVE, worker_settings={"orchestrator": {"requestsPerMinute": 0.5}}))
    async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT)) as stand:
        await stand.paused("mode", ended=True)
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.paused("rate")
        await stand.some_polls()
        assert len(stand.verifier.asked) == 1
        await stand.lag(29)
        stand.publish(requestsPerMinute=0)
        await stand.paused("rate", ended=True)
        await stand.all_answered(requests)


@BOTH_BROKERS
@pytest.mark.shows("S1-ORCH-03", "S1-FAIL-05", "S1-VER-07")
async def test_an_outage_pauses_and_the_end_of_it_resumes(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    requests, up = numbered(60), False

    def choose(_: str, __: Any) -> Act:
        return answer(SAT) if up else DOWN

    operator.publish(
        a_document(revision=2, vector=LIVE, worker_settings={"orchestrator": {"circuitBreakerTimeoutSeconds": 1}})
    )
    async with a_stand(tmp_path, env, topics, operator, choose) as stand:
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.paused("breaker")
        assert await stand.program.ready()

        async def probed() -> bool:
            return [body["informal_text"] for _, body in stand.verifier.asked].count(PROBE) >= 3

        await wait_until(probed, SECONDS, "three probes")
        asked = [body["informal_text"] for _, body in stand.verifier.asked if body["informal_text"] != PROBE]
        assert len(asked) == len(set(asked)) <= 14, "in an outage no request uses up its tries"
        assert await stand.program.metric("circuit_breaker_not_closed_seconds") > 0

        async def known_verdicts_only() -> bool:
            # Each second it is half-open for a moment, and asks.
            return await stand.program.metric("veriramp_degradation_level") == 2

        await wait_until(known_verdicts_only, SECONDS, "the second step down")
        up = True
        found = await stand.all_answered(requests)
        assert len(found) == len(requests)
        await stand.paused("breaker", ended=True)
        assert await stand.program.metric("circuit_breaker_state") == 0
        assert await stand.program.metric("veriramp_bus_records_total", outcome="dead") == 0


@pytest.mark.shows("S1-VER-08", "S1-ORCH-03")
async def test_a_person_closes_the_breaker(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    requests, up = numbered(20), False

    def choose(_: str, __: Any) -> Act:
        return answer(SAT) if up else DOWN

    async with a_stand(tmp_path, env, topics, operator, choose) as stand:
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.paused("breaker")
        up = True
        assert (await stand.admin("POST", "breaker/reset", token="wrong")).status_code == 401
        before = (await stand.admin("GET", "stats")).json()
        assert (before["breaker"]["state"], before["paused"]) == ("open", ["breaker"])
        after = (await stand.admin("POST", "breaker/reset")).json()
        assert (after["breaker"]["state"], after["paused"]) == ("closed", [])
        assert len(await stand.all_answered(requests)) == len(requests)


@pytest.mark.shows("S1-EVT-03", "S1-ORCH-04")
async def test_a_text_that_breaks_the_verifier_is_reported_once_and_the_others_are_judged(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    poison, requests = a_request("The poison is bad."), numbered(10)

    def choose(_: str, body: Any) -> Act:
        return DOWN if body["informal_text"] == poison.content else answer(SAT)

    async with a_stand(tmp_path, env, topics, operator, choose) as stand:
        await topics.send(Topic.INTERACTIVE, poison, *requests)
        await stand.all_answered(requests)
        dead = await topics.read(Topic.DEAD_LETTERS, lambda records: len(records) >= 1, "the dead letter")
        failed = await topics.read(Topic.FAILED, lambda records: len(records) >= 1, "the report")
        assert await stand.program.stop() == 0
    assert [record.value for record in dead] == [poison.to_bytes()]
    (event,) = [parse_event(VerificationFailed, record.value) for record in failed]
    assert (event.chunk_key, event.attempts, event.http_status, event.retryable) == (poison.chunk_key, 3, 404, True)


@pytest.mark.shows("S1-COST-01")
async def test_a_verdict_is_known_to_the_next_process_too(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    requests = [a_request("The tower is tall.", document=str(number)) for number in range(3)]
    store = {"VERIRAMP_STORE_URL": f"sqlite:///{tmp_path}/store.db"}
    for start in (0, 2):
        async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT), **store) as stand:
            for request in requests[start : start + 2]:
                await topics.send(Topic.INTERACTIVE, request)
                found = await stand.all_answered([request])
            assert len(stand.verifier.asked) == (1 if start == 0 else 0)
            assert await stand.program.metric("verification_requests_total", status="cache_hit") == 1
    events = [parse_event(VerificationComplete, record.value) for record in found]
    assert {event.document_id: event.cache_hit for event in events} == {"0": False, "1": True, "2": True}
    assert len({event.event_id for event in events}) == 3
    assert {event.reason for event in events} == {"consistent by itself; nothing to compare it with"}


@pytest.mark.shows("S1-COST-03")
async def test_a_budget_holds_over_processes_and_nothing_is_lost(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    store = {
        "VERIRAMP_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        "VERIRAMP_BUDGET_AT_ONCE": "1",
        "VERIRAMP_BUDGET_PER_DAY": "4",
    }
    requests = numbered(10)
    await topics.send(Topic.INTERACTIVE, *requests)
    for asked, waiting in ((4, 6), (0, 30)):
        async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT), **store) as stand:
            await stand.topics.read(Topic.COMPLETE, lambda records: len(records) >= 4, "what was paid")

            def enough(records: list[ConsumerRecord], fewest: int = waiting) -> bool:
                return len(records) >= fewest

            await stand.topics.read(Topic.DEFERRED, enough, "what was not paid")
            assert len(stand.verifier.asked) == asked
            assert await stand.program.ready()
            await stand.topics.all_committed("verification-orchestrator-group", Topic.INTERACTIVE, len(requests))
            assert await stand.program.stop() == 0
    async with a_stand(
        tmp_path, env, topics, operator, lambda *_: answer(SAT), **{**store, "VERIRAMP_BUDGET_PER_DAY": "100"}
    ) as stand:
        await stand.all_answered(requests)
        assert len(stand.verifier.asked) == 6


@pytest.mark.shows("S1-COST-03")
async def test_without_the_store_nothing_is_verified_for_free(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    requests = numbered(6)
    with a_redis(tmp_path) as redis:
        redis.kill()
        store = {"VERIRAMP_STORE_URL": redis.url, "VERIRAMP_BUDGET_PER_DAY": "100", "VERIRAMP_BUDGET_AT_ONCE": "1"}
        async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT), **store) as stand:
            await topics.send(Topic.INTERACTIVE, *requests)
            await stand.paused("budget_unknown")
            await stand.some_polls()
            assert stand.verifier.asked == []
            await stand.lag(6)
            redis.start()
            await stand.all_answered(requests)
            assert len(stand.verifier.asked) == 6


@pytest.mark.shows("S1-ORCH-05", "S1-KAFKA-06")
async def test_a_verifier_that_hangs_does_not_keep_the_worker_from_leaving(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    gate, requests = Gate(), numbered(3)
    async with a_stand(tmp_path, env, topics, operator, gate) as stand:
        await topics.send(Topic.INTERACTIVE, *requests)
        await stand.asked(3)
        stand.program.process.terminate()

        async def not_ready() -> bool:
            async with a_client() as client:
                answer = await client.get(f"{stand.program.url}/readyz")
            return (answer.status_code, answer.text) == (503, "the worker is being stopped\n")

        await wait_until(not_ready, SECONDS, "the worker to say that it is being stopped")
        assert await asyncio.to_thread(stand.program.process.wait, STOP_SECONDS) == 0
        lines = [json.loads(line) for line in stand.program.log.read_text().splitlines()]
        assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
        assert {line["logger"].split(".")[0] for line in lines if line["level"] == "DEBUG"} <= {
            "veriramp",
            "veriramp_workers",
        }, "a library shows messages at DEBUG"
        assert not any("is tall" in str(line) or TOKEN in str(line) for line in lines)
    async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT)) as stand:
        await stand.all_answered(requests)
        assert "verdict on a chunk" in stand.program.log.read_text()


async def test_a_port_that_is_taken_ends_the_worker_with_one_line(
    tmp_path: Path, env: dict[str, str], topics: Topics, operator: Operator
) -> None:
    async with a_stand(tmp_path, env, topics, operator, lambda *_: answer(SAT)) as stand:
        port = stand.program.url.rsplit(":", 1)[1]
        taken = {**env, "VERIRAMP_PORT": port}
        async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=taken, wait=False) as other:
            assert await asyncio.to_thread(other.process.wait, STOP_SECONDS) == 1
        errors = [line for line in map(json.loads, other.log.read_text().splitlines()) if line["level"] == "ERROR"]
    assert [line["message"] for line in errors] == [
        f"the worker cannot work: port {port} of 127.0.0.1 cannot be had: Address already in use"
    ]


async def test_a_store_of_no_use_ends_the_worker_with_one_line(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "file").write_text("")
    wrong = {**env, "VERIRAMP_STORE_URL": f"sqlite:///{tmp_path}/file/store.db"}
    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=wrong, wait=False) as program:
        assert await asyncio.to_thread(program.process.wait, STOP_SECONDS) == 2
    lines = program.log.read_text().splitlines()
    assert lines[-1].startswith(f'veriramp-worker: VERIRAMP_STORE_URL is "sqlite:///{tmp_path}/file/store.db": ')
