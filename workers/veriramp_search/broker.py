"""Kafka as the search service uses it: send requests for verification, follow the verdicts.

Public names: :class:`KafkaSender`, :func:`follow_verdicts`. Neither is on the way of a search: with the broker down,
searches go on and verdicts are those known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from veriramp_sdk.events import Topic, UnreadableEventError, VerificationComplete, parse_event

_log = logging.getLogger(__name__)


class KafkaSender:
    """Implements the trigger's ``Sender``; connects at the first message, an async context manager."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            try:
                await asyncio.wait_for(self._producer.stop(), _STOP_SECONDS)
            except TimeoutError:
                _log.warning("the broker did not take the last requests within %g s", _STOP_SECONDS)

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Hand one message to the producer; it is sent with others within 20 ms. Raises ``KafkaError``."""
        if self._producer is None:
            producer = AIOKafkaProducer(bootstrap_servers=self._brokers, acks="all", linger_ms=20)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        delivery: asyncio.Future[object] = await self._producer.send(topic, value=value, key=key)
        delivery.add_done_callback(_complain)


async def follow_verdicts(brokers: str, take: Callable[[VerificationComplete], None]) -> None:
    """Read ``verification_complete`` from its beginning and go on until cancelled; connects anew after trouble."""
    delay = _FIRST_RETRY
    while True:
        # Without a group: every process reads every partition, and nothing is committed.
        consumer = AIOKafkaConsumer(Topic.COMPLETE, bootstrap_servers=brokers, auto_offset_reset="earliest")
        try:
            await consumer.start()
            delay = _FIRST_RETRY
            async for record in consumer:
                _take(record.value or b"", take)
        except KafkaError as error:
            _log.warning("verdicts cannot be read, trying again: %r", error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
        finally:
            await consumer.stop()


def _take(value: bytes, take: Callable[[VerificationComplete], None]) -> None:
    try:
        event = parse_event(VerificationComplete, value)
    except UnreadableEventError as error:
        _log.warning("a verdict is left out: %s", error)
        return
    take(event)


def _complain(delivery: asyncio.Future[object]) -> None:
    if not delivery.cancelled() and (error := delivery.exception()) is not None:
        _log.warning("a request for verification was lost: %r", error)


_FIRST_RETRY: Final = 0.2
_LAST_RETRY: Final = 5.0
_STOP_SECONDS: Final = 5.0
