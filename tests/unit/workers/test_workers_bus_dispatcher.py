"""The work between reading and committing, with a broker of plain lists: nothing is lost or committed early."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.flags import until
from veriramp_workers.bus.dispatcher import Dispatcher, Place, RefusedError
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.ports import Message, PauseError, PoisonError, Record, RetryLaterError

HOT, COLD, SOON, DEAD, OUT = "hot", "cold", "soon", "dead", "out"
PLACES: tuple[Place, ...] = ((HOT, 0), (HOT, 1), (COLD, 0), (SOON, 0))
OUTCOMES = ("ok", "later", "boom", "poison", "pause", "pause cold", "too large")


def bus_settings(**changes: object) -> BusSettings:
    settings = {
        "topics": (HOT, COLD),
        "retries": (RetryTopic(SOON, 0.0),),
        "dead_letters": DEAD,
        "concurrency": 3,
        "window": 8,
        "max_poll_records": 4,
        **changes,
    }
    return BusSettings("", "group", **settings)  # type: ignore[arg-type] # one value for each field


@dataclass
class Log:
    """A broker: partitions that only grow, and committed offsets."""

    partitions: dict[Place, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[Place, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, place: Place, message: Message) -> None:
        records = self.partitions[place]
        records.append(Record(*place, len(records), message.key, message.value, message.headers))


class Peer:
    """Handler and broker in one: each waits until the test lets it go on."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.handling: dict[asyncio.Future[None], Record] = {}
        self.publishing: dict[asyncio.Future[None], Message] = {}
        self.paused_for: set[bytes] = set()
        self.most = 0

    async def handle(self, record: Record) -> tuple[Message, ...]:
        """Do what the record says, by its attempt."""
        gate = asyncio.get_running_loop().create_future()
        self.handling[gate] = record
        self.most = max(self.most, len(self.handling))
        try:
            await gate
        finally:
            del self.handling[gate]
        script = json.loads(record.value)["script"]
        attempt = int(dict(record.headers).get("veriramp-attempt", b"0"))
        act = script[attempt] if attempt < len(script) else "ok"
        match act:
            case "later":
                raise RetryLaterError("not now", last=(Message("last", record.key, record.value),))
            case "boom":
                raise KeyError("boom")
            case "poison":
                raise PoisonError("no")
            case "pause" | "pause cold":
                if record.value not in self.paused_for:
                    self.paused_for.add(record.value)
                    raise PauseError(3600, act.replace(" ", "_"), topics=(COLD,) if act == "pause cold" else ())
        return (Message(OUT if act != "too large" else "small", record.key, record.value),)

    async def publish(self, message: Message, *, insist: bool = False) -> None:
        """Store a message; topic ``small`` takes none."""
        gate = asyncio.get_running_loop().create_future()
        self.publishing[gate] = message
        try:
            await gate
        finally:
            del self.publishing[gate]
        if message.topic == "small" and not insist:
            raise RefusedError("too large")
        self.log.add((message.topic, 0), message)


def a_dispatcher(peer: Peer, settings: BusSettings) -> Dispatcher:
    return Dispatcher(
        settings, peer.handle, peer.publish, BusMetrics(CollectorRegistry()), wall=lambda: 1_700_000_000.0
    )


async def settle() -> None:
    """Let every task run until it waits for the test."""
    for _ in range(12):
        await asyncio.sleep(0)


class World:
    """A dispatcher that reads from the log, can be killed, and checks itself."""

    def __init__(self, scripts: Iterable[tuple[Place, list[str]]]) -> None:
        self.log, self.settings = Log(), bus_settings()
        self.keys: list[bytes] = []
        for number, (place, script) in enumerate(scripts):
            key = str(number).encode()
            self.keys.append(key)
            self.log.add(place, Message(place[0], key, json.dumps({"id": number, "script": script}).encode()))
        self.start()

    def start(self) -> None:
        self.peer = Peer(self.log)
        self.dispatcher = a_dispatcher(self.peer, self.settings)
        self.position = {place: self.log.committed[place] for place in PLACES}
        self.dispatcher.open(PLACES)

    def read(self) -> None:
        for place in self.dispatcher.wanted():
            at = self.position[place]
            records = self.log.partitions[place][at : at + self.settings.max_poll_records]
            if records:
                back = self.dispatcher.take(place, records)
                self.position[place] = at + len(records) if back is None else back

    def commit(self) -> None:
        for place, window in self.dispatcher.windows.items():
            if window.uncommitted is not None:
                self.log.committed[place] = window.uncommitted
                window.committed(window.uncommitted)

    async def hand_over(self, places: Iterable[Place]) -> None:
        for place, window in (await self.dispatcher.close(tuple(places), 0.01)).items():
            if window.committable is not None:
                self.log.committed[place] = window.committable
            self.position[place] = self.log.committed[place]
            self.dispatcher.open([place])

    async def kill(self) -> None:
        await self.dispatcher.close(PLACES, 0.01)
        self.start()

    def resume(self) -> None:
        for reason in ("pause", "pause_cold", "mode"):
            self.dispatcher.resume(reason)

    def check(self) -> None:
        """Every record below a committed offset left something behind."""
        assert self.peer.most <= self.settings.concurrency
        ended = self.traces()
        for place in PLACES:
            for record in self.log.partitions[place][: self.log.committed[place]]:
                assert record.key in ended[place], f"{record.key!r} of {place} is lost"
        for window in self.dispatcher.windows.values():
            assert window.span <= self.settings.window

    def traces(self) -> dict[Place, set[bytes | None]]:
        """What may be left behind of each place: its key is somewhere further on its way."""
        after_retry = {record.key for topic in (OUT, DEAD) for record in self.log.partitions[topic, 0]}
        back = {record.key for record in self.log.partitions[COLD, 0] if dict(record.headers)}
        moved = {record.key for record in self.log.partitions[SOON, 0]}
        return {place: after_retry | (back if place[0] == SOON else moved) for place in PLACES}

    @property
    def done(self) -> bool:
        return all(self.log.committed[place] == len(self.log.partitions[place]) for place in PLACES)


scripts = st.lists(
    st.tuples(st.sampled_from(PLACES[:3]), st.lists(st.sampled_from(OUTCOMES), max_size=3)), min_size=1, max_size=25
)


@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-01", "S1-ORCH-04", "S1-ORCH-02")
@settings(max_examples=150, deadline=None)
@given(scripts, st.data())
def test_whatever_happens_nothing_is_lost(scripts: list[tuple[Place, list[str]]], data: st.DataObject) -> None:
    asyncio.run(a_life(scripts, data))


async def a_life(scripts: list[tuple[Place, list[str]]], data: st.DataObject) -> None:
    """Some steps by lot, then everything that is left, in order."""
    world = World(scripts)
    try:
        for _ in range(data.draw(st.integers(0, 40), label="steps")):
            await a_step(world, data)
            await settle()
            world.check()
        for _ in range(60 + 12 * len(scripts)):
            if world.done:
                break
            await a_round(world)
        assert world.done, f"it stands still at {dict(world.log.committed)}"
        results = {record.key for topic in (OUT, DEAD) for record in world.log.partitions[topic, 0]}
        assert results == set(world.keys)
    finally:
        await world.dispatcher.close(PLACES, 0.01)
    assert world.dispatcher.failure is None


async def a_round(world: World) -> None:
    """Let everything go on that waits."""
    world.resume()
    world.read()
    await settle()
    for gate in [*world.peer.handling, *world.peer.publishing]:
        gate.set_result(None)
    await settle()
    world.commit()
    world.check()


async def a_step(world: World, data: st.DataObject) -> None:
    peer = world.peer
    match data.draw(st.sampled_from(("read", "work", "publish", "commit", "give", "kill", "resume", "resize", "mode"))):
        case "read":
            world.read()
        case "work" if peer.handling:
            data.draw(st.sampled_from(list(peer.handling))).set_result(None)
        case "publish" if peer.publishing:
            data.draw(st.sampled_from(list(peer.publishing))).set_result(None)
        case "commit":
            world.commit()
        case "give":
            await world.hand_over(data.draw(st.sets(st.sampled_from(PLACES))))
        case "kill":
            await world.kill()
        case "resume":
            world.resume()
        case "resize":
            world.dispatcher.resize(data.draw(st.integers(1, 3)))
        case "mode":
            world.dispatcher.pause("mode")
        case _:
            pass


class Hand:
    """A dispatcher that is fed by hand, with a clock that stands still until it is moved."""

    def __init__(self, **changes: object) -> None:
        self.peer, self.now, self.registry = Peer(Log()), 0.0, CollectorRegistry()
        self.dispatcher = Dispatcher(
            bus_settings(**changes),
            self.peer.handle,
            self.peer.publish,
            BusMetrics(self.registry),
            wall=lambda: EPOCH + self.now,
            clock=lambda: self.now,
        )
        self.dispatcher.open(PLACES)

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
    dispatcher = a_dispatcher(peer, bus_settings())
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

    dispatcher = Dispatcher(bus_settings(), stubborn, Peer(Log()).publish, BusMetrics(CollectorRegistry()))
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

    dispatcher = Dispatcher(bus_settings(), handle, publish, BusMetrics(CollectorRegistry()))
    dispatcher.open(PLACES)
    dispatcher.take((HOT, 0), [record(HOT, 0)])
    await until(lambda: dispatcher.windows[HOT, 0].committable == 1)
    (letter,) = log.partitions[DEAD, 0]
    assert letter.value == b""
    assert dict(letter.headers)["veriramp-source"] == b"hot/0@0"
    assert dispatcher.failure is None


async def test_nobody_works_with_a_concurrency_of_nothing() -> None:
    with pytest.raises(ValueError, match="a concurrency of 0 does nothing"):
        Hand().dispatcher.resize(0)


EPOCH = 1_700_000_000.0
