"""The pure parts of cache and budget: days, pacing, keys, entries, URLs."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from veriramp_sdk.events import Verdict
from veriramp_workers.caching import cache_key, lifetime_seconds
from veriramp_workers.ports import Judgement
from veriramp_workers.stores import BudgetSettings, StoreError, open_stores
from veriramp_workers.stores.day import Day, day_of, free, free_at
from veriramp_workers.stores.entry import CorruptEntryError, decode, encode

HOUR = timedelta(hours=1)
# Zones that change at midnight, over midnight, by half an hour, by a whole day.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    )
]
INSTANTS = st.integers(631_152_000, 2_140_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "now", "name", "hours"),
    [
        ("UTC", "2026-11-21T00:00:00+00:00", "2026-11-21", 24),
        ("UTC", "2026-11-20T23:59:59.999999+00:00", "2026-11-20", 24),
        ("Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25", 25),
        ("Europe/Berlin", "2026-10-25T23:30:00+01:00", "2026-10-25", 25),
        ("Europe/Berlin", "2026-10-26T00:00:00+01:00", "2026-10-26", 24),
        ("America/Havana", "2026-11-01T00:30:00-05:00", "2026-11-01", 25),
        ("Africa/Cairo", "2026-04-24T01:00:00+03:00", "2026-04-24", 23),
        ("Australia/Lord_Howe", "2026-04-05T12:00:00+10:30", "2026-04-05", 24.5),
        # On the wall it is Saturday again for an hour; the day that began goes on.
        ("America/St_Johns", "2006-10-28T23:30:00-03:30", "2006-10-29", 25),
        # The clock went from 23:30 to 00:30: the day that had no midnight begins when it should have been.
        ("America/Toronto", "1919-03-31T00:45:00-04:00", "1919-03-30", 24),
        # Samoa went without the 30th.
        ("Pacific/Apia", "2011-12-29T23:00:00-10:00", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-31", 24),
    ],
)
def test_a_day_is_a_local_day(zone: str, now: str, name: str, hours: float) -> None:
    day = day_of(instant(now), ZoneInfo(zone))
    assert (day.name, day.ends_at - day.starts_at) == (name, hours * HOUR)
    assert day.starts_at <= instant(now) < day.ends_at


@given(now=INSTANTS, zone=st.sampled_from(ZONES))
def test_each_instant_is_in_one_day_and_days_follow_each_other(now: datetime, zone: ZoneInfo) -> None:
    day = day_of(now, zone)
    assert day.starts_at <= now < day.ends_at <= day.month_ends_at
    assert day_of(day.starts_at, zone) == day
    assert day_of(day.ends_at - timedelta(microseconds=1), zone) == day
    following = day_of(day.ends_at, zone)
    assert following.starts_at == day.ends_at
    assert following.name > day.name
    assert (following.month == day.month) == (day.ends_at < day.month_ends_at)


@given(now=INSTANTS, later=st.timedeltas(timedelta(0), timedelta(days=400)), zone=st.sampled_from(ZONES))
def test_names_never_go_back(now: datetime, later: timedelta, zone: ZoneInfo) -> None:
    assert day_of(now, zone).name <= day_of(now + later, zone).name


SHARES = st.one_of(st.sampled_from([0.0, 0.25, 1.0]), st.floats(0.0, 1.0))


@given(
    now=INSTANTS,
    zone=st.sampled_from(ZONES),
    limit=st.integers(0, 10**7),
    at_once=SHARES,
    count=st.integers(1, 10**7),
)
def test_a_verification_is_free_from_the_time_that_was_named_and_not_before(
    now: datetime, zone: ZoneInfo, limit: int, at_once: float, count: int
) -> None:
    day = day_of(now, zone)
    at = free_at(count, limit, at_once, day)
    assert 0 <= free(limit, at_once, day, now) <= limit
    if count > limit:
        assert at == day.ends_at
        return
    assert day.starts_at <= at < day.ends_at
    assert free(limit, at_once, day, at) >= count
    if at > day.starts_at:
        assert free(limit, at_once, day, at - timedelta(microseconds=1)) < count


def test_a_paced_day_releases_evenly_and_all_of_it() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day = day_of(instant("2026-10-25T12:00:00+01:00"), berlin)
    assert [free(10_000, 0.25, day, day.starts_at + hours * HOUR) for hours in (0, 5, 12.5, 20, 24.99, 25)] == [
        2_500,
        4_000,
        6_250,
        8_500,
        9_997,
        10_000,
    ]
    assert free(10_000, 1.0, day, day.starts_at) == 10_000


def a_day() -> Day:
    return day_of(instant("2026-11-21T12:00:00+00:00"), ZoneInfo("UTC"))


def test_nothing_is_free_without_a_limit_to_spend() -> None:
    assert free(0, 0.25, a_day(), a_day().starts_at + HOUR) == 0
    assert free_at(1, 0, 0.25, a_day()) == a_day().ends_at


TEXTS = st.text(max_size=20)


def key_of(parts: tuple[str, str, tuple[str, ...], str, str, str]) -> str:
    tenant, content_hash, premises, verifier, version, formaliser = parts
    return cache_key(
        tenant=tenant,
        content_hash=content_hash,
        premises=premises,
        verifier=verifier,
        verifier_version=version,
        formaliser_version=formaliser,
    )


PARTS = st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS, TEXTS, TEXTS)


@pytest.mark.shows("S1-COST-01")
@given(one=PARTS, other=PARTS)
def test_keys_are_equal_only_when_everything_is(
    one: tuple[str, str, tuple[str, ...], str, str, str],
    other: tuple[str, str, tuple[str, ...], str, str, str],
) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@pytest.mark.parametrize("place", range(6))
def test_every_part_counts(place: int) -> None:
    parts = ["a", "b", ("c", "d"), "e", "f", "g"]
    changed = [*parts[:place], ("c,d",) if place == 2 else "x", *parts[place + 1 :]]
    assert key_of(tuple(parts)) != key_of(tuple(changed))  # type: ignore[arg-type]


def test_a_key_stays_what_it_is() -> None:
    """Another form would empty the caches of everybody."""
    parts = ("acme", "0" * 64, ("The mill is red.",), "embedded", "1+z3-4.15", "2")
    assert key_of(parts) == "verification:46d5c232c90fd8efdd79d16d818348d3306057c4f085625e33494ab9c9ed90db"


@pytest.mark.parametrize("verdict", Verdict)
def test_only_decisive_verdicts_are_kept_for_long(verdict: Verdict) -> None:
    days = {Verdict.ENTAILED: 30.0, Verdict.CONTRADICTED: 30.0, Verdict.ERROR: 0.0}
    assert lifetime_seconds(verdict) / 86_400 == days.get(verdict, 1 / 24)


@pytest.mark.shows("S1-COST-02")
def test_the_hit_rate_is_reported_with_its_workload() -> None:
    page = Path(__file__).parents[3] / "docs" / "benchmarks" / "cache.json"
    kept = json.loads(page.read_text(encoding="utf-8"))
    rates = [figure["value"] for figure in kept["figures"] if figure["what"].startswith("hit rate")]
    assert rates[0] >= 0.4
    assert len(rates) == 2
    assert set(kept["settings"]) == {"searches", "sampled", "decisive"}


JUDGEMENTS = st.builds(
    Judgement,
    verdict=st.sampled_from(Verdict),
    reason=st.text(),
    check_sat=st.text(),
    smt_lib=st.text(),
    conflict=st.lists(st.text(), max_size=3).map(tuple),
    skipped=st.lists(st.text(), max_size=3).map(tuple),
    similarity=st.none() | st.floats(0, 1),
    degradation=st.none() | st.floats(0, 1),
    solver_seconds=st.floats(0, 1e6),
    total_seconds=st.floats(0, 1e6),
)


@given(judgement=JUDGEMENTS, expires_at=st.floats(0, 1e11))
def test_an_entry_comes_back_as_it_was(judgement: Judgement, expires_at: float) -> None:
    assert decode(encode(judgement, expires_at)) == (judgement, expires_at)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"expires_at": 1}',
        b'{"expires_at": "1", "judgement": {"verdict": "entailed", "reason": ""}}',
        b'{"expires_at": 1, "judgement": {"verdict": "true", "reason": ""}}',
        b'{"expires_at": 1, "judgement": {"verdict": "entailed"}}',
    ],
)
def test_what_is_no_entry_is_refused(value: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        decode(value)


@given(value=st.binary() | JUDGEMENTS.map(lambda judgement: encode(judgement, 1.0)[:-2]))
def test_no_bytes_do_any_other_harm(value: bytes) -> None:
    with pytest.raises(CorruptEntryError):
        decode(value)


def test_figures_that_are_none_are_no_entry() -> None:
    with pytest.raises(CorruptEntryError):
        decode(encode(Judgement(Verdict.ENTAILED, "", solver_seconds=math.nan), 1.0))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"per_day": -1}, r"per_day is -1, per_month 0; write 0 to \d+"),
        ({"per_month": 10**13}, "per_month 10000000000000"),
        ({"zone": "Europe/Atlantis"}, 'zone is "Europe/Atlantis"; write an IANA time zone'),
        ({"zone": "../etc/passwd"}, "write an IANA time zone"),
        ({"zone": ""}, "write an IANA time zone"),
        ({"at_once": 1.5}, "at_once is 1.5; write a share from 0 to 1"),
        ({"at_once": math.nan}, "at_once is nan"),
        ({"warning": 0.0}, "warning is 0.0; write a share above 0, at most 1"),
        ({"warning": math.nan}, "warning is nan"),
        ({"price": -0.1}, "price is -0.1; write 0 or more"),
        ({"price": math.inf}, "price is inf"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BudgetSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", "no URL"),
        ("stores.db", "no URL"),
        ("sqlite://stores.db", '"sqlite://stores.db"'),
        ("sqlite:///", '"sqlite:///"'),
        ("sqlite:///folder/", '"sqlite:///folder/"'),
        ("sqlite:///f.db?mode=ro", '"sqlite:///f.db"'),
        ("mysql://root:hidden@db/veriramp", '"mysql://***@db/veriramp"'),
        ("redis://", '"redis://"'),
        ("redis://cache:port/0", '"redis://cache:port/0"'),
        ("redis://cache/0?socket_timeout=x", '"redis://cache/0"'),
        ("postgresql:///veriramp", '"postgresql:///veriramp"'),
        ("postgresql://me:hid@den@db:5432/veriramp", '"postgresql://***@db:5432/veriramp"'),
        ("postgresql://me:hidden@db:x/veriramp", '"postgresql://***@db:x/veriramp"'),
        ("postgresql://me:hid/den@db:5432/veriramp", '"postgresql://***"'),
        ("redis://:hid#den@cache", '"redis://***"'),
        ("redis://:hid?den@cache", '"redis://***"'),
        ("mysql://me@db/veriramp?password=hid@den", '"mysql://***"'),
        ("redis://[::1", '"redis://[::1"'),
    ],
)
async def test_a_wrong_url_gets_one_sentence_without_the_password(url: str, shown: str) -> None:
    with pytest.raises(StoreError) as caught:
        async with open_stores(url, CollectorRegistry()):
            pass
    assert str(caught.value) == (
        f"VERIRAMP_STORE_URL is {shown}; write sqlite:///folder/file.db, redis://host:6379/0, rediss://host:6379/0 or "
        "postgresql://user@host:5432/database (in a password, %40 for @)"
    )


async def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "veriramp_workers.stores.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(
        StoreError, match=r'is "redis://cache:6379": the package redis\S* is missing; install .*redis\]$'
    ):
        async with open_stores("redis://cache:6379", CollectorRegistry()):
            pass
