"""The two sequential tests: what they find, what they never say, and one answer whichever way they are fed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.arms import Traffic, arms
from veriramp_operator.api.rollout import Direction
from veriramp_operator.evidence.counts import extend
from veriramp_operator.evidence.mixture import log_normal_mixture, normal_bound
from veriramp_operator.evidence.sequential import Comparison, Interval, Monitor, Terms, compare, smallest_effect
from veriramp_operator.evidence.types import Counts

LOWER, HIGHER = Direction.LOWER_IS_BETTER, Direction.HIGHER_IS_BETTER
STAGE = Terms(LOWER, 0.0, 0.05, 0.0, 900.0)
DAY = replace(STAGE, stage_seconds=86400.0)
TRAFFIC = Traffic("iid")
Rows = Sequence[Interval]


def rows_of(seed: int, scrapes: int, effect: float = 1.0, onset: float = 0.0, traffic: Traffic = TRAFFIC) -> Rows:
    return [Interval(*row) for row in arms(np.random.default_rng(seed), traffic, scrapes, effect, onset).tolist()]


def even(scrapes: int, treatment: float, control: float, requests: float = 300.0, seconds: float = 15.0) -> Rows:
    """The same counts in every interval."""
    return [Interval(seconds * (i + 1), seconds, treatment, requests, control, requests) for i in range(scrapes)]


def monitor_of(rows: Rows, terms: Terms = STAGE) -> Monitor:
    monitor = Monitor(terms)
    for row in rows:
        monitor.add(row)
    return monitor


def said(rows: Rows, terms: Terms = STAGE, full_at: float | None = None) -> Comparison:
    return monitor_of(rows, terms).comparison(full_at)


def stopped_at(rows: Rows, terms: Terms = STAGE, ask_from: float = 0.0) -> tuple[float, Comparison] | None:
    monitor = Monitor(terms)
    for row in rows:
        monitor.add(row)
        if row.at > ask_from and (comparison := monitor.comparison(None)).regression:
            return row.at, comparison
    return None


def counts_of(rows: Rows) -> Counts:
    columns = [tuple(column) for column in zip(*rows, strict=True)]
    return Counts(0.0, rows[-1].at, *columns) if rows else Counts(0.0, 0.0)


def at_once(counts: Counts, terms: Terms, full_at: float | None = None) -> Comparison:
    return compare(
        counts,
        began_at=terms.began_at,
        full_at=full_at,
        direction=terms.direction,
        tolerance=terms.tolerance,
        alpha=terms.alpha,
        stage_seconds=terms.stage_seconds,
    )


# What they find


@pytest.mark.parametrize(("effect", "minutes"), [(1.5, 20.0), (2.0, 9.0), (3.0, 5.5), (5.0, 1.5)])
def test_a_change_that_is_bad_from_the_beginning_is_found_in_time(effect: float, minutes: float) -> None:
    stops = [stopped_at(rows_of(seed, 240, effect, traffic=Traffic("diurnal"))) for seed in range(41)]
    taken = sorted(stop[0] / 60 if stop else math.inf for stop in stops)
    assert taken[20] <= minutes


@pytest.mark.parametrize("noise", ["iid", "diurnal", "bursty"])
def test_a_harmless_change_is_hardly_ever_stopped(noise: str) -> None:
    stops = [stopped_at(rows_of(seed, 60, traffic=Traffic(noise))) for seed in range(160)]
    assert sum(stop is not None for stop in stops) <= 3  # 40 runs of four stages: 3 % would be 1.2


@pytest.mark.parametrize(("effect", "minutes"), [(2.0, 20.0), (5.0, 5.0)])
def test_a_late_regression_does_not_drown_in_a_good_past(effect: float, minutes: float) -> None:
    onset = 6 * 3600.0
    stops = [stopped_at(rows_of(seed, 1440 + 120, effect, onset), DAY, onset) for seed in range(9)]
    taken = sorted(stop[0] - onset if stop else math.inf for stop in stops)
    assert taken[4] <= minutes * 60


def test_a_regression_names_the_beginning_from_which_it_shows() -> None:
    onset = 2 * 3600.0
    stop = stopped_at(rows_of(3, 600, 5.0, onset), DAY)
    assert stop is not None
    _, comparison = stop
    assert comparison.by == "ratio"
    assert comparison.since is not None
    assert abs(comparison.since - onset) <= 300
    assert not comparison.leans_bad


def test_a_small_effect_is_found_by_the_interval_test() -> None:
    stop = stopped_at(rows_of(2, 2000, 1.3), DAY)
    assert stop is not None
    assert stop[1].by == "interval"
    assert stop[1].since == 0.0
    assert stop[1].lower > 0


def test_of_good_events_fewer_are_worse() -> None:
    terms = replace(STAGE, direction=HIGHER, tolerance=0.1)
    assert said(even(60, 120, 180), terms).regression
    assert not said(even(60, 240, 180), terms).regression
    assert not said(even(60, 170, 180), terms).regression
    worst = replace(terms, tolerance=1.5)
    assert not said(even(60, 0, 180), worst).regression, "more than everything cannot be lost"


def test_inside_the_tolerance_is_no_regression_however_long() -> None:
    tolerant = replace(DAY, tolerance=0.5)
    assert not said(rows_of(5, 2000, 1.3), tolerant).regression
    assert said(rows_of(5, 2000, 1.3), DAY).regression


def test_the_smallest_effect_is_found_about_half_of_the_time() -> None:
    effect = smallest_effect(
        direction=LOWER,
        control_rate=0.01,
        treatment_requests=72_000.0,
        control_requests=72_000.0,
        scrapes=240,
        tolerance=0.0,
        alpha=0.05,
    )
    assert effect is not None
    terms = replace(STAGE, stage_seconds=3600.0)
    found = sum(stopped_at(rows_of(seed, 240, 1 + effect), terms) is not None for seed in range(60))
    assert 15 <= found <= 50
    told = said(rows_of(1, 60), terms).smallest_detectable
    assert told == pytest.approx(effect, rel=0.5)


def test_what_can_no_longer_be_detected() -> None:
    few = said(even(60, 0.05, 0.05), replace(STAGE, direction=HIGHER))
    assert few.smallest_detectable is None, "not even the loss of all would show"
    assert said(even(30, 0, 0)).smallest_detectable is None
    assert said([]).smallest_detectable is None


# Pass


def test_a_pass_needs_a_bake_with_its_bound_inside_the_tolerance() -> None:
    rows, terms = rows_of(1, 1200), replace(DAY, tolerance=0.25)
    assert said(rows, terms, full_at=0.0).within_tolerance
    assert not said(rows, terms, full_at=None).within_tolerance, "still on the ramp"
    assert not said(rows, terms, full_at=rows[-20].at).within_tolerance, "19 scrapes of bake"
    assert not said(rows[:40], terms, full_at=0.0).within_tolerance, "too little to be sure"
    assert not said(rows_of(1, 1200, 1.4), terms, full_at=0.0).within_tolerance


def test_a_bake_counts_only_intervals_that_lie_in_it() -> None:
    rows = even(10, 3, 3)
    assert said(rows, full_at=75.0).treatment_requests == 5 * 300
    assert said(rows, full_at=76.0).treatment_requests == 4 * 300
    assert said(rows, full_at=1e9).treatment_requests == 0
    assert math.isnan(said(rows, full_at=1e9).lower)


def test_bounds_hold_the_difference_and_get_closer() -> None:
    short, long = (said(rows_of(4, scrapes, 1.2), DAY, full_at=0.0) for scrapes in (60, 960))
    for comparison in (short, long):
        assert comparison.lower < comparison.treatment_rate - comparison.control_rate < comparison.upper
        assert comparison.lower < 0.002 < comparison.upper
    assert long.upper - long.lower < 0.5 * (short.upper - short.lower)


def test_no_events_at_all_are_inside_the_tolerance_only_where_fewer_are_better() -> None:
    assert said(even(60, 0, 0), full_at=0.0).within_tolerance
    assert not said(even(60, 0, 0), replace(STAGE, direction=HIGHER), full_at=0.0).within_tolerance
    assert not said(even(19, 0, 0), full_at=0.0).within_tolerance


# Leaning


def test_leaning_takes_more_than_a_few_events() -> None:
    assert not said(even(19, 5, 3)).leans_bad, "too early"
    lean = said(rows_of(11, 60, 1.4), replace(STAGE, tolerance=0.1))
    assert lean.leans_bad
    assert not lean.regression
    assert not said(even(60, 3, 3)).leans_bad
    assert not said(even(60, 2, 3)).leans_bad


# Nothing to compare


@pytest.mark.parametrize(
    "rows",
    [
        [],
        even(60, 0, 0, requests=0),
        [row._replace(control_total=0.0, control_events=0.0) for row in even(60, 9, 3)],
        [row._replace(treatment_total=0.0) for row in even(60, 9, 3)],
        [row._replace(treatment_events=math.nan) for row in even(60, 9, 3)],
        [row._replace(control_total=math.inf) for row in even(60, 9, 3)],
        [row._replace(treatment_events=-1.0) for row in even(60, 9, 3)],
        [row._replace(at=-row.at) for row in even(60, 9, 3)],
    ],
)
def test_without_two_arms_nothing_is_said(rows: Rows) -> None:
    comparison = said(rows, full_at=0.0)
    assert (comparison.regression, comparison.within_tolerance, comparison.leans_bad) == (False, False, False)
    assert comparison.scrapes == 0
    assert math.isnan(comparison.ratio)


def test_what_happened_before_the_trial_is_not_its_fault() -> None:
    terms = replace(STAGE, began_at=600.0)
    assert said(even(40, 30, 3), terms).scrapes == 0
    assert said(even(41, 30, 3), terms).scrapes == 1


def test_events_in_the_treatment_alone() -> None:
    comparison = said(even(30, 3, 0), full_at=0.0)
    assert comparison.regression
    assert comparison.ratio == math.inf


def test_one_strange_scrape_at_the_beginning_is_no_breakage() -> None:
    assert not said(even(3, 300, 3)).regression
    assert said(even(4, 300, 3)).regression


# One answer, whichever way it was asked

INTERVALS = st.lists(
    st.tuples(
        st.floats(1, 3600),
        st.integers(0, 40),
        st.integers(0, 2000),
        st.integers(0, 40),
        st.integers(0, 2000),
    ),
    max_size=60,
)


def intervals_of(drawn: list[tuple[float, int, int, int, int]]) -> Rows:
    at, rows = 0.0, []
    for seconds, k_t, r_t, k_c, r_c in drawn:
        at += seconds
        rows.append(Interval(at, seconds, float(min(k_t, r_t)), float(r_t), float(min(k_c, r_c)), float(r_c)))
    return rows


@given(INTERVALS, st.sampled_from(Direction), st.floats(0, 10), st.floats(1e-6, 0.4999))
def test_every_count_has_an_answer(
    drawn: list[tuple[float, int, int, int, int]], direction: Direction, tolerance: float, alpha: float
) -> None:
    terms = Terms(direction, tolerance, alpha, 0.0, 900.0)
    comparison = said(intervals_of(drawn), terms, full_at=0.0)
    if comparison.scrapes:
        assert comparison.lower <= comparison.upper
        told = (comparison.lower, comparison.upper, comparison.treatment_rate, comparison.control_rate)
        assert all(map(math.isfinite, told))
    assert not (comparison.regression and comparison.within_tolerance)
    assert comparison.regression == bool(comparison.by) == (comparison.since is not None)


@given(st.lists(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 6), max_size=30))
def test_odd_numbers_never_raise(drawn: list[tuple[float, float, float, float, float, float]]) -> None:
    said([Interval(*row) for row in drawn], full_at=0.0)


@given(INTERVALS)
def test_with_the_arms_exchanged_the_other_direction_says_the_same(
    drawn: list[tuple[float, int, int, int, int]],
) -> None:
    rows = intervals_of(drawn)
    exchanged = [Interval(row.at, row.seconds, *row[4:], *row[2:4]) for row in rows]
    higher = monitor_of(exchanged, replace(STAGE, direction=HIGHER))
    assert higher.evidence() == pytest.approx(monitor_of(rows).evidence(), rel=1e-6, abs=1e-12)


@given(INTERVALS, st.integers(0, 50))
def test_more_bad_events_are_more_evidence(drawn: list[tuple[float, int, int, int, int]], more: int) -> None:
    rows = intervals_of(drawn)
    if rows:
        worse = [*rows[:-1], rows[-1]._replace(treatment_events=rows[-1].treatment_events + more)]
        assert monitor_of(worse).evidence()[1] >= monitor_of(rows).evidence()[1]


@given(INTERVALS, st.floats(0.5, 20))
def test_the_unit_of_requests_does_not_matter(drawn: list[tuple[float, int, int, int, int]], unit: float) -> None:
    rows = intervals_of(drawn)
    scaled = [row._replace(treatment_total=row[3] * unit, control_total=row[5] * unit) for row in rows]
    assert monitor_of(scaled).evidence()[1] == pytest.approx(monitor_of(rows).evidence()[1], rel=1e-6)


@given(st.floats(-50, 50), st.floats(0, 1e4), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_mixture_knows_no_units(total: float, variance: float, rho: float, unit: float) -> None:
    scaled = log_normal_mixture(total * unit, variance * unit**2, rho * unit**2)
    assert scaled == pytest.approx(log_normal_mixture(total, variance, rho), rel=1e-6, abs=1e-6)
    assert normal_bound(variance * unit**2, rho * unit**2, 0.05) == pytest.approx(
        unit * normal_bound(variance, rho, 0.05), rel=1e-9
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(0, 80))
def test_counts_at_once_and_bit_by_bit_are_the_same(seed: int, first: int, changed: int) -> None:
    rows = list(rows_of(seed, 90))
    at_once(counts_of(rows[:first]), DAY, 0.0)
    assert at_once(counts_of(rows), DAY, 0.0) == said(rows, DAY, 0.0)
    other = [*rows[:changed], *rows_of(seed + 1, 90)[changed:]]
    assert at_once(counts_of(other), DAY, 0.0) == said(other, DAY, 0.0)
    assert at_once(counts_of(rows), DAY, 60.0) == said(rows, DAY, 60.0)


def test_merged_history_neither_invents_a_regression_nor_hides_one() -> None:
    rows = rows_of(8, 3200, 2.0, onset=2900 * 15.0)
    counts, stopped = Counts(0.0, 0.0), math.inf
    for start in range(0, len(rows), 20):
        chunk = rows[start : start + 20]
        counts = extend(counts, chunk, chunk[-1].at, 15.0)
        comparison = at_once(counts, DAY)
        if start % 400 == 0:
            assert comparison == said([Interval(*row) for row in zip(*columns(counts), strict=True)], DAY)
        if comparison.regression:
            stopped = min(stopped, counts.until)
    assert len(counts.at) < 1500
    assert 2900 * 15.0 < stopped <= 2900 * 15.0 + 1800


def columns(counts: Counts) -> tuple[tuple[float, ...], ...]:
    return (
        counts.at,
        counts.seconds,
        counts.treatment_events,
        counts.treatment_total,
        counts.control_events,
        counts.control_total,
    )
