"""The work queue: one pass per rollout at a time, coalesced, urgent wakes first, one heap for all later looks."""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from veriramp_operator.api.errors import Conflict, NotFound, Refused, Unavailable

Key = tuple[str, str]
Process = Callable[[Key, str], Awaitable[float | None]]
"""One pass: (key, wake reason) -> seconds until the next look, or None. May raise: then it is tried again later."""

BACKOFF_FIRST: Final = 0.2
BACKOFF_MOST: Final = 20.0
"""Seconds; below 30, so that everything goes on within half a minute of the end of a long outage."""

_log = logging.getLogger("veriramp.queue")


class WorkQueue:
    """Runs ``process`` for woken keys on a few workers of one event loop."""

    def __init__(self, process: Process, workers: int = 8) -> None:
        self._process, self._workers = process, workers
        self._lanes: tuple[deque[Key], deque[Key]] = (deque(), deque())
        self._queued: dict[Key, tuple[str, float, bool]] = {}
        self._running: set[Key] = set()
        self._again: dict[Key, tuple[str, bool]] = {}
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._work = asyncio.Semaphore(0)
        self._timer_moved = asyncio.Event()
        self._waiting: dict[Key, list[asyncio.Future[None]]] = {}
        self._began_at: float | None = None

    @property
    def depth(self) -> int:
        """Keys waiting for a worker."""
        return len(self._queued)

    @property
    def age(self) -> float:
        """Seconds that the longest waiting key has waited for a worker; 0 while there are none (on a standby)."""
        if not self._queued or self._began_at is None:
            return 0.0
        return _now() - max(self._began_at, min(since for _, since, _ in self._queued.values()))

    def wake(self, key: Key, reason: str, *, urgent: bool = False) -> None:
        """Ask for a pass; several wakes before it make one pass, an urgent one overtakes all that are not."""
        if key in self._running:
            _, was_urgent = self._again.get(key, ("", False))
            self._again[key] = (reason, urgent or was_urgent)
            return
        known = self._queued.get(key)
        if known is None:
            self._queued[key] = (reason, _now(), urgent)
        elif urgent and not known[2]:
            self._queued[key] = (reason, known[1], True)
        else:
            return
        # A key raised from the slow lane stays there too; whoever meets it second finds it gone.
        self._lanes[0 if urgent else 1].append(key)
        self._work.release()

    def wake_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass later, unless an earlier one is asked for already."""
        due = _now() + max(0.0, seconds)
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        self._timer_moved.set()

    def next_pass(self, key: Key) -> asyncio.Future[None]:
        """A future that is done after the next pass of this key that begins from now on and succeeds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        return future

    async def run(self) -> None:
        """Work until cancelled."""
        self._began_at = _now()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick(), name="queue-timer")
            for number in range(self._workers):
                tasks.create_task(self._work_on(), name=f"queue-worker-{number}")

    async def _tick(self) -> None:
        while True:
            self._timer_moved.clear()
            while self._heap and self._heap[0][0] <= _now():
                due, key = heapq.heappop(self._heap)
                if self._due.get(key) == due:
                    del self._due[key]
                    self.wake(key, "time")
            wait = self._heap[0][0] - _now() if self._heap else None
            try:
                async with asyncio.timeout(wait):
                    await self._timer_moved.wait()
            except TimeoutError:
                continue

    async def _work_on(self) -> None:
        while True:
            await self._work.acquire()
            key = self._take()
            if key is not None:
                await self._pass(key)

    def _take(self) -> Key | None:
        for lane in self._lanes:
            while lane:
                key = lane.popleft()
                if key in self._queued:
                    return key
        return None

    async def _pass(self, key: Key) -> None:
        reason, _, _ = self._queued.pop(key)
        self._running.add(key)
        waiting = self._waiting.pop(key, [])
        try:
            delay = await self._process(key, reason)
        except Exception as error:  # noqa: BLE001 one broken rollout must not stop the others
            # Who gave up is not kept: during a long outage Alertmanager comes again and again.
            self._waiting.setdefault(key, []).extend(future for future in waiting if not future.done())
            delay = self._backoff(key)
            # What the API server may answer on a bad day is told without a traceback.
            expected = isinstance(error, (Unavailable, Conflict, NotFound, Refused))
            level = logging.WARNING if expected else logging.ERROR
            message = "pass of %s/%s failed; next try in %.1f s: %s"
            _log.log(level, message, *key, delay, error, exc_info=None if expected else error)
        else:
            self._failures.pop(key, None)
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        finally:
            self._running.discard(key)
        if delay is not None:
            self.wake_after(key, delay)
        if key in self._again:
            self.wake(key, self._again[key][0], urgent=self._again.pop(key)[1])

    def _backoff(self, key: Key) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 not cryptography
        return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(failures, 20)) * jitter


def _now() -> float:
    return asyncio.get_running_loop().time()
