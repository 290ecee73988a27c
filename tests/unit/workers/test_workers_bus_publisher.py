"""What the producer's errors mean for a message: which ones the broker means for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    UnknownError,
    UnknownTopicOrPartitionError,
)
from prometheus_client import CollectorRegistry

from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus import publisher as module
from veriramp_workers.bus.contact import Contact
from veriramp_workers.bus.dispatcher import RefusedError
from veriramp_workers.bus.publisher import Publisher
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.ports import Message

MESSAGE = Message("out", b"key", b"value")


class Producer:
    """Fails as often as the errors last, then stores; while ``silent`` it keeps what it is given."""

    def __init__(self, errors: Iterator[KafkaError], *, silent: bool = False) -> None:
        self._errors = errors
        self._sender = SimpleNamespace(_txn_manager="its sequence")
        self.silent = silent
        self.given = asyncio.Event()

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
        if error := next(self._errors, None):
            raise error
        stored = asyncio.get_running_loop().create_future()
        self.given.set()
        if not self.silent:
            stored.set_result(None)
        return stored


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Producer]:
    monkeypatch.setattr(module, "_FIRST_RETRY", 0.0)
    return []


async def published(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer], error: Callable[[], KafkaError], times: int
) -> None:
    errors = iter([error() for _ in range(times)])

    def producer(**_: object) -> Producer:
        made.append(Producer(errors))
        return made[-1]

    monkeypatch.setattr(module, "AIOKafkaProducer", producer)
    kafka = KafkaSettings("a:1")
    publisher = Publisher(kafka, BusMetrics(CollectorRegistry()), Contact(kafka))
    await publisher.start()
    await publisher(MESSAGE)
    await publisher.stop(1.0)


@pytest.mark.parametrize("error", [KafkaTimeoutError, ProducerClosed])
async def test_a_queue_that_stays_full_and_a_producer_that_was_replaced_are_no_refusal(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer], error: type[KafkaError]
) -> None:
    await published(monkeypatch, made, error, 50)


async def test_a_queue_that_stays_full_is_no_reason_for_another_producer(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer]
) -> None:
    await published(monkeypatch, made, KafkaTimeoutError, 50)
    assert len(made) == 1


async def test_trouble_that_lasts_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer], caplog: pytest.LogCaptureFixture
) -> None:
    await published(monkeypatch, made, KafkaTimeoutError, 50)
    await published(monkeypatch, made, UnknownTopicOrPartitionError, 50)
    assert caplog.messages == [
        "publishing to out failed, trying again: KafkaTimeoutError()",
        "out does not exist, what is meant for it waits; veriramp-worker topics --apply creates it",
    ]


@pytest.mark.parametrize(("error", "times"), [(MessageSizeTooLargeError, 1), (UnknownError, 9)])
async def test_what_the_broker_refuses_for_good_is_told(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer], error: type[KafkaError], times: int
) -> None:
    with pytest.raises(RefusedError):
        await published(monkeypatch, made, error, times)


class Stuck(Producer):
    """A real one waits when it is told to stop, as long as it keeps something."""

    async def stop(self) -> None:
        await asyncio.get_running_loop().create_future()


async def published_by_the_next_one(former: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish while a producer is replaced, and see that the one after it is given the message."""
    following = Producer(iter(()))
    made = iter([former, following])
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: next(made))
    kafka = KafkaSettings("a:1")
    publisher = Publisher(kafka, BusMetrics(CollectorRegistry()), Contact(kafka))
    await publisher.start()
    publishing = asyncio.create_task(publisher(MESSAGE))
    await former.given.wait()
    await publisher.renew()
    async with asyncio.timeout(10.0):
        await publishing
    assert following.given.is_set()
    await publisher.stop(1.0)


async def test_what_a_former_producer_keeps_is_published_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    former = Stuck(iter(()), silent=True)
    monkeypatch.setattr(module, "_FORMER_SECONDS", 0.0)
    await published_by_the_next_one(former, monkeypatch)
    assert former._sender._txn_manager is None, "or it would go on for ever, with a password that is refused"


async def test_who_waits_for_a_topic_in_a_former_producer_goes_on_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unaware(Producer):
        """As aiokafka while it looks for a topic: closing it wakes nobody."""

        async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
            self.given.set()
            waiting: asyncio.Future[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
            return await waiting

    await published_by_the_next_one(Unaware(iter(())), monkeypatch)
