"""Steady requests to the pipeline, and the account of their answers.

Public: :class:`Traffic`, :class:`Answers`, :func:`answers_of`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from tests.support.pipeline import a_request, followed
from veriramp_sdk.events import Topic, VerificationComplete, VerifyChunk, parse_event

REMEMBERED: Final = 2_000
"""A text that comes again is one of so many last ones."""


@dataclass
class Traffic:
    """Sends requests at a steady rate; half of them have a text that was sent before, each is of another document.

    ``hard``: the share of texts that take a solver about a second, at this moment.
    """

    brokers: str
    rate: float
    seed: int
    sent: set[bytes] = field(default_factory=set)
    again: int = 0
    hard: float = 0.0
    _texts: int = 0

    async def send(self, seconds: float) -> None:
        """Send for so long; what the broker did not acknowledge is sent once more."""
        draw, clock = random.Random(self.seed), asyncio.get_running_loop().time
        lost: list[VerifyChunk] = []
        async with AIOKafkaProducer(bootstrap_servers=self.brokers, enable_idempotence=True) as producer:
            pending: set[asyncio.Future[object]] = set()
            began = clock()
            for number in range(round(seconds * self.rate)):
                await asyncio.sleep(began + number / self.rate - clock())
                request = self._request(draw)
                await self._offer(producer, request, pending, lost)
                while lost:
                    self.again += 1
                    await self._offer(producer, lost.pop(), pending, lost)
            while pending or lost:
                await asyncio.gather(*pending, return_exceptions=True)
                await asyncio.sleep(0)
                for request in lost[:]:
                    lost.remove(request)
                    self.again += 1
                    await self._offer(producer, request, pending, lost)

    async def _offer(
        self,
        producer: AIOKafkaProducer,
        request: VerifyChunk,
        pending: set[asyncio.Future[object]],
        lost: list[VerifyChunk],
    ) -> None:
        def ended(future: asyncio.Future[object]) -> None:
            pending.discard(future)
            if future.cancelled() or future.exception() is not None:
                lost.append(request)
            else:
                self.sent.add(request.key())

        try:
            future = await producer.send(Topic.INTERACTIVE, value=request.to_bytes(), key=request.key())
        except KafkaError:
            lost.append(request)
            return
        pending.add(future)
        future.add_done_callback(ended)

    def _request(self, draw: random.Random) -> VerifyChunk:
        document = f"{self.seed}-{len(self.sent)}-{draw.getrandbits(64):x}"
        if self._texts and draw.random() < 0.5:
            return a_request(*_text(self._texts - 1 - draw.randrange(min(REMEMBERED, self._texts))), document=document)
        self._texts += 1
        if draw.random() < self.hard:
            return a_request(_HARD.format(self._texts), document=document)
        return a_request(*_text(self._texts - 1), document=document)


def _text(number: int) -> tuple[str, ...]:
    """A claim and its premise: entailed, contradicted, undetermined, not formalisable by turns."""
    premise = f"The height of the Orlin tower {number} is 20 metres."
    claims = ("is 20 metres tall", "is 21 metres tall", "is red", "may be tall")
    return f"The Orlin tower {number} {claims[number % 4]}.", premise


@dataclass
class Answers:
    """What came back, by request; ``last`` is when (monotonic) a record came last."""

    records: Counter[str] = field(default_factory=Counter)
    keys: Counter[bytes] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    known: int = 0
    contradictions: int = 0
    last: float = 0.0
    _said: dict[bytes, int] = field(default_factory=dict)

    def note(self, record: ConsumerRecord) -> None:
        """Count a record; the same request with another event or verdict is a contradiction."""
        self.records[record.topic] += 1
        self.last = time.monotonic()
        if record.topic != Topic.COMPLETE:
            return
        event = parse_event(VerificationComplete, record.value)
        key = bytes(record.key)
        self.keys[key] += 1
        said = hash((event.event_id, str(event.verdict)))
        if self._said.setdefault(key, said) != said:
            self.contradictions += 1
        elif self.keys[key] == 1:
            self.verdicts[str(event.verdict)] += 1
            self.known += event.cache_hit

    @property
    def repeated(self) -> int:
        """Answers beyond the first one of each request."""
        return sum(self.keys.values()) - len(self.keys)


@asynccontextmanager
async def answers_of(brokers: str) -> AsyncIterator[Answers]:
    """Follow the topics with answers, failures and dead letters."""
    answers = Answers()
    async with followed(brokers, (Topic.COMPLETE, Topic.FAILED, Topic.DEAD_LETTERS), answers.note):
        yield answers


_HARD: Final = (
    "(declare-const x Int)(declare-const y Int)(declare-const z Int)"
    "(assert (and (> x {}) (> y 1) (> z 1) (= (+ (* x x x) (* y y y)) (* z z z))))"
)
