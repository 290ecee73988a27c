"""Kafka for the trigger; needs aiokafka (``pip install "veriramp[search]"``).

Public names: :class:`KafkaSender`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from veriramp_sdk.kafka_rights import asked_for, missing_rights
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import Credentials, why_unreachable
from veriramp_sdk.trigger import Message

_log = logging.getLogger(__name__)


class KafkaSender:
    """Implements the trigger's ``Sender``; connects at the first message."""

    def __init__(self, kafka: KafkaSettings | str, **settings: Any) -> None:
        """Send to ``kafka``: what ``kafka_settings_from`` read, or only the brokers ("host:port,host:port").

        Further ``settings`` are those of AIOKafkaProducer. After a change of the credentials' files one of the next
        messages goes through a new connection, once Kafka takes them.
        """
        self._kafka = KafkaSettings(kafka) if isinstance(kafka, str) else kafka
        self._credentials = Credentials(self._kafka)
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all of them and wait until the broker has them; raises ``KafkaError`` when it does not take one."""
        try:
            await self._send(await self._started(), messages)
        except KafkaError as error:
            if rights := missing_rights(error, "Write"):
                raise TopicAuthorizationFailedError(asked_for(self._kafka, rights)) from None
            raise

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        deliveries: list[asyncio.Future[object]] = []
        for one in messages:
            delivery = await producer.send(one.topic, value=one.value, key=one.key, headers=list(one.headers))
            # Looked at here already: when this task is cancelled nobody else will.
            delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
            deliveries.append(delivery)
            await asyncio.sleep(0)  # a search that waits in this loop goes first
        if deliveries:
            # Not gather: it would cancel the deliveries with this task, which the producer does not expect.
            await asyncio.wait(deliveries)
        for delivery in deliveries:
            delivery.result()

    async def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            await self._producer.stop()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=_LAST_SECONDS)
            for ending in late:
                ending.cancel()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            if not await self._credentials.renewed():
                return self._producer
            # Beside the next messages: what it still has may take until it expires, and who waits here gives up.
            ending = asyncio.create_task(self._producer.stop())
            self._producer = None
            self._ending.add(ending)
            ending.add_done_callback(self._ended)
        producer = AIOKafkaProducer(**{**_DEFAULTS, **self._credentials.options(), **self._settings})
        try:
            await producer.start()
        except BaseException as error:
            await producer.stop()
            if isinstance(error, KafkaError) and (why := await why_unreachable(self._kafka)):
                raise KafkaConnectionError(why) from None
            raise
        self._producer = producer
        return producer

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._ending.discard(ending)
        if not ending.cancelled() and (error := ending.exception()) is not None:
            _log.warning("closing a former connection to Kafka did not work: %r", error)


_DEFAULTS: Final = {"acks": "all", "linger_ms": 20, "request_timeout_ms": 10_000}
_LAST_SECONDS: Final = 10.0
