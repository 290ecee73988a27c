"""What other clients compress is read; what nobody can read is stepped over, and all around it is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, codec
from aiokafka.producer import message_accumulator, producer
from aiokafka.record import default_records
from prometheus_client import CollectorRegistry

from tests.support.bus_program import ANSWERS, GROUP, bus_settings, scripted
from tests.support.pipeline import BOTH_BROKERS, Topics, a_request
from tests.support.waiting import wait_until
from tools.kafka.cluster import Kafka
from veriramp_sdk.events import Topic, Verdict, VerificationComplete
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_search.broker import follow_verdicts
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.settings import BusMetrics

CODECS = ("gzip", "snappy", "lz4", "zstd")
SECONDS = 30.0


@BOTH_BROKERS
async def test_messages_are_served_whatever_they_are_compressed_with(brokers: str, topics: Topics) -> None:
    for first, kind in enumerate((None, *CODECS, None)):
        await send(brokers, kind, *range(3 * first, 3 * first + 3))
    async with a_worker(brokers) as registry:
        assert await answered(topics, 18) == list(range(18))
        assert registry.get_sample_value("veriramp_bus_broker_failures_total", {"step": "read"}) in {None, 0.0}


@BOTH_BROKERS
async def test_a_codec_that_nobody_here_knows_stops_nobody(
    brokers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await around(brokers, lambda: send(brokers, "zstd", *BAD))
    monkeypatch.setattr(codec, "has_zstd", lambda: False)
    await stepped_over(brokers, topics)


@pytest.mark.parametrize("kind", CODECS)
async def test_garbage_behind_a_right_checksum_stops_nobody(
    brokers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with monkeypatch.context() as patch:
        writes_garbage(patch, kind)
        await around(brokers, lambda: send(brokers, kind, *BAD))
    await stepped_over(brokers, topics)


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
async def test_what_has_rotted_on_a_disk_stops_nobody(kafka: Kafka, brokers: str, topics: Topics) -> None:
    await around(brokers, lambda: send(brokers, None, *BAD))
    rot(kafka, Topic.INTERACTIVE, b'{"id": 100,', b'{"id": 900,')
    await stepped_over(brokers, topics)


async def test_search_steps_over_a_verdict_that_it_cannot_read(
    brokers: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    await topics.send_raw(Topic.COMPLETE, a_verdict("first"), b"k")
    with monkeypatch.context() as patch:
        writes_garbage(patch, "zstd")
        async with AIOKafkaProducer(bootstrap_servers=brokers, compression_type="zstd") as raw:
            await raw.send_and_wait(Topic.COMPLETE, a_verdict("lost" * 1_000), b"k")
    async with AIOKafkaProducer(bootstrap_servers=brokers, compression_type="zstd") as raw:
        await raw.send_and_wait(Topic.COMPLETE, a_verdict("last" * 1_000), b"k")
    following = asyncio.create_task(
        follow_verdicts(KafkaSettings(brokers), lambda event, _: seen.append(event.document_id[:5]))
    )

    async def read() -> bool:
        return {"first", "lastl"} <= set(seen)

    try:
        await wait_until(read, SECONDS, "both verdicts")
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


BAD = (100, 101, 102)
"""Messages of one batch, which is spoilt."""


async def around(brokers: str, between: Callable[[], Awaitable[None]]) -> None:
    """Good messages, something, good messages, all in one partition."""
    await send(brokers, None, *range(5))
    await between()
    await send(brokers, None, *range(5, 10))


async def stepped_over(brokers: str, topics: Topics) -> None:
    async with a_worker(brokers):
        assert await answered(topics, 10) == list(range(10)), "each once"
        letters = await topics.read(Topic.DEAD_LETTERS, lambda found: len(found) >= len(BAD), "the dead letters")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 10 + len(BAD))
    places = sorted(dict(letter.headers)["veriramp-source"].partition(b"@")[2] for letter in letters)
    assert places == [b"5", b"6", b"7"]
    assert {letter.value for letter in letters} == {b""}


async def send(brokers: str, kind: str | None, *numbers: int) -> None:
    """Send messages as one batch, compressed, to one partition."""
    async with AIOKafkaProducer(bootstrap_servers=brokers, compression_type=kind, linger_ms=20) as raw:
        sent = [
            await raw.send(Topic.INTERACTIVE, json.dumps({"id": number, "script": []}).encode() + b" " * 500, b"k")
            for number in numbers
        ]
        await asyncio.gather(*sent)


def writes_garbage(patch: pytest.MonkeyPatch, kind: str) -> None:
    """Let producers write what no reader of that codec understands."""
    for module in (message_accumulator, producer):
        patch.setattr(module, "DefaultRecordBatchBuilder", default_records._DefaultRecordBatchBuilderPy)
    patch.setattr(default_records, f"{kind}_encode", lambda _: b"\x99" * 40)


def rot(kafka: Kafka, topic: str, before: bytes, after: bytes) -> None:
    """Change what a node has on its disk, but not the checksum."""
    found = [log for node in kafka.nodes for log in (node.folder / "data").glob(f"{topic}-[0-9]/*.log")]
    (spoilt,) = [log for log in found if before in log.read_bytes()]
    with spoilt.open("r+b") as log:
        log.seek(log.read().index(before))
        log.write(after)


def a_verdict(document: str) -> bytes:
    request = a_request("The mill is red.", document=document)
    fields = request.model_dump() | {"verdict": Verdict.ENTAILED, "signal": 1.0, "check_sat_result": "unsat"}
    who = {"verifier": "v", "verifier_version": "1", "formaliser_version": "1", "event_id": "e", "smt_lib_code": ""}
    more = {"solver_success": True, "solver_execution_time_seconds": 0.0, "total_time_seconds": 0.0}
    return VerificationComplete(**fields, **who, **more, verified_at_ms=request.enqueued_at_ms).to_bytes()


async def answered(topics: Topics, count: int) -> list[int]:
    found = await topics.read(ANSWERS, lambda found: len(found) >= count, f"{count} answers")
    return sorted(json.loads(record.value)["id"] for record in found)


@asynccontextmanager
async def a_worker(brokers: str) -> AsyncIterator[CollectorRegistry]:
    registry, stop = CollectorRegistry(), asyncio.Event()
    worker = KafkaWorker(bus_settings(brokers), scripted(), BusMetrics(registry))
    running = asyncio.create_task(worker.run(stop))
    try:
        yield registry
    finally:
        stop.set()
        await running
