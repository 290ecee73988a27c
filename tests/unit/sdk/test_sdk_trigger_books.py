"""Every chunk that was offered is accounted for once, whatever the transport does and whenever the process ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from tests.support.trigger_rig import Decided, Rig, Wire
from veriramp_sdk.contract import Mode
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import MAX_CONTENT, content_hash
from veriramp_sdk.trigger import Chunk, Known, Message
from veriramp_sdk.trigger_metrics import Drop


class Unsteady(Wire):
    """Takes, refuses or hangs by lot."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    async def send(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        fate = self._chance.random()
        self.failures, self.hanging = int(fate < 0.3), fate > 0.9
        await super().send(messages)


def a_chunk(chance: random.Random, now_ms: int) -> Chunk:
    content = chance.choice(("", "x" * (MAX_CONTENT + 1), *[f"text {chance.randrange(300)}"] * 8))
    known = chance.choice((None, Known(content_hash(content), "z3", now_ms - chance.choice((5, 10**9)))))
    digest = chance.choice((None, content_hash(content)))
    return Chunk("org", "doc", "0", content, score=chance.random(), content_hash=digest, known=known)


@pytest.mark.shows("S1-TRIG-01")
@pytest.mark.parametrize("seed", range(40))
async def test_the_books_balance(seed: int) -> None:
    chance = random.Random(seed)
    on = [True]
    wire = Unsteady(chance)
    rig = Rig(
        wire,
        capacity=chance.choice((5, 50, 500)),
        send_seconds=0.003,
        flush_seconds=chance.choice((0.0, 0.01)),
        in_force=lambda: FlagState("uid", 1, Mode.LIVE if on[0] else Mode.OFF, 1.0, 10),
    )
    taken = 0
    async with rig.trigger:
        for _ in range(60):
            on[0] = chance.random() < 0.9
            found = [a_chunk(chance, rig.clock.ms) for _ in range(chance.randrange(20))]
            spared = rig.chunks("spared")
            rig.trigger.offer(Decided(), found)
            taken += min(10, len(found)) - int(rig.chunks("spared") - spared)
            rig.clock.now += chance.choice((0.1, 70.0, 400.0))
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
    assert rig.metric("queue_chunks") == 0
    assert rig.chunks("sent") == len(wire.sent)
    ends = [rig.chunks(outcome) for outcome in ("fresh", "pending", "sent")] + [rig.dropped(one) for one in Drop]
    assert taken == sum(ends), "each chunk has one end"
    assert rig.chunks("queued") >= rig.chunks("sent")
    assert rig.metric("pending_chunks") <= rig.chunks("sent"), "only what was sent is in progress"
