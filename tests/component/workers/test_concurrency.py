"""The bound on verifications at once is really used, and never exceeded: over several partitions and within one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_verifier import SAT, Act, a_faulty_verifier, answer
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import GROUP, a_ledger, each_counts_once
from tests.support.pipeline import BOTH_BROKERS, WORK_SECONDS, Program, Topics, an_orchestrator, numbered
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic

AT_ONCE = 10
POLLS = 5


@dataclass
class Rounds:
    """A verifier that answers nobody until exactly ten are with it; ``counts`` is how many were, each time one came."""

    inside: int = 0
    counts: list[int] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    together: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(AT_ONCE))

    def __call__(self, _path: str, _body: Any) -> Act:
        async def act(writer: asyncio.StreamWriter) -> None:
            self.inside += 1
            self.counts.append(self.inside)
            try:
                await self.held.wait()
                await self.together.wait()
            finally:
                self.inside -= 1
            await answer(SAT)(writer)

        return act


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    settings = {"orchestrator": {"maxConcurrentVerifications": AT_ONCE}}
    async with obeyed(operator, a_document(revision=1, vector=LIVE, worker_settings=settings)):
        yield


async def polls_on(worker: Program) -> None:
    """Wait until it has looked for more work several times."""
    before = await worker.metric("veriramp_bus_polls_total")

    async def more() -> bool:
        return await worker.metric("veriramp_bus_polls_total") >= before + POLLS

    await wait_until(more, WORK_SECONDS, f"{POLLS} more polls")


@BOTH_BROKERS
@pytest.mark.shows("S1-ORCH-02")
@pytest.mark.parametrize("key", [b"one partition", None], ids=["one partition", "three partitions"])
async def test_ten_run_at_once_and_never_more(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics, key: bytes | None
) -> None:
    rounds, wanted = Rounds(), numbered(6 * AT_ONCE)
    await topics.send_all((Topic.INTERACTIVE, each.to_bytes(), key or each.key()) for each in wanted)
    async with (
        a_faulty_verifier(choose=rounds) as verifier,
        a_ledger(brokers) as ledger,
        an_orchestrator(
            tmp_path, {**env, "VERIRAMP_VERIFIER_URL": verifier.url, "VERIRAMP_BUDGET_PER_DAY": "none"}
        ) as worker,
    ):

        async def full() -> bool:
            return rounds.inside >= AT_ONCE

        await wait_until(full, WORK_SECONDS, f"{AT_ONCE} at once")
        await polls_on(worker)
        assert rounds.inside == AT_ONCE, "what waits does not begin"
        rounds.held.set()
        # Five more rounds: with nine at once the second one would never be complete.
        await each_counts_once(ledger, topics, wanted)
        assert max(rounds.counts) == AT_ONCE
        assert len(rounds.counts) == len(wanted)
        used = [offset for offset in (await topics.committed(GROUP, Topic.INTERACTIVE)).values() if offset]
        assert len(used) == (1 if key else 3), "the partitions that had requests"
        assert await worker.stop() == 0
