"""The work queue: one pass per key, coalesced, urgent first, tried again later, one heap of later looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.waiting import wait_until
from veriramp_operator.api.errors import Unavailable
from veriramp_operator.runtime.queue import BACKOFF_MOST, Key, WorkQueue

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")
SECONDS = 20.0


class Passes:
    """What the queue ran; ``gate`` closed = passes wait inside, ``fails`` = exceptions to raise first."""

    def __init__(self, *fails: Exception, delay: float | None = None) -> None:
        self.done: list[tuple[Key, str]] = []
        self.fails, self.delay = list(fails), delay
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside: list[Key] = []

    async def __call__(self, key: Key, reason: str) -> float | None:
        assert key not in self.inside, "one pass per key at a time"
        self.inside.append(key)
        try:
            await self.gate.wait()
            if self.fails:
                raise self.fails.pop(0)
        finally:
            self.inside.remove(key)
        self.done.append((key, reason))
        return self.delay


@contextlib.asynccontextmanager
async def running(queue: WorkQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def done(passes: Passes, count: int) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return len(passes.done) >= count

    return so


async def test_wakes_before_a_pass_make_one_pass() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    for reason in ("new", "spec", "flags"):
        queue.wake(A, reason)
    queue.wake(B, "new")
    assert queue.depth == 2
    async with running(queue):
        await wait_until(done(passes, 2), SECONDS, "both passes")
    assert sorted(passes.done) == [(A, "new"), (B, "new")]


async def test_urgent_wakes_overtake() -> None:
    passes = Passes()
    queue = WorkQueue(passes, workers=1)
    queue.wake(A, "reading")
    queue.wake(B, "reading")
    queue.wake(C, "push", urgent=True)
    queue.wake(B, "evidence", urgent=True)
    async with running(queue):
        await wait_until(done(passes, 3), SECONDS, "three passes")
    assert passes.done == [(C, "push"), (B, "evidence"), (A, "reading")]


async def test_a_wake_during_a_pass_makes_one_more_and_never_two_at_once() -> None:
    passes = Passes()
    passes.gate.clear()
    queue = WorkQueue(passes)
    async with running(queue):
        queue.wake(A, "new")
        await wait_until(_inside(passes), SECONDS, "the pass to begin")
        queue.wake(A, "spec")
        queue.wake(A, "push", urgent=True)
        passes.gate.set()
        await wait_until(done(passes, 2), SECONDS, "the second pass")
    assert passes.done == [(A, "new"), (A, "push")]


async def test_a_failed_pass_is_tried_again_and_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    passes = Passes(Unavailable("away"), ValueError("broken"))
    queue = WorkQueue(passes, workers=1)
    with caplog.at_level(logging.WARNING):
        async with running(queue):
            queue.wake(A, "new")
            await wait_until(done(passes, 1), SECONDS, "the third try")
    levels = [(record.levelname, record.exc_info is not None) for record in caplog.records]
    assert levels == [("WARNING", False), ("ERROR", True)]


async def test_backoff_grows_to_its_ceiling() -> None:
    queue = WorkQueue(Passes())
    delays = [queue._backoff(A) for _ in range(12)]
    planned = [min(0.2 * 2.0**n, BACKOFF_MOST) for n in range(12)]
    assert all(0.8 * plan <= delay <= 1.2 * plan for plan, delay in zip(planned, delays, strict=True))
    assert planned[-1] == BACKOFF_MOST


async def test_next_pass_is_done_after_a_pass_that_began_later_and_succeeded() -> None:
    passes = Passes(Unavailable("away"))
    passes.gate.clear()
    queue = WorkQueue(passes)
    async with running(queue):
        queue.wake(A, "new")
        await wait_until(_inside(passes), SECONDS, "the pass to begin")
        future = queue.next_pass(A)
        queue.wake(A, "push", urgent=True)
        passes.gate.set()
        await asyncio.wait_for(future, SECONDS)
    assert len(passes.done) >= 1
    assert passes.done[0] == (A, "push") or passes.done[-1] == (A, "push")


async def test_a_given_up_future_does_not_break_the_pass() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    queue.next_pass(A).cancel()
    queue.wake(A, "push")
    async with running(queue):
        await wait_until(done(passes, 1), SECONDS, "the pass")


async def test_who_gave_up_is_not_kept_through_an_outage() -> None:
    passes = Passes(Unavailable("down"), Unavailable("down"))
    queue = WorkQueue(passes)
    for _ in range(100):
        queue.next_pass(A).cancel()
    waits = queue.next_pass(A)
    queue.wake(A, "push")
    kept = []
    async with running(queue):
        while not waits.done():
            kept.append(len(queue._waiting.get(A, ())))
            await asyncio.wait([waits], timeout=0.05)
    assert max(kept[1:], default=1) == 1


async def test_the_heap_keeps_the_earliest_look_and_passes_plan_the_next() -> None:
    passes = Passes(delay=0.01)
    queue = WorkQueue(passes)
    queue.wake_after(A, 3600)
    queue.wake_after(A, 0.01)
    queue.wake_after(B, 3600)
    async with running(queue):
        await wait_until(done(passes, 3), SECONDS, "three looks")
    assert {key for key, _ in passes.done} == {A}
    assert {reason for _, reason in passes.done} == {"time"}


async def test_an_earlier_look_overtakes_one_that_is_waited_for() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    async with running(queue):
        queue.wake_after(A, 3600)
        await asyncio.sleep(0)
        queue.wake_after(B, 0)
        await wait_until(done(passes, 1), SECONDS, "the earlier look")
    assert passes.done == [(B, "time")]


async def test_a_standby_that_only_collects_wakes_is_not_stuck() -> None:
    queue = WorkQueue(Passes())
    queue.wake(A, "new")
    queue._queued[A] = ("new", asyncio.get_running_loop().time() - 1000, False)
    assert queue.age == 0.0
    async with running(queue):
        assert queue.age < 100


def _inside(passes: Passes) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return bool(passes.inside)

    return so
