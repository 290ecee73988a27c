"""The work between reading and committing, by hand: holds, pauses, lanes, bounds, hand-overs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from tests.support.bus_parts import COLD, DEAD, HOT, LATER, OUT, PLACES, SOON, Log, Peer, settle, small_settings
from tests.support.flags import until
from veriramp_workers.bus.dispatcher import Dispatcher, Place, RefusedError
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.bus.window import StartsAgainError
from veriramp_workers.ports import Message, Record


class Hand:
    """A dispatcher that is fed by hand, with a clock that stands still until it is moved."""

    def __init__(self, **changes: object) -> None:
        self.peer, self.now, self.registry = Peer(Log()), 0.0, CollectorRegistry()
        settings = small_settings(**changes)
        self.dispatcher = Dispatcher(
            settings,
            self.peer.handle,
            self.peer.publish,
            BusMetrics(self.registry),
            wall=lambda: EPOCH + self.now,
            clock=lambda: self.now,
        )
        self.dispatcher.open([place for place in PLACES if place[0] in settings.lanes])

    def take(self, place: Place, *records: Record) -> int | None:
        return self.dispatcher.take(place, records)

    async def go_on(self) -> list[bytes | None]:
        """Let all handlers and messages go on; returns whose handlers they were."""
        await settle()
        keys = [record.key for record in self.peer.handling.values()]
        for gate in [*self.peer.handling, *self.peer.publishing]:
            gate.set_result(None)
        await settle()
        return keys

    def paused(self, reason: str) -> float | None:
        return self.registry.get_sample_value("veriramp_bus_paused", {"reason": reason})

    @property
    def published(self) -> list[str]:
        return [topic for (topic, _), records in self.peer.log.partitions.items() for _ in records]


def record(topic: str, offset: int, *script: str, due: float | None = None, **headers: str) -> Record:
    if due is not None:
        headers["veriramp-not-before"] = str(int((EPOCH + due) * 1000))
    pairs = tuple((name.replace("_", "-"), value.encode()) for name, value in headers.items())
    value = json.dumps({"id": offset, "script": script}).encode()
    return Record(topic, 0, offset, f"{topic}{offset}".encode(), value, pairs)


async def test_a_record_that_is_not_due_stops_only_its_partition() -> None:
    hand = Hand(retries=(RetryTopic(SOON, 60.0),))
    due, later = record(SOON, 0, due=-1), record(SOON, 1, due=50)
    assert hand.take((SOON, 0), due, later) == 1
    assert set(hand.dispatcher.wanted()) == set(PLACES) - {(SOON, 0)}
    assert await hand.go_on() == [b"soon0"]
    hand.now = 49.9
    assert (SOON, 0) not in hand.dispatcher.wanted()
    hand.now = 50
    assert (SOON, 0) in hand.dispatcher.wanted()
    assert hand.take((SOON, 0), later) is None
    await hand.go_on()
    assert hand.dispatcher.windows[SOON, 0].committable == 1
    await hand.go_on()
    assert hand.dispatcher.windows[SOON, 0].committable == 2


async def test_a_wrong_time_holds_a_retry_topic_no_longer_than_its_delay() -> None:
    hand = Hand(retries=(RetryTopic(SOON, 60.0),))
    wrong = record(SOON, 0, due=1e9)
    assert hand.take((SOON, 0), wrong) == 0
    hand.now = 60
    assert (SOON, 0) in hand.dispatcher.wanted()
    assert hand.take((SOON, 0), wrong) is None
    assert await hand.go_on() == [b"soon0"]


async def test_the_time_of_a_record_outside_the_retry_topics_means_nothing() -> None:
    hand = Hand()
    assert hand.take((HOT, 0), record(HOT, 0, due=100)) is None
    assert await hand.go_on() == [b"hot0"]


@pytest.mark.shows("S1-ORCH-03")
async def test_after_a_pause_the_record_that_raised_it_is_the_first() -> None:
    hand = Hand(concurrency=1)
    hand.take((HOT, 0), record(HOT, 0, "pause"), record(HOT, 1), record(HOT, 2))
    assert await hand.go_on() == [b"hot0"]
    assert hand.paused("pause") == 1
    assert hand.dispatcher.wanted() == []
    assert await hand.go_on() == []
    assert hand.take((HOT, 1), Record(HOT, 1, 5, b"", b"")) == 5, "what was under way is read again"
    assert hand.dispatcher.windows[HOT, 0].committable == 0
    hand.dispatcher.pause("mode")
    hand.dispatcher.resume("pause")
    assert await hand.go_on() == [], "another reason holds"
    hand.dispatcher.resume("mode")
    assert [*await hand.go_on(), *await hand.go_on(), *await hand.go_on()] == [b"hot0", b"hot1", b"hot2"]
    assert hand.paused("pause") == 0
    assert set(hand.published) == {OUT}


async def test_a_pause_ends_by_itself() -> None:
    peer = Peer(Log())
    dispatcher = Dispatcher(small_settings(), peer.handle, peer.publish, BusMetrics(CollectorRegistry()))
    dispatcher.open(PLACES)
    dispatcher.pause("breaker", 0.02)
    dispatcher.pause("budget", 0.01, (COLD,))
    assert dispatcher.wanted() == []
    await until(lambda: len(dispatcher.wanted()) == len(PLACES))


async def test_a_pause_for_some_topics_leaves_the_others_alone() -> None:
    hand = Hand()
    hand.take((COLD, 0), record(COLD, 0, "pause cold"))
    await hand.go_on()
    assert set(hand.dispatcher.wanted()) == set(PLACES) - {(COLD, 0)}
    hand.take((HOT, 0), record(HOT, 0))
    assert await hand.go_on() == [b"hot0"]


async def test_a_record_waits_with_the_topics_that_it_pauses() -> None:
    hand = Hand()
    hand.take((HOT, 0), record(HOT, 0, "pause cold"))
    assert await hand.go_on() == [b"hot0"]
    assert await hand.go_on() == []
    assert set(hand.dispatcher.wanted()) == {(SOON, 0), (LATER, 0)}
    hand.dispatcher.resume("pause_cold")
    assert await hand.go_on() == [b"hot0"]


async def test_a_record_that_is_deferred_holds_up_nobody_and_comes_again() -> None:
    hand = Hand(deferred=RetryTopic(LATER, 60.0))
    hand.take((HOT, 0), record(HOT, 0, "defer"), record(HOT, 1))
    assert await hand.go_on() == [b"hot0", b"hot1"]
    await hand.go_on()
    assert hand.published == [LATER, OUT]
    assert hand.dispatcher.windows[HOT, 0].committable == 2
    labels = {"topic": HOT, "outcome": "deferred"}
    assert hand.registry.get_sample_value("veriramp_bus_records_total", labels) == 1
    waiting = record(LATER, 0, due=30)
    assert hand.take((LATER, 0), waiting) == 0
    hand.now = 30.0
    assert hand.take((LATER, 0), waiting) is None
    assert await hand.go_on() == [b"later0"]


async def test_without_a_topic_for_it_a_record_is_not_deferred_but_waits() -> None:
    hand = Hand(deferred=None)
    hand.take((HOT, 0), record(HOT, 0, "defer"))
    await hand.go_on()
    assert hand.published == []
    assert hand.paused("no_budget") == 1
    assert hand.dispatcher.windows[HOT, 0].committable == 0


async def test_a_retried_record_whose_topic_is_paused_goes_back_there_and_holds_up_nobody() -> None:
    hand = Hand()
    held = record(SOON, 0, "ok", "pause cold", veriramp_attempt="1", veriramp_origin_topic=COLD)
    hand.take((SOON, 0), held)
    await hand.go_on()
    await hand.go_on()
    (back,) = hand.peer.log.partitions[COLD, 0]
    assert (back.value, dict(back.headers)["veriramp-attempt"]) == (held.value, b"1")
    assert (SOON, 0) in hand.dispatcher.wanted()
    assert hand.dispatcher.windows[SOON, 0].committable == 1


async def test_the_handler_is_told_which_attempt_it_is() -> None:
    hand = Hand()
    hand.take((HOT, 0), record(HOT, 0), record(HOT, 1, veriramp_attempt="1"), record(HOT, 2, veriramp_attempt="many"))
    await settle()
    assert [handled.attempt for handled in hand.peer.handling.values()] == [1, 2, 1]


async def test_the_important_topic_overtakes_a_full_lane() -> None:
    hand = Hand(concurrency=1, window=50, max_poll_records=20)
    hand.take((COLD, 0), *(record(COLD, number) for number in range(20)))
    hand.take((HOT, 0), *(record(HOT, number) for number in range(20)))
    served = [await hand.go_on() for _ in range(14)]
    assert served[0] == [b"cold0"], "it was alone when the work began"
    assert served[1:10] == [[f"hot{number}".encode()] for number in range(9)]
    assert served[10] == [b"cold1"], "and it is not starved"


async def test_what_is_read_ahead_is_bounded() -> None:
    hand = Hand(concurrency=2, window=30, max_poll_records=2)
    offset = 0
    while (HOT, 0) in hand.dispatcher.wanted():
        hand.take((HOT, 0), record(HOT, offset), record(HOT, offset + 1))
        offset += 2
        assert offset <= 8
    assert (COLD, 0) in hand.dispatcher.wanted()
    assert hand.dispatcher.congested


async def test_messages_on_their_way_do_not_hold_up_the_next_record_but_are_bounded() -> None:
    hand = Hand(concurrency=1, window=6, max_poll_records=2)
    offset = 0
    for _ in range(20):
        while (HOT, 0) in hand.dispatcher.wanted():
            hand.take((HOT, 0), record(HOT, offset), record(HOT, offset + 1))
            offset += 2
        await settle()
        for gate in hand.peer.handling:
            gate.set_result(None)
        await settle()
    assert offset == len(hand.peer.publishing) == 6
    assert hand.dispatcher.windows[HOT, 0].committable == 0
    await hand.go_on()
    assert hand.dispatcher.windows[HOT, 0].committable == 6


async def test_work_that_takes_too_long_at_a_hand_over_is_given_up() -> None:
    hand = Hand(concurrency=1)
    hand.take((HOT, 0), record(HOT, 0), record(HOT, 1))
    hand.take((COLD, 0), record(COLD, 0))
    await settle()
    windows = await hand.dispatcher.close([(HOT, 0)], 0.01)
    assert windows[HOT, 0].committable == 0
    assert await hand.go_on() == [b"cold0"]
    assert hand.dispatcher.take((HOT, 0), [record(HOT, 0)]) is None, "it is not ours any more"
    assert await hand.go_on() == []


async def test_a_handler_that_cannot_be_given_up_does_not_hold_up_the_hand_over() -> None:
    gate = asyncio.Event()

    async def stubborn(record: Record) -> tuple[Message, ...]:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()
        return ()

    dispatcher = Dispatcher(small_settings(), stubborn, Peer(Log()).publish, BusMetrics(CollectorRegistry()))
    dispatcher.open(PLACES)
    dispatcher.take((HOT, 0), [record(HOT, 0)])
    await settle()
    windows = await dispatcher.close([(HOT, 0)], 0.01)
    assert windows[HOT, 0].committable == 0
    gate.set()


async def test_a_record_that_pauses_while_it_is_handed_over_is_not_ours_any_more() -> None:
    hand = Hand()
    hand.take((HOT, 0), record(HOT, 0, "pause"))
    await settle()
    closing = asyncio.create_task(hand.dispatcher.close([(HOT, 0)], 10))
    await hand.go_on()
    assert (await closing)[HOT, 0].committable == 0
    hand.dispatcher.resume("pause")
    assert await hand.go_on() == []


async def test_a_message_that_the_broker_never_takes_leaves_a_dead_letter_without_its_value() -> None:
    log = Log()

    async def publish(message: Message, *, insist: bool = False) -> None:
        if message.value and not insist:
            raise RefusedError("too large")
        log.add((message.topic, 0), message)

    async def handle(record: Record) -> tuple[Message, ...]:
        return (Message(OUT, record.key, b"large"),)

    registry = CollectorRegistry()
    dispatcher = Dispatcher(small_settings(), handle, publish, BusMetrics(registry))
    dispatcher.open(PLACES)
    dispatcher.take((HOT, 0), [record(HOT, 0)])
    await until(lambda: dispatcher.windows[HOT, 0].committable == 1)
    assert registry.get_sample_value("veriramp_bus_records_total", {"topic": HOT, "outcome": "dead"}) == 1
    assert registry.get_sample_value("veriramp_bus_records_total", {"topic": HOT, "outcome": "done"}) is None
    (letter,) = log.partitions[DEAD, 0]
    assert letter.value == b""
    assert dict(letter.headers)["veriramp-source"] == b"hot/0@0"
    assert dispatcher.failure is None


async def test_a_partition_that_starts_again_ends_the_session_and_commits_none_of_its_new_records() -> None:
    hand = Hand()
    hand.take((HOT, 0), *(record(HOT, offset) for offset in (3, 4)))
    with pytest.raises(StartsAgainError, match=r"^hot/0 was cut or created anew, offset 0 comes after 4$"):
        hand.take((HOT, 0), record(HOT, 0))
    closing = asyncio.create_task(hand.dispatcher.close([(HOT, 0)], 10))
    assert await hand.go_on() == [b"hot3", b"hot4"]
    await hand.go_on()
    assert (await closing)[HOT, 0].uncommitted == 0
    assert hand.published == [OUT, OUT], "what was in work is finished"


async def test_nobody_works_with_a_concurrency_of_nothing() -> None:
    with pytest.raises(ValueError, match="a concurrency of 0 does nothing"):
        Hand().dispatcher.resize(0)


EPOCH = 1_700_000_000.0
