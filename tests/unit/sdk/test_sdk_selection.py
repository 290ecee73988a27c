"""How many chunks of a search are worth a verification, on which lane, and which verdicts still stand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.bucket import bucket, sampled
from veriramp_sdk.contract import BUCKETS
from veriramp_sdk.events import Topic
from veriramp_sdk.selection import (
    FRESH_MS,
    Known,
    how_many,
    is_fresh,
    lane_of,
    percentiles,
    unit_problem,
    verifier_of,
)

NOW_MS = 1_790_000_000_000
DIGEST = "a" * 64
SCORES = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60).map(lambda s: sorted(s, reverse=True))
CALM = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=60).map(lambda s: sorted(s, reverse=True))


def clear(others: int) -> list[float]:
    return [100.0, *[1.0] * others]


@pytest.mark.shows("S1-TRIG-03")
@pytest.mark.parametrize(
    ("what", "scores", "expected"),
    [
        ("one result stands out", clear(29), 3),
        ("all are equal", [7.0] * 30, 20),
        ("they fall evenly", [float(30 - place) for place in range(30)], 20),
        ("eight compete", [50.0] * 8 + [1.0] * 22, 8),
        ("fewer results than the ceiling", [5.0, 5.0], 2),
        ("one result", [5.0], 1),
        ("none", [], 0),
        ("a score is missing", [100.0, None, 1.0, 1.0, 1.0], 5),
        ("a score is no number", [100.0, math.nan, 1.0, 1.0, 1.0], 5),
        ("a score is infinite", [math.inf, 1.0, 1.0, 1.0, 1.0], 5),
    ],
)
def test_a_clear_query_asks_for_fewer(what: str, scores: list[float | None], expected: int) -> None:
    assert how_many(scores, 20, fewest=3) == expected, what


@pytest.mark.shows("S1-TRIG-03")
def test_without_fewest_top_k_is_fixed() -> None:
    assert how_many(clear(29), 20) == 20
    assert how_many(clear(5), 20) == 6


@pytest.mark.shows("S1-TRIG-03")
@given(SCORES, st.integers(-5, 80), st.none() | st.integers(0, 80), st.floats(allow_nan=True))
def test_top_k_is_the_ceiling_whatever_the_scores(
    scores: list[float], ceiling: int, fewest: int | None, share: float
) -> None:
    count = how_many(scores, ceiling, fewest=fewest, share=share)
    assert 0 <= count <= max(0, min(ceiling, len(scores)))
    assert how_many(scores, ceiling, fewest=fewest, share=0.0) == 0
    if count and fewest is not None and share >= 1.0:
        assert count >= min(fewest, ceiling, len(scores))


@given(CALM, st.integers(0, 60), st.integers(0, 60), st.floats(0, 1), st.floats(0, 1))
def test_more_ceiling_or_share_never_asks_for_fewer(
    scores: list[int], low: int, high: int, less: float, more: float
) -> None:
    ceilings, shares = sorted((low, high)), sorted((less, more))
    assert how_many(scores, ceilings[0], fewest=3) <= how_many(scores, ceilings[1], fewest=3)
    assert how_many(scores, 60, share=shares[0]) <= how_many(scores, 60, share=shares[1])


@given(CALM, st.sampled_from([0.125, 0.5, 4.0, 1024.0]), st.integers(-4_096, 4_096))
def test_the_unit_and_the_zero_point_of_the_scores_do_not_matter(scores: list[int], scale: float, shift: int) -> None:
    moved = [scale * score + shift for score in scores]
    assert how_many(moved, 60, fewest=1) == how_many(scores, 60, fewest=1)
    assert percentiles(moved) == percentiles(scores)


def test_scores_at_the_ends_of_what_a_float_can_hold() -> None:
    assert how_many([1.7e308, -1.7e308, -1.7e308], 10, fewest=1) == 1
    assert how_many([5e-324, 0.0], 10, fewest=1) == 2, "halves of the smallest difference are no difference"


def test_percentiles_count_places_when_a_score_is_missing() -> None:
    assert percentiles([9.0, 5.0, 5.0, 1.0]) == [1.0, 0.5, 0.5, 0.0]
    assert percentiles([9.0, None, 5.0]) == [1.0, 0.5, 0.0]
    assert percentiles([3.0]) == [1.0]
    assert percentiles([]) == []


@pytest.mark.shows("S1-TRIG-05")
@pytest.mark.parametrize(
    ("percentile", "verified", "topic"),
    [
        (0.0, False, Topic.INTERACTIVE),
        (1.0, True, Topic.INTERACTIVE),
        (0.91, True, Topic.INTERACTIVE),
        (0.7, True, Topic.INTERACTIVE),
        (0.69, True, Topic.BACKFILL),
        (0.0, True, Topic.BACKFILL),
    ],
)
def test_only_what_has_a_verdict_and_a_low_place_may_wait(percentile: float, verified: bool, topic: Topic) -> None:
    assert lane_of(percentile, verified=verified) is topic


def known(age_ms: int = 0, digest: str = DIGEST, verifier: str = "z3/1+1") -> Known:
    return Known(digest, verifier, NOW_MS - age_ms)


@pytest.mark.shows("S1-TRIG-04")
@pytest.mark.parametrize(
    ("what", "verdict", "verifier", "fresh"),
    [
        ("never verified", None, "z3/1+1", False),
        ("just now", known(), "z3/1+1", True),
        ("seven days old", known(FRESH_MS), "z3/1+1", True),
        ("a millisecond older", known(FRESH_MS + 1), "z3/1+1", False),
        ("the content changed", known(digest="b" * 64), "z3/1+1", False),
        ("the verifier changed", known(), "z3/2+1", False),
        ("no verifier is known yet", known(), None, True),
    ],
)
def test_a_verdict_stands_for_seven_days_on_this_content_by_this_verifier(
    what: str, verdict: Known | None, verifier: str | None, fresh: bool
) -> None:
    assert is_fresh(verdict, DIGEST, verifier, NOW_MS) is fresh, what


@pytest.mark.shows("S1-TRIG-04")
def test_times_in_another_unit_are_noticed() -> None:
    for unit, mixed_up in (
        ("seconds", NOW_MS // 1000),
        ("microseconds", NOW_MS * 1000),
        ("nothing", 0),
        ("negative", -5),
    ):
        problem = unit_problem(Known(DIGEST, "z3", mixed_up), NOW_MS)
        assert problem is not None, unit
        assert "milliseconds" in problem
        assert str(mixed_up) in problem
    assert unit_problem(None, NOW_MS) is None
    assert unit_problem(known(365 * 86_400_000), NOW_MS) is None
    assert unit_problem(known(-60_000), NOW_MS) is None, "a clock that is a minute ahead"


def test_what_is_known_comes_from_the_event() -> None:
    event = a_verdict()
    assert Known.of(event) == Known(event.content_hash, verifier_of(event), event.verified_at_ms)
    assert verifier_of(event) != verifier_of(event.model_copy(update={"verifier_version": "other"}))


@pytest.mark.shows("S1-TRIG-02")
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("ids", ["query-{}", "{:032x}", "3f0c9a52-6d0e-4e2b-9b64-{:012d}"])
def test_the_share_of_sampled_queries_is_the_rate(rate: float, ids: str) -> None:
    count = 20_000
    hits = sum(sampled("00112233445566778899aabbccddeeff", ids.format(number), rate) for number in range(count))
    assert abs(hits / count - rate) < 4 * math.sqrt(rate * (1 - rate) / count), "four standard errors"


@pytest.mark.shows("S1-TRIG-02")
@pytest.mark.parametrize("same_ids", [False, True])
@pytest.mark.parametrize(("percent", "rate"), [(5, 0.05), (25, 0.1), (50, 0.5)])
def test_sampled_queries_do_not_depend_on_the_cohort(percent: int, rate: float, same_ids: bool) -> None:
    """Chi-square of the two-by-two table, also when a client sends its user id as the query id."""
    table = [[0, 0], [0, 0]]
    for number in range(40_000):
        user = f"user-{number}"
        treatment = bucket("9b1d0f7c2a4e6d8833aa55cc77ee1122", user) < percent * BUCKETS // 100
        asked = sampled("00112233445566778899aabbccddeeff", user if same_ids else f"query-{number}", rate)
        table[treatment][asked] += 1
    total = sum(map(sum, table))
    chi_square = sum(
        (table[row][column] - expected) ** 2 / expected
        for row in (0, 1)
        for column in (0, 1)
        if (expected := sum(table[row]) * (table[0][column] + table[1][column]) / total)
    )
    assert chi_square < 15.1, "one degree of freedom, p = 0.0001"
