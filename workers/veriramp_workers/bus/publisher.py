"""Messages to the broker, by an idempotent producer that is replaced when it cannot go on.

Public names: :class:`Publisher`.

Trouble with the broker is waited out. A message that the broker refuses for good raises ``RefusedError``: without that
one such message would stop its partition for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    RecordTooLargeError,
    UnknownTopicOrPartitionError,
)

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_rights import PRODUCER_RIGHT, missing_rights
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import Credentials
from veriramp_workers.bus.contact import Contact
from veriramp_workers.bus.dispatcher import RefusedError
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.bus.waits import bounded
from veriramp_workers.ports import Message

_log = logging.getLogger(__name__)


class Publisher:
    """Stores messages with the broker, with the acknowledgement of all in-sync replicas and without duplicates."""

    def __init__(self, kafka: KafkaSettings, metrics: BusMetrics, contact: Contact) -> None:
        self._credentials = Credentials(kafka)
        self._metrics = metrics
        self._contact = contact
        self._line: _Line
        self._renewing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._told: dict[tuple[str, str], float] = {}

    async def start(self) -> None:
        """Connect; tries until it succeeds or is cancelled."""
        self._line = await self._started()

    async def refresh(self) -> None:
        """Go on with a new producer where the credentials have changed, and work."""
        if await self._credentials.renewed():
            await self.renew()

    async def renew(self) -> None:
        """Go on with a new producer, and with the credentials of now; tries until it succeeds or is cancelled."""
        await self._renew(self._line)

    async def stop(self, seconds: float) -> None:
        """Send what is left, at most for so long."""
        await bounded(self._line.producer.stop(), seconds, "closing the producer")
        for ending in self._ending:
            ending.cancel()

    async def __call__(self, message: Message, *, insist: bool = False) -> None:
        """Implement ``Publish``."""
        delay, failures = _FIRST_RETRY, 0
        while True:
            line = self._line
            try:
                await line.store(message)
            except KafkaError as error:
                self._metrics.failures.labels(message.topic, type(error).__name__).inc()
                rights = missing_rights(error, "Write", message.topic)
                # A timeout: the queue stays full, because the broker takes nothing at the moment.
                if not error.retriable and not isinstance(error, KafkaTimeoutError):
                    # After a batch that failed for good the broker takes no later sequence number of this producer.
                    if self._line is line and not rights:
                        _log.warning("the producer cannot go on and is replaced")
                    await self._renew(line)
                    # Rights may be given, and a producer that was replaced says nothing about the message.
                    failures += not rights and not isinstance(error, ProducerClosed)
                if not insist and (isinstance(error, _TOO_LARGE) or failures > _MOST_FAILURES):
                    raise RefusedError(f"{message.topic} does not take what follows: {error}") from error
                if rights:
                    self._contact.refused(rights)
                else:
                    self._tell(message.topic, error)
            else:
                self._contact.allowed("Write", message.topic)
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)

    def _tell(self, topic: str, error: KafkaError) -> None:
        """Say it once a minute: as many as the windows hold may try at once, for as long as the trouble lasts."""
        now, what = time.monotonic(), (topic, type(error).__name__)
        if now - self._told.get(what, -_TELL_SECONDS) < _TELL_SECONDS:
            return
        self._told[what] = now
        if isinstance(error, UnknownTopicOrPartitionError):
            text = "%s does not exist, what is meant for it waits; veriramp-worker topics --apply creates it"
            _log.warning(text, topic)
        else:
            _log.warning("publishing to %s failed, trying again: %r", topic, error)

    async def _renew(self, broken: _Line) -> None:
        async with self._renewing:
            if self._line is not broken:
                return
            self._line = await self._started()
            ending = asyncio.create_task(broken.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _started(self) -> _Line:
        delay = _FIRST_RETRY
        while True:
            try:
                line = _Line(await self._connected())
            except (KafkaError, ConfigurationError) as error:
                self._metrics.broker_failures.labels("connect").inc()
                if rights := missing_rights(error, "Write"):
                    self._contact.refused(rights)
                else:
                    await self._contact.missed("no broker yet", error)
            else:
                self._contact.allowed("Write", PRODUCER_RIGHT.name)
                return line
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)

    async def _connected(self) -> AIOKafkaProducer:
        # Made anew for each try: the files of the credentials may have changed.
        producer = AIOKafkaProducer(
            **self._credentials.options(), acks="all", enable_idempotence=True, max_request_size=_LARGEST_MESSAGE
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


class _Line:
    """A producer, and those who wait for what it was given."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def store(self, message: Message) -> None:
        """Give the producer a message and wait; ``ProducerClosed`` when it was given up before the broker had it."""
        storing = asyncio.ensure_future(self._stored(message))
        try:
            await asyncio.wait({storing, self._given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not storing.done():
                raise ProducerClosed
            storing.result()
        finally:
            storing.cancel()

    async def end(self) -> None:
        """Let it send what it has, for a few seconds; then all of that fails, and the next producer has it again."""
        # An idempotent producer tries for ever, also with a password that is refused. Without its sequence its messages
        # expire like those of any other, so that it comes to an end; the broker still sees the numbers they have.
        self.producer._sender._txn_manager = None  # noqa: SLF001 - there is no other way
        stopping = asyncio.ensure_future(self.producer.stop())
        await asyncio.wait({stopping}, timeout=_FORMER_SECONDS)
        self._given_up.set_result(None)
        await bounded(stopping, _EXPIRY_SECONDS, "closing a former producer")

    async def _stored(self, message: Message) -> None:
        # Two waits: for a place in the queue, which may need to look for the topic, and for the acknowledgement.
        await (await self.producer.send(message.topic, message.value, message.key, headers=list(message.headers)))


_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_MOST_FAILURES: Final = 8  # with the waits between them half a minute
# What was lost with a connection goes out again within the time that a hand-over waits for it.
_FORMER_SECONDS: Final = 10.0
_EXPIRY_SECONDS: Final = 300.0  # aiokafka: 40 s for a message, for a request and for looking where to send it
_TELL_SECONDS: Final = 60.0
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 5.0
_LARGEST_MESSAGE: Final = 4 * 1024 * 1024
