"""The split of the users: safe to look at all day, exact when all buckets are full, and able to find a wrong split."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.ratio import occupied_of, sample_ratio, users_of
from veriramp_operator.evidence.types import Occupied, RawSeries
from veriramp_sdk.contract import BUCKETS


def kind(treatment: int, control: int, percent: float) -> VerdictKind:
    return sample_ratio(Occupied(100.0, treatment, control), percent).kind


@pytest.mark.parametrize(
    ("treatment", "control", "percent", "expected"),
    [
        (0, 0, 50.0, VerdictKind.INCONCLUSIVE),
        (1, 0, 50.0, VerdictKind.PASS),
        (12, 0, 50.0, VerdictKind.PASS),
        (40, 0, 50.0, VerdictKind.REGRESSION),
        (1250, 1250, 50.0, VerdictKind.PASS),
        (1125, 1375, 50.0, VerdictKind.REGRESSION),
        (5000, 5000, 50.0, VerdictKind.PASS),
        (500, 9500, 5.0, VerdictKind.PASS),
        (499, 9499, 5.0, VerdictKind.PASS),
        (501, 100, 5.0, VerdictKind.REGRESSION),
        (5000, 4500, 50.0, VerdictKind.REGRESSION),
        (10, 10, 0.0, VerdictKind.NOT_APPLICABLE),
        (10, 10, 100.0, VerdictKind.NOT_APPLICABLE),
    ],
)
def test_splits(treatment: int, control: int, percent: float, expected: VerdictKind) -> None:
    assert kind(treatment, control, percent) is expected


def test_nothing_exported_holds_nothing_up() -> None:
    assert sample_ratio(None, 50.0).kind is VerdictKind.INCONCLUSIVE


def test_the_sentence_names_both_shares() -> None:
    verdict = sample_ratio(Occupied(100.0, 1125, 1375), 50.0)
    assert "45 % of 2500 occupied buckets are in the treatment, where 50 % are expected" in verdict.message
    assert verdict.observed_at == 100.0


@given(st.integers(), st.integers(-2, 2 * BUCKETS), st.floats(0, 100))
def test_any_numbers_make_a_verdict(treatment: int, control: int, percent: float) -> None:
    assert kind(treatment, control, percent) is not VerdictKind.NO_DATA


@pytest.mark.parametrize("percent", [1.0, 5.0, 50.0])
@pytest.mark.shows("S1-AB-02")
def test_a_right_split_is_never_called_wrong_however_often_it_is_looked_at(percent: float) -> None:
    for seed in range(20):
        assert _found(seed, percent, percent) is None


@pytest.mark.shows("S1-AB-02")
def test_a_half_delivered_as_45_percent_is_found() -> None:
    found = [_found(seed, 50.0, 45.0) for seed in range(20)]
    assert max(at if at is not None else BUCKETS for at in found) < 4000


def _found(seed: int, percent: float, delivered: float) -> int | None:
    """Occupied buckets at the first alarm, looked at after every 25th new one until all are occupied."""
    order = [1] * round(100 * delivered) + [0] * (BUCKETS - round(100 * delivered))
    random.Random(seed).shuffle(order)
    for seen, treatment in enumerate(accumulate(order), 1):
        if seen % 25 == 0 and kind(treatment, seen - treatment, percent) is VerdictKind.REGRESSION:
            return seen
    return None


def test_a_binomial_test_on_requests_would_alarm_on_most_days() -> None:
    """Why users are counted: 500 users who make 20 requests each, in a row, looked at after each of them."""
    wrong = 0
    for seed in range(40):
        rng, treatment, alarm = random.Random(seed), 0, False
        for user in range(1, 501):
            treatment += 20 * (rng.random() < 0.5)
            z = abs(treatment - 10 * user) / math.sqrt(20 * user / 4)
            alarm = alarm or (user >= 5 and z > 3.29)
        wrong += alarm
    assert wrong > 20


@pytest.mark.parametrize(
    ("occupied", "owned", "users"), [(0, 5000, 0.0), (1, 5000, 1.0), (2500, 5000, 3466.0), (100, 100, math.inf)]
)
def test_users_behind_buckets(occupied: int, owned: float, users: float) -> None:
    assert users_of(occupied, owned) == pytest.approx(users, rel=1e-3)


@pytest.mark.parametrize("users", [100, 1000, 10_000])
def test_users_are_estimated_well(users: int) -> None:
    rng = random.Random(users)
    owned = 2500
    treated = [bucket for bucket in (rng.randrange(BUCKETS) for _ in range(users)) if bucket < owned]
    assert users_of(len(set(treated)), owned) == pytest.approx(len(treated), rel=0.1)


def gauge(value: float, arm: str, pod: str, at: float = 100.0) -> RawSeries:
    labels = {"__name__": "veriramp_occupied_buckets", "arm": arm, "pod": pod, "rollout": "r"}
    return RawSeries(labels, (at - 15, at), (0.0, value))


def revision(value: float, pod: str) -> RawSeries:
    labels = {"__name__": "veriramp_flag_applied_revision", "process": f"{pod}-1", "pod": pod, "rollout": "r"}
    return RawSeries(labels, (100.0,), (value,))


def test_the_process_that_has_seen_most_is_taken_whole() -> None:
    gauges = [
        gauge(50, "treatment", "a", at=99.0), gauge(40, "control", "a", at=99.0),
        gauge(10, "treatment", "b"), gauge(90, "control", "b"),
        gauge(5000, "treatment", "half"),
    ]  # fmt: skip
    assert occupied_of(gauges, ()) == Occupied(99.0, 10, 90)
    assert occupied_of([gauge(1, "treatment", "a")], ()) is None


def test_a_process_that_still_deals_by_an_older_revision_is_left_out() -> None:
    gauges = [gauge(500, arm, "late") for arm in ("treatment", "control")]
    gauges += [gauge(7, arm, "new") for arm in ("treatment", "control")]
    assert occupied_of(gauges, [revision(3, "late"), revision(4, "new")]) == Occupied(100.0, 7, 7)
    assert occupied_of(gauges, [revision(4, "late"), revision(4, "new")]) == Occupied(100.0, 500, 500)
