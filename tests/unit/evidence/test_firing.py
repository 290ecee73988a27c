"""Alerts by name: firing, resolved, expired, before an anchor, from sources that are not supported yet."""

from __future__ import annotations

import pytest

from tests.support.evidence import NOW, firing_gate
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import VerdictReason, judge
from veriramp_operator.evidence.types import PushedAlert, Samples


def alert(
    name: str = "Broken", *, firing: bool = True, received: float = NOW - 10, ends: float = NOW + 60
) -> PushedAlert:
    return PushedAlert(name, firing, received, received - 5, ends)


@pytest.mark.parametrize(
    ("name", "alerts", "kind", "reason"),
    [
        ("a named alert fires", [alert()], VerdictKind.REGRESSION, VerdictReason.FIRING),
        ("one of two fires", [alert(firing=False), alert("Worse")], VerdictKind.REGRESSION, VerdictReason.FIRING),
        ("silence", [], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("another alert", [alert("Other")], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("resolved", [alert(firing=False)], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
        ("no news any more", [alert(ends=NOW)], VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING),
    ],
)
def test_pushed_alerts(name: str, alerts: list[PushedAlert], kind: VerdictKind, reason: VerdictReason) -> None:
    verdict = judge(firing_gate("Broken", "Worse"), Samples(pushes=tuple(alerts)), NOW)
    assert (verdict.kind, verdict.reason) == (kind, reason), name


def test_the_breach_began_when_the_alert_did() -> None:
    verdict = judge(firing_gate(), Samples(pushes=(alert(),)), NOW)
    assert (verdict.breached_at, verdict.observed_at) == (NOW - 15, NOW - 10)


def test_a_start_in_our_future_is_no_later_than_the_news_of_it() -> None:
    ahead = PushedAlert("Broken", firing=True, received_at=NOW, starts_at=NOW + 30, expires_at=NOW + 60)
    assert judge(firing_gate(), Samples(pushes=(ahead,)), NOW).breached_at == NOW


@pytest.mark.parametrize(
    ("received", "since", "kind"),
    [
        (NOW - 10, NOW - 5, VerdictKind.INCONCLUSIVE),  # news of before the fall
        (NOW - 10, NOW - 14, VerdictKind.INCONCLUSIVE),  # news of after it, of an alert that began before it
        (NOW - 10, NOW - 15, VerdictKind.REGRESSION),  # it began after it: new evidence at once
        (NOW - 10, NOW - 20, VerdictKind.REGRESSION),
        (NOW - 400, NOW - 300, VerdictKind.INCONCLUSIVE),
    ],
)
def test_an_anchor(received: float, since: float, kind: VerdictKind) -> None:
    verdict = judge(firing_gate(window="20s"), Samples(pushes=(alert(received=received),)), NOW, since)
    assert verdict.kind is kind
    assert verdict.leans_bad is (kind is VerdictKind.INCONCLUSIVE)


def test_with_both_sources_a_push_still_says_regression() -> None:
    assert judge(firing_gate(source="Both"), Samples(pushes=(alert(),)), NOW).kind is VerdictKind.REGRESSION
