"""What verification costs in a day and in a month, where both end by the clock on the wall, in every store."""

from __future__ import annotations

import pytest

from tests.support.stores import Place, at
from veriramp_workers.ports import Bound
from veriramp_workers.stores import BudgetSettings


@pytest.mark.shows("S1-COST-05", "S2-BUD-01")
@pytest.mark.parametrize(
    ("zone", "before", "end"),
    [
        # The month ends in the hour named, by the clock there; its UTC date is another one.
        ("Europe/Berlin", "2026-03-31T23:59:59+02:00", "2026-04-01T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-31T23:59:59+01:00", "2026-11-01T00:00:00+01:00"),
        ("America/St_Johns", "2026-10-31T23:59:59-02:30", "2026-11-01T00:00:00-02:30"),
        ("Pacific/Auckland", "2026-09-30T23:59:59+13:00", "2026-10-01T00:00:00+13:00"),
        ("UTC", "2028-02-29T23:59:59+00:00", "2028-03-01T00:00:00+00:00"),
    ],
)
async def test_a_month_ends_at_its_local_midnight_for_all_tenants(
    place: Place, zone: str, before: str, end: str
) -> None:
    settings = BudgetSettings(per_day=10, per_month=2, zone=zone, at_once=1.0)
    async with place.opened(settings) as one, place.opened(settings) as other:
        assert (await one.stores.budget.take("acme", "first", at(before))).granted
        assert (await other.stores.budget.take("globex", "second", at(before))).granted
        for opened, tenant in ((one, "globex"), (other, "initech")):
            refused = await opened.stores.budget.take(tenant, "third", at(before))
            assert (refused.refused_by, refused.next_at, refused.spent_until) == (Bound.MONTH, at(end), at(end))
            assert refused.left == 0.0
        assert (await one.stores.budget.take("acme", "first", at(before))).repeated, "what is paid is paid"
        place.now = at(end).timestamp()
        assert (await other.stores.budget.take("initech", "third", at(end))).granted
        assert other.metric("veriramp_budget_month_used") == 1
        assert other.metric("veriramp_budget_month_remaining") == 1


@pytest.mark.shows("S1-COST-05")
@pytest.mark.parametrize(
    ("zone", "first", "last", "following"),
    [
        # 23 hours, 25 hours, and a day that begins at one o'clock.
        ("Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-29T23:59:59+02:00", "2026-03-30T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-25T23:59:59+01:00", "2026-10-26T00:00:00+01:00"),
        ("Africa/Cairo", "2026-04-24T01:00:00+03:00", "2026-04-24T23:59:59+03:00", "2026-04-25T00:00:00+03:00"),
    ],
)
async def test_a_day_of_23_or_25_hours_costs_what_any_day_costs(
    place: Place, zone: str, first: str, last: str, following: str
) -> None:
    settings = BudgetSettings(per_day=2, zone=zone, at_once=1.0, price=0.25)
    async with place.opened(settings) as it:
        for number, moment in enumerate((first, last)):
            taken = await it.stores.budget.take("acme", f"event {number}", at(moment))
            assert (taken.granted, taken.used, taken.resets_at) == (True, number + 1, at(following))
        refused = await it.stores.budget.take("acme", "event 2", at(last))
        assert (refused.refused_by, refused.next_at) == (Bound.DAY, at(following))
        assert (await it.stores.budget.take("acme", "event 2", at(following))).used == 1
        assert it.metric("veriramp_verification_cost_total") == 0.75


@pytest.mark.shows("S2-BUD-01")
async def test_the_bound_of_all_is_told_before_that_of_a_tenant(place: Place) -> None:
    moment = at("2026-11-21T12:00:00+00:00")
    async with place.opened(BudgetSettings(per_day=1, per_month=2, at_once=1.0)) as it:
        assert (await it.stores.budget.take("acme", "first", moment)).granted
        assert (await it.stores.budget.take("acme", "second", moment)).refused_by is Bound.DAY
        assert (await it.stores.budget.take("globex", "first", moment)).granted
        assert (await it.stores.budget.take("acme", "second", moment)).refused_by is Bound.MONTH


@pytest.mark.shows("S1-COST-05", "S2-BUD-01")
async def test_a_warning_comes_before_the_end(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    moment = at("2026-11-21T12:00:00+00:00")
    place.now = moment.timestamp()
    settings = BudgetSettings(per_day=5, per_month=10, at_once=1.0, warning=0.8)

    async with place.opened(settings) as it:

        async def take(tenant: str, count: int) -> tuple[float | None, float | None]:
            for number in range(count):
                await it.stores.budget.take(tenant, f"event {number}", moment)
            return tuple(it.metric("veriramp_budget_warning", bound=bound) for bound in ("day", "month"))  # type: ignore[return-value]

        assert await take("acme", 0) == (0, 0)
        assert await take("acme", 3) == (0, 0)
        assert await take("acme", 4) == (1, 0)
        assert await take("globex", 4) == (1, 1)
        lines = [vars(record) for record in caplog.records if record.getMessage().endswith("runs short")]
        assert [(line["bound"], line["period"], line["used"], line["limit"]) for line in lines] == [
            ("day", "2026-11-21", 4, 5),
            ("month", "2026-11", 8, 10),
        ]
        place.now += 86_400
        assert await take("acme", 0) == (0, 1), "another day"
        place.now += 31 * 86_400
        assert await take("acme", 0) == (0, 0), "another month"
