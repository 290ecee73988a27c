"""A Kafka that dies, freezes, changes its leaders or refuses: the worker waits it out, and each event counts once."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import Ledger, a_ledger, each_counts_once
from tests.support.pipeline import (
    Program,
    Topics,
    admin_of,
    an_orchestrator,
    make_fresh_topics,
    numbered,
    peak_megabytes,
    topics_of,
)
from tests.support.waiting import wait_until
from tools.kafka.cluster import Kafka, Node, a_kafka
from veriramp_sdk.events import Topic
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.ports import Message, Record

SECONDS = 60.0
ON_KAFKA = pytest.mark.parametrize("brokers", ["kafka"], indirect=True)


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        yield


async def answered(ledger: Ledger, count: int) -> None:
    async def enough() -> bool:
        return ledger.answered >= count

    await wait_until(enough, SECONDS, f"{count} answers")


async def misses_the_broker(worker: Program) -> None:
    async def counted() -> bool:
        return await worker.metric("veriramp_bus_broker_failures_total", step="lag") > 0

    await wait_until(counted, SECONDS, f"the worker to miss the broker; see {worker.log}")
    assert await worker.alive()


@ON_KAFKA
@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
async def test_broker_killed_and_started_again_under_load(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics, kafka: Kafka
) -> None:
    wanted = numbered(800)
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env) as worker:
        await topics.send(Topic.INTERACTIVE, *wanted)
        await answered(ledger, 20)
        kafka.nodes[0].kill()
        await misses_the_broker(worker)
        kafka.nodes[0].start()
        await asyncio.to_thread(kafka.wait)
        await each_counts_once(ledger, topics, wanted)
        await wait_until(worker.ready, SECONDS, "the worker to be ready again")
        assert peak_megabytes(worker) < 256
        assert await worker.stop() == 0


@ON_KAFKA
@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
async def test_broker_frozen_for_a_while(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics, kafka: Kafka
) -> None:
    wanted = numbered(800)
    process = kafka.nodes[0].process
    assert process is not None
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env) as worker:
        await topics.send(Topic.INTERACTIVE, *wanted)
        await answered(ledger, 20)
        process.send_signal(signal.SIGSTOP)
        try:
            await misses_the_broker(worker)
        finally:
            process.send_signal(signal.SIGCONT)
        await each_counts_once(ledger, topics, wanted)
        assert await worker.stop() == 0


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with a_kafka(tmp_path_factory.mktemp("three"), nodes=3) as running:
        make_fresh_topics(running.bootstrap, replicas=3)
        yield running


@pytest.mark.timeout(600)
@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
async def test_leader_killed_while_two_replicas_go_on(tmp_path: Path, env: dict[str, str], three: Kafka) -> None:
    env = {**env, "VERIRAMP_BROKERS": three.bootstrap}
    first, second = numbered(300), numbered(300, first=300)
    async with (
        topics_of(three.bootstrap) as topics,
        a_ledger(three.bootstrap) as ledger,
        an_orchestrator(tmp_path, env) as worker,
    ):
        await topics.send(Topic.INTERACTIVE, *first)
        await answered(ledger, 20)
        leader = await leader_of(three, Topic.COMPLETE)
        leader.kill()
        await topics.send(Topic.INTERACTIVE, *second)
        await each_counts_once(ledger, topics, [*first, *second])

        async def another_leads() -> bool:
            return await leader_of(three, Topic.COMPLETE) is not leader

        await wait_until(another_leads, SECONDS, "every node to know who leads now")
        leader.start()
        await asyncio.to_thread(three.wait)
        last = numbered(30, first=600)
        await topics.send(Topic.INTERACTIVE, *last)
        await each_counts_once(ledger, topics, [*first, *second, *last])
        assert await worker.stop() == 0


async def leader_of(kafka: Kafka, topic: Topic) -> Node:
    """The node that leads partition 0."""
    async with admin_of(kafka.bootstrap) as admin:
        (described,) = await admin.describe_topics([topic])
        leader = next(each["leader"] for each in described["partitions"] if each["partition"] == 0)
    return next(node for node in kafka.nodes if node.id == leader)


async def test_a_group_that_refuses_the_worker_is_joined_again_and_again(
    brokers: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(record: Record) -> tuple[Message, ...]:
        raise AssertionError(record)

    caplog.set_level(logging.WARNING)
    too_short = BusSettings(KafkaSettings(brokers), "group", ("topic",), "dead", session_seconds=1)
    worker, stop = KafkaWorker(too_short, nothing, BusMetrics(CollectorRegistry())), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))

    async def refused_twice() -> bool:
        assert not running.done(), running.result()
        return caplog.text.count("joining the group anew") >= 2

    await wait_until(refused_twice, SECONDS, "two refusals")
    assert "InvalidSessionTimeoutError" in caplog.text
    assert worker.missing
    stop.set()
    await running
