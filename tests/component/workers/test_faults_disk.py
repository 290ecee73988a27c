"""The disk of the SQLite store is really full (ENOSPC), under a real orchestrator; later there is room again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.disk import SmallDisk, a_small_disk
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import GROUP, a_ledger, each_counts_once
from tests.support.pipeline import Program, Topics, an_orchestrator, numbered
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic

SECONDS = 60.0
ROOM = 16_384
"""KiB; the log of the database alone grows to four MiB before it begins anew."""


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    return a_small_disk(tmp_path / "disk", ROOM)


@pytest.fixture
def env(env: dict[str, str], disk: SmallDisk) -> dict[str, str]:
    return {**env, "VERIRAMP_STORE_URL": f"sqlite://{disk.folder}/store.db"}


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE)):
        yield


async def test_without_a_budget_it_costs_the_cache_and_no_verdict(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics, disk: SmallDisk
) -> None:
    before, meanwhile, later = numbered(30), numbered(200, first=30), numbered(1, first=230)
    asked = len(before) + len(meanwhile)
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env, before=disk.before) as worker:
        await topics.send(Topic.INTERACTIVE, *before)
        await each_counts_once(ledger, topics, before)
        disk.fill(worker)
        await topics.send(Topic.INTERACTIVE, *meanwhile)
        await each_counts_once(ledger, topics, [*before, *meanwhile])
        assert await worker.metric("veriramp_cache_writes_total", outcome="error") > 0, worker.log.read_text()
        assert "make room on its disk" in worker.log.read_text()
        disk.make_room(worker)

        async def kept_again() -> bool:
            nonlocal asked
            # The cache is left alone for some seconds after failures.
            await topics.send(Topic.INTERACTIVE, *later)
            asked += len(later)
            return await worker.metric("veriramp_cache_reads_total", outcome="hit") > 0

        await wait_until(kept_again, SECONDS, "a hit")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, asked)  # then the store is idle
        assert rows(disk, worker, tmp_path, "PRAGMA integrity_check") == [("ok",)]
        assert rows(disk, worker, tmp_path, "SELECT count(*) > 0 FROM cache") == [(1,)]
        assert await worker.stop() == 0


@pytest.mark.shows("S1-COST-03")
async def test_with_a_budget_what_would_have_to_be_paid_waits_for_room(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics, disk: SmallDisk
) -> None:
    env = {**env, "VERIRAMP_BUDGET_PER_DAY": "100000", "VERIRAMP_BUDGET_AT_ONCE": "1"}
    before, wanted = numbered(30), numbered(200, first=30)
    async with a_ledger(brokers) as ledger, an_orchestrator(tmp_path, env, before=disk.before) as worker:
        await topics.send(Topic.INTERACTIVE, *before)
        await each_counts_once(ledger, topics, before)
        disk.fill(worker)
        await topics.send(Topic.INTERACTIVE, *wanted)

        async def paused() -> bool:
            return await worker.metric("veriramp_bus_paused", reason="budget_unknown") == 1

        await wait_until(paused, SECONDS, f"the pause; see {worker.log}")
        assert await worker.ready()
        assert len(ledger.verdicts) < len(before) + len(wanted)
        disk.make_room(worker)
        await each_counts_once(ledger, topics, [*before, *wanted])
        paid = rows(disk, worker, tmp_path, "SELECT used FROM budget_day")
        assert paid == [(len(before) + len(wanted),)], "each is paid once"
        assert rows(disk, worker, tmp_path, "PRAGMA integrity_check") == [("ok",)]
        assert await worker.stop() == 0


def rows(disk: SmallDisk, worker: Program, folder: Path, query: str) -> list[tuple[object, ...]]:
    """Ask a copy of the store, which is idle: the disk goes with the worker, and SQLite does not find its way there."""
    for name in ("store.db", "store.db-wal"):
        shutil.copyfile(disk.seen_by(worker) / name, folder / name)
    with closing(sqlite3.connect(folder / "store.db")) as database:
        return database.execute(query).fetchall()
