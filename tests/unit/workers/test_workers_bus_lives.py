"""Lives of a worker by lot: whatever is killed, paused, refused or handed over, nothing is lost or committed early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.bus_parts import COLD, DEAD, LATER, OUT, OUTCOMES, PLACES, SOON, Log, Peer, settle, small_settings
from veriramp_workers.bus.dispatcher import Dispatcher, Place
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.ports import Message


class World:
    """A dispatcher that reads from the log, can be killed, and checks itself."""

    def __init__(self, scripts: Iterable[tuple[Place, list[str]]]) -> None:
        self.log, self.settings = Log(), small_settings()
        self.keys: list[bytes] = []
        for number, (place, script) in enumerate(scripts):
            key = str(number).encode()
            self.keys.append(key)
            self.log.add(place, Message(place[0], key, json.dumps({"id": number, "script": script}).encode()))
        self.start()

    def start(self) -> None:
        self.peer = Peer(self.log)
        self.dispatcher = Dispatcher(
            self.settings,
            self.peer.handle,
            self.peer.publish,
            BusMetrics(CollectorRegistry()),
            wall=lambda: 1_700_000_000.0,
        )
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
        retried, deferred = ({record.key for record in self.log.partitions[topic, 0]} for topic in (SOON, LATER))
        further = {SOON: back | deferred, LATER: back | retried}
        return {place: after_retry | further.get(place[0], retried | deferred) for place in PLACES}

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
