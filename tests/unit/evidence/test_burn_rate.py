"""The error budget over pairs of windows: limits, idle services, missing counters, and what a retry leaves behind."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import NOW, burn_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import VerdictReason, judge, questions, window_of
from veriramp_operator.evidence.burn_rate import NUMBER, grade_burn_rate
from veriramp_operator.evidence.grade import Mark
from veriramp_operator.evidence.types import Answer, Failure, Reading, Samples, Series, Verdict

FAST = {"long": "1h", "short": "5m", "rate": 14.4}
SLOW = {"long": "6h", "short": "30m", "rate": 6}
ONE, TWO = burn_gate(windows=[FAST]), burn_gate(windows=[FAST, SLOW])
M5, M30, H1, H6 = 300.0, 1800.0, 3600.0, 21600.0
RPS = 10.0


def burning(shares: dict[float, float], rps: float = RPS, **other: float) -> Series:
    """An answer with these shares of errors by window, and other numbers by name (NaN to leave one out)."""
    found = {"newest": NOW - 1, "exposed": 3.0}
    for seconds, share in shares.items():
        found |= {f"errors {seconds:g}": share * rps, f"total {seconds:g}": rps}
    found |= {name.replace("_", " "): value for name, value in other.items()}
    return Series(tuple(found.values()), tuple({NUMBER: name} for name in found))


def without(answer: Series, *names: str) -> Series:
    kept = [index for index, labels in enumerate(answer.labels) if labels[NUMBER] not in names]
    return Series(tuple(answer.values[index] for index in kept), tuple(answer.labels[index] for index in kept))


def verdict_of(gate: GateSpec, answer: Answer, since: float | None = None) -> Verdict:
    return judge(gate, Samples((Reading(NOW, answer),)), NOW, since)


@dataclass(frozen=True)
class Case:
    name: str
    answer: Answer
    kind: VerdictKind
    reason: str
    leans_bad: bool = False


CASES = [
    Case("no errors", burning({H1: 0.0, M5: 0.0}), VerdictKind.PASS, "Healthy"),
    Case("both just below the rate", burning({H1: 0.14, M5: 0.14}), VerdictKind.PASS, "Healthy"),
    Case("both above", burning({H1: 0.15, M5: 0.15}), VerdictKind.REGRESSION, "Breach"),
    Case("only the short one", burning({H1: 0.14, M5: 0.9}), VerdictKind.PASS, "Healthy"),
    Case("only the long one: it is over", burning({H1: 0.5, M5: 0.1}), VerdictKind.PASS, "Healthy"),
    Case("idle", burning({H1: 0.0, M5: 0.0}, rps=0.0), VerdictKind.NO_DATA, NoDataReason.NOT_PRESENT),
    Case("too few requests for an alarm", burning({H1: 1.0, M5: 1.0}, rps=0.027), VerdictKind.NO_DATA,
         NoDataReason.NOT_PRESENT),
    Case("just enough in the long one", burning({H1: 0.1, M5: 1.0}, rps=0.028), VerdictKind.PASS, "Healthy"),
    Case("too few in the short one to end it", burning({H1: 0.5, M5: 0.0}, rps=0.1), VerdictKind.INCONCLUSIVE,
         "Uncertain", leans_bad=True),
    Case("no errors exposed", without(burning({H1: 0, M5: 0}), "exposed", f"errors {H1:g}", f"errors {M5:g}"),
         VerdictKind.NO_DATA, NoDataReason.NOT_YET_EXPOSED),
    Case("errors with one sample", without(burning({H1: 0, M5: 0}), f"errors {M5:g}"), VerdictKind.NO_DATA,
         NoDataReason.EMPTY),
    Case("no total", without(burning({H1: 0, M5: 0}), "newest"), VerdictKind.NO_DATA, NoDataReason.NOT_YET_EXPOSED),
    Case("a total with one sample", without(burning({H1: 0, M5: 0}), f"total {M5:g}"), VerdictKind.NO_DATA,
         NoDataReason.EMPTY),
    Case("nothing at all", Series(()), VerdictKind.NO_DATA, NoDataReason.NOT_YET_EXPOSED),
    Case("too old", burning({H1: 0.5, M5: 0.5}, newest=NOW - 31), VerdictKind.NO_DATA, NoDataReason.TOO_OLD),
    Case("NaN", burning({H1: math.nan, M5: 0.0}), VerdictKind.NO_DATA, NoDataReason.NOT_A_NUMBER),
    Case("infinite", burning({H1: 0.0, M5: 0.0}, rps=math.inf), VerdictKind.NO_DATA, NoDataReason.NOT_A_NUMBER),
    Case("lost", Failure(NoDataReason.TIMEOUT, "late"), VerdictKind.NO_DATA, NoDataReason.TIMEOUT),
    Case("partial", Failure(NoDataReason.PARTIAL_RESPONSE, "half"), VerdictKind.NO_DATA, NoDataReason.PARTIAL_RESPONSE),
    Case("without labels", Series((1.0, 2.0)), VerdictKind.NO_DATA, NoDataReason.NOT_YET_EXPOSED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_pair(case: Case) -> None:
    verdict = verdict_of(ONE, case.answer)
    assert (verdict.kind, verdict.reason, verdict.leans_bad) == (case.kind, case.reason, case.leans_bad), verdict


@pytest.mark.parametrize(
    ("name", "answer", "kind"),
    [
        ("both good", burning({M5: 0, M30: 0, H1: 0, H6: 0}), VerdictKind.PASS),
        ("slowly", burning({M5: 0.07, M30: 0.07, H1: 0.07, H6: 0.07}), VerdictKind.REGRESSION),
        ("fast", burning({M5: 0.9, M30: 0.4, H1: 0.2, H6: 0.03}), VerdictKind.REGRESSION),
        ("one pair tells enough for an alarm", burning({M5: 0.9, H1: 0.9}), VerdictKind.REGRESSION),
        ("one pair is not enough for good news", burning({M5: 0, H1: 0}), VerdictKind.NO_DATA),
    ],
)
def test_two_pairs(name: str, answer: Series, kind: VerdictKind) -> None:
    assert verdict_of(TWO, answer).kind is kind, name


OUTAGE = {M5: 1.0, M30: 1.0, H1: 1.0, H6: 1.0}


@pytest.mark.parametrize(
    ("name", "shares", "age", "kind"),
    [
        ("the short window is not new yet", OUTAGE, M5 - 1, VerdictKind.INCONCLUSIVE),
        ("5 min of an hour are 8 %, below 14.4 %", OUTAGE, M5, VerdictKind.INCONCLUSIVE),
        ("30 min of an hour are 50 %", OUTAGE, M30, VerdictKind.REGRESSION),
        ("old errors alone", {M5: 0.2, M30: 0.2, H1: 0.6, H6: 0.9}, M30, VerdictKind.INCONCLUSIVE),
        ("the hour is wholly new", {M5: 0.2, M30: 0.2, H1: 0.2, H6: 0.03}, H1, VerdictKind.REGRESSION),
        ("good, but six hours are not over", {M5: 0, M30: 0, H1: 0, H6: 0}, H6 - 1, VerdictKind.INCONCLUSIVE),
        ("good", {M5: 0, M30: 0, H1: 0, H6: 0}, H6, VerdictKind.PASS),
    ],
)
def test_only_errors_after_a_retry_trip(name: str, shares: dict[float, float], age: float, kind: VerdictKind) -> None:
    verdict = verdict_of(TWO, burning(shares), NOW - age)
    assert verdict.kind is kind, name
    assert verdict.leans_bad is (kind is VerdictKind.INCONCLUSIVE and shares[M5] > 0)
    if verdict.leans_bad:
        assert verdict.reason == VerdictReason.WARMING_UP


HALF = {"objective": 0.5, "minRequests": 1}
"""With shares, windows and rates that are powers of two each limit is met exactly."""


@pytest.mark.parametrize(
    ("name", "rate", "shares", "rps", "age", "kind"),
    [
        ("the long one just at the rate", 1.5, {4096: 0.75, 64: 1.0}, 8.0, None, VerdictKind.PASS),
        ("the short one just at the rate", 1.5, {4096: 1.0, 64: 0.75}, 8.0, None, VerdictKind.PASS),
        ("both just above", 1.5, {4096: 0.7501, 64: 0.7501}, 8.0, None, VerdictKind.REGRESSION),
        ("just enough requests", 1.5, {4096: 0.5, 64: 1.0}, 1 / 4096, None, VerdictKind.PASS),
        ("just too few", 1.5, {4096: 0.5, 64: 1.0}, 0.99 / 4096, None, VerdictKind.NO_DATA),
        ("as many new errors as are allowed", 1 / 32, {4096: 1.0, 64: 1.0}, 8.0, 64.0, VerdictKind.INCONCLUSIVE),
        ("one more than allowed", 1 / 33, {4096: 1.0, 64: 1.0}, 8.0, 64.0, VerdictKind.REGRESSION),
        ("not yet a whole short window", 1 / 33, {4096: 1.0, 64: 1.0}, 8.0, 63.0, VerdictKind.INCONCLUSIVE),
    ],
)
def test_limits_themselves_are_still_good(
    name: str, rate: float, shares: dict[float, float], rps: float, age: float | None, kind: VerdictKind
) -> None:
    gate = burn_gate(windows=[{"long": "4096s", "short": "64s", "rate": rate}], **HALF)

    verdict = verdict_of(gate, burning(shares, rps), None if age is None else NOW - age)

    assert verdict.kind is kind, (name, verdict.message)


def test_errors_of_another_pair_that_are_not_known_do_not_count_as_new() -> None:
    answer = burning({H1: 0.9, M5: 0.9, H6: 0.0}, 0.5, **{f"total {M30:g}": 0.5})

    assert verdict_of(TWO, answer, NOW - M30).kind is VerdictKind.NO_DATA


def test_the_window_is_the_longest_one() -> None:
    assert window_of(TWO) == H6
    assert window_of(burn_gate(window="1h")) == H1


def test_one_query_asks_for_all_numbers() -> None:
    asked = questions(burn_gate(errors='e_total{a="b"}'), "ns", "demo")
    assert asked.queries == (asked.query,)
    assert asked.query == (
        'label_replace(max(timestamp(requests_total)), "veriramp_number", "newest", "", "")\n'
        'or label_replace(count(e_total{a="b"}), "veriramp_number", "exposed", "", "")\n'
        'or label_replace(sum(rate(e_total{a="b"}[300000ms])), "veriramp_number", "errors 300", "", "")\n'
        'or label_replace(sum(rate(requests_total[300000ms])), "veriramp_number", "total 300", "", "")\n'
        'or label_replace(sum(rate(e_total{a="b"}[3600000ms])), "veriramp_number", "errors 3600", "", "")\n'
        'or label_replace(sum(rate(requests_total[3600000ms])), "veriramp_number", "total 3600", "", "")'
    )


def test_a_counter_that_is_a_query_is_refused() -> None:
    verdict = verdict_of(burn_gate(errors="rate(e_total[5m])"), burning({H1: 0, M5: 0}))
    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_DATA, NoDataReason.BAD_QUERY)


shares = st.floats(0, 1)
since = st.none() | st.floats(0, 30_000).map(lambda age: NOW - age)
_WORST_FIRST = {VerdictKind.REGRESSION: 0, VerdictKind.INCONCLUSIVE: 1, VerdictKind.PASS: 2}


@given(st.lists(shares, min_size=4, max_size=4), st.lists(shares, min_size=4, max_size=4), since)
def test_more_errors_never_make_a_better_verdict(some: list[float], more: list[float], since: float | None) -> None:
    windows = (M5, M30, H1, H6)
    fewer = dict(zip(windows, some, strict=True))
    worse = {window: max(share, extra) for (window, share), extra in zip(fewer.items(), more, strict=True)}
    kinds = [verdict_of(TWO, burning(found), since).kind for found in (fewer, worse)]
    assert _WORST_FIRST[kinds[0]] >= _WORST_FIRST[kinds[1]]


@pytest.mark.shows("S1-ROLL-07")
@given(st.dictionaries(st.sampled_from([M5, M30, H1, H6]), st.floats()), st.floats(), st.floats(), since)
def test_any_numbers_make_a_verdict_and_a_missing_one_no_pass(
    found: dict[float, float], rps: float, newest: float, since: float | None
) -> None:
    verdict = verdict_of(TWO, burning(found, rps, newest=newest), since)
    if len(found) < 4 or not all(math.isfinite(share) for share in (*found.values(), rps, newest)):
        assert verdict.kind is not VerdictKind.PASS
    assert verdict.value is None or math.isfinite(verdict.value)


def test_a_lost_answer_is_graded_by_its_own_reason() -> None:
    gate = burn_gate()
    assert gate.burn_rate is not None
    grade = grade_burn_rate(gate.burn_rate, Failure(NoDataReason.TIMEOUT, "late"), None)
    assert (grade.mark, grade.reason) == (Mark.UNKNOWN, NoDataReason.TIMEOUT)
