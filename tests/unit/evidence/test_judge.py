"""Verdicts of polled gates: every reason of NoData, ``for``, presence, ``since``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.evidence import NOW, alert_gate, firing_gate, numbers, polls, reading, threshold_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import Mark, VerdictReason, judge, mark_of
from veriramp_operator.evidence.types import Answer, Failure, Reading, Samples, Series

EMPTY = numbers()
BAD, GOOD = numbers(0.5), numbers()
LOST = Failure(NoDataReason.TIMEOUT, "did not answer")
FAULTS = [reason for reason in NoDataReason if reason not in {NoDataReason.EMPTY, NoDataReason.RULE_MISSING}]


@dataclass(frozen=True)
class Case:
    name: str
    gate: GateSpec
    reading: Reading
    kind: VerdictKind
    reason: str
    value: float | None = None


def no_data(name: str, gate: GateSpec, poll: Reading, reason: NoDataReason) -> Case:
    return Case(name, gate, poll, VerdictKind.NO_DATA, reason)


def poll(answer: Answer, **side: Any) -> Reading:
    return replace(reading(NOW, answer), **side)


PRESENCE = {"query": "sum(requests)", "min": 0.1}
ZERO = {"emptyMeans": "Zero", "presence": PRESENCE}
SINGLE = [
    Case("an empty alert with presence is good news", alert_gate(), poll(EMPTY), VerdictKind.PASS, "Healthy"),
    Case("an alert's series is a breach", alert_gate(), poll(BAD), VerdictKind.REGRESSION, "Breach", 0.5),
    Case("a zero is a series too", alert_gate(), poll(numbers(0.0)), VerdictKind.REGRESSION, "Breach", 0.0),
    Case("the worst number speaks", alert_gate(), poll(numbers(1, math.nan, 3)), VerdictKind.REGRESSION, "Breach", 3),
    Case("a breach needs no presence", alert_gate(), poll(BAD, presence=EMPTY), VerdictKind.REGRESSION, "Breach", 0.5),
    Case("an Empty failure is empty", alert_gate(), poll(Failure(NoDataReason.EMPTY, "")), VerdictKind.PASS, "Healthy"),
    Case("a number within", threshold_gate(), poll(numbers(1.5)), VerdictKind.PASS, "Healthy", 1.5),
    Case("the bound is inside", threshold_gate(), poll(numbers(2.0)), VerdictKind.PASS, "Healthy", 2.0),
    Case("above the maximum", threshold_gate(), poll(numbers(2.1)), VerdictKind.REGRESSION, "Breach", 2.1),
    Case("below the minimum", threshold_gate(min=1), poll(numbers(0.9)), VerdictKind.REGRESSION, "Breach", 0.9),
    Case("only a minimum", threshold_gate(max=None, min=1), poll(numbers(5)), VerdictKind.PASS, "Healthy", 5),
    Case("between both bounds", threshold_gate(min=1), poll(numbers(1.5)), VerdictKind.PASS, "Healthy", 1.5),
    Case("empty means zero", threshold_gate(**ZERO), poll(EMPTY), VerdictKind.PASS, "Healthy", 0.0),
    Case(
        "zero below a minimum", threshold_gate(min=1, **ZERO), poll(EMPTY), VerdictKind.REGRESSION, "Breach", 0.0
    ),
    no_data("an empty alert without presence", alert_gate(presence=None), poll(EMPTY), NoDataReason.EMPTY),
    no_data("presence empty", alert_gate(), poll(EMPTY, presence=EMPTY), NoDataReason.NOT_PRESENT),
    no_data("presence too small", alert_gate(), poll(EMPTY, presence=numbers(0.09)), NoDataReason.NOT_PRESENT),
    no_data("presence NaN", alert_gate(), poll(EMPTY, presence=numbers(math.nan)), NoDataReason.NOT_A_NUMBER),
    no_data("presence of two", alert_gate(), poll(EMPTY, presence=numbers(1, 2)), NoDataReason.SEVERAL_SERIES),
    no_data("presence lost", alert_gate(), poll(EMPTY, presence=LOST), NoDataReason.TIMEOUT),
    no_data("presence not asked", alert_gate(), poll(EMPTY, presence=None), NoDataReason.NEVER_ASKED),
    no_data("alert NaN", alert_gate(), poll(numbers(math.nan)), NoDataReason.NOT_A_NUMBER),
    no_data("alert infinite", alert_gate(), poll(numbers(math.inf)), NoDataReason.NOT_A_NUMBER),
    no_data("threshold empty", threshold_gate(), poll(EMPTY), NoDataReason.EMPTY),
    no_data("threshold NaN", threshold_gate(), poll(numbers(math.nan)), NoDataReason.NOT_A_NUMBER),
    no_data("threshold infinite", threshold_gate(), poll(numbers(-math.inf)), NoDataReason.NOT_A_NUMBER),
    no_data("threshold of two", threshold_gate(), poll(numbers(1, 2)), NoDataReason.SEVERAL_SERIES),
    no_data("zero unproved", threshold_gate(emptyMeans="Zero"), poll(EMPTY), NoDataReason.EMPTY),
    no_data("zero absent", threshold_gate(**ZERO), poll(EMPTY, presence=EMPTY), NoDataReason.NOT_PRESENT),
    no_data("a good number absent", threshold_gate(presence=PRESENCE), poll(numbers(1), presence=EMPTY),
            NoDataReason.NOT_PRESENT),
    no_data("no bounds at all", threshold_gate(max=None), poll(numbers(1)), NoDataReason.BAD_QUERY),
    no_data("no series behind", alert_gate(), poll(EMPTY, newest=EMPTY), NoDataReason.NOT_YET_EXPOSED),
    no_data("samples too old", alert_gate(), poll(EMPTY, newest=numbers(NOW - 31)), NoDataReason.TOO_OLD),
    no_data("an age beyond all time", alert_gate(), poll(EMPTY, newest=numbers(-1e305)), NoDataReason.TOO_OLD),
    no_data("a breach of old samples", alert_gate(), poll(BAD, newest=numbers(NOW - 31)), NoDataReason.TOO_OLD),
    no_data("older than its maxAge", alert_gate(maxAge="2s"), poll(BAD, newest=numbers(NOW - 3)), NoDataReason.TOO_OLD),
    no_data("age NaN", alert_gate(), poll(EMPTY, newest=numbers(math.nan)), NoDataReason.NOT_A_NUMBER),
    no_data("age lost", alert_gate(), poll(EMPTY, newest=LOST), NoDataReason.TIMEOUT),
    no_data("age not asked", alert_gate(), poll(EMPTY, newest=None), NoDataReason.NEVER_ASKED),
    no_data("selector not bare", alert_gate(selector="rate(x[1m])"), poll(EMPTY), NoDataReason.BAD_QUERY),
    no_data("poll long ago", alert_gate(), reading(NOW - 31, EMPTY), NoDataReason.TOO_OLD),
    no_data("a breach long ago", alert_gate(), reading(NOW - 31, BAD), NoDataReason.TOO_OLD),
    no_data("a poll of the future", alert_gate(), reading(NOW + 1, BAD), NoDataReason.NEVER_ASKED),
]  # fmt: skip


@pytest.mark.shows("S1-ROLL-07", "S0-03")
@pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.name)
def test_one_poll(case: Case) -> None:
    verdict = judge(case.gate, Samples((case.reading,)), NOW)
    assert (verdict.kind, verdict.reason, verdict.value) == (case.kind, case.reason, case.value)
    assert verdict.message


@pytest.mark.parametrize("reason", FAULTS)
@pytest.mark.parametrize("gate", [alert_gate(), threshold_gate()], ids=["alert", "threshold"])
def test_every_fault_keeps_its_reason(gate: GateSpec, reason: NoDataReason) -> None:
    verdict = judge(gate, polls(Failure(reason, "told so")), NOW)
    assert (verdict.kind, verdict.reason, verdict.observed_at) == (VerdictKind.NO_DATA, reason, NOW)
    assert "told so" in verdict.message


def test_a_gate_that_was_never_asked() -> None:
    assert judge(alert_gate(), Samples(), NOW).reason == NoDataReason.NEVER_ASKED


def test_age_is_not_judged_where_it_is_not_asked() -> None:
    poll_without_age = poll(EMPTY, newest=None)
    assert judge(alert_gate(selector=None), Samples((poll_without_age,)), NOW).kind is VerdictKind.PASS


def test_the_default_age_follows_the_scrape_interval_of_the_endpoint() -> None:
    old = poll(EMPTY, newest=numbers(NOW - 100))
    assert judge(alert_gate(), Samples((old,), scrape_interval=60.0), NOW).kind is VerdictKind.PASS
    assert judge(alert_gate(), Samples((old,)), NOW).kind is VerdictKind.NO_DATA


def test_a_gate_without_a_kind_never_passes() -> None:
    gate = GateSpec.model_validate({"name": "empty", "onRegression": "Shadow"})
    verdict = judge(gate, polls(numbers(1.0)), NOW)
    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_DATA, NoDataReason.NEVER_ASKED)


# ``for`` of 30 s at a poll every 5 s: seven bad polls in a row.
ROWS = [
    ("six bad polls are 25 s", [BAD] * 6, VerdictKind.INCONCLUSIVE, None),
    ("seven bad polls are 30 s", [BAD] * 7, VerdictKind.REGRESSION, NOW - 30),
    ("the breach began before", [BAD] * 9, VerdictKind.REGRESSION, NOW - 40),
    ("a good poll starts it anew", [BAD, BAD, BAD, GOOD, BAD, BAD, BAD], VerdictKind.INCONCLUSIVE, None),
    ("one lost poll does not end it", [BAD, BAD, BAD, LOST, BAD, BAD, BAD], VerdictKind.REGRESSION, NOW - 30),
    ("a long gap ends it", [BAD, BAD, BAD, LOST, LOST, BAD, BAD], VerdictKind.INCONCLUSIVE, None),
    ("a lost poll does not extend it", [BAD] * 6 + [LOST], VerdictKind.NO_DATA, None),
    ("a regression outlives a lost poll", [BAD] * 7 + [LOST], VerdictKind.REGRESSION, NOW - 35),
    ("but not many", [BAD] * 7 + [LOST] * 3, VerdictKind.NO_DATA, None),
    ("and not a good one", [BAD] * 7 + [GOOD], VerdictKind.PASS, None),
    ("nor a good one before the lost one", [BAD] * 7 + [GOOD, LOST], VerdictKind.NO_DATA, None),
]


@pytest.mark.parametrize(("name", "answers", "kind", "breached_at"), ROWS, ids=lambda item: str(item)[:40])
def test_for_counts_bad_polls(name: str, answers: list[Answer], kind: VerdictKind, breached_at: float | None) -> None:
    verdict = judge(alert_gate(**{"for": "30s"}), polls(*answers), NOW)
    assert (verdict.kind, verdict.breached_at) == (kind, breached_at), name
    assert verdict.leans_bad is (kind is VerdictKind.INCONCLUSIVE)


def test_polling_jitter_does_not_delay_a_breach() -> None:
    readings = tuple(reading(NOW - 30 + 5 * index + 0.01 * (index == 0), BAD) for index in range(7))
    assert judge(alert_gate(**{"for": "30s"}), Samples(readings), NOW).kind is VerdictKind.REGRESSION


@pytest.mark.parametrize(
    ("lost", "kind"),
    [(0.0, VerdictKind.REGRESSION), (2.5, VerdictKind.REGRESSION), (2.6, VerdictKind.NO_DATA)],
)
def test_a_breach_outlives_polls_without_data_for_two_and_a_half_polls(lost: float, kind: VerdictKind) -> None:
    gate, gone = alert_gate(every="1s"), Failure(NoDataReason.TIMEOUT, "late")
    bad = [reading(NOW - lost - back, numbers(1.0)) for back in (2.0, 1.0, 0.0)]
    after = [reading(NOW - back, gone) for back in (2.0, 1.0, 0.0) if back < lost]

    assert judge(gate, Samples((*bad, *after)), NOW).kind is kind


def test_a_bad_poll_counts_for_as_long_as_it_is_the_newest_that_is_recent() -> None:
    samples = Samples(tuple(reading(NOW - back, numbers(1.0)) for back in (31.0, 30.0)))

    assert judge(alert_gate(every="1s", **{"for": "1s"}), samples, NOW).kind is VerdictKind.REGRESSION


def test_evidence_that_speaks_of_the_time_before_an_anchor_neither_passes_nor_trips() -> None:
    gate = alert_gate()  # window 60 s
    for answer, leans_bad in ((BAD, True), (GOOD, False)):
        verdict = judge(gate, polls(*[answer] * 20), NOW, since=NOW - 59)
        assert (verdict.kind, verdict.reason) == (VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP)
        assert verdict.leans_bad is leans_bad
    assert judge(gate, polls(GOOD), NOW, since=NOW - 60).kind is VerdictKind.PASS
    assert judge(gate, polls(BAD), NOW, since=NOW - 60).kind is VerdictKind.REGRESSION


def test_the_time_until_evidence_counts_is_told_in_whole_seconds() -> None:
    verdict = judge(alert_gate(), polls(GOOD), NOW, since=NOW - 12.345)  # window 60 s

    assert "counts in 48s" in verdict.message


def test_for_is_counted_anew_after_an_anchor() -> None:
    gate = alert_gate(**{"for": "30s"})
    young = judge(gate, polls(*[BAD] * 20), NOW, since=NOW - 60 - 25)
    assert (young.kind, young.reason) == (VerdictKind.INCONCLUSIVE, VerdictReason.BREACH_TOO_YOUNG)
    old = judge(gate, polls(*[BAD] * 20), NOW, since=NOW - 60 - 30)
    assert (old.kind, old.breached_at) == (VerdictKind.REGRESSION, NOW - 30)


def test_an_anchor_does_not_hide_that_there_is_no_data() -> None:
    assert judge(alert_gate(), polls(LOST), NOW, since=NOW).reason == NoDataReason.TIMEOUT


def test_the_message_names_the_series_and_stays_short() -> None:
    verdict = judge(alert_gate(), polls(numbers(0.25, 0.5)), NOW)
    assert '{pod="1"}' in verdict.message
    assert "2 series" in verdict.message
    long = replace(numbers(0.5), labels=({"label": "word " * 200},))
    assert len(judge(alert_gate(), polls(long), NOW).message) < 400
    unlabelled = replace(numbers(0.5), labels=())
    assert "{" not in judge(alert_gate(), polls(unlabelled), NOW).message


@pytest.mark.parametrize(
    ("gate", "answer", "mark"),
    [
        (alert_gate(), BAD, Mark.BAD),
        (alert_gate(), GOOD, Mark.GOOD),
        (threshold_gate(), LOST, Mark.UNKNOWN),
        (firing_gate(), BAD, Mark.UNKNOWN),
    ],
)
def test_a_poll_by_itself(gate: GateSpec, answer: Answer, mark: Mark) -> None:
    assert mark_of(gate, reading(NOW, answer)) is mark


def test_a_series_without_labels_is_told_without_braces() -> None:
    verdict = judge(alert_gate(), polls(Series((3.0,), ({},))), NOW)

    assert verdict.message == "the alert query returned a series, value 3"
