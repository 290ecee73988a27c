"""What is left of a budget makes a search ask for less, what matters least first, and for one tenant alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.trigger_rig import Decided, Rig, chunks
from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.budget import BUDGET_LEFT, BUDGET_UNTIL, NEWS_SECONDS, BudgetShares, affordable, budget_headers
from veriramp_sdk.events import content_hash
from veriramp_sdk.selection import Chunk, Known, percentiles, verifier_of
from veriramp_sdk.trigger_queue import Ask

NOW = 1_790_000_000.0
DAY = 86_400.0


def heard(*news: tuple[str, float, float]) -> BudgetShares:
    """Shares after (tenant, left, told at), each of which holds for ten minutes."""
    shares = BudgetShares()
    for tenant, left, at in news:
        shares.heard(tenant, budget_headers(left, int((at + NEWS_SECONDS) * 1000)), at)
    return shares


def test_news_is_about_one_tenant_and_holds_for_ten_minutes() -> None:
    shares = heard(("poor", 0.25, NOW), ("rich", 0.9, NOW))
    assert [shares.of(tenant, NOW) for tenant in ("poor", "rich", "unknown")] == [0.25, 0.9, 1.0]
    assert shares.lowest(NOW) == 0.25
    assert [shares.of("poor", NOW + seconds) for seconds in (599.9, 600.0)] == [0.25, 1.0]
    assert shares.lowest(NOW + 600.0) == 1.0


def test_the_latest_news_counts_in_whatever_order_it_comes() -> None:
    assert heard(("a", 0.2, NOW), ("a", 0.4, NOW + 1)).of("a", NOW + 2) == 0.4
    assert heard(("a", 0.4, NOW + 1), ("a", 0.2, NOW)).of("a", NOW + 2) == 0.4


def test_a_day_that_is_spent_is_spent_until_it_is_over_and_no_news_is_for_ever() -> None:
    shares = BudgetShares()
    shares.heard("a", budget_headers(0.0, int((NOW + 3_000) * 1000)), NOW)
    assert [shares.of("a", NOW + seconds) for seconds in (0, 2_999, 3_000)] == [0.0, 0.0, 1.0]
    shares.heard("a", budget_headers(0.0, 10**15 - 1), NOW + 1)
    assert shares.of("a", NOW + 40 * DAY) == 1.0


@pytest.mark.parametrize(
    "left", [b"", b"none", b"nan", b"-0.1", b"1.1", b"inf", b"\xff", b" 0.1", b"1e-1", b"1_0", None]
)
def test_what_is_no_share_changes_nothing(left: bytes | None) -> None:
    shares = heard(("a", 0.5, NOW))
    shares.heard("a", [(BUDGET_LEFT, left), (BUDGET_UNTIL, b"1")], NOW + 1)
    shares.heard("a", [], NOW + 1)
    assert shares.of("a", NOW + 2) == 0.5


@pytest.mark.parametrize("until", [None, b"", b"soon", b"9" * 5_000, b"-1"])
def test_an_end_that_nobody_can_read_is_in_ten_minutes(until: bytes | None) -> None:
    shares = BudgetShares()
    shares.heard("a", [(BUDGET_LEFT, b"0.5"), (BUDGET_UNTIL, until)], NOW)
    assert [shares.of("a", NOW + seconds) for seconds in (599.0, 600.0)] == [0.5, 1.0]


def test_only_so_many_tenants_are_remembered() -> None:
    shares = BudgetShares(remembered=2)
    for tenant in ("a", "b", "a", "c"):
        shares.heard(tenant, budget_headers(0.5, int(NOW * 1000) + 1), NOW)
    assert [shares.of(tenant, NOW) for tenant in "abc"] == [0.5, 1.0, 0.5]


def wanted(*found: Chunk) -> list[Ask]:
    places = zip(found, percentiles([None] * len(found)), strict=True)
    return [Ask(chunk, percentile, 1, None, None, NOW) for chunk, percentile in places]


@pytest.mark.shows("S1-COST-04")
def test_what_matters_least_goes_first() -> None:
    """Verified ones in the lower part, then those in the upper part, and at last what was never verified."""
    old = Known("0" * 64, "v/1+1", 1_780_000_000_000)
    plain = chunks(10)
    # Places 0..9 with percentiles 1 .. 0; 4 and 8 were never verified, 6 has another content now.
    known = {0, 1, 2, 3, 5, 6, 7, 9}
    found = [replace(chunk, known=old) if place in known else chunk for place, chunk in enumerate(plain)]
    found[6] = replace(found[6], content_hash="1" * 64)
    order = []
    before = set(range(10))
    for tenths in range(9, -1, -1):
        kept = {
            int(ask.chunk.document_id[4:])
            for ask in affordable(wanted(*found), lambda _, s=tenths / 10: s, "query")  # type: ignore[misc]
        }
        order += sorted(before - kept)
        before = kept
    assert order == [9, 7, 5, 3, 2, 1, 8, 6, 4, 0]


@given(
    count=st.integers(0, 30),
    poor=st.floats(0, 1),
    tenants=st.lists(st.sampled_from(["poor", "rich"]), min_size=30, max_size=30),
)
def test_only_the_tenant_that_runs_short_gets_less(count: int, poor: float, tenants: list[str]) -> None:
    found = wanted(*(replace(chunk, org_id=tenants[place]) for place, chunk in enumerate(chunks(count))))
    kept = affordable(found, lambda tenant: poor if tenant == "poor" else 1.0, "query")
    rich = [[ask for ask in asks if ask.chunk.org_id == "rich"] for asks in (kept, found)]
    assert rich[0] == rich[1]
    theirs = sum(ask.chunk.org_id == "poor" for ask in found)
    assert int(theirs * poor) <= len(kept) - (len(found) - theirs) <= math.ceil(theirs * poor)
    assert [one for one in found if one in kept] == kept, "in their order"


def test_a_part_of_a_chunk_is_one_chunk_of_that_part_of_the_queries() -> None:
    asked = sum(len(affordable(wanted(*chunks(10)), lambda _: 0.03, f"query {number}")) for number in range(4_000))
    assert 1_100 <= asked <= 1_300


@pytest.mark.shows("S1-COST-04", "S1-TRIG-03")
async def test_the_trigger_asks_for_less_as_long_as_the_news_holds() -> None:
    rig = Rig()
    verdict = a_verdict().model_copy(update={"org_id": "org", "verified_at_ms": rig.clock.ms})
    rig.trigger.answered(verdict, budget_headers(0.3, rig.clock.ms + 600_000))
    assert rig.metric("budget_share") == pytest.approx(0.3)
    assert rig.trigger.offer(Decided(), chunks(10)) == 3
    assert (rig.chunks("queued"), rig.chunks("budget"), rig.chunks("spared")) == (3, 7, 0)
    others = [replace(chunk, org_id="other") for chunk in chunks(10)]
    assert rig.trigger.offer(Decided(), others) == 10
    rig.clock.now += 600.0
    assert rig.metric("budget_share") == 1.0
    assert rig.trigger.offer(Decided(), [replace(chunk, block_id="1") for chunk in chunks(10)]) == 10


@pytest.mark.shows("S1-COST-04")
async def test_the_share_is_one_of_what_has_no_fresh_verdict() -> None:
    rig = Rig()
    verdict = a_verdict().model_copy(update={"org_id": "org", "verified_at_ms": rig.clock.ms})
    rig.trigger.answered(verdict, budget_headers(0.5, rig.clock.ms + 600_000))
    found = chunks(10)
    for place in range(6):
        fresh = Known(content_hash(found[place].content), verifier_of(verdict), rig.clock.ms)
        found[place] = replace(found[place], known=fresh)
    assert rig.trigger.offer(Decided(), found) == 2
    assert (rig.chunks("fresh"), rig.chunks("budget")) == (6, 2)
    assert rig.trigger.offer(Decided(), found) == 0, "the same two, which are in progress, and no others"
    assert (rig.chunks("pending"), rig.chunks("budget")) == (2, 4)


async def test_news_from_a_clock_far_ahead_is_not_believed() -> None:
    rig = Rig()
    ahead = a_verdict().model_copy(update={"org_id": "org", "verified_at_ms": rig.clock.ms + 2 * 86_400_000})
    rig.trigger.answered(ahead, budget_headers(0.0, rig.clock.ms + 3 * 86_400_000))
    assert rig.trigger.offer(Decided(), chunks(10)) == 10


async def test_news_from_a_clock_that_is_set_right_again_does_not_outlive_it() -> None:
    rig = Rig()
    ahead = a_verdict().model_copy(update={"org_id": "org", "verified_at_ms": rig.clock.ms + 43_200_000})
    rig.trigger.answered(ahead, budget_headers(0.0, rig.clock.ms + 86_400_000))
    rig.clock.now += 60.0
    right = ahead.model_copy(update={"verified_at_ms": rig.clock.ms})
    rig.trigger.answered(right, budget_headers(0.5, rig.clock.ms + 600_000))
    assert rig.trigger.offer(Decided(), chunks(10)) == 5


def test_who_asks_for_nothing_asks_once_an_hour_whether_there_is_still_nothing() -> None:
    """A limit that is raised would not be heard of before the month is over: who asks for nothing hears nothing."""
    shares = BudgetShares()
    shares.heard("a", budget_headers(0.0, int((NOW + 30 * DAY) * 1000)), NOW)
    asked = [second for second in range(0, 4 * 3_600, 60) if shares.of("a", NOW + second) > 0.0]
    assert asked == [3_600, 7_200, 10_800]
    assert shares.lowest(NOW + 14_400) == 0.0
    shares.heard("a", budget_headers(0.0, int((NOW + 30 * DAY) * 1000)), NOW + 14_000)
    assert shares.of("a", NOW + 14_400) == 0.0
