"""Edges of the evidence that the tests of the single kinds leave out."""

from __future__ import annotations

import pytest

from tests.support.evidence import NOW, burn_gate, comparison_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import Direction
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge, sequential, window_of
from veriramp_operator.evidence.counts import newest_of
from veriramp_operator.evidence.types import Counts, Failure, Reading, Samples, Series, Trial

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
