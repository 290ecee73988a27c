"""Follow the verdicts on Kafka.

Public names: :func:`follow_verdicts`, :data:`Answer`, :data:`Headers`, :data:`Take`. It is not on the way of a search:
with the broker down, searches go on and verdicts are those known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.events import Topic, UnreadableEventError, VerificationComplete, VerificationFailed, parse_event
from veriramp_sdk.kafka_rights import asked_for, missing_rights
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import Credentials, why_unreachable
from veriramp_sdk.unreadable import UNREADABLE, why_unreadable

Answer = VerificationComplete | VerificationFailed
Headers = Sequence[tuple[str, bytes | None]]
Take = Callable[[Answer, Headers], None]
"""What gets each answer with the headers of its message."""

_log = logging.getLogger(__name__)


async def follow_verdicts(kafka: KafkaSettings, take: Take) -> None:
    """Read verdicts from their beginning and failures from now on until cancelled; connects anew after trouble."""
    delay, credentials, poll = _FIRST_RETRY, Credentials(kafka), _poll
    while True:
        try:
            async with _consumer(credentials.options()) as consumer:
                delay = _FIRST_RETRY
                while not await credentials.renewed():
                    for record in await poll(consumer):
                        _take(record, take)
                    await asyncio.sleep(0)  # a search that waits in this loop goes first
        except UNREADABLE:
            # What else it had found is lost to us, so all is read anew, and one by one, to know which it is.
            poll = _poll_one_by_one
            await asyncio.sleep(delay)
        except (KafkaError, ConfigurationError) as error:
            rights = missing_rights(error, "Read")
            why = asked_for(kafka, rights) if rights else await why_unreachable(kafka) or repr(error)
            _log.warning("verdicts cannot be read, trying again: %s", why)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
        except Exception as error:  # noqa: BLE001 - else no verdict would come any more, and nobody would know
            _log.error("verdicts cannot be read, trying again in %g s: %r", _LONG_RETRY, error)
            await asyncio.sleep(_LONG_RETRY)


@asynccontextmanager
async def _consumer(options: dict[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    # Without a group: every process reads every partition, and nothing is committed.
    consumer = AIOKafkaConsumer(Topic.COMPLETE, Topic.FAILED, **options, auto_offset_reset="earliest")
    try:
        await consumer.start()
        failures = [one for one in consumer.assignment() if one.topic == Topic.FAILED]
        if failures:
            await consumer.seek_to_end(*failures)
        yield consumer
    finally:
        await consumer.stop()


async def _poll(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE)
    return list(chain.from_iterable(batches.values()))


async def _poll_one_by_one(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    """Read one of each partition, and step over what the client cannot read."""
    found: list[ConsumerRecord] = []
    for partition in consumer.assignment():
        try:
            found += (await consumer.getmany(partition, timeout_ms=0, max_records=1)).get(partition, [])
        except UNREADABLE as error:
            offset = await consumer.position(partition)
            _log.warning("%s/%d@%d is left out: %s", *partition, offset, why_unreadable(error))
            consumer.seek(partition, offset + 1)
    if not found:
        await asyncio.sleep(_PAUSE)
    return found


def _take(record: ConsumerRecord, take: Take) -> None:
    value = record.value or b""
    try:
        event: Answer
        if record.topic == Topic.COMPLETE:
            event = parse_event(VerificationComplete, value)
        else:
            event = parse_event(VerificationFailed, value)
    except UnreadableEventError as error:
        _log.warning("an answer is left out: %s", error)
        return
    try:
        take(event, record.headers)
    except Exception as error:  # noqa: BLE001 - one answer must not keep the others from us
        _log.error("an answer is left out: unexpected %s at chunk %s", type(error).__name__, event.chunk_key)


_FIRST_RETRY: Final = 0.2
_LAST_RETRY: Final = 5.0
_LONG_RETRY: Final = 60.0
_POLL_MS: Final = 1_000
_PAUSE: Final = 0.1
_MOST_AT_ONCE: Final = 50
