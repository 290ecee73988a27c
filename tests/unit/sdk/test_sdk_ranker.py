"""The ranker's promises, as properties."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.ranker import FULL_WEIGHT, Candidate, VerificationRanker, influence

RANKER = VerificationRanker()
NOW = 2_000_000_000.0
DAY = 86_400.0


@dataclass(frozen=True)
class Decided:
    mode: Mode = Mode.LIVE
    arm: Arm = Arm.TREATMENT
    weight: float = FULL_WEIGHT


units = st.none() | st.floats(0, 1)
signals = st.none() | st.floats(-1, 1)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    scores = sorted(draw(st.lists(st.floats(0, 50), max_size=30)), reverse=True)
    return [
        Candidate(
            f"d{place}",
            score,
            verification=draw(signals),
            verified_at=draw(st.none() | st.floats(NOW - 400 * DAY, NOW)),
            pagerank=draw(units),
            history=draw(units),
        )
        for place, score in enumerate(scores)
    ]


weights = st.floats(0, FULL_WEIGHT)
without_influence = (
    st.builds(Decided, mode=st.sampled_from([Mode.OFF, Mode.SHADOW]), arm=st.sampled_from(Arm), weight=weights)
    | st.builds(Decided, arm=st.sampled_from([Arm.OFF, Arm.CONTROL, Arm.EXCLUDED]), weight=weights)
    | st.builds(Decided, arm=st.sampled_from(Arm), weight=st.sampled_from([0.0, -1.0, math.nan]))
)


@pytest.mark.shows("S1-FLAG-06", "S1-RBK-06", "S0-04", "S1-FLAG-05", "S1-CAN-04")
@given(candidates(), without_influence)
def test_without_influence_the_order_is_exactly_the_original(results: list[Candidate], decision: Decided) -> None:
    ranked = RANKER.rank(results, decision, NOW)
    assert [one.candidate for one in ranked] == results
    assert all(one.moved == 0 for one in ranked)
    assert all(one.breakdown.final == one.breakdown.original for one in ranked)


@pytest.mark.shows("S0-04", "S1-RANK-05")
@given(candidates(), weights)
def test_nothing_is_added_and_nothing_is_lost(results: list[Candidate], weight: float) -> None:
    ranked = RANKER.rank(results, Decided(weight=weight), NOW)
    assert sorted(one.candidate.id for one in ranked) == sorted(result.id for result in results)
    assert all(results[new + one.moved] is one.candidate for new, one in enumerate(ranked))


@pytest.mark.shows("S1-RANK-02")
@given(candidates(), st.floats(0.001, FULL_WEIGHT * 0.99))
def test_no_pair_changes_order_across_a_gap_above_the_bound(results: list[Candidate], weight: float) -> None:
    ranked = RANKER.rank(results, Decided(weight=weight), NOW)
    strength = weight / FULL_WEIGHT
    bound = strength / (1 - strength)
    for above, one in enumerate(ranked):
        for other in ranked[above + 1 :]:
            assert other.breakdown.original - one.breakdown.original <= bound + 1e-9


@pytest.mark.shows("S1-RANK-03")
@given(candidates(), weights)
def test_without_any_signal_the_order_stays(results: list[Candidate], weight: float) -> None:
    plain = [Candidate(result.id, result.score) for result in results]
    assert [one.candidate for one in RANKER.rank(plain, Decided(weight=weight), NOW)] == plain


@pytest.mark.shows("S1-RANK-02", "S1-RANK-03", "S1-RBK-08", "S1-FAIL-02")
@given(candidates(), weights)
def test_neutral_verdicts_count_like_none(results: list[Candidate], weight: float) -> None:
    """Coverage-neutral: verifying more chunks without a decisive verdict changes nothing."""
    some = [Candidate("sure", 99.0, verification=1.0), *results]
    plain = [Candidate(one.id, one.score, verification=one.verification if one.id == "sure" else None) for one in some]
    neutral = [Candidate(one.id, one.score, verification=one.verification if one.id == "sure" else 0.0) for one in some]
    decision = Decided(weight=weight)
    first, second = RANKER.rank(plain, decision, NOW), RANKER.rank(neutral, decision, NOW)
    assert [one.candidate.id for one in first] == [one.candidate.id for one in second]


@pytest.mark.shows("S1-RANK-01")
@given(candidates(), weights)
def test_all_numbers_are_bounded_and_the_weights_sum_to_one(results: list[Candidate], weight: float) -> None:
    for one in RANKER.rank(results, Decided(weight=weight), NOW):
        assert math.isclose(sum(share for _, share in one.breakdown.weights), 1.0)
        assert -1e-9 <= one.breakdown.blend <= 1 + 1e-9
        assert -1e-9 <= one.breakdown.final <= 1 + 1e-9


@given(st.integers(2, 30), st.floats(0.01, FULL_WEIGHT))
def test_a_better_verdict_never_ranks_lower(count: int, weight: float) -> None:
    plain = [Candidate(f"d{place}", float(count - place), verification=0.0) for place in range(count)]
    worse = [*plain[:-1], Candidate("last", 0.5, verification=-1.0)]
    better = [*plain[:-1], Candidate("last", 0.5, verification=1.0)]
    places = []
    for results in (worse, better):
        ranked = RANKER.rank(results, Decided(weight=weight), NOW)
        places.append([one.candidate.id for one in ranked].index("last"))
    assert places[1] <= places[0]


def test_equal_scores_are_told_apart_by_the_verdict_at_any_weight() -> None:
    results = [Candidate("wrong", 3.0, verification=-1.0), Candidate("right", 3.0, verification=1.0)]
    assert [one.candidate.id for one in RANKER.rank(results, Decided(weight=0.001), NOW)] == ["right", "wrong"]


@pytest.mark.shows("S1-RANK-01", "S1-RANK-03", "S1-RANK-07")
@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ({}, {"relevance": 1.0}),
        ({"verification": 1.0}, {"relevance": 0.75, "verification": 0.25}),
        ({"pagerank": 0.5}, {"relevance": 0.6, "pagerank": 0.4}),
        (
            {"verification": 1.0, "pagerank": 0.5, "history": 0.1},
            {"relevance": 0.45, "pagerank": 0.30, "verification": 0.15, "history": 0.10},
        ),
    ],
)
def test_the_weights_of_absent_signals_are_shared_out(candidate: dict[str, float], expected: dict[str, float]) -> None:
    ranked = RANKER.rank([Candidate("a", 1.0, **candidate), Candidate("b", 0.5)], Decided(), NOW)
    assert dict(ranked[0].breakdown.weights) == pytest.approx(expected)


@pytest.mark.shows("S1-VEC-06")
def test_a_verdict_fades_with_a_half_life_of_69_days() -> None:
    fresh = Candidate("a", 1.0, verification=1.0, verified_at=NOW)
    old = Candidate("b", 1.0, verification=1.0, verified_at=NOW - DAY * 100 * math.log(2))
    ranked = {one.candidate.id: one.breakdown.verification for one in RANKER.rank([fresh, old], Decided(), NOW)}
    assert ranked == {"a": 1.0, "b": pytest.approx(0.75, abs=1e-4)}


def test_equal_scores_with_equal_verdicts_keep_their_order_whichever_was_verified_first() -> None:
    """Their verdicts come in any order, some milliseconds apart: that must not be seen on the page."""
    verified = (NOW - 0.003, NOW - 0.001, NOW - 5.0)
    found = [Candidate(f"d{place}", 1.0, verification=1.0, verified_at=at) for place, at in enumerate(verified)]
    for later in (0.0, 60.0, 3 * DAY + 100.0):
        assert [one.moved for one in RANKER.rank(found, Decided(), NOW + later)] == [0, 0, 0]


def test_influence_grows_evenly_with_the_weight_up_to_one() -> None:
    assert [influence(Decided(weight=weight)) for weight in (0.0, 0.075, 0.15, 0.3)] == [0.0, 0.5, 1.0, 1.0]
    assert influence(Decided(arm=Arm.FORCED)) == 1.0


@given(st.floats(0, 9_000), st.floats(0, 9_000), st.lists(st.floats(0, 90_000), min_size=2, max_size=2))
def test_time_alone_never_changes_the_order_of_equal_results(one: float, other: float, later: list[float]) -> None:
    found = [Candidate(f"d{at}", 1.0, verification=1.0, verified_at=NOW - at) for at in (one, other)]
    orders = {tuple(each.moved for each in RANKER.rank(found, Decided(), NOW + seconds)) for seconds in later}
    assert len(orders) == 1


@pytest.mark.parametrize("at", [-math.inf, math.inf, math.nan])
def test_a_time_that_is_none_leaves_the_verdict_as_it_is(at: float) -> None:
    found = [Candidate("a", 2.0, verification=1.0, verified_at=at), Candidate("b", 1.0)]
    assert RANKER.rank(found, Decided(), NOW)[0].breakdown.verification == 1.0
