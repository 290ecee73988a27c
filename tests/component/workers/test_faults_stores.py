"""A store that fails under a real orchestrator: the cache is a miss, nothing is verified for free, nothing lost."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.support.databases import a_redis
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import Ledger, a_ledger, each_counts_once
from tests.support.pipeline import Program, Topics, an_orchestrator, numbered
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic

SECONDS = 60.0


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        yield


async def waits_for_the_budget(worker: Program) -> None:
    async def paused() -> bool:
        return await worker.metric("veriramp_bus_paused", reason="budget_unknown") == 1

    await wait_until(paused, SECONDS, f"the pause; see {worker.log}")
    assert await worker.ready()
    assert await worker.metric("veriramp_budget_takes_total", outcome="unavailable") > 0


async def answered(ledger: Ledger, count: int) -> None:
    async def enough() -> bool:
        return ledger.answered >= count

    await wait_until(enough, SECONDS, f"{count} answers")


async def test_a_full_disk_costs_the_cache_and_no_verdict(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    file, wanted, later = tmp_path / "store.db", numbered(300), numbered(1, first=300)
    async with (
        a_ledger(brokers) as ledger,
        an_orchestrator(tmp_path, {**env, "VERIRAMP_STORE_URL": f"sqlite://{file}"}) as worker,
    ):
        no_file_larger_than(worker, 128 * 1024)
        await topics.send(Topic.INTERACTIVE, *wanted)
        await each_counts_once(ledger, topics, wanted)
        lost = await worker.metric("veriramp_cache_writes_total", outcome="error")
        assert lost > 0, worker.log.read_text()
        no_file_larger_than(worker, resource.RLIM_INFINITY)

        async def kept_again() -> bool:
            # The cache is left alone for some seconds after failures.
            await topics.send(Topic.INTERACTIVE, *later)
            return await worker.metric("veriramp_cache_reads_total", outcome="hit") > 0

        await wait_until(kept_again, SECONDS, "a hit")
        await answered(ledger, len(wanted) + len(later))
        assert await worker.stop() == 0
    assert len(ledger.verdicts) == len(wanted) + len(later)
    assert ledger.contradictions == 0


@pytest.mark.shows("S1-COST-03")
async def test_a_full_disk_stops_what_would_have_to_be_paid_until_there_is_room(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    file, wanted = tmp_path / "store.db", numbered(300)
    paid = {"VERIRAMP_BUDGET_PER_DAY": "100000", "VERIRAMP_BUDGET_AT_ONCE": "1"}
    async with (
        a_ledger(brokers) as ledger,
        an_orchestrator(tmp_path, {**env, **paid, "VERIRAMP_STORE_URL": f"sqlite://{file}"}) as worker,
    ):
        no_file_larger_than(worker, 128 * 1024)
        await topics.send(Topic.INTERACTIVE, *wanted)
        await waits_for_the_budget(worker)
        assert len(ledger.verdicts) < len(wanted)
        no_file_larger_than(worker, resource.RLIM_INFINITY)
        await each_counts_once(ledger, topics, wanted)
        assert await worker.stop() == 0
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT used FROM budget_day").fetchall() == [(len(wanted),)], "each is paid once"
    database.close()


@pytest.mark.shows("S1-COST-03")
async def test_a_redis_that_is_killed_and_started_again(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted = numbered(600)
    with a_redis(tmp_path / "redis", fsync="always") as redis:
        paid = {
            "VERIRAMP_STORE_URL": redis.url,
            "VERIRAMP_BUDGET_PER_DAY": "100000",
            "VERIRAMP_BUDGET_AT_ONCE": "1",
        }
        async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, {**env, **paid}) as worker:
            await topics.send(Topic.INTERACTIVE, *wanted)
            await answered(ledger, 20)
            redis.kill()
            await waits_for_the_budget(worker)
            redis.start()
            await each_counts_once(ledger, topics, wanted)
            assert await worker.stop() == 0
        async with Redis.from_url(redis.url) as client:
            (day,) = await client.keys("veriramp:budget:*:org:used")
            assert int(await client.get(day) or 0) == len(wanted), "each is paid once"


def no_file_larger_than(worker: Program, size: int) -> None:
    """As on a full disk, whatever makes a file larger than that fails, from now on."""
    _, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size, hard))
