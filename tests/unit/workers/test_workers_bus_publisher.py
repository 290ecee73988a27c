"""What the producer's errors mean for a message: which ones the broker means for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed, UnknownError
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
    """Fails as often as the errors last, then stores."""

    def __init__(self, errors: Iterator[KafkaError]) -> None:
        self._errors = errors

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
        if error := next(self._errors, None):
            raise error
        stored = asyncio.get_running_loop().create_future()
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


@pytest.mark.parametrize(("error", "times"), [(MessageSizeTooLargeError, 1), (UnknownError, 9)])
async def test_what_the_broker_refuses_for_good_is_told(
    monkeypatch: pytest.MonkeyPatch, made: list[Producer], error: type[KafkaError], times: int
) -> None:
    with pytest.raises(RefusedError):
        await published(monkeypatch, made, error, times)
