"""What a sink has that counts each event once, and whether anything is missing from it or in it twice.

The requests of one test have chunks of their own, so that an event's key tells which request it answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from tests.support.pipeline import WORK_SECONDS, Topics, followed
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerificationComplete, VerifyChunk, parse_event

GROUP = "verification-orchestrator-group"


@dataclass(frozen=True)
class Totals:
    """What a sink has at the end that counts each event once.

    ``verdicts``: by event id the verdict, its reason and the chunk's key; ``dead``: the values of the dead letters.
    """

    verdicts: Mapping[str, tuple[str, str | None, bytes]]
    dead: frozenset[bytes]

    @property
    def by_verdict(self) -> dict[str, int]:
        """How many events there are of each verdict."""
        return dict(sorted(Counter(verdict for verdict, _, _ in self.verdicts.values()).items()))


class Ledger:
    """Follows the topics with the answers and counts each event once.

    ``contradictions``: events that came with two contents, and requests that were answered by two events.
    """

    def __init__(self) -> None:
        self.consumer: AIOKafkaConsumer | None = None
        self._event_of: dict[bytes, str] = {}
        self.verdicts: dict[str, tuple[str, str | None, bytes]] = {}
        self.dead: set[bytes] = set()
        self.contradictions = 0
        self.records: Counter[str] = Counter()

    @property
    def totals(self) -> Totals:
        return Totals(dict(self.verdicts), frozenset(self.dead))

    @property
    def answered(self) -> int:
        """How many requests have an answer."""
        return len(self._event_of)

    def note(self, record: ConsumerRecord) -> None:
        """Count a record."""
        self.records[record.topic] += 1
        if record.topic == Topic.DEAD_LETTERS:
            self.dead.add(record.value)
            return
        event = parse_event(VerificationComplete, record.value)
        answer = (str(event.verdict), event.reason, bytes(record.key))
        if self.verdicts.setdefault(event.event_id, answer) != answer:
            self.contradictions += 1
        if self._event_of.setdefault(bytes(record.key), event.event_id) != event.event_id:
            self.contradictions += 1

    async def caught_up(self) -> None:
        """Wait until everything is counted that is in the topics now."""
        consumer = self.consumer
        assert consumer is not None
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())

        async def read() -> bool:
            return all([await consumer.position(place) >= end for place, end in ends.items()])

        await wait_until(read, WORK_SECONDS, "the ledger to read to the end")


@asynccontextmanager
async def a_ledger(brokers: str) -> AsyncIterator[Ledger]:
    """Follow the answers of a broker from their beginning."""
    ledger = Ledger()
    async with followed(brokers, (Topic.COMPLETE, Topic.DEAD_LETTERS), ledger.note) as ledger.consumer:
        yield ledger


async def each_counts_once(ledger: Ledger, topics: Topics, wanted: Sequence[VerifyChunk]) -> None:
    """Wait until every request has one event, whatever came twice, nothing is a dead letter, every offset is done."""

    async def answered() -> bool:
        return ledger.answered >= len(wanted)

    await wait_until(answered, WORK_SECONDS, "an answer to each")
    await topics.all_committed(GROUP, Topic.INTERACTIVE, len(wanted))
    await ledger.caught_up()
    assert sorted(key or b"" for _, _, key in ledger.verdicts.values()) == sorted(each.key() for each in wanted)
    assert ledger.contradictions == 0
    assert ledger.dead == set()
