"""Version 4 payloads: what is read, what is refused and why, whom an alert is for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from veriramp_operator.sources.alertmanager import LIFETIME_SECONDS, MOST_ALERTS, BadPayload, covers, parse_body

NOW = 1_800_000_000.0


def item(**fields: Any) -> dict[str, Any]:
    labels = {"alertname": "Broken", "namespace": "search"} | fields.pop("labels", {})
    return {"status": "firing", "labels": labels, "startsAt": iso(NOW - 60), "endsAt": "0001-01-01T00:00:00Z"} | fields


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def body(*alerts: Any, **fields: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": list(alerts)} | fields).encode()


def test_a_firing_alert() -> None:
    (alert,) = parse_body(body(item()), NOW)
    assert (alert.alertname, alert.firing, alert.starts_at) == ("Broken", True, NOW - 60)
    assert (alert.received_at, alert.expires_at) == (NOW, NOW + LIFETIME_SECONDS)


def test_an_end_in_the_future_is_the_expiry() -> None:
    (alert,) = parse_body(body(item(endsAt=iso(NOW + 40))), NOW)
    assert alert.expires_at == NOW + 40


def test_a_resolved_alert_with_nanoseconds_from_go() -> None:
    (alert,) = parse_body(body(item(status="resolved", startsAt="2027-01-15T07:59:00.123456789Z")), NOW)
    assert not alert.firing
    assert alert.starts_at == pytest.approx(NOW - 60, abs=1)


@pytest.mark.parametrize("starts_at", [None, "yesterday", 7, "0001-01-01T00:00:00Z"])
def test_an_unreadable_start_is_the_arrival(starts_at: Any) -> None:
    (alert,) = parse_body(body(item(startsAt=starts_at)), NOW)
    assert alert.starts_at == NOW


@pytest.mark.parametrize(
    ("content", "says", "too_large"),
    [
        (b"{", "not JSON", False),
        (b"[]", '"version": "4"', False),
        (body(version="3"), '"version": "4"', False),
        (json.dumps({"version": "4"}).encode(), "alerts is missing", False),
        (body(*[item()] * (MOST_ALERTS + 1)), "at most 500", True),
        (b" " * (1024 * 1024 + 1), "at most 1048576", True),
        (b"[" * 100_000, "not JSON", False),
    ],
)
def test_a_bad_body_says_what_to_send(content: bytes, says: str, *, too_large: bool) -> None:
    with pytest.raises(BadPayload, match=says) as caught:
        parse_body(content, NOW)
    assert caught.value.too_large is too_large


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("text", "not an alert"),
        (item(labels={"alertname": ""}), "alertname is missing"),
        (item(labels={"namespace": ""}), "no label namespace"),
        (item(status="odd"), "firing or resolved"),
    ],
)
def test_one_unreadable_alert_does_not_take_the_others_along(bad: Any, says: str) -> None:
    payload = parse_body(body(bad, item()), NOW)
    assert len(payload.alerts) == 1
    assert says in payload.problems[0]


def test_the_problems_told_are_few() -> None:
    assert len(parse_body(body(*["text"] * 100), NOW).problems) == 6


@pytest.mark.parametrize(
    ("labels", "key", "meant"),
    [
        ({}, ("search", "a"), True),
        ({}, ("other", "a"), False),
        ({"rollout": "a"}, ("search", "a"), True),
        ({"rollout": "b"}, ("search", "a"), False),
    ],
)
def test_whom_an_alert_is_for(labels: dict[str, str], key: tuple[str, str], *, meant: bool) -> None:
    (alert,) = parse_body(body(item(labels=labels)), NOW)
    assert covers(alert, key) is meant
