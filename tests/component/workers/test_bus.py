"""The bus with real brokers: retries, dead letters, pauses, lanes, hand-overs and kills."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import NewTopic
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from prometheus_client import CollectorRegistry

from tests.support.bus_program import ANSWERS, BEGUN, GROUP, bus_settings, scripted
from tests.support.pipeline import BOTH_BROKERS, Program, Topics, a_program, admin_of
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic
from veriramp_workers.bus import contact
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.ports import Handler, Message, PauseError, Record

pytestmark = BOTH_BROKERS
SECONDS = 30.0


class Bus:
    """A worker in this process."""

    def __init__(self, worker: KafkaWorker, registry: CollectorRegistry) -> None:
        self.worker = worker
        self.registry = registry

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples with these labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until(self, name: str, value: float, **labels: str) -> None:
        async def reached() -> bool:
            return self.metric(name, **labels) == value

        await wait_until(reached, SECONDS, f"{name} {labels} to be {value}")

    async def polls_on(self) -> None:
        """Wait for five more polls, a second of them."""
        polls = self.metric("veriramp_bus_polls_total")

        async def polled_on() -> bool:
            return self.metric("veriramp_bus_polls_total") > polls + 5

        await wait_until(polled_on, SECONDS, "five more polls")


@asynccontextmanager
async def a_bus(brokers: str, handler: Handler, **changes: object) -> AsyncIterator[Bus]:
    registry, stop = CollectorRegistry(), asyncio.Event()
    worker = KafkaWorker(bus_settings(brokers, **changes), handler, BusMetrics(registry))
    running = asyncio.create_task(worker.run(stop))
    try:

        async def ready() -> bool:
            if running.done():
                running.result()
            return not worker.missing

        await wait_until(ready, SECONDS, "the worker to be ready")
        yield Bus(worker, registry)
    finally:
        stop.set()
        await running


@asynccontextmanager
async def a_process(folder: Path, brokers: str, *, commit: float = 0.1, work: float = 0.0) -> AsyncIterator[Program]:
    """A worker as a process that heeds SIGTERM already."""
    env = {"BUS_BROKERS": brokers, "BUS_COMMIT_SECONDS": str(commit), "BUS_WORK_SECONDS": str(work)}
    async with a_program("tests.support.bus_program", folder=folder, env=env, wait=False) as program:

        async def begun() -> bool:
            return BEGUN in program.log.read_text()

        await wait_until(begun, SECONDS, f"the process to begin; see {program.log}")
        yield program


def message(number: int, *script: str) -> bytes:
    return json.dumps({"id": number, "script": script}).encode()


async def send(topics: Topics, topic: str, *values: bytes, key: bytes | None = None) -> None:
    """Send values: with a key all into one partition, else by their own."""
    await topics.send_all((topic, value, key or str(number).encode()) for number, value in enumerate(values))


def ids(records: list[ConsumerRecord]) -> list[int]:
    return [json.loads(record.value)["id"] for record in records]


async def answers(topics: Topics, count: int) -> list[ConsumerRecord]:
    return await topics.read(ANSWERS, lambda found: len(set(ids(found))) >= count, f"{count} answers")


@pytest.mark.shows("S1-ORCH-04")
async def test_a_failed_record_is_tried_again_later_and_the_next_ones_are_done_meanwhile(
    brokers: str, topics: Topics
) -> None:
    async with a_bus(brokers, scripted()) as bus:
        values = (message(0, "boom", "later", "ok"), message(1), message(2, "later", "boom", "boom"), message(3))
        await send(topics, Topic.INTERACTIVE, *values, key=b"one partition")
        done = await answers(topics, 3)
        dead = await topics.read(Topic.DEAD_LETTERS, lambda found: len(found) >= 1, "a dead letter")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 4)
        await topics.all_committed(GROUP, Topic.RETRY_SOON, 2)
        await topics.all_committed(GROUP, Topic.RETRY_LATE, 2)
        assert bus.metric("veriramp_bus_records_total", outcome="retry") == 4
    assert ids(done) == [1, 3, 0]
    again = dict(done[2].headers)
    assert (again["veriramp-attempt"], again["veriramp-origin-topic"]) == (b"2", b"verify_chunks.interactive")
    assert done[2].timestamp >= int(again["veriramp-not-before"])
    letter = dict(dead[0].headers)
    assert (letter["veriramp-error-class"], letter["veriramp-reason"]) == (b"ZeroDivisionError", b"boom, it says")
    assert (letter["veriramp-attempt"], dead[0].value) == (b"3", values[2])


@pytest.mark.shows("S1-ORCH-04", "S1-EVT-03")
async def test_poison_in_the_middle_of_a_partition(brokers: str, topics: Topics) -> None:
    values = [message(number) for number in range(9)]
    values[4] = b"\x00 no JSON"
    async with a_bus(brokers, scripted()):
        await send(topics, Topic.INTERACTIVE, *values, key=b"one partition")
        assert sorted(ids(await answers(topics, 8))) == [0, 1, 2, 3, 5, 6, 7, 8]
        dead = await topics.read(Topic.DEAD_LETTERS, lambda found: len(found) >= 1, "the dead letter")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 9)
    assert (dead[0].value, dead[0].key) == (values[4], b"one partition")
    assert dict(dead[0].headers)["veriramp-source"].endswith(b"@4")


async def test_a_retry_survives_a_restart(brokers: str, topics: Topics) -> None:
    async with a_bus(brokers, scripted()):
        await send(topics, Topic.INTERACTIVE, message(0, "later"))
        await topics.read(Topic.RETRY_SOON, lambda found: len(found) >= 1, "the retry")
    assert sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values()) == 1
    async with a_bus(brokers, scripted()):
        assert ids(await answers(topics, 1)) == [0]


@pytest.mark.shows("S1-ORCH-03")
async def test_a_pause_keeps_the_whole_backlog(brokers: str, topics: Topics) -> None:
    open_breaker, seen = True, Counter[int]()
    answer = scripted()

    async def handle(record: Record) -> tuple[Message, ...]:
        seen[json.loads(record.value)["id"]] += 1
        if open_breaker:
            raise PauseError(3600, "breaker")
        return await answer(record)

    async with a_bus(brokers, handle) as bus:
        await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(500)))
        await bus.until("veriramp_bus_paused", 1, reason="breaker")
        await bus.until("kafka_consumer_lag", 500, topic=Topic.INTERACTIVE)
        await bus.polls_on()
        assert not bus.worker.missing
        assert bus.metric("veriramp_bus_in_work") <= 60, "no more is read than before the pause"
        assert sum(seen.values()) <= 10, "asked once for each that was in work"
        assert sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values()) == 0
        open_breaker = False
        bus.worker.resume("breaker")
        assert sorted(ids(await answers(topics, 500))) == list(range(500))
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 500)
        assert bus.metric("veriramp_bus_paused", reason="breaker") == 0


@pytest.mark.shows("S1-TRIG-05")
async def test_interactive_overtakes_a_full_backfill_lane(brokers: str, topics: Topics) -> None:
    order: list[str] = []

    async def handle(record: Record) -> tuple[Message, ...]:
        await asyncio.sleep(0.001)
        order.append(record.topic)
        return ()

    await send(topics, Topic.BACKFILL, *(message(number) for number in range(5_000)))
    async with a_bus(brokers, handle, concurrency=1) as bus:

        async def begun() -> bool:
            return len(order) > 20

        await wait_until(begun, SECONDS, "the backfill to be under way")
        # Their way to the worker is not what is measured: they are all there before the next record begins.
        bus.worker.pause("what is urgent comes")
        await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(100)))
        await bus.until("kafka_consumer_lag", 100, topic=Topic.INTERACTIVE)
        await bus.polls_on()
        bus.worker.resume("what is urgent comes")

        async def done() -> bool:
            return order.count(Topic.INTERACTIVE) == 100

        await wait_until(done, SECONDS, "the interactive ones")
        before = len(order)

        async def goes_on() -> bool:
            return len(order) > before + 20

        await wait_until(goes_on, SECONDS, "the backfill to go on")
    first = order.index(Topic.INTERACTIVE)
    assert first < 2_500, "what was fetched before does not hide them"
    assert before - first < 200, "from then on most turns are theirs"


@pytest.mark.shows("S1-ORCH-04")
async def test_an_answer_that_no_broker_takes_stops_nobody(brokers: str, topics: Topics) -> None:
    answer = scripted()

    async def handle(record: Record) -> tuple[Message, ...]:
        number = json.loads(record.value)["id"]
        # Kafka takes 1 MiB by default, the producer hands over 4.
        large = {3: 2 << 20, 5: 5 << 20}.get(number)
        return (Message(ANSWERS, record.key, b"x" * large),) if large else await answer(record)

    async with a_bus(brokers, handle) as bus:
        await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(8)), key=b"one partition")
        dead = await topics.read(Topic.DEAD_LETTERS, lambda found: 5 in ids(found), "the dead letter")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 8)
        assert bus.metric("veriramp_bus_publish_failures_total", topic=ANSWERS) >= 1
    assert dict(dead[-1].headers)["veriramp-error-class"] == b"RefusedError"
    assert b"verification_complete does not take" in dict(dead[-1].headers)["veriramp-reason"]


class NoText(str):
    """A name of a header as other clients may write it."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


async def test_what_no_client_of_ours_would_write_stops_nobody(
    brokers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(9)))
    async with AIOKafkaProducer(bootstrap_servers=brokers, max_request_size=2 << 20) as raw:
        for headers in ([(NoText("name"), b"1")], [("traceparent", None)], [("é" * 100, b"\xff" * 100_000)]):
            await raw.send_and_wait(Topic.INTERACTIVE, b"no JSON", b"k", partition=0, headers=headers)
        await raw.send_and_wait(Topic.INTERACTIVE, b"no JSON", b"k" * 1_048_400, partition=0)
    await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(9, 18)))
    monkeypatch.undo()
    async with a_bus(brokers, scripted()):
        assert sorted(ids(await answers(topics, 18))) == list(range(18)), "each once"
        dead = await topics.read(Topic.DEAD_LETTERS, lambda found: len(found) >= 4, "the dead letters")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 22)
    assert [letter.value for letter in dead].count(b"no JSON") == 2
    sources = {dict(letter.headers)["veriramp-source"].partition(b"@")[0] for letter in dead}
    assert sources == {b"verify_chunks.interactive/0"}


@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-05")
async def test_three_processes_come_and_go_and_repeat_nothing(tmp_path: Path, brokers: str, topics: Topics) -> None:
    for topic, first in ((Topic.INTERACTIVE, 0), (Topic.BACKFILL, 600)):
        await send(topics, topic, *(message(first + number) for number in range(600)))
    async with a_process(tmp_path, brokers, work=0.02) as one:
        await answers(topics, 50)
        async with a_process(tmp_path, brokers, work=0.02) as two, a_process(tmp_path, brokers, work=0.02) as three:
            await answers(topics, 300)
            assert await one.stop() == 0
            done = await answers(topics, 1200)
            assert await two.stop() == 0
            assert await three.stop() == 0
    assert Counter(ids(done)) == Counter(range(1200)), "a drained hand-over repeats nothing"


@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-05")
async def test_work_that_takes_longer_than_a_heartbeat_is_finished_before_it_is_handed_over(
    tmp_path: Path, brokers: str, topics: Topics
) -> None:
    await send(topics, Topic.INTERACTIVE, *(message(number) for number in range(40)))
    async with a_process(tmp_path, brokers, work=3.0) as one:
        await answers(topics, 5)
        async with a_process(tmp_path, brokers, work=3.0) as two:
            done = await answers(topics, 40)
            assert await one.stop() == 0
            assert await two.stop() == 0
    assert Counter(ids(done)) == Counter(range(40))


@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-01")
async def test_a_process_killed_between_work_and_commit(tmp_path: Path, brokers: str, topics: Topics) -> None:
    values = [message(number, *(("later",) if number % 10 == 0 else ())) for number in range(200)]
    await send(topics, Topic.INTERACTIVE, *values)
    async with a_process(tmp_path, brokers, commit=3600) as first:
        await answers(topics, 150)
        await first.kill()
    assert sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values()) == 0
    async with a_process(tmp_path, brokers) as second:
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 200)
        done = await answers(topics, 200)
        assert await second.stop() == 0
    assert set(ids(done)) == set(range(200))


async def test_a_worker_without_partitions_is_ready_as_long_as_kafka_answers(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(record: Record) -> tuple[Message, ...]:
        raise AssertionError(record)

    monkeypatch.setattr(contact, "SILENT_SECONDS", 8.0)
    async with admin_of(brokers) as admin:
        await admin.create_topics([NewTopic("narrow", num_partitions=1, replication_factor=1)])
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(a_bus(brokers, nothing, topics=("narrow",), retries=())) for _ in "12"]
        before = [bus.metric("veriramp_bus_polls_total") for bus in both]

        async def polled_on() -> bool:
            # At least 16 s: one that waits asks five times a second.
            return all(
                bus.metric("veriramp_bus_polls_total") > count + 80 for bus, count in zip(both, before, strict=True)
            )

        await wait_until(polled_on, SECONDS, "80 more polls of each")
        assert [bus.worker.missing for bus in both] == ["", ""]
