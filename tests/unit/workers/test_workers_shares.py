"""What of its demand a tenant's budget can bear: the share that is announced, and where it settles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from tests.support.trigger_rig import Decided, Rig, chunks
from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.budget import BUDGET_LEFT, BUDGET_UNTIL, budget_headers
from veriramp_sdk.events import Topic
from veriramp_sdk.selection import Known, verifier_of
from veriramp_workers.orchestrator import OrchestratorMetrics
from veriramp_workers.orchestrator.purse import Purse
from veriramp_workers.ports import Bound, DeferError, PauseError, Record, Taken
from veriramp_workers.stores.day import Day, day_of, free, left_of_day, left_of_month

BERLIN = ZoneInfo("Europe/Berlin")
VERIFIED = "0" * 64
NOON = datetime(2026, 11, 21, 11, tzinfo=UTC)


def a_day(now: datetime = NOON) -> Day:
    return day_of(now, BERLIN)


@pytest.mark.parametrize(
    ("used", "limit", "at_once", "hours", "left"),
    [
        (0, 10_000, 0.25, 0, 1.0),  # the bucket is full at midnight
        (1_250, 10_000, 0.25, 0, 1.0),
        (1_875, 10_000, 0.25, 0, 0.5),
        (2_500, 10_000, 0.25, 0, 0.01),  # empty, but not spent: some news still comes
        (2_500, 10_000, 0.25, 8, 1.0),
        (5_625, 10_000, 0.25, 12, 0.5),
        (9_375, 10_000, 0.25, 23, 0.751),  # of what the last hour would take
        (9_800, 10_000, 0.25, 23.999, 0.48),  # of an hour
        (10_000, 10_000, 0.25, 12, 0.0),
        (12_000, 10_000, 0.25, 12, 0.0),
        (8_000, 10_000, 1.0, 12, 0.4),  # not paced: what is left of the day
        (25, 2_400, 0.0, 0.5, 0.5),  # nothing at once: half an hour's worth is enough
        (0, 0, 0.25, 12, 0.0),
        (0, 1, 1.0, 12, 1.0),
    ],
)
def test_a_day_bears_what_its_bucket_holds(used: int, limit: int, at_once: float, hours: float, left: float) -> None:
    day = a_day()
    now = day.starts_at + timedelta(hours=hours)
    assert left_of_day(used, limit, at_once, day, now) == pytest.approx(left, abs=0.001)


@pytest.mark.parametrize(
    ("used", "limit", "day_of_month", "left"),
    [
        (0, 0, 15, 1.0),
        (0, 30_000, 1, 1.0),
        (15_000, 30_000, 16, 1.0),
        (22_500, 30_000, 16, 0.5),
        (30_000, 30_000, 16, 0.0),
        (29_999, 30_000, 16, 0.01),
        (29_000, 30_000, 30, 1.0),
    ],
)
def test_a_month_bears_what_lasts_to_its_end(used: int, limit: int, day_of_month: int, left: float) -> None:
    now = datetime(2026, 11, day_of_month, tzinfo=BERLIN).astimezone(UTC)
    assert left_of_month(used, limit, a_day(now), now) == pytest.approx(left)


@given(
    st.integers(1_577_836_800, 2_051_222_400).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu", "UTC"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
def test_a_share_is_a_share_and_nothing_only_when_nothing_is_left(
    now: datetime, zone: str, used: int, limit: int, at_once: float
) -> None:
    day = day_of(now, ZoneInfo(zone))
    assert day.month_starts_at <= day.starts_at < day.ends_at <= day.month_ends_at
    assert day_of(day.month_starts_at, ZoneInfo(zone)).month == day.month
    shares = (left_of_day(used, limit, at_once, day, now), left_of_month(used, limit, day, now))
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert (shares[0] == 0.0) == (used >= limit)
    assert (shares[1] == 0.0) == (0 < limit <= used)


@pytest.mark.shows("S1-COST-04")
@pytest.mark.parametrize("demand", [0.5, 1.0, 2.0, 5.0, 30.0])
def test_asking_for_the_share_settles_where_as_much_is_asked_as_is_released(demand: float) -> None:
    """Two days in steps of a minute; demand is a multiple of the even rate of the day."""
    limit, refused = 10_000, 0.0
    for start in (NOON, NOON + timedelta(days=1)):
        day, used, shares = a_day(start), 0.0, []
        for minute in range(24 * 60):
            now = day.starts_at + timedelta(minutes=minute)
            share = left_of_day(int(used), limit, 0.25, day, now)
            asked = share * demand * limit / (24 * 60)
            granted = min(asked, max(0.0, free(limit, 0.25, day, now) - used))
            used += granted
            refused += asked - granted
            shares.append(share)
        assert used <= limit
        assert used >= 0.9 * limit * min(1.0, demand)
        if demand > 1.0:
            settled = shares[8 * 60 : 16 * 60]
            assert sum(settled) / len(settled) == pytest.approx(0.75 / demand, rel=0.25)
    assert refused == 0.0, "nobody who keeps to the share is refused"


@pytest.mark.shows("S1-COST-04")
@pytest.mark.parametrize("fresh", [0, 27])
async def test_it_settles_there_however_many_of_the_results_need_no_verdict(fresh: int) -> None:
    """A day of a search in a minute, through the trigger: three results want a verdict, the budget pays for one."""
    limit, demand, day, used, shares = 24 * 60, 3, a_day(), 0, []
    rig, verdict = Rig(capacity=10 * limit), a_verdict()
    for minute in range(24 * 60):
        now = day.starts_at + timedelta(minutes=minute)
        rig.clock.now = now.timestamp()
        share = left_of_day(used, limit, 0.25, day, now)
        told = verdict.model_copy(update={"org_id": "org", "verified_at_ms": rig.clock.ms})
        rig.trigger.answered(told, budget_headers(share, rig.clock.ms + 600_000))
        found = [replace(chunk, block_id=str(minute)) for chunk in chunks(demand + fresh, content_hash=VERIFIED)]
        known = Known(VERIFIED, verifier_of(verdict), rig.clock.ms)
        found[:fresh] = [replace(chunk, known=known) for chunk in found[:fresh]]
        used += rig.trigger.offer(Decided(top_k=30), found, str(minute))
        assert used <= free(limit, 0.25, day, now), "nobody who keeps to the share is refused"
        shares.append(share)
    assert rig.chunks("fresh") == 24 * 60 * fresh
    assert used >= 0.9 * limit
    settled = shares[8 * 60 : 16 * 60]
    assert sum(settled) / len(settled) == pytest.approx(0.75 / demand, rel=0.25)


class Told:
    """A budget that says what it is told to."""

    def __init__(self) -> None:
        self.taken = Taken(True, 3, 10, NOON + timedelta(hours=12), NOON, left=0.4)

    async def take(self, *_: object, **__: object) -> Taken:
        return self.taken


class Stand:
    def __init__(self) -> None:
        self.now, self.budget = NOON.timestamp(), Told()
        self.purse = Purse(self.budget, OrchestratorMetrics(CollectorRegistry()), lambda: self.now)

    async def pay(self, **changes: object) -> None:
        request = a_request("The tower is tall.")
        self.budget.taken = replace(self.budget.taken, **changes)  # type: ignore[arg-type] # fields of each test's own
        await self.purse.pay("org", "key", Record(Topic.INTERACTIVE, 0, 0, None, request.to_bytes()), share=1.0)

    @property
    def news(self) -> tuple[float, float] | None:
        """The share that is told, and for how many seconds from now it holds."""
        said = dict(self.purse.news("org"))
        return (float(said[BUDGET_LEFT]), int(said[BUDGET_UNTIL]) / 1000 - self.now) if said else None


async def test_what_was_heard_last_is_told_for_a_minute() -> None:
    stand = Stand()
    assert stand.news is None
    await stand.pay()
    assert stand.news == (0.4, 600.0)
    assert stand.purse.news("other") == ()
    stand.now += 60.0
    assert stand.news == (0.4, 600.0)
    stand.now += 1.0
    assert stand.news is None, "verdicts that were known tell no old news"


@pytest.mark.parametrize(("bound", "error"), [(Bound.DAY, DeferError), (Bound.MONTH, PauseError)])
async def test_what_is_spent_is_told_until_there_is_more(bound: Bound, error: type[Exception]) -> None:
    stand, hours = Stand(), 12.0 if bound is Bound.DAY else 200.0
    end = NOON + timedelta(hours=hours)
    with pytest.raises(error):
        await stand.pay(granted=False, left=0.0, refused_by=bound, spent_until=end, next_at=end)
    for seconds in (0.0, 3_600.0, 39_000.0):
        stand.now = NOON.timestamp() + seconds
        assert stand.news == (0.0, hours * 3_600.0 - seconds)
    stand.now = end.timestamp()
    assert stand.news is None


async def test_a_day_that_is_over_tells_nothing() -> None:
    stand = Stand()
    await stand.pay(resets_at=NOON + timedelta(seconds=10))
    stand.now += 10.0
    assert stand.news is None


async def test_only_so_many_tenants_are_remembered() -> None:
    stand = Stand()
    record = Record(Topic.INTERACTIVE, 0, 0, None, b"")
    for number in range(1_001):
        await stand.purse.pay(f"tenant {number}", "key", record, share=1.0)
    assert [bool(stand.purse.news(f"tenant {number}")) for number in (0, 1, 1_000)] == [False, True, True]
