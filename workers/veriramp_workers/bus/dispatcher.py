"""The work between reading and committing: who is worked on next, what becomes of it, what may be committed.

Public names: :class:`Dispatcher`, :class:`Publish`, :class:`RefusedError`.

It knows no broker: records are handed in by :meth:`Dispatcher.take`, messages go out through ``publish``. What is held
in memory is bounded: at most ``concurrency`` handlers, about as many records waiting in each lane, and ``window``
records of a partition whose messages are on their way to the broker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from veriramp_workers.bus.lanes import Lanes
from veriramp_workers.bus.pauses import FOREVER, Pauses
from veriramp_workers.bus.retry import Failure, not_before_ms
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.bus.window import OffsetWindow, StartsAgainError
from veriramp_workers.ports import DeferError, Handler, Message, PauseError, PoisonError, Record, RetryLaterError

Place = tuple[str, int]
"""Topic and partition."""

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The broker will never take this message, however often it is offered."""


class Publish(Protocol):
    """Store a message with the broker; comes back when all in-sync replicas have it.

    With ``insist`` it never raises :class:`RefusedError` but goes on trying.
    """

    async def __call__(self, message: Message, *, insist: bool = False) -> None: ...


@dataclass(frozen=True)
class _Item:
    order: int
    place: Place
    record: Record
    window: OffsetWindow


@dataclass(frozen=True)
class _Held:
    offset: int
    until: float


class Dispatcher:
    """Feeds one handler with the records of the places (partitions) that are open.

    ``wall`` gives seconds since the epoch, ``clock`` seconds that never go back. ``changed`` is set when more may be
    wanted than before. ``failure`` is what made going on impossible: a defect of the bus itself.
    """

    def __init__(
        self,
        settings: BusSettings,
        handler: Handler,
        publish: Publish,
        metrics: BusMetrics,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._handler = handler
        self._publish = publish
        self._metrics = metrics
        self._wall = wall
        self._clock = clock
        self._lanes: Lanes[_Item] = Lanes(settings.lanes, patience=settings.patience)
        self._pauses = Pauses()
        self._told: set[str] = set()
        self._windows: dict[Place, OffsetWindow] = {}
        self._held: dict[Place, _Held] = {}
        self._tasks: dict[asyncio.Task[None], _Item] = {}
        self._enough = 0
        self._handled: set[int] = set()
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self.changed = asyncio.Event()
        self.failure: BaseException | None = None
        self.resize(settings.concurrency)

    def resize(self, concurrency: int) -> None:
        """Work on this many records at once from now on. Raises ``ValueError`` below 1."""
        if concurrency < 1:
            raise ValueError(f"a concurrency of {concurrency} does nothing; give at least 1")
        self._concurrency = concurrency
        self._enough = max(concurrency, self._settings.max_poll_records)
        self._fill()

    def pause(self, reason: str, seconds: float = FOREVER, topics: Iterable[str] = ()) -> None:
        """Begin nothing more of the topics (of all if none are named) until resumed, at most for so long."""
        if seconds >= _TOLD_SECONDS and reason not in self._told:
            self._told.add(reason)
            until = "" if seconds == FOREVER else f" for at most {seconds:.0f} s"
            _log.info("paused%s: %s", until, reason)
        self._pauses.pause(reason, until=self._clock() + seconds, topics=frozenset(topics))
        self._metrics.paused.labels(reason).set(1)
        self._wake()

    def resume(self, reason: str) -> None:
        """End a reason to pause; work goes on when no other holds."""
        self._settle(lambda: self._pauses.resume(reason))

    def open(self, places: Iterable[Place]) -> None:
        """Begin with partitions that this process was given."""
        self._windows.update({place: OffsetWindow() for place in places})

    def wanted(self) -> list[Place]:
        """The open places that records are wanted of now."""
        now = self._clock()
        return [
            place
            for place, window in self._windows.items()
            if self._has_room(place[0], window)
            and (place not in self._held or self._held[place].until <= now)
            and not self._pauses.holds(place[0])
        ]

    @property
    def congested(self) -> bool:
        """Whether so much of some place is read and not done that no more is wanted of it."""
        return any(
            not self._has_room(place[0], window) and not self._pauses.holds(place[0])
            for place, window in self._windows.items()
        )

    def take(self, place: Place, records: Sequence[Record]) -> int | None:
        """Take what was read of a place, in its order.

        Returns the offset to read again from, for a place that is paused or whose next record is not due yet. Raises
        :class:`StartsAgainError` when the offsets go back: all places must be closed, and opened anew.
        """
        window = self._windows.get(place)
        if window is None:
            return None  # handed over while it was being fetched: its new owner reads it
        if self._pauses.holds(place[0]):
            return records[0].offset
        for record in records:
            if self._is_early(place, record):
                self._fill()
                return record.offset
            try:
                window.started(record.offset)
            except StartsAgainError as error:
                where = f"{record.topic}/{record.partition}"
                raise StartsAgainError(f"{where} was cut or created anew, {error}") from None
            self._taken += 1
            counted = self._settings.route.counted(record)
            self._lanes.put(place[0], self._taken, _Item(self._taken, place, counted, window))
        self._fill()
        return None

    async def close(self, places: Collection[Place], seconds: float) -> dict[Place, OffsetWindow]:
        """Finish what is in work of these places, at most for so long, and forget the rest; it is read again.

        Returns their windows, which say what may be committed.
        """
        windows = {place: self._windows.pop(place) for place in places if place in self._windows}
        for place in windows:
            self._held.pop(place, None)
        self._lanes.drop(lambda item: item.place in windows)
        tasks = [task for task, item in self._tasks.items() if item.place in windows]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                _log.warning("%d records were not done in time; they will be read again", len(late))
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
        self._fill()
        return windows

    @property
    def windows(self) -> dict[Place, OffsetWindow]:
        """The windows of the open places."""
        return dict(self._windows)

    def _is_early(self, place: Place, record: Record) -> bool:
        """Whether a record of a topic with a delay is not due yet; then its place is held until it is."""
        delay = self._settings.delays.get(place[0])
        seconds = 0.0 if delay is None else not_before_ms(record) / 1000 - self._wall()
        if delay is None or seconds <= 0:
            return False
        # Once, and no longer than the topic's own delay: a header that is wrong must not stop the partition.
        if place in self._held and self._held[place].offset == record.offset:
            return self._held[place].until > self._clock()
        self._held[place] = _Held(record.offset, self._clock() + min(seconds, delay))
        return True

    def _fill(self) -> None:
        closed = [lane for lane in self._settings.lanes if self._pauses.holds(lane)]
        while len(self._handled) < self._concurrency and (item := self._lanes.next(closed)) is not None:
            self._handled.add(item.order)
            task = asyncio.create_task(self._work(item))
            self._tasks[task] = item
            task.add_done_callback(self._ended)
            if self._lanes.waiting(item.place[0]) == self._enough - 1:
                self.changed.set()
        self._count()

    def _has_room(self, lane: str, window: OffsetWindow) -> bool:
        room = window.span + self._settings.max_poll_records <= self._settings.window
        return room and self._lanes.waiting(lane) < self._enough

    def _count(self) -> None:
        self._metrics.in_work.set(len(self._tasks) + sum(map(self._lanes.waiting, self._settings.lanes)))

    def _ended(self, task: asyncio.Task[None]) -> None:
        item = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
        self._handled.discard(item.order)  # it may have been cancelled before its first step

    async def _work(self, item: _Item) -> None:
        record = item.record
        try:
            outcome, messages = await self._outcome(record)
        except PauseError as pause:
            outcome, messages = self._interrupted(item, pause)
        finally:
            self._handled.discard(item.order)
        self._fill()  # what follows is on its way to the broker while the next record is worked on
        if outcome != _AGAIN:
            if not await self._send(record, messages):
                outcome = "dead"
            item.window.finished(record.offset)
        self._metrics.records.labels(record.topic, outcome).inc()

    async def _outcome(self, record: Record) -> tuple[str, tuple[Message, ...]]:
        try:
            return "done", await self._handler(record)
        except PauseError:
            raise
        except DeferError as error:
            return self._deferred(record, error)
        except RetryLaterError as error:
            return self._failed(record, Failure("RetryLaterError", error.reason, last=error.last))
        except PoisonError as error:
            return self._failed(record, Failure("PoisonError", str(error), final=True))
        except Exception as error:  # noqa: BLE001 - one record must not stop the others
            _log.exception("unexpected error at %s", _where(record))
            return self._failed(record, Failure(type(error).__name__, str(error)))

    def _deferred(self, record: Record, error: DeferError) -> tuple[str, tuple[Message, ...]]:
        topic = self._settings.deferred
        if topic is None:
            raise PauseError(error.seconds, error.reason) from error
        now_ms = int(self._wall() * 1000)
        return "deferred", (self._settings.route.later(record, topic, error.seconds, error.reason, now_ms),)

    def _failed(self, record: Record, failure: Failure) -> tuple[str, tuple[Message, ...]]:
        messages = self._settings.route.after(record, failure, int(self._wall() * 1000))
        topic = messages[-1].topic
        _log.warning("%s goes to %s: %s", _where(record), topic, failure.reason)
        return "dead" if topic == self._settings.dead_letters else "retry", messages

    def _interrupted(self, item: _Item, pause: PauseError) -> tuple[str, tuple[Message, ...]]:
        topics, record = set(pause.topics), item.record
        seconds = max(_SHORTEST_PAUSE, pause.seconds)
        self.pause(pause.reason, min(seconds, _LONGEST_PAUSE), topics)
        if topics and record.topic not in topics:
            if self._settings.route.origin(record) in topics:
                # It waits with its like, and the other records of the retry topic do not wait with it.
                return "returned", (self._settings.route.back_to_origin(record),)
            self.pause(pause.reason, min(seconds, _LONGEST_PAUSE), {record.topic})
        if self._windows.get(item.place) is item.window:
            self._lanes.put(record.topic, item.order, item)
        return _AGAIN, ()

    async def _send(self, record: Record, messages: Sequence[Message]) -> bool:
        """Publish what follows from a record; returns whether that was taken, or else a dead letter in its place."""
        try:
            for message in messages:
                await self._publish(message)
        except RefusedError as error:
            failure = Failure("RefusedError", str(error), final=True)
            _log.error("%s goes to %s: %s", _where(record), self._settings.dead_letters, error)
            (letter,) = self._settings.route.after(record, failure, 0)
            try:
                await self._publish(letter)
            except RefusedError:
                await self._publish(self._settings.route.without_value(record, failure), insist=True)
            return False
        return True

    def _wake(self) -> None:
        """See to it that the next pause to end ends in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pauses.next_end != FOREVER:
            wait = max(0.0, self._pauses.next_end - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait, self._expire)

    def _expire(self) -> None:
        self._settle(lambda: self._pauses.expire(self._clock()))

    def _settle(self, change: Callable[[], None]) -> None:
        before = self._pauses.reasons
        change()
        for reason in before - self._pauses.reasons:
            self._metrics.paused.labels(reason).set(0)
            if reason in self._told:
                self._told.remove(reason)
                _log.info("no longer paused: %s", reason)
        self._wake()
        self._fill()
        self.changed.set()


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}@{record.offset}"


_AGAIN: Final = "again"
_CANCEL_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.01
_TOLD_SECONDS: Final = 1.0  # a limit on the rate pauses many times a second
_LONGEST_PAUSE: Final = 24 * 3600.0
