"""What a gate asks, how far back the answer looks and how old it may be."""

from __future__ import annotations

import pytest

from tests.support.evidence import alert_gate, firing_gate, threshold_gate
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.evidence import Questions, every_of, max_age_of, questions, window_of


def test_an_alert_asks_for_its_expression_its_presence_and_the_age_of_its_selector() -> None:
    assert questions(alert_gate(), "ns", "demo") == Questions(
        "rate(errors_total[1m]) > 0.01", "rate(requests_total[1m])", "max(timestamp(requests_total))"
    )


def test_a_bare_query_tells_its_own_age() -> None:
    gate = threshold_gate(query='latency{a="b"}', selector=None)
    assert questions(gate, "ns", "demo") == Questions('latency{a="b"}', None, 'max(timestamp(latency{a="b"}))')


def test_without_a_selector_no_age_is_asked() -> None:
    assert questions(alert_gate(selector=None), "ns", "demo").newest is None


@pytest.mark.parametrize(
    "gate",
    [
        firing_gate(),
        GateSpec.model_validate(
            {"name": "c", "onRegression": "Shadow", "comparison": {"events": "e_total", "total": "r_total"}}
        ),
    ],
)
def test_kinds_that_are_not_polled_ask_nothing(gate: GateSpec) -> None:
    assert questions(gate, "ns", "demo") == Questions()


@pytest.mark.parametrize(
    ("gate", "seconds"),
    [
        (alert_gate(), 60.0),
        (alert_gate(expr="errors > 1"), 300.0),
        (alert_gate(window="7m"), 420.0),
        (firing_gate(), 300.0),
        (firing_gate(window="10s"), 10.0),
    ],
)
def test_window(gate: GateSpec, seconds: float) -> None:
    assert window_of(gate) == seconds


@pytest.mark.parametrize(
    ("gate", "scrape_interval", "seconds"),
    [
        (alert_gate(), 15.0, 30.0),
        (alert_gate(every="20s"), 15.0, 60.0),
        (alert_gate(), 60.0, 120.0),
        (alert_gate(maxAge="26h"), 60.0, 26 * 3600.0),
    ],
)
def test_max_age(gate: GateSpec, scrape_interval: float, seconds: float) -> None:
    assert max_age_of(gate, scrape_interval) == seconds


def test_a_very_long_for_stretches_the_polling() -> None:
    assert every_of(alert_gate(**{"for": "30s"})) == 5.0
    assert every_of(alert_gate(every="1s", **{"for": "2h"})) == 18.0
