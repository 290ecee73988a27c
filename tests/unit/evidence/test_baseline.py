"""A number held against a stored one, with and without its confidence interval."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import NOW, baseline_gate, numbers, reading
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import Mark, Questions, VerdictReason, judge, mark_of, questions
from veriramp_operator.evidence.types import Answer, Failure, Reading, Samples

PLAIN = baseline_gate()
INTERVAL = baseline_gate(lowerQuery="low", upperQuery="high")
LOST = Failure(NoDataReason.TIMEOUT, "did not answer")
EMPTY = numbers()


def poll(
    value: float | Answer, baseline: float | Answer = 1.0, lower: float | Answer = 0.0, upper: float | Answer = 2.0
) -> Reading:
    answers = [numbers(one) if isinstance(one, float) else one for one in (value, baseline, lower, upper)]
    return replace(reading(NOW, answers[0]), baseline=answers[1], lower=answers[2], upper=answers[3])


@pytest.mark.parametrize(
    ("name", "reading", "kind", "reason"),
    [
        ("above", poll(1.2), VerdictKind.PASS, VerdictReason.HEALTHY),
        ("the limit itself", poll(0.9), VerdictKind.PASS, VerdictReason.HEALTHY),
        ("below", poll(0.89), VerdictKind.REGRESSION, VerdictReason.BREACH),
        ("a baseline of zero", poll(1.0, 0.0), VerdictKind.NO_DATA, NoDataReason.NOT_POSITIVE),
        ("a baseline below zero", poll(1.0, -1.0), VerdictKind.NO_DATA, NoDataReason.NOT_POSITIVE),
        ("a baseline of NaN", poll(1.0, math.nan), VerdictKind.NO_DATA, NoDataReason.NOT_A_NUMBER),
        ("an endless baseline", poll(1.0, math.inf), VerdictKind.NO_DATA, NoDataReason.NOT_A_NUMBER),
        ("no baseline", poll(0.1, EMPTY), VerdictKind.NO_DATA, NoDataReason.EMPTY),
        ("two baselines", poll(0.1, numbers(1, 1)), VerdictKind.NO_DATA, NoDataReason.SEVERAL_SERIES),
        ("a lost baseline", poll(0.1, LOST), VerdictKind.NO_DATA, NoDataReason.TIMEOUT),
        ("a baseline not asked", reading(NOW, numbers(0.1)), VerdictKind.NO_DATA, NoDataReason.NEVER_ASKED),
        ("no value", poll(EMPTY), VerdictKind.NO_DATA, NoDataReason.EMPTY),
        ("a value of NaN", poll(math.nan), VerdictKind.NO_DATA, NoDataReason.NOT_A_NUMBER),
        ("two values", poll(numbers(1, 1)), VerdictKind.NO_DATA, NoDataReason.SEVERAL_SERIES),
        ("too old", replace(poll(0.1), newest=numbers(NOW - 31)), VerdictKind.NO_DATA, NoDataReason.TOO_OLD),
        ("nothing behind", replace(poll(0.1), newest=EMPTY), VerdictKind.NO_DATA, NoDataReason.NOT_YET_EXPOSED),
    ],
)
def test_without_an_interval(name: str, reading: Reading, kind: VerdictKind, reason: str) -> None:
    verdict = judge(PLAIN, Samples((reading,)), NOW)
    assert (verdict.kind, verdict.reason) == (kind, reason), name


@pytest.mark.parametrize(
    ("name", "reading", "kind", "reason", "leans_bad"),
    [
        ("wholly below", poll(0.7, 1.0, 0.6, 0.89), VerdictKind.REGRESSION, VerdictReason.BREACH, False),
        ("up to the limit", poll(0.7, 1.0, 0.6, 0.9), VerdictKind.INCONCLUSIVE, VerdictReason.UNCERTAIN, True),
        ("mostly above", poll(0.95, 1.0, 0.8, 1.1), VerdictKind.INCONCLUSIVE, VerdictReason.UNCERTAIN, False),
        ("from the limit on", poll(0.95, 1.0, 0.9, 1.0), VerdictKind.PASS, VerdictReason.HEALTHY, False),
        ("ends exchanged", poll(0.7, 1.0, 0.8, 0.6), VerdictKind.NO_DATA, NoDataReason.BAD_QUERY, False),
        ("no lower end", poll(0.7, 1.0, EMPTY, 0.8), VerdictKind.NO_DATA, NoDataReason.EMPTY, False),
        ("no upper end", poll(0.7, 1.0, 0.6, LOST), VerdictKind.NO_DATA, NoDataReason.TIMEOUT, False),
    ],
)
def test_with_an_interval(name: str, reading: Reading, kind: VerdictKind, reason: str, leans_bad: bool) -> None:
    verdict = judge(INTERVAL, Samples((reading,)), NOW)
    assert (verdict.kind, verdict.reason, verdict.leans_bad) == (kind, reason, leans_bad), name


def test_what_is_unsure_ends_a_breach_and_does_not_pass_for_missing_data() -> None:
    bad = replace(poll(0.5, 1.0, 0.4, 0.6), at=NOW - 5, newest=numbers(NOW - 5))
    unsure, lost = poll(0.9, 1.0, 0.8, 1.0), poll(LOST)
    assert judge(INTERVAL, Samples((bad, unsure)), NOW).kind is VerdictKind.INCONCLUSIVE
    assert judge(INTERVAL, Samples((bad, lost)), NOW).kind is VerdictKind.REGRESSION
    assert mark_of(INTERVAL, unsure) is Mark.UNSURE


def test_after_a_retry_the_old_window_neither_passes_nor_trips() -> None:
    for value, leans_bad in ((1.0, False), (0.5, True)):
        verdict = judge(PLAIN, Samples((poll(value),)), NOW, NOW - 299)
        assert (verdict.kind, verdict.reason) == (VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP)
        assert verdict.leans_bad is leans_bad
    assert judge(PLAIN, Samples((poll(0.5),)), NOW, NOW - 300).kind is VerdictKind.REGRESSION


def test_it_asks_for_everything_that_it_holds_against_each_other() -> None:
    assert questions(INTERVAL, "ns", "demo") == Questions(
        "precision", None, "max(timestamp(precision))", "baseline", "low", "high"
    )


anything = st.floats() | st.sampled_from([0.0, 0.5, 0.9, 1.0, math.nan, math.inf])
answers = st.lists(anything, max_size=2).map(lambda found: numbers(*found)) | st.just(LOST)
_ORDER = {VerdictKind.REGRESSION: 0, VerdictKind.INCONCLUSIVE: 1, VerdictKind.PASS: 2}


@pytest.mark.shows("S1-ROLL-07")
@given(st.lists(answers, min_size=4, max_size=4), st.integers(0, 3))
def test_no_fault_passes_or_trips(found: list[Answer], lost: int) -> None:
    found[lost] = LOST
    value, baseline, lower, upper = found
    for gate in (PLAIN, INTERVAL) if lost <= 1 else (INTERVAL,):
        assert judge(gate, Samples((poll(value, baseline, lower, upper),)), NOW).kind is VerdictKind.NO_DATA


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0.01, 1), st.floats(0.01, 2))
def test_a_better_number_never_has_a_worse_verdict(value: float, more: float, half: float, baseline: float) -> None:
    for gate in (PLAIN, INTERVAL):
        polls = [poll(one, baseline, one - half, one + half) for one in (value, value + more)]
        worse, better = (judge(gate, Samples((one,)), NOW).kind for one in polls)
        assert _ORDER[worse] <= _ORDER[better]
