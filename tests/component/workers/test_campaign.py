"""Workers killed at random moments: the totals are those of a run without kills, on kfake and on the real Kafka.

Some hundreds of messages and a few kills by default; with VERIRAMP_CAMPAIGN=full 10,000 messages and 20 kills.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench.report import say
from tests.support.campaign import Campaign, Run, Workload, table, workload
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.pipeline import BOTH_BROKERS, a_broker

FULL = os.environ.get("VERIRAMP_CAMPAIGN") == "full"
SEED = 20_261_121
MESSAGES, KILLS = (10_000, 20) if FULL else (300, 3)


@pytest.fixture(scope="module")
def work() -> Workload:
    return workload(MESSAGES, SEED)


@pytest.fixture(scope="module")
def calm() -> list[Run]:
    """The run without kills, once it was made: on kfake, for both."""
    return []


@BOTH_BROKERS
@pytest.mark.timeout(1_800 if FULL else 300)
@pytest.mark.shows("S1-ORCH-01", "S1-KAFKA-06")
async def test_totals_equal_a_run_without_kills(
    tmp_path: Path, env: dict[str, str], brokers: str, operator: Operator, work: Workload, calm: list[Run]
) -> None:
    seconds = 600.0 if FULL else 120.0
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        if not calm:
            with a_broker(tmp_path) as elsewhere:
                there = {**env, "VERIRAMP_BROKERS": elsewhere}
                calm.append(await Campaign(elsewhere, there, tmp_path, seconds=seconds).run(work))
        killed = await Campaign(brokers, env, tmp_path, kills=KILLS, seed=SEED, seconds=seconds).run(work)
    expected = calm[0]
    say("the campaign\n" + table({"without kills": expected, f"with {KILLS} kills": killed}))
    assert killed.totals == expected.totals
    assert killed.contradictions == 0
    assert len(expected.totals.verdicts) == work.readable
    assert len(expected.totals.dead) == work.unreadable
    assert killed.committed == len(work.messages)
    assert killed.answers >= work.readable
