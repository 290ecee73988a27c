"""The consumer core over aiokafka: read, work concurrently, publish what follows, commit what is done.

Public names: :class:`BusSettings`, :class:`KafkaWorker`, :class:`BusMetrics`.

At least once: an offset is committed only when all records before it are done and what followed from them is
acknowledged by all in-sync replicas. A record that cannot be read goes to the dead letter topic. While paused nothing
is read, nothing is lost, and the place in the group is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from veriramp_workers.bus.slots import Slots
from veriramp_workers.bus.window import OffsetWindow
from veriramp_workers.ports import Handler, Message, PoisonError, Record

DEFAULT_CONCURRENCY: Final = 10
"""Records in work at once, where the flags say nothing else."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BusSettings:
    """Where to read and how much at once; ``drain_seconds`` bounds the wait for work in flight at a hand-over."""

    brokers: str
    group: str
    topics: tuple[str, ...]
    dead_letters: str
    concurrency: int = DEFAULT_CONCURRENCY
    window: int = 200
    drain_seconds: float = 20.0
    commit_seconds: float = 0.5
    session_seconds: float = 10.0


class BusMetrics:
    """What the bus exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "veriramp_bus_records", "Records worked on, by outcome", ("topic", "outcome"), registry=registry
        )
        self.lag = Gauge("kafka_consumer_lag", "Records not yet committed", ("topic", "partition"), registry=registry)
        self.polls = Counter("veriramp_bus_polls", "Times that the broker was asked for records", registry=registry)
        self.paused = Gauge("veriramp_bus_paused", "1 while nothing is read by order of the flags", registry=registry)


class KafkaWorker:
    """Feeds one handler from topics. Call :meth:`run` once; :meth:`pause` and :meth:`resume` at any time."""

    def __init__(self, settings: BusSettings, handler: Handler, metrics: BusMetrics, *, paused: bool = False) -> None:
        self._settings = settings
        self._handler = handler
        self._metrics = metrics
        self._slots = Slots(settings.concurrency)
        self._windows: dict[TopicPartition, OffsetWindow] = {}
        self._tasks: dict[asyncio.Task[None], TopicPartition] = {}
        self._paused = paused
        self._metrics.paused.set(paused)
        self._ready = False
        self._failure: BaseException | None = None
        self._consumer: AIOKafkaConsumer
        self._producer: AIOKafkaProducer

    @property
    def ready(self) -> bool:
        """Whether the group was joined and no failure ended the work."""
        return self._ready and self._failure is None

    def pause(self) -> None:
        """Read nothing more; what is in work is finished."""
        self._paused = True
        self._metrics.paused.set(1)

    def resume(self) -> None:
        """Read on where reading stopped."""
        self._paused = False
        self._metrics.paused.set(0)

    def resize(self, concurrency: int) -> None:
        """Work on this many records at once from now on."""
        self._slots.resize(concurrency)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain and commit; raises what made going on impossible."""
        settings = self._settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.brokers, acks="all", enable_idempotence=True, max_request_size=_LARGEST_MESSAGE
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.brokers,
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_seconds * 1000),
            heartbeat_interval_ms=int(settings.session_seconds * 1000 / 3),
        )
        self._consumer.subscribe(list(settings.topics), listener=_HandOver(self))
        await _connected(self._producer, self._consumer, stop)
        try:
            self._ready = not stop.is_set()
            await self._read(stop)
        finally:
            self._ready = False
            await self._finish()
        if self._failure is not None:
            raise self._failure

    async def handed_over(self, partitions: Collection[TopicPartition]) -> None:
        """Finish and commit what is in work for partitions that go to another process."""
        going = frozenset(partitions)
        tasks = [task for task, partition in self._tasks.items() if partition in going]
        await self._settled(tasks)
        await self._commit(going)
        for partition in going:
            self._windows.pop(partition, None)
            self._metrics.lag.remove(*partition)

    def taken_over(self, partitions: Collection[TopicPartition]) -> None:
        """Begin with partitions that this process was given."""
        self._windows.update({partition: OffsetWindow() for partition in partitions})

    async def _read(self, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        commit_at = clock() + self._settings.commit_seconds
        measure_at = clock()
        while not stop.is_set() and self._failure is None:
            room = 0 if self._paused else self._settings.window - len(self._tasks)
            self._hold(room <= 0)
            batches: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=_POLL_MS, max_records=max(1, room)
            )
            self._metrics.polls.inc()
            for partition, records in batches.items():
                self._take(partition, records)
            if clock() >= commit_at:
                await self._commit(frozenset(self._windows))
                commit_at = clock() + self._settings.commit_seconds
            if clock() >= measure_at:
                await self._measure()
                measure_at = clock() + _MEASURE_SECONDS

    def _hold(self, hold: bool) -> None:
        assigned = self._consumer.assignment()
        held = self._consumer.paused() & assigned
        if hold and held != assigned:
            self._consumer.pause(*(assigned - held))
        elif not hold and held:
            self._consumer.resume(*held)

    def _take(self, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        if not self._paused:
            for record in records:
                self._begin(partition, record)
        elif partition in self._consumer.assignment():
            # The pause came while the broker was being asked: these records are read again after it.
            self._consumer.seek(partition, records[0].offset)

    def _begin(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        window = self._windows.get(partition)
        if window is None:
            return  # handed over while it was being fetched: its new owner reads it
        window.started(record.offset)
        task = asyncio.create_task(self._work(_record_of(record), window))
        self._tasks[task] = partition
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def _work(self, record: Record, window: OffsetWindow) -> None:
        async with self._slots:
            outcome, messages = await self._outcome(record)
            for message in messages:
                await self._publish(message)
        window.finished(record.offset)
        self._metrics.records.labels(record.topic, outcome).inc()

    async def _outcome(self, record: Record) -> tuple[str, tuple[Message, ...]]:
        where = f"{record.topic}/{record.partition}@{record.offset}"
        try:
            return "done", await self._handler(record)
        except PoisonError as error:
            _log.warning("%s goes to %s: %s", where, self._settings.dead_letters, error)
            return "poison", (self._dead_letter(record, "PoisonError", str(error)),)
        except Exception as error:  # noqa: BLE001 - one record must not stop the others
            _log.exception("%s goes to %s after an unexpected error", where, self._settings.dead_letters)
            return "failed", (self._dead_letter(record, type(error).__name__, str(error)),)

    def _dead_letter(self, record: Record, error_class: str, reason: str) -> Message:
        headers = {
            "error_class": error_class,
            "reason": reason[:_LONGEST_REASON],
            "source": f"{record.topic}/{record.partition}@{record.offset}",
        }
        added = tuple((name, text.encode()) for name, text in headers.items())
        return Message(self._settings.dead_letters, record.key, record.value, (*record.headers, *added))

    async def _publish(self, message: Message) -> None:
        delay = _FIRST_RETRY
        while True:
            try:
                await self._producer.send_and_wait(
                    message.topic, value=message.value, key=message.key, headers=list(message.headers)
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                _log.warning("publishing to %s failed, trying again: %r", message.topic, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)
            else:
                return

    async def _commit(self, partitions: Collection[TopicPartition]) -> None:
        windows = {partition: self._windows[partition] for partition in partitions if partition in self._windows}
        offsets = {
            partition: offset for partition, window in windows.items() if (offset := window.uncommitted) is not None
        }
        if offsets:
            try:
                await self._consumer.commit(offsets)
            except KafkaError as error:
                # Not fatal: whoever owns the partition reads the records again, and their identity is the same.
                _log.warning("commit failed, it will be tried again: %r", error)
                return
            for partition, offset in offsets.items():
                windows[partition].committed(offset)

    async def _measure(self) -> None:
        """Set the lag from the ends of the partitions, which grow also while nothing is read."""
        windows = dict(self._windows)
        try:
            async with asyncio.timeout(_MEASURE_PATIENCE):
                ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(windows))
                for partition, window in windows.items():
                    done = window.committable
                    if done is None:
                        done = await self._consumer.position(partition)
                    self._metrics.lag.labels(*partition).set(max(0, ends[partition] - done))
        except (KafkaError, TimeoutError) as error:
            _log.warning("the lag is not known: %r", error)

    async def _settled(self, tasks: Collection[asyncio.Task[None]]) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._settings.drain_seconds)
        for task in late:
            task.cancel()
        if late:
            _log.warning("%d records were not done in time; they will be read again", len(late))
            await asyncio.wait(late)

    async def _finish(self) -> None:
        await self._settled(tuple(self._tasks))
        await self._commit(frozenset(self._windows))
        await self._consumer.stop()
        await self._producer.stop()


class _HandOver(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    def __init__(self, worker: KafkaWorker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._worker.handed_over(revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._worker.taken_over(assigned)


async def _connected(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
    """Start both clients, as often as it takes: a broker may well come up after its clients."""
    delay = _FIRST_RETRY
    for client in (producer, consumer):
        while not stop.is_set():
            try:
                await client.start()
                break
            except KafkaError as error:
                _log.warning("no broker yet, trying again: %r", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)


def _record_of(record: ConsumerRecord) -> Record:
    return Record(record.topic, record.partition, record.offset, record.key, record.value or b"", tuple(record.headers))


_POLL_MS: Final = 200
_MEASURE_SECONDS: Final = 2.0
_MEASURE_PATIENCE: Final = 2.0
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 2.0
_LONGEST_REASON: Final = 1_000
_LARGEST_MESSAGE: Final = 4 * 1024 * 1024
