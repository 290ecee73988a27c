"""What no row of polls may ever do to a verdict."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import NOW, alert_gate, baseline_gate, numbers, reading, threshold_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge
from veriramp_operator.evidence.types import Failure, Samples, Series

faults = st.sampled_from(list(NoDataReason)).map(lambda reason: Failure(reason, "fault"))
values = st.floats() | st.sampled_from([0.0, 0.5, 1.9, 2.1, math.nan, math.inf])
answers = st.lists(values, max_size=3).map(lambda found: numbers(*found)) | faults
gates = st.sampled_from(
    [
        alert_gate(),
        alert_gate(presence=None),
        alert_gate(**{"for": "20s"}),
        threshold_gate(),
        threshold_gate(min=1, **{"for": "20s"}),
        threshold_gate(emptyMeans="Zero", presence={"query": "p", "min": 0.1}),
        baseline_gate(),
        baseline_gate(lowerQuery="low", upperQuery="high"),
    ]
)
gaps = st.floats(0.5, 30.0)


@st.composite
def rows(draw: st.DrawFn) -> Samples:
    """Polls with rising times, the last one not after NOW."""
    at = NOW - draw(st.floats(0, 60))
    readings = []
    for _ in range(draw(st.integers(0, 12))):
        poll = reading(at, draw(answers))
        beside: dict[str, Any] = {
            name: draw(st.none() | answers) for name in ("presence", "baseline", "lower", "upper")
        }
        readings.append(replace(poll, **beside, newest=draw(st.none() | answers | _fresh(at))))
        at -= draw(gaps)
    return Samples(tuple(reversed(readings)))


def _fresh(at: float) -> st.SearchStrategy[Series]:
    return st.just(numbers(at - 1.0))


@given(gates, rows(), st.none() | st.floats(NOW - 600, NOW))
def test_judging_is_total_and_repeatable(gate: GateSpec, samples: Samples, since: float | None) -> None:
    first = judge(gate, samples, NOW, since)
    assert first == judge(gate, samples, NOW, since)
    assert first.kind is not VerdictKind.NOT_APPLICABLE
    assert (first.breached_at is not None) is (first.kind is VerdictKind.REGRESSION)
    assert first.value is None or math.isfinite(first.value)


@pytest.mark.shows("S0-03", "S1-ROLL-07")
@given(gates, rows(), faults, st.none() | st.floats(NOW - 600, NOW))
def test_a_poll_without_data_never_makes_a_pass_or_a_regression(
    gate: GateSpec, samples: Samples, fault: Failure, since: float | None
) -> None:
    before = judge(gate, samples, NOW, since)
    with_fault = replace(samples, readings=(*samples.readings, reading(NOW + 1, fault)))
    # An Empty is no fault where presence makes it good news, so the poll is without presence.
    last = replace(with_fault.readings[-1], presence=Failure(NoDataReason.TIMEOUT, "lost"))
    after = judge(gate, replace(with_fault, readings=(*samples.readings, last)), NOW + 1, since)
    assert after.kind is not VerdictKind.PASS
    if after.kind is VerdictKind.REGRESSION:
        assert before.kind is VerdictKind.REGRESSION


@given(gates, rows(), st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(1, 3))
def test_what_is_no_number_neither_passes_nor_breaches(
    gate: GateSpec, samples: Samples, value: float, count: int
) -> None:
    before = judge(gate, samples, NOW)
    poll = reading(NOW + 1, numbers(*[value] * count))
    after = judge(gate, replace(samples, readings=(*samples.readings, poll)), NOW + 1)
    assert after.kind is not VerdictKind.PASS
    if after.kind is not VerdictKind.NO_DATA:
        assert (before.kind, after.kind) == (VerdictKind.REGRESSION, VerdictKind.REGRESSION)


@given(gates, rows(), st.floats(NOW - 600, NOW))
def test_an_anchor_only_takes_verdicts_away(gate: GateSpec, samples: Samples, since: float | None) -> None:
    free, anchored = judge(gate, samples, NOW), judge(gate, samples, NOW, since)
    if anchored.kind in {VerdictKind.PASS, VerdictKind.REGRESSION}:
        assert anchored.kind is free.kind
