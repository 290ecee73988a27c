"""Small facts of the evidence that mutation testing found unpinned."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support.evidence import NOW, alert_gate, baseline_gate, burn_gate, firing_gate, numbers, polls, reading
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import Direction
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge
from veriramp_operator.evidence.burn_rate import NUMBER, grade_burn_rate
from veriramp_operator.evidence.ratio import ALPHA, PRIOR_BUCKETS, sample_ratio, users_of
from veriramp_operator.evidence.sequential import smallest_effect
from veriramp_operator.evidence.types import Occupied, PushedAlert, Samples, Series
from veriramp_sdk.contract import BUCKETS


def test_a_regression_tells_its_polls_its_beginning_and_its_end() -> None:
    bad = numbers(0.5)
    verdict = judge(alert_gate(**{"for": "5s"}), polls(numbers(), bad, bad, bad), NOW)
    assert (verdict.kind, verdict.sample_size) == (VerdictKind.REGRESSION, 3)
    assert (verdict.breached_at, verdict.observed_at) == (NOW - 10, NOW)


def test_an_answer_that_is_too_old_tells_of_when_it_is() -> None:
    verdict = judge(alert_gate(), polls(numbers(), until=NOW - 1000), NOW)
    assert (verdict.reason, verdict.observed_at) == (NoDataReason.TOO_OLD, NOW - 1000)


def test_an_alert_that_is_over_tells_when_it_was_heard_of_last() -> None:
    pushed = tuple(PushedAlert("Slow", False, at, at - 60, at + 300) for at in (NOW - 50, NOW - 20))
    verdict = judge(firing_gate("Slow"), Samples(pushes=pushed), NOW)
    assert (verdict.kind, verdict.observed_at) == (VerdictKind.NOT_APPLICABLE, NOW - 20)


@pytest.mark.parametrize("end", ["lowerQuery", "upperQuery"])
def test_half_an_interval_is_no_interval(end: str) -> None:
    """Admission refuses it now; the object may be older than the rule."""
    poll = replace(reading(NOW, numbers(1.2)), baseline=numbers(1.0))
    verdict = judge(baseline_gate(**{end: "end"}), Samples((poll,)), NOW)
    assert verdict.kind is VerdictKind.NO_DATA


def test_of_two_burn_rates_that_are_well_the_higher_one_is_told() -> None:
    windows = [{"long": "1h", "short": "5m", "rate": 14.4}, {"long": "6h", "short": "30m", "rate": 6}]
    gate = burn_gate(windows=windows)
    assert gate.burn_rate is not None
    shares = {3600.0: 0.0, 300.0: 0.0, 21600.0: 0.002, 1800.0: 0.002}
    found = {"newest": NOW - 1, "exposed": 1.0}
    for seconds, share in shares.items():
        found |= {f"errors {seconds:g}": share * 10, f"total {seconds:g}": 10.0}
    answer = Series(tuple(found.values()), tuple({NUMBER: name} for name in found))
    higher = grade_burn_rate(gate.burn_rate, answer, None)
    assert higher.value is not None
    assert 0 < higher.value < 1
    assert "6h" in higher.message


def test_the_split_tells_its_share_and_how_many_buckets_that_is() -> None:
    verdict = sample_ratio(Occupied(NOW, 1125, 1375), 50.0)
    assert (verdict.value, verdict.sample_size) == (45.0, 2500)


def test_nobody_is_nobody() -> None:
    assert [str(users_of(*asked)) for asked in ((0, 100.0), (0, 0.0), (-1, 100.0))] == ["0.0"] * 3


@pytest.mark.parametrize("seen", [40, 400, 4_000, 9_000, 9_900])
def test_the_split_is_called_wrong_where_whole_numbers_say_so(seen: int) -> None:
    """The same evidence by binomials as whole numbers, where the logarithms of factorials hide no mistake."""
    owned, wrong = BUCKETS // 2, []
    least, most = max(0, seen - owned), seen // 2
    for treatment in range(least, most, max((most - least) // 40, 1)):
        wrong.append(_log_evidence(treatment, seen - treatment, owned) >= -math.log(ALPHA))
        kind = sample_ratio(Occupied(NOW, treatment, seen - treatment), 50.0).kind
        assert (kind is VerdictKind.REGRESSION) is wrong[-1], treatment
    assert set(wrong) == {True, False}


def _log_evidence(treatment: int, control: int, owned: int) -> float:
    first = second = round(PRIOR_BUCKETS / 2)  # half of the users, so both ends of the prior are whole numbers
    ways = math.comb(BUCKETS - treatment - control, owned - treatment)
    beta = [
        math.factorial(a - 1) * math.factorial(b - 1)
        for a, b in ((first, second), (first + treatment, second + control))
    ]
    total = [math.factorial(2 * first - 1), math.factorial(2 * first + treatment + control - 1)]
    mixture = math.log(beta[1]) - math.log(total[1]) - math.log(beta[0]) + math.log(total[0])
    return mixture - math.log(ways) + math.log(math.comb(BUCKETS, owned))


@pytest.mark.parametrize(
    ("direction", "expected"), [(Direction.LOWER_IS_BETTER, 0.38185), (Direction.HIGHER_IS_BETTER, 0.32418)]
)
def test_the_smallest_effect_of_both_directions(direction: Direction, expected: float) -> None:
    effect = smallest_effect(
        direction=direction, control_rate=0.5, treatment_requests=2_000.0, control_requests=2_000.0,
        scrapes=240.0, tolerance=0.2, alpha=0.05,
    )  # fmt: skip
    assert effect == pytest.approx(expected, abs=1e-5)
