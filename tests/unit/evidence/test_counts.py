"""Raw counters into growth per interval: resets, gaps, late samples, merged intervals, and any way to cut a history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.counts import (
    ARMS,
    COARSE,
    FINE,
    MERGED,
    TRIAL_SECONDS,
    Ledger,
    extend,
    newest_of,
    problem_of,
    trial_start,
)
from veriramp_operator.evidence.types import Counts, RawSeries, Trial

SCRAPE = 15.0
START = 1_700_000_040.0


def series(samples: Sequence[tuple[float, float]], arm: str = "treatment", pod: str = "a") -> RawSeries:
    return RawSeries(
        {"arm": arm, "pod": pod}, tuple(at for at, _ in samples), tuple(float(value) for _, value in samples)
    )


def counter(*values: float, first: float = START + 1, arm: str = "treatment", pod: str = "a") -> RawSeries:
    """One sample per scrape."""
    return series([(first + SCRAPE * index, value) for index, value in enumerate(values)], arm, pod)


def grown(counts: Counts) -> list[tuple[float, float]]:
    """(end of the interval in scrapes after the start, growth of the treatment's total)."""
    return [
        (round((at - START) / SCRAPE), total)
        for at, total in zip(counts.at, counts.treatment_total, strict=True)
        if total
    ]


def folded(*total: RawSeries, until: float = START + 3600, since: float = START) -> Counts:
    ledger = Ledger(since, SCRAPE)
    ledger.fold((), total, until)
    return ledger.counts


def column(counts: Counts, values: tuple[float, ...]) -> list[tuple[float, float]]:
    """(end of the interval in scrapes after the start, growth)."""
    return [(round((at - START) / SCRAPE), value) for at, value in zip(counts.at, values, strict=True) if value]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_where_one_of_two_counters_is_no_number_the_other_counts_nothing_either(odd: float, first: int) -> None:
    """Found on walks: events of several scrapes met the requests of one, in arms whose shares had changed between."""
    counters = [counter(1, odd, odd, 7), counter(10, 20, 30, 40)]
    ledger = Ledger(START, SCRAPE)
    ledger.fold([counters[first]], [counters[1 - first]], START + 3600)

    counted = (ledger.counts.treatment_events, ledger.counts.treatment_total)
    assert [column(ledger.counts, values) for values in (counted[first], counted[1 - first])] == [[(4, 6)], [(4, 30)]]


def test_what_is_no_number_in_one_process_or_arm_says_nothing_about_another() -> None:
    ledger = Ledger(START, SCRAPE)
    total = [counter(0, 1, 2), counter(0, 4, 8, pod="b"), counter(0, 16, 32, arm="control")]
    ledger.fold([counter(0, math.nan, 0)], total, START + 3600)

    assert column(ledger.counts, ledger.counts.treatment_total) == [(2, 4), (3, 6)]
    assert column(ledger.counts, ledger.counts.control_total) == [(2, 16), (3, 16)]


@pytest.mark.parametrize(
    ("what", "total", "expected"),
    [
        ("growth falls into the interval of the later sample", [counter(5, 8, 8, 10)], [(2, 3), (4, 2)]),
        ("a restarted process counts from 0", [counter(5, 8, 3, 4)], [(2, 3), (3, 3), (4, 1)]),
        ("the first sample counts nothing", [counter(1000)], []),
        ("NaN (a staleness marker) is no sample", [counter(5, math.nan, 8)], [(3, 3)]),
        ("infinity is no sample", [counter(5, math.inf, 8)], [(3, 3)]),
        ("a late process begins at its first sample", [counter(0, 1, 2), counter(7, 9, first=START + 31, pod="b")],
         [(2, 1), (3, 1), (4, 2)]),
        ("a process that vanishes takes nothing along", [counter(0, 1), counter(0, 5, 6, pod="b")], [(2, 6), (3, 1)]),
        ("after a gap of more than 5 min a series begins anew", [series([(START + 1, 1), (START + 302, 50),
                                                                        (START + 317, 51)])], [(22, 1)]),
        ("a gap of less falls into one interval", [series([(START + 1, 1), (START + 300, 50)])], [(20, 49)]),
        ("a sample on the edge ends its interval", [series([(START + 15, 1), (START + 30, 3)])], [(2, 2)]),
        ("what lies before the start is not looked at", [counter(1, 2, 9, first=START - 14)], [(2, 7)]),
        ("other arms are not counted", [counter(1, 9, arm="forced"), counter(1, 9, arm="excluded")], []),
    ],
)  # fmt: skip
def test_growth(what: str, total: list[RawSeries], expected: list[tuple[float, float]]) -> None:
    assert grown(folded(*total)) == expected, what


def test_the_four_columns() -> None:
    ledger = Ledger(START, SCRAPE)
    events = [counter(0, 1), counter(0, 2, arm="control")]
    total = [counter(0, 10), counter(0, 20, arm="control"), counter(0, 300, arm="control", pod="b")]
    ledger.fold(events, total, START + 40)
    assert ledger.counts == Counts(START, START + 30, (START + 30,), (15.0,), (1.0,), (10.0,), (2.0,), (320.0,))


def test_an_interval_stays_open_until_all_of_it_is_read() -> None:
    ledger = Ledger(START, SCRAPE)
    ledger.fold((), [counter(0, 1)], START + 29)
    assert grown(ledger.counts) == []
    assert ledger.counts.until == START + 15
    ledger.fold((), [counter(0, 1)], START + 30)
    assert grown(ledger.counts) == [(2, 1)]


def test_a_late_sample_counts_once_and_changes_nothing_that_was_closed() -> None:
    ledger = Ledger(START, SCRAPE)
    ledger.fold((), [counter(0, 1, 2), counter(0, pod="late")], START + 45)
    before = grown(ledger.counts)
    whole = [counter(0, 1, 2, 3), counter(0, 5, 10, 15, pod="late")]
    for _ in range(3):
        ledger.fold((), whole, START + 60)
    assert grown(ledger.counts) == [*before, (4, 16)]
    ledger.fold((), whole, START + 30)
    assert grown(ledger.counts) == [*before, (4, 16)], "a chunk that ends earlier says nothing new"


def test_a_series_that_was_forgotten_is_not_counted_again() -> None:
    ledger = Ledger(START, SCRAPE)
    gone = counter(0, 5, 10)
    ledger.fold((), [gone], START + 60)
    ledger.fold((), [], START + 600)
    ledger.fold((), [gone], START + 615)
    assert sum(ledger.counts.treatment_total) == 10


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[RawSeries], list[RawSeries]]:
    """Counters of a few processes that restart, vanish, come back and say NaN; both counters at the same instants."""
    events, total = [], []
    for number in range(draw(st.integers(1, 4))):
        at, counts, row = START + draw(st.integers(-300, 900)), [0, 0], []
        for _ in range(draw(st.integers(0, 60))):
            at += draw(st.sampled_from([15, 15, 15, 15, 14, 16, 30, 290, 310, 900]))
            if draw(st.integers(0, 9)) == 0:
                counts = [0, 0]
            grow = draw(st.integers(0, 5))
            counts = [counts[0] + grow // 3, counts[1] + grow]
            row.append((at, *([math.nan] * 2 if draw(st.integers(0, 20)) == 0 else counts)))
        arm = draw(st.sampled_from([*ARMS, "forced"]))
        events.append(series([(moment, count) for moment, count, _ in row], arm, str(number)))
        total.append(series([(moment, count) for moment, _, count in row], arm, str(number)))
    return events, total


@given(histories(), st.lists(st.integers(1, 2000), max_size=40), st.integers(0, 300))
def test_any_way_to_cut_a_history_gives_the_same_counts(
    history: tuple[list[RawSeries], list[RawSeries]], steps: list[int], overlap: int
) -> None:
    end = START + 40_000
    whole, tailing = Ledger(START, SCRAPE), Ledger(START, SCRAPE)
    whole.fold(*history, end)
    cuts = [START + sum(steps[: index + 1]) for index in range(len(steps))]
    for cut in [*(cut for cut in cuts if cut < end), end]:
        since = tailing.counts.until - overlap
        events, total = (_between(counter, since, cut) for counter in history)
        tailing.fold(events, total, cut)
    assert tailing.counts == whole.counts
    assert sum(whole.counts.treatment_events) <= sum(whole.counts.treatment_total)


def _between(counter: Iterable[RawSeries], since: float, until: float) -> list[RawSeries]:
    cut = []
    for one in counter:
        kept = [(at, value) for at, value in zip(one.at, one.values, strict=True) if since <= at <= until]
        if kept:
            cut.append(series(kept, one.labels["arm"], one.labels["pod"]))
    return cut


def a_row(index: int) -> tuple[float, float, float, float, float, float]:
    return (index * SCRAPE, SCRAPE, 1.0, 10.0, 2.0, 20.0)


@pytest.mark.parametrize("scrape", [5.0, 15.0, 60.0])
def test_thirty_days_stay_small_and_lose_nothing(scrape: float) -> None:
    first, count = 1_700_000, int(TRIAL_SECONDS / scrape)
    counts = Counts(first * scrape, first * scrape)
    step, index = max(1, count // 500), first
    while index < first + count:
        index += step
        rows = [(number * scrape, scrape, 1.0, 10.0, 2.0, 20.0) for number in range(index - step + 1, index + 1)]
        counts = extend(counts, rows, index * scrape, scrape)
        assert len(counts.at) <= 2000
    assert FINE <= sum(1 for seconds in counts.seconds if seconds == scrape) < 2 * FINE
    assert sum(1 for seconds in counts.seconds if seconds == MERGED * scrape) <= 2 * COARSE
    assert sum(counts.control_total) == 20.0 * (index - first)
    assert sum(counts.seconds) == pytest.approx(counts.until - counts.since)
    assert all(at - seconds >= before for before, (at, seconds) in pairwise_ends(counts))


def pairwise_ends(counts: Counts) -> Iterable[tuple[float, tuple[float, float]]]:
    ends = list(zip(counts.at, counts.seconds, strict=True))
    return ((before[0], after) for before, after in pairwise(ends))


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.integers(0, 100_000))
def test_merging_depends_on_the_newest_time_alone(steps: list[int], begin: int) -> None:
    first = 1_700_000 + begin
    counts = whole = Counts(first * SCRAPE, first * SCRAPE)
    index = first
    for step in steps:
        rows = [a_row(number) for number in range(index + 1, index + step + 1) if number % 50 < 2]
        index += step
        counts = extend(counts, rows, index * SCRAPE, SCRAPE)
    everything = [a_row(number) for number in range(first + 1, index + 1) if number % 50 < 2]
    assert counts == extend(whole, everything, index * SCRAPE, SCRAPE)


def test_known_intervals_are_not_taken_twice() -> None:
    counts = extend(Counts(0.0, 0.0), [a_row(1), a_row(2)], 30.0, SCRAPE)
    assert extend(counts, [a_row(2), a_row(3), a_row(4)], 45.0, SCRAPE).at == (15.0, 30.0, 45.0)


@pytest.mark.parametrize(
    ("what", "events", "total", "expected"),
    [
        ("both arms", [counter(1), counter(1, arm="control")], [counter(1), counter(1, arm="control")], None),
        ("nothing at all", [], [], 'requests lately has no series with arm="treatment" and arm="control"'),
        ("an arm without requests", [counter(1)], [counter(1, arm="control")], "requests lately has no series with"),
        ("no errors exported yet", [counter(1, arm="control")], [counter(1), counter(1, arm="control")],
         'errors lately has no series with arm="treatment", namespace and rollout of this rollout; export it with'),
    ],
)  # fmt: skip
def test_what_is_missing_is_told(
    what: str, events: list[RawSeries], total: list[RawSeries], expected: str | None
) -> None:
    problem = problem_of(events, total, ("errors", "requests"))
    if expected is None:
        assert problem is None, what
    else:
        assert problem is not None, what
        assert expected in problem.message
        assert problem.reason is NoDataReason.NOT_YET_EXPOSED


def test_the_age_is_that_of_the_arm_which_is_further_behind() -> None:
    assert newest_of([counter(1, 2, 3), counter(1, arm="control"), counter(1, 2, arm="control", pod="b")]) == START + 16
    assert newest_of([counter(1)]) is None


NAN = math.nan


@pytest.mark.parametrize(
    ("what", "events", "total", "expected"),
    [
        ("requests", [counter(1), counter(1, arm="control")], [counter(NAN), counter(1, arm="control")],
         'requests lately has no finite number with arm="treatment"'),
        ("events", [counter(1), counter(NAN, NAN, arm="control")], [counter(1), counter(1, arm="control")],
         'errors lately has no finite number with arm="control"'),
    ],
)  # fmt: skip
def test_nan_is_no_evidence(what: str, events: list[RawSeries], total: list[RawSeries], expected: str) -> None:
    problem = problem_of(events, total, ("errors", "requests"))
    assert problem is not None, what
    assert (problem.reason, problem.message) == (NoDataReason.NOT_A_NUMBER, expected)


def test_the_age_is_that_of_the_last_finite_number_of_either_counter() -> None:
    """Else a healthy past stood for a present of which nothing is known (found by the walks)."""
    total = [counter(1, 2, 3), counter(1, 2, 3, arm="control")]
    assert newest_of([counter(1, NAN, NAN), counter(1, 2, 3, arm="control")], total) == START + 1
    assert newest_of(total, [counter(1, 2, NAN), counter(1, 2, 3, arm="control")]) == START + 16
    assert newest_of([counter(NAN), counter(1, 2, arm="control")], total) is None


def test_a_guard_begins_anew_every_thirty_days() -> None:
    trial = Trial(50.0, 1000.0, None)
    assert trial_start(Trial(50.0), 5.0) is None
    assert trial_start(trial, 500.0) == 1000.0
    assert trial_start(trial, 1000.0 + TRIAL_SECONDS - 1) == 1000.0
    assert trial_start(trial, 1000.0 + 2.5 * TRIAL_SECONDS) == 1000.0 + 2 * TRIAL_SECONDS
