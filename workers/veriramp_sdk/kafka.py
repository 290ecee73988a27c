"""Kafka for the trigger; needs aiokafka (``pip install "veriramp[search]"``).

Public names: :class:`KafkaSender`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from veriramp_sdk.trigger import Message


class KafkaSender:
    """Implements the trigger's ``Sender``; connects at the first message."""

    def __init__(self, brokers: str, **settings: Any) -> None:
        """Send to ``brokers`` ("host:port,host:port"); ``settings`` (TLS, SASL, ...) are those of AIOKafkaProducer."""
        self._settings = {"bootstrap_servers": brokers, **_DEFAULTS, **settings}
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all of them and wait until the broker has them; raises ``KafkaError`` when it does not take one."""
        producer = await self._started()
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

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**self._settings)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


_DEFAULTS: Final = {"acks": "all", "linger_ms": 20, "request_timeout_ms": 10_000}
