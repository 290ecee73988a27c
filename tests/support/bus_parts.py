"""Peers for the parts of the bus: a broker of plain lists, a handler that does what its records say.

Public names: :class:`Log`, :class:`Peer`, :func:`small_settings`, :func:`settle`, :data:`PLACES`.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field

from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.dispatcher import Place, RefusedError
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusSettings
from veriramp_workers.ports import DeferError, Message, PauseError, PoisonError, Record, RetryLaterError

HOT, COLD, SOON, LATER, DEAD, OUT = "hot", "cold", "soon", "later", "dead", "out"
PLACES: tuple[Place, ...] = ((HOT, 0), (HOT, 1), (COLD, 0), (SOON, 0), (LATER, 0))
OUTCOMES = ("ok", "later", "boom", "poison", "pause", "pause cold", "defer", "too large")


def small_settings(**changes: object) -> BusSettings:
    settings = {
        "topics": (HOT, COLD),
        "retries": (RetryTopic(SOON, 0.0),),
        "deferred": RetryTopic(LATER, 0.0),
        "dead_letters": DEAD,
        "concurrency": 3,
        "window": 8,
        "max_poll_records": 4,
        **changes,
    }
    return BusSettings(KafkaSettings(""), "group", **settings)  # type: ignore[arg-type] # one value for each field


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
        act = script[record.attempt - 1] if record.attempt <= len(script) else "ok"
        match act:
            case "later":
                raise RetryLaterError("not now", last=(Message("last", record.key, record.value),))
            case "defer" if record.topic != LATER:
                raise DeferError(3600, "no_budget")
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


async def settle() -> None:
    """Let every task run until it waits for the test."""
    for _ in range(12):
        await asyncio.sleep(0)
