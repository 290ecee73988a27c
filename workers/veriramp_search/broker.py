"""Follow the verdicts on Kafka.

Public names: :func:`follow_verdicts`, :data:`Answer`, :data:`Headers`, :data:`Take`. It is not on the way of a search:
with the broker down, searches go on and verdicts are those known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from veriramp_sdk.events import Topic, UnreadableEventError, VerificationComplete, VerificationFailed, parse_event

Answer = VerificationComplete | VerificationFailed
Headers = Sequence[tuple[str, bytes | None]]
Take = Callable[[Answer, Headers], None]
"""What gets each answer with the headers of its message."""

_log = logging.getLogger(__name__)


async def follow_verdicts(brokers: str, take: Take) -> None:
    """Read verdicts from their beginning and failures from now on until cancelled; connects anew after trouble."""
    delay = _FIRST_RETRY
    while True:
        # Without a group: every process reads every partition, and nothing is committed.
        consumer = AIOKafkaConsumer(
            Topic.COMPLETE, Topic.FAILED, bootstrap_servers=brokers, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            failures = [one for one in consumer.assignment() if one.topic == Topic.FAILED]
            if failures:
                await consumer.seek_to_end(*failures)
            delay = _FIRST_RETRY
            async for record in consumer:
                _take(record, take)
        except KafkaError as error:
            _log.warning("verdicts cannot be read, trying again: %r", error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY)
        finally:
            await consumer.stop()


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
    take(event, record.headers)


_FIRST_RETRY: Final = 0.2
_LAST_RETRY: Final = 5.0
