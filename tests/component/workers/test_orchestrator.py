"""The orchestrator as a process, with kfake and the real Kafka, and a real flag server."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord

from tests.support.flags import LIVE, OFF, Operator, a_document
from tests.support.ledger import GROUP
from tests.support.pipeline import BOTH_BROKERS, Topics, a_request, an_orchestrator
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, Verdict, VerificationComplete, parse_event

pytestmark = BOTH_BROKERS


@pytest.fixture
def live(operator: Operator) -> Operator:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    return operator


def verdicts(records: list[ConsumerRecord]) -> dict[str, Verdict]:
    events = [parse_event(VerificationComplete, record.value) for record in records]
    return {event.document_id: event.verdict for event in events}


def children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def numbered(count: int) -> list[str]:
    return [f"The tower {number} is {number} metres tall." for number in range(count)]


@pytest.mark.shows("S1-ORCH-01", "S1-FAIL-01", "S1-FAIL-03", "S1-FAIL-05", "S1-OBS-01", "S4-IDX-04")
@pytest.mark.usefixtures("live")
async def test_requests_are_answered_with_verdicts(tmp_path: Path, env: dict[str, str], topics: Topics) -> None:
    premise = "The height of the Orlin tower is 40 metres."
    requests = (
        a_request("The Orlin tower is 40 metres tall.", premise, document="right"),
        a_request("The Orlin tower is 41 metres tall.", premise, document="wrong"),
        a_request("The Orlin tower is red.", premise, document="new"),
        a_request("The Orlin tower may be tall.", premise, document="vague"),
        a_request("(declare-const x Int)(assert (and (> x 1) (< x 1)))", document="smt"),
    )
    async with an_orchestrator(tmp_path, env) as program:
        await topics.send(Topic.INTERACTIVE, *requests)
        found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= len(requests), "five answers")
        assert verdicts(found) == {
            "right": Verdict.ENTAILED,
            "wrong": Verdict.CONTRADICTED,
            "new": Verdict.UNDETERMINED,
            "vague": Verdict.NOT_FORMALISABLE,
            "smt": Verdict.INCONSISTENT,
        }
        by_document = {json.loads(record.value)["document_id"]: record for record in found}
        wrong = parse_event(VerificationComplete, by_document["wrong"].value)
        assert wrong.unsat_core == (premise, "The Orlin tower is 41 metres tall.")
        assert by_document["wrong"].key == requests[1].key()
        assert await program.metric("verification_requests_total", status="success") == 4
        assert await program.metric("verification_requests_total", status="invalid") == 1
        assert await program.stop() == 0
    assert sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values()) == len(requests)


@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
@pytest.mark.usefixtures("live")
async def test_kill_between_work_and_commit_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, env: dict[str, str], topics: Topics
) -> None:
    requests = [a_request(text, document=str(number)) for number, text in enumerate(numbered(30))]
    async with an_orchestrator(tmp_path, {**env, "VERIRAMP_COMMIT_SECONDS": "3600"}) as first:
        await topics.send(Topic.INTERACTIVE, *requests)
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= len(requests), "an answer to each")
        await first.kill()
    assert await topics.committed(GROUP, Topic.INTERACTIVE) == {}
    async with an_orchestrator(tmp_path, env) as second:
        found = await topics.read(
            Topic.COMPLETE, lambda records: len(records) >= 2 * len(requests), "every answer again"
        )
        assert await second.stop() == 0
    answers = Counter((record.key, json.loads(record.value)["event_id"]) for record in found)
    assert set(answers.values()) == {2}, "each chunk has one event id, whichever process answered"
    assert {key for key, _ in answers} == {request.key() for request in requests}
    assert sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values()) == len(requests)


@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
@pytest.mark.usefixtures("live")
async def test_killed_in_the_middle_of_a_backlog(tmp_path: Path, env: dict[str, str], topics: Topics) -> None:
    requests = [a_request(text, document=str(number)) for number, text in enumerate(numbered(300))]
    await topics.send(Topic.INTERACTIVE, *requests)
    async with an_orchestrator(tmp_path, env) as first:
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 20, "some answers")
        await first.kill()

    def all_answered(records: list[ConsumerRecord]) -> bool:
        return {record.key for record in records} == {request.key() for request in requests}

    async with an_orchestrator(tmp_path, env) as second:
        found = await topics.read(Topic.COMPLETE, all_answered, "an answer to each")
        # The first one may have answered what it did not commit: those come again, maybe last.
        await topics.all_committed(GROUP, Topic.INTERACTIVE, len(requests))
        assert await second.stop() == 0
    assert len({json.loads(record.value)["event_id"] for record in found}) == len(requests)


@pytest.mark.shows("S1-EVT-01", "S1-EVT-03", "S1-ORCH-04")
@pytest.mark.usefixtures("live")
async def test_poison_goes_to_the_dead_letters_and_the_next_one_is_judged(
    tmp_path: Path, env: dict[str, str], topics: Topics
) -> None:
    good = a_request("The tower is red.")
    other_version = json.loads(good.to_bytes()) | {"schema_version": "9.0"}
    async with an_orchestrator(tmp_path, env):
        await topics.send_raw(Topic.INTERACTIVE, b"this is no JSON", key=good.key())
        await topics.send_raw(Topic.INTERACTIVE, json.dumps(other_version).encode(), key=good.key())
        await topics.send(Topic.INTERACTIVE, good)
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the good one")
        dead = await topics.read(Topic.DEAD_LETTERS, lambda records: len(records) >= 2, "both bad ones")
    reasons = [dict(record.headers)["veriramp-reason"].decode() for record in dead]
    assert dead[0].value == b"this is no JSON"
    assert "JSON" in reasons[0]
    assert "'9.0' is not supported" in reasons[1]


@pytest.mark.shows("S1-FLAG-05", "S1-RBK-03", "S1-OBS-01")
async def test_mode_off_pauses_and_loses_nothing(
    tmp_path: Path, env: dict[str, str], topics: Topics, live: Operator
) -> None:
    async with an_orchestrator(tmp_path, env) as program:
        await topics.send(Topic.INTERACTIVE, a_request("The tower is red."))
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the first answer")
        live.publish(a_document(revision=2, vector=OFF))

        async def paused() -> bool:
            return await program.metric("veriramp_bus_paused") == 1

        await wait_until(paused, 30, "the pause")
        later = [a_request(text, document=str(number)) for number, text in enumerate(numbered(20))]
        await topics.send(Topic.INTERACTIVE, *later)
        ticks = await program.metric("veriramp_bus_polls_total")

        async def polled_on() -> bool:
            return await program.metric("veriramp_bus_polls_total") >= ticks + 5

        await wait_until(polled_on, 30, "five more polls")
        assert await program.metric("verification_requests_total", status="success") == 1
        assert await program.ready()

        async def backlog() -> bool:
            lags = [
                await program.metric("kafka_consumer_lag", topic=Topic.INTERACTIVE, partition=str(each))
                for each in range(3)
            ]
            return sum(lags) == 20

        await wait_until(backlog, 30, "the backlog in the lag")
        live.publish(a_document(revision=3, vector=LIVE))
        found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 21, "the rest")
        assert {record.key for record in found} >= {request.key() for request in later}


@pytest.mark.shows("S1-FLAG-05")
async def test_off_no_question_begins_that_waits_for_a_solver(
    tmp_path: Path, env: dict[str, str], topics: Topics, live: Operator
) -> None:
    async with an_orchestrator(tmp_path, {**env, "VERIRAMP_SOLVERS": "1"}) as program:

        async def reaches(name: str, value: float, **labels: str) -> None:
            async def reached() -> bool:
                return await program.metric(name, **labels) == value

            await wait_until(reached, 30, f"{name} {labels} to be {value}")

        await topics.send(Topic.INTERACTIVE, a_request("The tower is red."))
        await reaches("verification_requests_total", 1, status="success")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 1)  # until then it is in work, as those to come
        (solver,) = children(program.process.pid)
        os.kill(solver, signal.SIGSTOP)
        later = [a_request(text, document=str(number)) for number, text in enumerate(numbered(6))]
        await topics.send(Topic.INTERACTIVE, *later)
        await reaches("veriramp_bus_in_work", 6)
        live.publish(a_document(revision=2, vector=OFF))
        await reaches("veriramp_bus_paused", 1, reason="mode")
        os.kill(solver, signal.SIGCONT)
        await reaches("verification_waits_total", 5, reason="off")
        await reaches("verification_requests_total", 2, status="success")
        live.publish(a_document(revision=3, vector=LIVE))
        found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 7, "the rest")
        assert {record.key for record in found} >= {request.key() for request in later}


@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-05")
@pytest.mark.usefixtures("live")
async def test_two_processes_share_the_work_and_hand_it_over(
    tmp_path: Path, env: dict[str, str], topics: Topics
) -> None:
    requests = [a_request(text, document=str(number)) for number, text in enumerate(numbered(400))]
    await topics.send(Topic.INTERACTIVE, *requests)
    async with an_orchestrator(tmp_path, env) as first:
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 20, "some answers")
        async with an_orchestrator(tmp_path, env) as second:
            assert await first.stop() == 0
            found = await topics.read(
                Topic.COMPLETE,
                lambda records: {record.key for record in records} == {request.key() for request in requests},
                "an answer to each",
            )
            assert await second.stop() == 0
    assert len(found) == len(requests), "a drained hand-over repeats nothing"
