"""Edges of the evidence that the tests of the single kinds leave out."""

from __future__ import annotations

import math

import pytest

from tests.support.evidence import NOW, baseline_gate, burn_gate, comparison_gate, firing_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import Direction
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge, questions, sequential, window_of
from veriramp_operator.evidence.counts import newest_of
from veriramp_operator.evidence.mixture import log_normal_mixture
from veriramp_operator.evidence.ratio import occupied_of
from veriramp_operator.evidence.types import Counts, Failure, Occupied, RawSeries, Reading, Samples, Series, Trial

TRIAL = Trial(50.0, NOW - 3600, NOW - 3000)
FRESH = Series((NOW - 1,))


def test_a_burn_rate_whose_query_fails_has_no_data_and_says_why() -> None:
    refused = Failure(NoDataReason.TIMEOUT, "no answer within 10 s")

    verdict = judge(burn_gate(), Samples((Reading(NOW, refused, newest=refused),)), NOW)

    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_DATA, NoDataReason.TIMEOUT)
    assert "no answer within 10 s" in verdict.message


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (None, NoDataReason.NEVER_ASKED),
        (Reading(NOW - 600, Series(()), newest=FRESH), NoDataReason.TOO_OLD),
        (Reading(NOW, Failure(NoDataReason.TIMEOUT, "no answer")), NoDataReason.TIMEOUT),
        (Reading(NOW, Series(()), newest=Series((NOW - 600,))), NoDataReason.TOO_OLD),
    ],
)
def test_a_comparison_without_a_fresh_reading_has_no_data(reading: Reading | None, reason: NoDataReason) -> None:
    readings = () if reading is None else (reading,)

    verdict = judge(comparison_gate(), Samples(readings, counts=Counts(NOW - 3600, NOW)), NOW, trial=TRIAL)

    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_DATA, reason)


def test_a_history_that_is_still_read_tells_how_far_it_is() -> None:
    samples = Samples((Reading(NOW, Series(()), newest=FRESH),), counts=Counts(NOW - 7200, NOW - 3600))

    verdict = judge(comparison_gate(), samples, NOW, trial=Trial(50.0, NOW - 7200, NOW - 3000))

    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_DATA, NoDataReason.CATCHING_UP)
    assert "1h of 2h are read" in verdict.message


def test_names_of_alerts_are_asked_for_as_they_are_written() -> None:
    query = questions(firing_gate("TooSlow.v2", "Größe", source="Pull"), "search", "rollout").query

    assert query is not None
    assert r'alertname=~"TooSlow\\.v2|Größe"' in query


def test_a_window_given_counts_for_a_comparison_as_for_any_gate() -> None:
    assert window_of(comparison_gate(window="2m")) == 120
    assert window_of(comparison_gate()) == 60


def test_the_time_of_the_newest_sample_needs_one_of_each_arm() -> None:
    assert newest_of(()) is None


def test_what_is_remembered_of_comparisons_is_bounded() -> None:
    counts = Counts(NOW - 60, NOW)
    for number in range(sequential.REMEMBERED + 10):
        sequential.compare(
            counts,
            began_at=NOW - 60 - number,
            full_at=None,
            direction=Direction.LOWER_IS_BETTER,
            tolerance=0.1,
            alpha=0.05,
            stage_seconds=3600.0,
        )

    assert len(sequential._memories) == sequential.REMEMBERED


def test_a_sum_far_below_what_the_null_expects_is_evidence_of_nothing() -> None:
    assert log_normal_mixture(-1e6, 1.0, 1.0) == -math.inf
    assert log_normal_mixture(0.0, 0.0, 1.0) == 0.0
    assert log_normal_mixture(10.0, 1.0, 1.0) > 20


def test_of_several_samples_of_occupied_buckets_the_newest_counts() -> None:
    def gauge(arm: str, *values: float) -> RawSeries:
        at = tuple(NOW - 15.0 * (len(values) - 1 - index) for index in range(len(values)))
        return RawSeries({"__name__": "veriramp_occupied_buckets", "arm": arm, "instance": "one"}, at, values)

    assert occupied_of([gauge("treatment", 1, 2, 7), gauge("control", 3, 4, 9)], []) == Occupied(NOW, 7, 9)
    assert occupied_of([gauge("treatment", 1, 2, math.nan), gauge("control", 3, 4, 9)], []) is None


def test_series_of_no_arm_say_nothing_about_the_newest_sample() -> None:
    arms = [
        RawSeries({"arm": "treatment"}, (NOW - 9, NOW - 5), (1, 2)),
        RawSeries({"arm": "control"}, (NOW - 3,), (1,)),
    ]
    other = [RawSeries({}, (NOW - 99,), (1,)), RawSeries({"arm": "old"}, (NOW - 88,), (1,))]

    assert newest_of([*arms, *other]) == NOW - 5
    assert newest_of([arms[0], RawSeries({"arm": "treatment"}, (NOW - 50,), (1,)), arms[1]]) == NOW - 5
    assert newest_of(other) is None


def test_an_uncertain_baseline_tells_its_number_and_its_time() -> None:
    gate = baseline_gate(lowerQuery="lower", upperQuery="upper")
    reading = Reading(
        NOW,
        Series((0.92,)),
        newest=FRESH,
        baseline=Series((1.0,)),
        lower=Series((0.85,)),
        upper=Series((0.99,)),
    )

    verdict = judge(gate, Samples((reading,)), NOW)

    assert (verdict.kind, verdict.reason) == (VerdictKind.INCONCLUSIVE, "Uncertain")
    assert (verdict.value, verdict.observed_at) == (0.92, NOW)
    assert "0.92" in verdict.message


def test_the_selector_of_a_burn_rate_tells_its_age() -> None:
    own = questions(burn_gate(selector="other_total"), "search", "rollout").query
    default = questions(burn_gate(), "search", "rollout").query

    assert own is not None
    assert default is not None
    assert "max(timestamp(other_total))" in own
    assert "max(timestamp(requests_total))" in default
