"""What cache and budget promise, over each product alike."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.databases import PASSWORD
from tests.support.stores import Place, a_judgement, at
from veriramp_sdk.events import Verdict
from veriramp_workers.caching import cache_key
from veriramp_workers.ports import Bound, BudgetUnavailableError, Taken
from veriramp_workers.stores import BudgetSettings, StoreError
from veriramp_workers.stores.entry import MAX_BYTES, encode

KEY = cache_key(
    tenant="acme", content_hash="0" * 64, premises=(), verifier="v", verifier_version="1", formaliser_version="1"
)
NOON = at("2026-11-21T12:00:00+00:00")
WITHOUT_TABLES = {
    "sqlite": [f"DROP TABLE {name}" for name in ("cache", "budget_day", "budget_month", "budget_paid")]
    + ["PRAGMA user_version=0"],
    "postgres": ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"],
}
UNPACED = BudgetSettings(per_day=3, at_once=1.0)


@pytest.mark.shows("S1-COST-01")
async def test_a_judgement_comes_back_as_it_was_to_every_worker(place: Place) -> None:
    async with place.opened() as one, place.opened() as other:
        assert await other.stores.cache.get(KEY) is None
        await one.stores.cache.put(KEY, a_judgement(), 60)
        assert await other.stores.cache.get(KEY) == a_judgement()
        assert other.metric("veriramp_cache_reads_total", outcome="miss") == 1
        assert other.metric("veriramp_cache_reads_total", outcome="hit") == 1
        assert one.metric("veriramp_cache_writes_total", outcome="stored") == 1


async def test_what_is_put_again_is_kept_from_then_on(place: Place) -> None:
    async with place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(), 60)
        place.now += 50
        await it.stores.cache.put(KEY, a_judgement(verdict=Verdict.ENTAILED), 60)
        place.now += 50
        assert await it.stores.cache.get(KEY) == a_judgement(verdict=Verdict.ENTAILED)


async def test_it_expires_when_it_was_said(place: Place) -> None:
    async with place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(), 30 * 86_400)
        place.now += 30 * 86_400 - 1
        assert await it.stores.cache.get(KEY) == a_judgement()
        place.now += 1
        assert await it.stores.cache.get(KEY) is None
        assert it.metric("veriramp_cache_reads_total", outcome="expired") == 1


async def test_redis_forgets_by_itself(redis: Place) -> None:
    async with redis.opened() as it, redis.redis() as client:
        await it.stores.cache.put(KEY, a_judgement(), 3_600)
        await it.stores.budget.take("acme", "event", NOON)
        left = {key: await client.ttl(key) async for key in client.scan_iter("*")}
    assert len(left) == 4
    assert all(0 < seconds <= 40 * 86_400 for seconds in left.values())
    assert 3_500 < left[f"veriramp:{KEY}:1".encode()] <= 3_600


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_nothing_is_kept_for_no_time(place: Place, seconds: float) -> None:
    async with place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(), seconds)
        assert await place.entries() == {}


async def test_what_is_too_large_is_not_kept(place: Place) -> None:
    async with place.opened() as it:
        room = MAX_BYTES - len(encode(a_judgement(smt_lib=""), place.now + 60)) - len(',"smt_lib":""')
        await it.stores.cache.put(KEY, a_judgement(smt_lib="x" * (room + 1)), 60)
        assert await it.stores.cache.get(KEY) is None
        assert it.metric("veriramp_cache_writes_total", outcome="too_large") == 1
        await it.stores.cache.put(KEY, a_judgement(smt_lib="x" * room), 60)
        assert await it.stores.cache.get(KEY) == a_judgement(smt_lib="x" * room)


async def test_what_cannot_be_written_does_no_harm(place: Place) -> None:
    async with place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(reason="half a pair: \ud800"), 60)
        assert await it.stores.cache.get(KEY) is None
        assert it.metric("veriramp_cache_writes_total", outcome="error") == 1


async def test_tables_that_are_gone_are_made_again(table_place: Place) -> None:
    async with table_place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(), 60)
        for statement in WITHOUT_TABLES[table_place.kind]:
            await table_place.sql(statement)
        with pytest.raises(BudgetUnavailableError):
            await it.stores.budget.take("acme", "event", NOON)
        assert (await it.stores.budget.take("acme", "event", NOON)).granted
        await it.stores.cache.put(KEY, a_judgement(), 60)
        assert await it.stores.cache.get(KEY) == a_judgement()


@pytest.mark.parametrize("garbage", [b"", b"\x00\xff", b'{"expires_at": 9e99}', b"null"])
async def test_an_entry_that_cannot_be_read_is_a_miss_and_goes(place: Place, garbage: bytes) -> None:
    async with place.opened() as it:
        await it.stores.cache.put(KEY, a_judgement(), 60)
        (key,) = await place.entries()
        await place.spoil(key, garbage)
        assert await it.stores.cache.get(KEY) is None
        assert it.metric("veriramp_cache_reads_total", outcome="corrupt") == 1
        assert await place.entries() == {}


@pytest.mark.shows("S1-COST-03")
async def test_a_day_has_a_limit_and_ends_at_local_midnight(place: Place) -> None:
    midnight = at("2026-11-22T00:00:00+01:00")
    async with place.opened(BudgetSettings(per_day=2, at_once=1.0, zone="Europe/Berlin")) as it:
        late = midnight - timedelta(seconds=1)
        for number in (1, 2):
            taken = await it.stores.budget.take("acme", f"event {number}", late)
            left, spent_until = (1.0, None) if number == 1 else (0.0, midnight)
            assert taken == Taken(True, number, 2, midnight, late, left=left, spent_until=spent_until)
        refused = await it.stores.budget.take("acme", "event 3", late)
        assert refused == replace(taken, granted=False, next_at=midnight, refused_by=Bound.DAY)
        taken = await it.stores.budget.take("acme", "event 3", midnight)
        assert (taken.granted, taken.used, taken.resets_at) == (True, 1, midnight + timedelta(days=1))


async def test_a_message_that_comes_again_is_paid_once_a_day(place: Place) -> None:
    async with place.opened(UNPACED) as one, place.opened(UNPACED) as other:
        for number in range(3):
            await one.stores.budget.take("acme", f"event {number}", NOON)
        again = await other.stores.budget.take("acme", "event 1", NOON)
        assert (again.granted, again.repeated, again.used) == (True, True, 3)
        assert other.metric("veriramp_budget_takes_total", outcome="repeated") == 1
        tomorrow = await other.stores.budget.take("acme", "event 1", NOON + timedelta(days=1))
        assert (tomorrow.granted, tomorrow.repeated, tomorrow.used) == (True, False, 1)


async def test_tenants_have_budgets_of_their_own(place: Place) -> None:
    names = ["acme", "Acme", "acme ", "", "a\0b", "naïve", "🦆", "x" * 10_000, "'; DROP TABLE cache; --", "a:b", "%s{}"]
    async with place.opened(BudgetSettings(per_day=1, at_once=1.0)) as it:
        for name in names:
            assert (await it.stores.budget.take(name, "event", NOON)).granted, name
        for name in names:
            assert not (await it.stores.budget.take(name, "other", NOON)).granted, name


@pytest.mark.shows("S1-COST-03")
async def test_the_day_is_paced(place: Place) -> None:
    """A virtual day of 25 hours on which there is always more to do than is free."""
    now, end = at("2026-10-25T00:00:00+02:00"), at("2026-10-26T00:00:00+01:00")
    granted = 0
    by_hour = []
    async with place.opened(BudgetSettings(per_day=100, at_once=0.25, zone="Europe/Berlin")) as it:
        while now < end:
            taken = await it.stores.budget.take("acme", f"event {granted}", now)
            if taken.granted:
                granted += 1
                continue
            assert now < taken.next_at <= end
            by_hour.append((taken.next_at, granted))
            now = taken.next_at
        assert (granted, taken.refused_by, it.metric("veriramp_budget_takes_total", outcome="pace")) == (
            100,
            Bound.DAY,
            75,
        )
    assert by_hour[0][1] == 25
    assert all(abs(count - 25 - 3 * ((when - by_hour[0][0]) / timedelta(hours=1))) < 1.01 for when, count in by_hour)


@pytest.mark.shows("S1-COST-04")
async def test_what_matters_less_leaves_a_rest(place: Place) -> None:
    async with place.opened(BudgetSettings(per_day=10, at_once=1.0)) as it:
        backfill = [await it.stores.budget.take("acme", f"backfill {n}", NOON, share=0.7) for n in range(8)]
        assert [taken.granted for taken in backfill] == [True] * 7 + [False]
        assert (backfill[-1].refused_by, backfill[-1].next_at) == (Bound.DAY, backfill[-1].resets_at)
        interactive = [await it.stores.budget.take("acme", f"search {n}", NOON) for n in range(4)]
        assert [taken.granted for taken in interactive] == [True] * 3 + [False]
        assert not (await it.stores.budget.take("other", "nothing", NOON, share=0.0)).granted


@pytest.mark.shows("S1-COST-05", "S2-BUD-01")
async def test_a_month_has_a_limit_for_all_and_the_cost_is_visible(place: Place) -> None:
    place.now = NOON.timestamp()
    async with place.opened(BudgetSettings(per_day=3, per_month=4, at_once=1.0, price=0.25)) as it:
        for tenant in ("acme", "globex"):
            for number in range(2):
                assert (await it.stores.budget.take(tenant, f"event {number}", NOON)).granted
        refused = await it.stores.budget.take("acme", "event 2", NOON)
        assert (refused.granted, refused.refused_by, refused.used) == (False, Bound.MONTH, 2)
        assert refused.next_at == at("2026-12-01T00:00:00+00:00")
        assert it.metric("veriramp_verification_cost_total") == 1.0
        assert it.metric("veriramp_verification_price") == 0.25
        assert (it.metric("veriramp_budget_month_used"), it.metric("veriramp_budget_month_limit")) == (4, 4)
        assert it.metric("veriramp_budget_used", tenant="acme") == 2
        assert it.metric("veriramp_budget_remaining", tenant="acme") == 1
        assert it.metric("veriramp_budget_limit", tenant="acme") == 3
        assert (await it.stores.budget.take("acme", "event 2", refused.next_at)).granted
        assert it.metric("veriramp_budget_month_used") == 1
        place.now = refused.next_at.timestamp() + 86_400
        assert it.metric("veriramp_budget_used", tenant="acme") is None
        assert it.metric("veriramp_budget_month_used") == 1
        place.now = refused.next_at.timestamp() + 31 * 86_400
        assert it.metric("veriramp_budget_month_used") == 0


async def test_tenants_share_a_bounded_number_of_series(sqlite: Place) -> None:
    sqlite.now = NOON.timestamp()
    async with sqlite.opened() as it:
        for number in range(30):
            for event in range(2 if number < 20 else 1):
                await it.stores.budget.take(f"tenant-{number}", f"event {event}", NOON)
        series = [sample for family in it.registry.collect() for sample in family.samples if "tenant" in sample.labels]
        assert len(series) == 3 * 21
        assert it.metric("veriramp_budget_used", tenant="_others") == 10
        assert it.metric("veriramp_budget_used", tenant="tenant-7") == 2


async def test_many_at_once_get_exactly_the_limit(place: Place) -> None:
    settings = BudgetSettings(per_day=40, at_once=1.0)
    async with place.opened(settings) as one, place.opened(settings) as other:
        budgets = (one.stores.budget, other.stores.budget)
        takes = [budgets[n % 2].take("acme", f"event {n // 2}", NOON) for n in range(200)]
        taken = await asyncio.gather(*takes)
    assert sum(each.granted and not each.repeated for each in taken) == 40
    assert max(each.used for each in taken) == 40


async def test_whoever_stops_waiting_leaves_nothing_behind(place: Place) -> None:
    async with place.opened(BudgetSettings(per_day=1_000, at_once=1.0)) as it:
        takes = [asyncio.ensure_future(it.stores.budget.take("acme", f"event {n}", NOON)) for n in range(60)]
        await asyncio.sleep(0)
        for number, take in enumerate(takes):
            if number % 2:
                take.cancel()
        await asyncio.gather(*takes, return_exceptions=True)
        again = [await it.stores.budget.take("acme", f"event {n}", NOON) for n in range(60)]
    assert all(taken.granted for taken in again)
    assert again[-1].used == 60


async def test_a_wrong_password_is_told_and_not_shown(server_place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = Place(server_place.kind, server_place.url.replace(PASSWORD, "s3cret-of-others"))
    with pytest.raises(StoreError) as caught:
        async with place.opened():
            pass
    assert str(caught.value).startswith('VERIRAMP_STORE_URL is "')
    async with server_place.opened() as it:
        await it.stores.budget.take("acme", "event", NOON)
    assert "s3cret" not in str(caught.value) + caplog.text


async def test_tables_of_a_newer_program_are_left_alone(sqlite: Place, postgres: Place) -> None:
    await sqlite.sql("PRAGMA user_version=7")
    await postgres.sql("CREATE TABLE veriramp_stores (version integer NOT NULL)")
    await postgres.sql("INSERT INTO veriramp_stores VALUES (7)")
    for place in (sqlite, postgres):
        with pytest.raises(
            StoreError, match=r"^VERIRAMP_STORE_URL is .* ha(s|ve) schema version 7, this program knows 1"
        ):
            async with place.opened():
                pass


async def test_many_starters_make_the_tables_once(place: Place) -> None:
    async def start(number: int) -> bool:
        async with place.opened() as it:
            return (await it.stores.budget.take("acme", f"event {number}", NOON)).granted

    assert all(await asyncio.gather(*(start(number) for number in range(12))))


async def test_a_postgres_without_rights_is_told(postgres: Place) -> None:
    await postgres.sql("CREATE ROLE visitor LOGIN PASSWORD 'visitor'")
    try:
        place = Place("postgres", postgres.url.replace(f"veriramp:{PASSWORD}", "visitor:visitor"))
        with pytest.raises(StoreError, match="permission denied"):
            async with place.opened():
                pass
        async with postgres.opened():
            await postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO visitor")
        async with place.opened() as it:
            with pytest.raises(BudgetUnavailableError, match="nothing is verified: PostgreSQL: permission denied"):
                await it.stores.budget.take("acme", "event", NOON)
    finally:
        await postgres.sql("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM visitor")
        await postgres.sql("DROP ROLE visitor")
