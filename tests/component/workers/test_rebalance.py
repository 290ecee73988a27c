"""Three orchestrators share the partitions while one is killed, one is stopped and one is added: each event once."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_verifier import SAT, Act, a_faulty_verifier, answer
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import Ledger, a_ledger, each_counts_once
from tests.support.pipeline import BOTH_BROKERS, STOP_SECONDS, Program, Topics, a_client, an_orchestrator, numbered
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerifyChunk

SECONDS = 60.0
BATCH = 300
SOME = 30
AT_ONCE = 10
_OWNED = re.compile(rf'^kafka_consumer_lag{{partition="(\d)",topic="{re.escape(Topic.INTERACTIVE)}"}}', re.MULTILINE)


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    settings = {"orchestrator": {"maxConcurrentVerifications": AT_ONCE}}
    async with obeyed(operator, a_document(revision=1, vector=LIVE, worker_settings=settings)):
        yield


async def shared(*workers: Program) -> None:
    """Wait until each partition has one owner, and each worker as many as its share."""

    async def evenly() -> bool:
        owned = await asyncio.gather(*map(partitions, workers))
        shares = sorted(map(len, owned))
        return sorted(itertools.chain.from_iterable(owned)) == ["0", "1", "2"] and shares[-1] - shares[0] <= 1

    await wait_until(evenly, SECONDS, f"{len(workers)} workers to share three partitions; see {workers[0].log}")


async def partitions(worker: Program) -> list[str]:
    """The partitions of requests that a worker owns; fails when it has ended."""
    assert worker.process.poll() is None, f"ended with {worker.process.returncode}:\n{worker.log.read_text()}"
    async with a_client() as client:
        return _OWNED.findall((await client.get(f"{worker.url}/metrics")).text)


@dataclass
class Valve:
    """A verifier that answers ``free`` questions and keeps the others until it is opened."""

    free: int = 0
    inside: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, _path: str, _body: Any) -> Act:
        async def act(writer: asyncio.StreamWriter) -> None:
            if self.free > 0:
                self.free -= 1
            else:
                self.inside += 1
                try:
                    await self.opened.wait()
                finally:
                    self.inside -= 1
            await answer(SAT)(writer)

        return act


@dataclass
class Group:
    """The workers' topics, their answers and their verifier."""

    topics: Topics
    ledger: Ledger
    valve: Valve

    async def under_way(self, wanted: Sequence[VerifyChunk], workers: int) -> None:
        """Send a batch: some of it is answered, then each worker has all that it may in work, and more waits."""
        self.valve.opened.clear()
        self.valve.free = SOME
        before = self.ledger.answered
        await self.topics.send(Topic.INTERACTIVE, *wanted)

        async def in_work() -> bool:
            return self.ledger.answered == before + SOME and self.valve.inside == AT_ONCE * workers

        await wait_until(in_work, SECONDS, f"{AT_ONCE} in work at each of {workers} workers")


@BOTH_BROKERS
@pytest.mark.timeout(600)
@pytest.mark.shows("S1-KAFKA-06", "S1-ORCH-05", "S1-ORCH-01")
async def test_one_is_killed_one_is_stopped_one_is_added(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    first, second, third = (numbered(BATCH, first=start) for start in (0, BATCH, 2 * BATCH))
    valve = Valve()
    async with a_faulty_verifier(choose=valve) as verifier, a_ledger(brokers) as ledger, AsyncExitStack() as stack:
        group = Group(topics, ledger, valve)
        env = {**env, "VERIRAMP_VERIFIER_URL": verifier.url, "VERIRAMP_BUDGET_PER_DAY": "none"}
        starting = (stack.enter_async_context(an_orchestrator(tmp_path, env)) for _ in range(3))
        one, two, three = await asyncio.gather(*starting)
        await shared(one, two, three)

        await group.under_way(first, workers=3)
        await one.kill()
        valve.opened.set()
        await shared(two, three)
        await each_counts_once(ledger, topics, first)
        await ledger.caught_up()
        records = ledger.records[Topic.COMPLETE]

        await group.under_way(second, workers=2)
        two.process.terminate()
        await leaving(two)
        valve.opened.set()
        assert await asyncio.to_thread(two.process.wait, STOP_SECONDS) == 0
        await shared(three)
        await each_counts_once(ledger, topics, [*first, *second])

        await group.under_way(third, workers=1)
        four = await stack.enter_async_context(an_orchestrator(tmp_path, env))
        valve.opened.set()
        await shared(three, four)
        await each_counts_once(ledger, topics, [*first, *second, *third])
        assert await three.stop() == 0
        assert await four.stop() == 0
        await ledger.caught_up()
        assert ledger.records[Topic.COMPLETE] - records == 2 * BATCH, "who is drained repeats nothing"


async def leaving(worker: Program) -> None:
    """Wait until a worker has heard that it is to stop."""

    async def heard() -> bool:
        return not await worker.ready()

    await wait_until(heard, SECONDS, "the worker to be no longer ready")
