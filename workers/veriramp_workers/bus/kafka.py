"""The consumer core over aiokafka: read, hand to the dispatcher, commit what is done, hand over partitions.

Public names: :class:`KafkaWorker`.

At least once: an offset is committed only when all records before it are done and what followed from them is
acknowledged by all in-sync replicas. While paused nothing is read, nothing is lost, and the place in the group is kept.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CorruptRecordException, KafkaError, TopicAuthorizationFailedError

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_rights import missing_rights
from veriramp_sdk.kafka_trouble import Credentials
from veriramp_sdk.unreadable import UNREADABLE, why_unreadable
from veriramp_workers.bus.admin import warn_of_topics
from veriramp_workers.bus.contact import Contact
from veriramp_workers.bus.dispatcher import Dispatcher, Place
from veriramp_workers.bus.publisher import Publisher
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.bus.waits import bounded, signalled, unless
from veriramp_workers.bus.window import OffsetWindow, StartsAgainError
from veriramp_workers.ports import Handler, Record

_log = logging.getLogger(__name__)


class KafkaWorker:
    """Feeds one handler from topics. Call :meth:`run` once; :meth:`pause` and :meth:`resume` at any time."""

    def __init__(self, settings: BusSettings, handler: Handler, metrics: BusMetrics, *, paused: bool = False) -> None:
        self._settings = settings
        self._metrics = metrics
        self._contact = Contact(settings.kafka)
        self._credentials = Credentials(settings.kafka)
        self._publisher = Publisher(settings.kafka, metrics, self._contact)
        self._dispatcher = Dispatcher(settings, handler, self._publisher, metrics)
        self._member: AIOKafkaConsumer | None = None
        self._joined = False
        self._careful_until = 0.0
        if paused:
            self.pause()

    @property
    def missing(self) -> str:
        """What keeps this worker from its work, for ``/readyz``; nothing when it is ready.

        A pause is none. Kafka is, after half a minute without an answer: a rollout should not rise while nobody works.
        """
        if self._dispatcher.failure is not None:
            return "the worker cannot go on"
        if self._contact.refusal:
            return self._contact.refusal
        if not self._joined:
            cause = self._contact.cause
            return f"the broker's group is not joined{f': {cause}' if cause else ''}"
        return self._contact.missing

    def pause(self, reason: str = "mode") -> None:
        """Read nothing more until this reason is resumed; what is in work is finished."""
        self._dispatcher.pause(reason)

    def resume(self, reason: str = "mode") -> None:
        """Read on where reading stopped, if no other reason holds."""
        self._dispatcher.resume(reason)

    def resize(self, concurrency: int) -> None:
        """Work on this many records at once from now on."""
        self._dispatcher.resize(concurrency)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain and commit; raises what made going on impossible.

        Trouble with the broker is waited out, if need be with a new consumer.
        """
        if not await unless(stop, self._publisher.start()):
            return
        delay = _FIRST_RETRY
        try:
            if self._settings.plans:
                # Before subscribing: that may create topics, with the defaults of the cluster.
                looking = warn_of_topics(self._settings.kafka, self._settings.plans)
                await bounded(looking, _LOOK_SECONDS, "looking at the topics")
            while not stop.is_set() and self._dispatcher.failure is None:
                started = asyncio.get_running_loop().time()
                try:
                    await self._session(stop)
                except _RenewedError:
                    _log.info("Kafka takes the new credentials; joining the group anew")
                except (KafkaError, StartsAgainError, ConfigurationError) as error:
                    self._metrics.broker_failures.labels("read").inc()
                    await self._tell(error, delay)
                    await unless(stop, asyncio.sleep(delay))
                    lasted = asyncio.get_running_loop().time() - started
                    delay = _FIRST_RETRY if lasted > _STEADY_SECONDS else min(2 * delay, _LAST_RETRY)
        finally:
            await self._publisher.stop(_STOP_SECONDS)
        if self._dispatcher.failure is not None:
            raise self._dispatcher.failure

    async def _tell(self, error: Exception, delay: float) -> None:
        """Say why reading failed: of rights once a minute, for they are given by people."""
        if rights := missing_rights(error, "Read"):
            self._contact.refused(rights)
            return
        why = str(error) if isinstance(error, StartsAgainError) else await self._contact.why(error)
        _log.warning("reading failed, joining the group anew in %.1f s: %s", delay, why)

    async def _session(self, stop: asyncio.Event) -> None:
        """Be a member of the group until ``stop`` is set or the consumer cannot go on."""
        consumer = _consumer(self._settings, self._credentials.options())
        try:
            if not await unless(stop, consumer.start()):
                return
            self._contact.answered()
            self._member = consumer
            # Not before the start: that would end when a topic does not exist, and the others would not be read either.
            consumer.subscribe(list(self._settings.lanes), listener=_HandOver(self, consumer))
            keeping = asyncio.create_task(self._keep(consumer))
            try:
                await self._read(consumer, stop, keeping)
            finally:
                self._member, self._joined = None, False
                keeping.cancel()
                await self.hand_over(consumer, tuple(self._dispatcher.windows))
        finally:
            await bounded(consumer.stop(), _STOP_SECONDS, "leaving the group")

    async def _read(self, consumer: AIOKafkaConsumer, stop: asyncio.Event, keeping: asyncio.Task[None]) -> None:
        work, clock = self._dispatcher, asyncio.get_running_loop().time
        while not stop.is_set() and work.failure is None:
            if keeping.done():
                keeping.result()
            careful = clock() < self._careful_until
            crowded = work.congested
            if crowded:
                await signalled(work.changed, _CROWDED_SECONDS)
            wanted = work.wanted()
            # By lanes: of all at once the client gives what came first, and a long backlog would hide the rest.
            lanes = [[place for place in wanted if place[0] == lane] for lane in self._settings.lanes]
            found = 0
            for places in [[place] for place in wanted] if careful else filter(None, lanes):
                found += await self._poll(consumer, places, 0, careful=careful)
            if found or (crowded and wanted):
                continue
            if wanted and not careful:
                await self._poll(consumer, wanted, _POLL_MS)
            else:
                # Asked for all the same: a member of the group that never asks is thought to be dead.
                await self._poll(consumer, [_NOWHERE], 0)
                await signalled(work.changed, _POLL_MS / 1000)

    async def _poll(
        self, consumer: AIOKafkaConsumer, places: list[Place], timeout_ms: int, *, careful: bool = False
    ) -> int:
        """Take over what there is of some places (careful: one record of one place); returns how many were found."""
        self._metrics.polls.inc()
        try:
            async with asyncio.timeout(_POLL_PATIENCE):  # a rebalance without a broker would last for ever
                batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                    *(TopicPartition(*place) for place in places),
                    timeout_ms=timeout_ms,
                    max_records=1 if careful else self._settings.max_poll_records,
                )
        except TimeoutError:
            return 0
        except UNREADABLE as error:
            if not careful:
                # What else it had found is lost to us, so reading starts anew, and slowly until the culprit is met.
                self._careful_until = asyncio.get_running_loop().time() + _CAREFUL_SECONDS
                raise CorruptRecordException(f"a record cannot be read: {why_unreadable(error)}") from error
            await self._step_over(consumer, TopicPartition(*places[0]), why_unreadable(error))
            return 1
        for partition, records in batches.items():
            again_from = self._dispatcher.take(partition, [_record_of(record) for record in records])
            if again_from is not None and partition in consumer.assignment():
                consumer.seek(partition, again_from)
        return sum(map(len, batches.values()))

    async def _step_over(self, consumer: AIOKafkaConsumer, partition: TopicPartition, why: str) -> None:
        """Hand over a record that the client cannot read as an empty one, which nobody can read either."""
        offset = await consumer.position(partition)
        _log.error("%s/%d@%d cannot be read: %s", *partition, offset, why)
        again_from = self._dispatcher.take(partition, [Record(partition.topic, partition.partition, offset, None, b"")])
        consumer.seek(partition, offset + 1 if again_from is None else again_from)
        # Often not all of its batch can be read; to start anew at each of them would take longer.
        self._careful_until = asyncio.get_running_loop().time() + _CAREFUL_STILL_SECONDS

    async def _keep(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what is done and measure the lag, again and again."""
        clock = asyncio.get_running_loop().time
        commit_at = clock() + self._settings.commit_seconds
        told: set[str] = set()
        settled = False
        while True:
            await self._measure(consumer)
            if await self._credentials.renewed():
                # Both at once: a message that is given to the old producer now may be stuck there.
                await self._publisher.renew()
                raise _RenewedError
            await self._publisher.refresh()
            missing = {topic for topic in self._settings.lanes if not consumer.partitions_for_topic(topic)}
            if hidden := missing & consumer._client.cluster.unauthorized_topics:  # noqa: SLF001 - told nowhere else
                raise TopicAuthorizationFailedError(hidden)
            if self._joined and settled:
                self._contact.allowed("Read")
            settled = self._joined
            for topic in sorted(missing - told):
                _log.warning(
                    "%s does not exist, nothing is read from it; veriramp-worker topics --apply creates it", topic
                )
            told = missing
            measure_at = clock() + _MEASURE_SECONDS
            while clock() < measure_at:
                await asyncio.sleep(max(0.0, min(commit_at, measure_at) - clock()))
                if clock() >= commit_at:
                    await self._commit(consumer, self._dispatcher.windows)
                    commit_at = clock() + self._settings.commit_seconds

    async def hand_over(self, consumer: AIOKafkaConsumer, places: Collection[Place]) -> None:
        """Finish and commit what is in work of partitions that go to another process."""
        windows = await self._dispatcher.close(places, self._settings.drain_seconds)
        await self._commit(consumer, windows)
        for topic, partition in windows:
            self._metrics.lag.remove(topic, str(partition))

    def take_over(self, consumer: AIOKafkaConsumer, places: Collection[Place]) -> None:
        """Begin with partitions that this process was given, but not when it is leaving the group."""
        if consumer is not self._member:
            return
        self._joined = True
        for topic, partition in places:
            self._metrics.lag.labels(topic, str(partition)).set(math.nan)
        self._dispatcher.open([(topic, partition) for topic, partition in places])

    async def _commit(self, consumer: AIOKafkaConsumer, windows: dict[Place, OffsetWindow]) -> None:
        offsets = {
            TopicPartition(*place): offset
            for place, window in windows.items()
            if (offset := window.uncommitted) is not None
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(_COMMIT_PATIENCE):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            # Not fatal: whoever owns the partition reads the records again, and their identity is the same.
            self._metrics.broker_failures.labels("commit").inc()
            if rights := missing_rights(error, "Read"):
                self._contact.refused(rights)
            else:
                _log.warning("commit failed, it will be tried again: %s", _said(error))
            return
        self._contact.answered()
        for place, offset in offsets.items():
            windows[place].committed(offset)

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        """Set the lag from the ends of the partitions, which grow also while nothing is read; NaN where not known."""
        windows = self._dispatcher.windows
        lags: dict[Place, float] = dict.fromkeys(windows, math.nan)
        try:
            async with asyncio.timeout(_MEASURE_PATIENCE):
                ends = await consumer.end_offsets([TopicPartition(*place) for place in windows])
                for place, window in windows.items():
                    done = window.committable
                    if done is None:
                        done = await consumer.position(TopicPartition(*place))
                    lags[place] = max(0, ends[place] - done)
            if windows:
                self._contact.answered()
            else:
                await self._ask(consumer)
        except (KafkaError, TimeoutError) as error:
            self._metrics.broker_failures.labels("lag").inc()
            await self._contact.missed("the lag is not known", error)
            await self._ask(consumer)
        for place in lags.keys() & self._dispatcher.windows.keys():
            self._metrics.lag.labels(*place).set(lags[place])

    async def _ask(self, consumer: AIOKafkaConsumer) -> None:
        """Ask the group's broker something: with no partition, or one without a leader, others may be well."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_MEASURE_PATIENCE):
                await consumer.committed(TopicPartition(self._settings.lanes[0], 0))
                self._contact.answered()


class _RenewedError(Exception):
    """The credentials have changed, and work."""


class _HandOver(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    def __init__(self, worker: KafkaWorker, consumer: AIOKafkaConsumer) -> None:
        self._worker = worker
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._worker.hand_over(self._consumer, revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._worker.take_over(self._consumer, assigned)


def _consumer(settings: BusSettings, options: dict[str, Any]) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **options,
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=settings.max_poll_records,
        session_timeout_ms=int(settings.session_seconds * 1000),
        heartbeat_interval_ms=int(settings.session_seconds * 1000 / 3),
        # All partitions are revoked at each rebalance; the group waits while the work in flight is finished.
        rebalance_timeout_ms=int((settings.drain_seconds + _COMMIT_PATIENCE + settings.session_seconds) * 1000),
        # A partition that was read to its end is asked for again only when the request under way returns.
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        metadata_max_age_ms=_METADATA_MS,
    )


def _record_of(record: ConsumerRecord) -> Record:
    headers = tuple((name, value or b"") for name, value in record.headers)
    return Record(record.topic, record.partition, record.offset, record.key, record.value or b"", headers)


def _said(error: BaseException) -> str:
    return "Kafka gave no answer in time" if isinstance(error, TimeoutError) else repr(error)


_NOWHERE: Final = ("", 0)
_POLL_MS: Final = 200
_POLL_PATIENCE: Final = 1.0
_CAREFUL_SECONDS: Final = 60.0
_CAREFUL_STILL_SECONDS: Final = 5.0
_CROWDED_SECONDS: Final = 0.02
_FETCH_WAIT_MS: Final = 100
_METADATA_MS: Final = 30_000
_MEASURE_SECONDS: Final = 2.0
_MEASURE_PATIENCE: Final = 2.0
_COMMIT_PATIENCE: Final = 2.0
_STOP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 5.0
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 2.0
_STEADY_SECONDS: Final = 60.0
