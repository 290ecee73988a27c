"""Workers that die or come and go: nothing is lost, each event counts once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import GROUP, a_ledger, each_counts_once
from tests.support.mortal_worker import STEPS
from tests.support.pipeline import BOTH_BROKERS, Program, Topics, a_program, an_orchestrator, numbered, peak_megabytes
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerifyChunk

SECONDS = 60.0


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        yield


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
@pytest.mark.timeout(600)
@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
async def test_killed_at_every_step_of_a_message(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted = numbered(150)
    await topics.send(Topic.INTERACTIVE, *wanted)
    async with a_ledger(brokers) as ledger:
        for step in STEPS:
            after = "0" if "commit" in step else "4"
            mortal = {**env, "MORTAL_STEP": step, "MORTAL_AFTER": after, "MORTAL_SESSION": "2"}
            async with a_program(
                "tests.support.mortal_worker", "orchestrator", folder=tmp_path, env=mortal, wait=False
            ) as worker:

                async def dead(worker: Program = worker) -> bool:
                    return worker.process.poll() is not None

                await wait_until(dead, SECONDS, f"the death {step}; see {worker.log}")
                assert worker.process.returncode == -signal.SIGKILL, worker.log.read_text()
        async with an_orchestrator(tmp_path, env) as survivor:
            await each_counts_once(ledger, topics, wanted)
            assert await survivor.stop() == 0


@BOTH_BROKERS
@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-05")
async def test_a_storm_of_rebalances_under_load(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted: list[VerifyChunk] = []
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env) as worker:
        for _ in range(5):
            more = numbered(60, first=len(wanted))
            wanted += more
            await topics.send(Topic.INTERACTIVE, *more)
            # It takes partitions away from the worker, reads nothing of them, and leaves.
            async with AIOKafkaConsumer(
                Topic.INTERACTIVE, bootstrap_servers=brokers, group_id=GROUP, enable_auto_commit=False
            ) as intruder:
                assert intruder.assignment() is not None
        await each_counts_once(ledger, topics, wanted)
        assert peak_megabytes(worker) < 256
        assert await worker.stop() == 0
    assert ledger.records[Topic.COMPLETE] == len(wanted), "a drained hand-over repeats nothing"


@pytest.mark.shows("S1-EVT-01", "S1-ORCH-04")
async def test_duplicates_and_poison_in_bulk(tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics) -> None:
    wanted = numbered(50)
    poison = [f"no request {number}".encode() for number in range(200)]
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env) as worker:
        await topics.send_all((Topic.INTERACTIVE, value, None) for value in poison)
        for _ in range(4):
            await topics.send(Topic.INTERACTIVE, *wanted)
        await topics.all_committed(GROUP, Topic.INTERACTIVE, len(poison) + 4 * len(wanted))

        async def all_read() -> bool:
            return len(ledger.dead) == len(poison) and len(ledger.verdicts) == len(wanted)

        await wait_until(all_read, SECONDS, "every answer and dead letter")
        assert ledger.dead == set(poison)
        assert ledger.records[Topic.DEAD_LETTERS] == len(poison)
        assert ledger.contradictions == 0
        dead = [
            await worker.metric("veriramp_bus_records_total", topic=lane, outcome="dead")
            for lane in (Topic.INTERACTIVE,)
        ]
        assert dead == [len(poison)]
        assert peak_megabytes(worker) < 256
