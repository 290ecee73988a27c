"""A trigger of its own for a test: with a wire that can fail, a clock that is set, and its metrics."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from tests.support.waiting import wait_until
from veriramp_sdk.contract import Mode
from veriramp_sdk.events import VerifyChunk, parse_event
from veriramp_sdk.trigger import Chunk, Message, VerificationTrigger


@dataclass(frozen=True)
class Decided:
    mode: Mode = Mode.LIVE
    verify: bool = True
    top_k: int = 10
    revision: int = 7


@dataclass
class Wire:
    """A transport that keeps what it is given, fails as often as it is told to, or hangs."""

    failures: int = 0
    hanging: bool = False
    batches: list[list[Message]] = field(default_factory=list)
    tried: int = 0
    closed: bool = False

    @property
    def sent(self) -> list[VerifyChunk]:
        return [parse_event(VerifyChunk, one.value) for one in itertools.chain(*self.batches)]

    async def send(self, messages: Sequence[Message]) -> None:
        self.tried += 1
        if self.hanging:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the broker is away")
        self.batches.append(list(messages))

    async def close(self) -> None:
        self.closed = True


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    @property
    def ms(self) -> int:
        return int(self.now * 1000)


class Rig:
    """A trigger with its wire, its clock and its metrics."""

    def __init__(self, wire: Wire | None = None, **settings: Any) -> None:
        self.wire = wire or Wire()
        self.clock = Clock()
        self.registry = CollectorRegistry()
        quick: dict[str, Any] = {"retry_seconds": 0.001, "flush_seconds": 2.0, "capacity": 100, **settings}
        self.trigger = VerificationTrigger(
            self.wire, rollout="search/demo", registry=self.registry, clock=self.clock, **quick
        )

    def metric(self, name: str, **labels: str) -> float:
        labels = {"namespace": "search", "rollout": "demo", **labels}
        return self.registry.get_sample_value(f"veriramp_trigger_{name}", labels) or 0.0

    def chunks(self, outcome: str) -> float:
        return self.metric("chunks_total", outcome=outcome)

    def dropped(self, reason: str) -> float:
        return self.metric("dropped_total", reason=reason)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async def holds() -> bool:
            return condition()

        await wait_until(holds, 5, what)


def chunks(count: int, **fields: Any) -> list[Chunk]:
    return [Chunk("org", f"doc-{number}", "0", f"text {number}", ("a premise",), **fields) for number in range(count)]
