"""The verdicts on the broker, as they come, and the sending of requests by hand.

Public: :class:`Verdicts`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from veriramp_sdk.events import Topic, VerificationComplete, VerifyChunk, parse_event
from veriramp_sdk.message import request_of
from veriramp_sdk.selection import Chunk
from veriramp_workers.command.questions import read_question

SECONDS: Final = 60.0
_ORG: Final = "by-hand"


class Verdicts:
    """Follows ``verification_complete`` from its beginning; ``known`` has the latest verdict by chunk key."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._news = asyncio.Condition()
        self.known: dict[str, VerificationComplete] = {}

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read while inside."""
        consumer = AIOKafkaConsumer(Topic.COMPLETE, bootstrap_servers=self._brokers, auto_offset_reset="earliest")
        await consumer.start()
        task = asyncio.create_task(self._read(consumer))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()

    async def ask(self, lines: Sequence[bytes]) -> dict[str, VerifyChunk]:
        """Send questions (one JSON object a line, as for ``veriramp verify``); returns the requests by id."""
        requests = {}
        for number, line in enumerate(lines, 1):
            named = read_question(line, number)
            chunk = Chunk(_ORG, named.id, "0", named.question.text, named.question.premises)
            requests[named.id] = request_of(chunk, int(time.time() * 1000))
        async with AIOKafkaProducer(bootstrap_servers=self._brokers) as producer:
            for request in requests.values():
                await producer.send_and_wait(Topic.INTERACTIVE, value=request.to_bytes(), key=request.key())
        return requests

    async def of(self, key: str, since: float = 0.0) -> VerificationComplete:
        """The verdict on a chunk, not older than ``since`` (seconds since 1970); raises TimeoutError."""

        def is_there() -> bool:
            found = self.known.get(key)
            return found is not None and found.verified_at_ms >= since * 1000

        await self._until(is_there)
        return self.known[key]

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(SECONDS), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            raise TimeoutError(f"no verdict came within {SECONDS:g} s; look into orchestrator.log") from None

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            event = parse_event(VerificationComplete, record.value)
            async with self._news:
                self.known[event.chunk_key] = event
                self._news.notify_all()
