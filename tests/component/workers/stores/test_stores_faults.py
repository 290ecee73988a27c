"""Cache and budget while processes are killed and servers go away, hang and come back."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.support.databases import Server, a_postgres, a_redis
from tests.support.store_program import NOON
from tests.support.stores import PATIENT, Opened, Place, a_judgement
from tests.support.waiting import wait_for, wait_until
from veriramp_workers.ports import BudgetUnavailableError, Taken
from veriramp_workers.stores import BudgetSettings, StoreError
from veriramp_workers.stores.settings import Deadlines
from veriramp_workers.stores.sqlite import SqliteBackend

SERVERS: Final[dict[str, Callable[[Path], AbstractContextManager[Server]]]] = {
    # Otherwise a kill may lose what waited for a slow disk, two seconds at most.
    "redis": lambda folder: a_redis(folder, fsync="always"),
    "postgres": a_postgres,
}
Taker = tuple[subprocess.Popen[bytes], Path]
LIMIT: Final = 300
BACK_SECONDS: Final = 30.0
PAID_BY_DAY: Final = {
    "sqlite": "SELECT day, count(*) FROM budget_paid GROUP BY day",
    "postgres": "SELECT day, count(*) FROM veriramp_budget_paid GROUP BY day",
}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may be killed."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
async def frail(server: Server) -> Place:
    """What is in it, made empty."""
    if server.url.startswith("redis"):
        place = Place("redis", server.url)
        async with place.redis() as client:
            await client.flushall()
        return place
    place = Place("postgres", server.url)
    await place.sql("DROP SCHEMA public CASCADE")
    await place.sql("CREATE SCHEMA public")
    return place


@contextmanager
def takers(place: Place, tmp_path: Path, *ranges: tuple[int, int]) -> Iterator[list[Taker]]:
    """Processes that take from the budget, with the files that they print to."""
    running = []
    for number, (first, last) in enumerate(ranges):
        output = tmp_path / f"{first}-{last}-{number}.txt"
        command = (sys.executable, "-m", "tests.support.store_program", place.url, str(LIMIT), str(first), str(last))
        with output.open("ab") as file, (tmp_path / "errors.txt").open("ab") as errors:
            running.append((subprocess.Popen(command, stdout=file, stderr=errors), output))
    try:
        yield running
    finally:
        for process, _ in running:
            process.kill()
            process.wait(timeout=60)


def granted(*files: Path) -> list[int]:
    """Every event that was printed completely."""
    lines = [line for file in files for line in file.read_text("ascii").splitlines(keepends=True)]
    return [int(line) for line in lines if line.strip().isdecimal() and line.endswith("\n")]


@pytest.mark.timeout(600)
@pytest.mark.shows("S1-COST-03")
def test_killed_processes_and_repeated_messages_cost_the_limit_exactly(place: Place, tmp_path: Path) -> None:
    """Four processes, 800 events, a limit of 300; two are killed in the middle and start again with the same events."""
    ranges = [(number * 200, number * 200 + 200) for number in range(4)]
    with takers(place, tmp_path, *ranges) as running:
        files = [file for _, file in running]
        wait_for(lambda: len(granted(*files)) > 60, 60.0, "the first to be granted")
        for process, _ in running[:2]:
            process.kill()
            process.wait(timeout=60)
        with takers(place, tmp_path, *ranges[:2]) as again:
            for process, _ in (*running[2:], *again):
                assert process.wait(timeout=180) == 0, (tmp_path / "errors.txt").read_text()
    assert len(set(granted(*files))) == LIMIT


@pytest.mark.timeout(600)
@pytest.mark.shows("S1-COST-03")
async def test_a_server_that_is_killed_again_and_again_grants_the_limit_exactly(
    frail: Place, server: Server, tmp_path: Path
) -> None:
    with takers(frail, tmp_path, (0, 250), (250, 500)) as running:
        files = [file for _, file in running]
        for count in (20, 60, 100):
            await wait_until(_granted_more(files, count), 60.0, f"{count} to be granted")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        for process, _ in running:
            assert await asyncio.to_thread(process.wait, 180) == 0, (tmp_path / "errors.txt").read_text()
    assert len(granted(*files)) == len(set(granted(*files))) == LIMIT


def _granted_more(files: list[Path], count: int) -> Callable[[], Awaitable[bool]]:
    async def more() -> bool:
        return len(granted(*files)) > count

    return more


@asynccontextmanager
async def in_use(place: Place, deadlines: Deadlines = PATIENT) -> AsyncIterator[Opened]:
    """Opened, with connections that were used."""
    async with place.opened(deadlines=deadlines) as it:
        for number in range(5):
            await it.stores.cache.put(f"key {number}", a_judgement(), 3_600)
        await asyncio.gather(*(it.stores.budget.take("acme", f"event {number}", NOON) for number in range(5)))
        yield it


async def test_a_server_that_is_gone_is_a_miss_and_closes_the_budget(
    frail: Place, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with in_use(frail) as it:
        await asyncio.to_thread(server.kill)
        try:
            assert await it.stores.cache.get("key 1") is None
            await it.stores.cache.put("key 2", a_judgement(), 60)
            for _ in range(2):
                assert await it.stores.cache.get("key 1") is None
            with pytest.raises(BudgetUnavailableError, match=r"^the budget cannot be asked, nothing is verified: "):
                await it.stores.budget.take("acme", "event", NOON)
        finally:
            await asyncio.to_thread(server.start)
        assert it.metric("veriramp_cache_reads_total", outcome="error") == 2
        assert it.metric("veriramp_cache_reads_total", outcome="skipped") == 1
        assert it.metric("veriramp_cache_writes_total", outcome="error") == 1
        assert caplog.text.count("the verdict cache is of no use for now") == 1
        assert it.metric("veriramp_budget_takes_total", outcome="unavailable") == 1
        assert (await it.stores.budget.take("acme", "event", NOON)).used == 6


async def test_a_server_that_was_restarted_is_used_at_once(frail: Place, server: Server) -> None:
    """Every idle connection is dead then."""
    async with in_use(frail) as it:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        taken = await asyncio.gather(*(it.stores.budget.take("acme", f"later {n}", NOON) for n in range(5)))
        assert max(each.used for each in taken) == 10
        assert await it.stores.cache.get("key 1") == a_judgement()


async def test_a_server_that_hangs_holds_up_nobody(frail: Place, server: Server) -> None:
    async with in_use(frail), frail.opened(deadlines=Deadlines(cache=0.3, budget=1.0)) as it:

        async def known() -> bool:
            return await it.stores.cache.get("key 1") == a_judgement()

        await wait_until(_takes(it, "event 1"), BACK_SECONDS, "the budget to answer")
        await wait_until(known, BACK_SECONDS, "the cache to answer")
        server.hang()
        try:
            async with asyncio.timeout(60):
                judgements = await asyncio.gather(*(it.stores.cache.get(f"key {n % 5}") for n in range(40)))
                assert judgements == [None] * 40
                for _ in range(10):
                    assert await it.stores.cache.get("key 1") is None
                takes = (it.stores.budget.take("acme", f"later {n}", NOON) for n in range(20))
                errors = await asyncio.gather(*takes, return_exceptions=True)
            assert {type(error) for error in errors} == {BudgetUnavailableError}
            assert "no answer within 1 s" in str(errors[0])
            assert (it.metric("veriramp_cache_reads_total", outcome="skipped") or 0) > 0
        finally:
            server.go_on()
        await wait_until(_takes(it, "later 0"), BACK_SECONDS, "the budget to answer again")
        await wait_until(known, BACK_SECONDS, "the cache to be asked again")


def _takes(it: Opened, key: str) -> Callable[[], Awaitable[Taken | None]]:
    async def take() -> Taken | None:
        try:
            return await it.stores.budget.take("acme", key, NOON)
        except BudgetUnavailableError:
            return None

    return take


async def test_a_server_that_is_away_at_the_start_is_used_once_it_is_there(frail: Place, server: Server) -> None:
    await asyncio.to_thread(server.stop)
    try:
        async with frail.opened() as it:
            assert await it.stores.cache.get("key") is None
            with pytest.raises(BudgetUnavailableError):
                await it.stores.budget.take("acme", "event", NOON)
            await asyncio.to_thread(server.start)
            assert (await it.stores.budget.take("acme", "event", NOON)).used == 1
            await it.stores.cache.put("key", a_judgement(), 60)
            assert await it.stores.cache.get("key") == a_judgement()
    finally:
        if server.process is None:
            await asyncio.to_thread(server.start)


async def pay_for_ever(it: Opened) -> None:
    for number in range(10_000):
        await it.stores.budget.take("acme", f"event {number}", NOON)


async def test_a_full_disk_is_a_miss_and_closes_the_budget(sqlite: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own limit of pages: the error, and the transaction that it ends, are those of a full disk."""
    files: list[SqliteBackend] = []
    opened = SqliteBackend.open

    async def open_and_tell(backend: SqliteBackend) -> None:
        files.append(backend)
        await opened(backend)

    monkeypatch.setattr(SqliteBackend, "open", open_and_tell)
    async with sqlite.opened() as it:
        await it.stores.cache.put("key", a_judgement(), 60)
        (pages,) = await files[0]._writer.run(lambda database: database.execute("PRAGMA page_count").fetchone())
        await files[0]._writer.run(lambda database: database.execute(f"PRAGMA max_page_count={pages}"))
        await it.stores.cache.put("large", a_judgement(smt_lib="x" * 20_000), 60)
        assert it.metric("veriramp_cache_writes_total", outcome="error") == 1
        with pytest.raises(BudgetUnavailableError, match="is full; make room on its disk"):
            await pay_for_ever(it)
        assert await it.stores.cache.get("key") == a_judgement()
        await files[0]._writer.run(lambda database: database.execute("PRAGMA max_page_count=100000"))
        paid = it.metric("veriramp_budget_takes_total", outcome="granted")
        assert (await it.stores.budget.take("acme", "event", NOON)).used == (paid or 0) + 1


async def test_a_file_that_somebody_holds_can_still_be_read(sqlite: Place) -> None:
    async with sqlite.opened() as it:
        await it.stores.cache.put("key", a_judgement(), 60)
        holder = sqlite3.connect(sqlite.file, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        take = asyncio.ensure_future(it.stores.budget.take("acme", "event", NOON))
        assert await it.stores.cache.get("key") == a_judgement()
        with pytest.raises(BudgetUnavailableError, match="database is locked"):
            await take
        holder.execute("ROLLBACK")
        holder.close()
        assert (await it.stores.budget.take("acme", "event", NOON)).granted


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"this is not SQLite" * 100, "file is not a database; stop the workers, move the file away"), (None, "folder")],
)
async def test_a_file_of_no_use_is_told_at_the_start(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    place = Place("sqlite", f"sqlite://{tmp_path}/stores.db")
    if content is None:
        (tmp_path / "plain").write_bytes(b"")
        place = Place("sqlite", f"sqlite://{tmp_path}/plain/stores.db")
    else:
        place.file.write_bytes(content)
    with pytest.raises(StoreError, match=sentence):
        async with place.opened():
            pass


async def test_a_file_that_breaks_is_a_miss_and_closes_the_budget(sqlite: Place) -> None:
    async with sqlite.opened() as it:
        for number in range(50):
            await it.stores.cache.put(f"key {number}", a_judgement(), 60)
        await sqlite.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        with sqlite.file.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(4_096)
            file.write(b"\xff" * (size - 4_096))
    async with sqlite.opened() as it:
        assert await it.stores.cache.get("key 1") is None
        with pytest.raises(BudgetUnavailableError, match="malformed; stop the workers, move the file away"):
            await it.stores.budget.take("acme", "event", NOON)


async def test_what_is_over_goes_step_by_step(table_place: Place) -> None:
    """350 entries that have expired and 350 payments of long ago; what comes new makes room."""
    place, settings = table_place, BudgetSettings(per_day=10_000, at_once=1.0)
    async with place.opened(settings) as it:
        for number in range(350):
            await it.stores.cache.put(f"old {number}", a_judgement(), 60)
            await it.stores.budget.take("acme", f"old {number}", NOON)
        place.now += 61
        for number in range(200):
            await it.stores.cache.put(f"new {number}", a_judgement(), 60)
            await it.stores.budget.take("acme", f"new {number}", NOON + timedelta(days=4))
        assert sorted(await place.entries()) == sorted(f"new {number}:1" for number in range(200))
        days = await place.sql(PAID_BY_DAY[place.kind])
        assert days == [("2026-11-25", 200)]
