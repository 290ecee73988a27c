"""The trigger: how much it asks for, and that it never stands in the way of a search."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.support.waiting import wait_until
from veriramp_sdk.contract import Mode
from veriramp_sdk.events import VerifyChunk, parse_event
from veriramp_sdk.trigger import FRESH_SECONDS, REPEAT_SECONDS, Chunk, TriggerCounts, VerificationTrigger


@dataclass(frozen=True)
class Decided:
    mode: Mode = Mode.LIVE
    verify: bool = True
    top_k: int = 10
    revision: int = 7


@dataclass
class Wire:
    """A transport that keeps what it is given, or fails as often as it is told to."""

    failures: int = 0
    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the broker is away")
        self.sent.append((topic, key, value))


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def chunks(count: int, verified_at: float | None = None) -> list[Chunk]:
    return [
        Chunk("org", f"doc-{number}", "0", f"text {number}", ("a premise",), verified_at) for number in range(count)
    ]


def a_trigger(wire: Wire, clock: Clock | None = None, capacity: int = 100) -> VerificationTrigger:
    return VerificationTrigger(
        wire, rollout="search/demo", capacity=capacity, retry_seconds=0.001, clock=clock or Clock()
    )


@pytest.mark.shows("S1-TRIG-02", "S1-TRIG-03")
async def test_it_asks_for_the_first_top_k() -> None:
    wire, clock = Wire(), Clock()
    trigger = a_trigger(wire, clock)
    assert trigger.offer(Decided(top_k=3), chunks(10), "query") == 3
    running = asyncio.create_task(trigger.run())

    async def all_sent() -> bool:
        return len(wire.sent) == 3

    await wait_until(all_sent, 5, "three requests")
    running.cancel()
    topic, key, value = wire.sent[0]
    request = parse_event(VerifyChunk, value)
    assert topic == "verify_chunks.interactive"
    assert key == request.key()
    assert (request.document_id, request.content, request.premises) == ("doc-0", "text 0", ("a premise",))
    assert (request.query_id, request.rollout, request.revision) == ("query", "search/demo", 7)
    assert request.enqueued_at_ms == int(clock.now * 1000)


@pytest.mark.shows("S1-FLAG-05")
@pytest.mark.parametrize(
    "decision", [Decided(verify=False), Decided(mode=Mode.OFF), Decided(top_k=0), Decided(top_k=-1)]
)
def test_it_asks_for_nothing_when_the_decision_does_not_verify(decision: Decided) -> None:
    assert a_trigger(Wire()).offer(decision, chunks(5)) == 0


@pytest.mark.shows("S1-TRIG-04")
def test_fresh_verdicts_are_not_asked_for_again() -> None:
    clock = Clock()
    trigger = a_trigger(Wire(), clock)
    assert trigger.offer(Decided(), chunks(2, verified_at=clock.now - FRESH_SECONDS + 1)) == 0
    assert trigger.offer(Decided(), chunks(2, verified_at=clock.now - FRESH_SECONDS)) == 2
    assert trigger.counts == TriggerCounts(queued=2, fresh=2)


def test_a_request_under_way_is_not_repeated_for_a_minute() -> None:
    clock = Clock()
    trigger = a_trigger(Wire(), clock)
    assert [trigger.offer(Decided(), chunks(2)) for _ in range(3)] == [2, 0, 0]
    clock.now += REPEAT_SECONDS
    assert trigger.offer(Decided(), chunks(2)) == 2


@pytest.mark.shows("S1-TRIG-01")
def test_a_full_queue_drops_and_counts() -> None:
    trigger = a_trigger(Wire(), capacity=4)
    assert trigger.offer(Decided(), chunks(10)) == 4
    assert trigger.counts == TriggerCounts(queued=4, dropped=6)
    with pytest.raises(ValueError, match="capacity 0"):
        a_trigger(Wire(), capacity=0)


@pytest.mark.shows("S1-TRIG-01")
async def test_a_failing_transport_is_logged_and_the_next_request_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(failures=2)
    trigger = a_trigger(wire)
    trigger.offer(Decided(), chunks(3))
    running = asyncio.create_task(trigger.run())

    async def done() -> bool:
        return trigger.counts.sent + trigger.counts.failed == 3

    await wait_until(done, 5, "three attempts")
    running.cancel()
    assert (trigger.counts.sent, trigger.counts.failed) == (1, 2)
    assert "the broker is away" in caplog.text
