"""Work on the same thing at once: one after the other, and one failure for all that wait."""

from __future__ import annotations

import asyncio

from veriramp_workers.orchestrator.turns import Turns
from veriramp_workers.ports import VerifierUnavailableError


async def test_who_comes_after_a_failure_asks_and_the_next_one_waits() -> None:
    turns, log, later = Turns(), list[str](), list[asyncio.Task[None]]()

    async def work(name: str, *, fails: bool = False) -> None:
        async with turns.of("key"):
            log.append(f"{name} asks")
            await asyncio.sleep(0)
            if fails:
                later.extend(asyncio.create_task(work(each)) for each in ("c", "d"))
                raise VerifierUnavailableError("away")
            log.append(f"{name} knows")

    ends = await asyncio.gather(work("a", fails=True), work("b"), return_exceptions=True)
    assert [type(end) for end in ends] == [VerifierUnavailableError] * 2
    await asyncio.gather(*later)
    assert log == ["a asks", "c asks", "c knows", "d asks", "d knows"]
    assert turns._turns == {}
