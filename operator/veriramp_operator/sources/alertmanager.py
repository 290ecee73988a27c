"""Read what Alertmanager pushes: the version 4 webhook payload (prometheus.io/docs, "Alerting: webhook_config").

Public: :func:`parse_body`, :func:`parse`, :func:`covers`, :class:`Payload`. Pure; the HTTP handler is the runtime's.

Who an alert is for: rollouts in the namespace of its ``namespace`` label that name its ``alertname`` in a ``firing``
gate; with a ``rollout`` label only the rollout of that name. An alert without ``namespace`` is for nobody, and the
answer says so.

How long news of a firing alert counts: until ``endsAt`` where Alertmanager sends one in the future, else 5 min from
its arrival. Alertmanager sends an unresolved alert again after ``group_interval`` when its group changed and after
``repeat_interval`` otherwise, so its route to the operator needs ``repeat_interval: 2m``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from veriramp_operator.evidence.types import PushedAlert

MOST_BYTES: Final = 1024 * 1024
MOST_ALERTS: Final = 500
LIFETIME_SECONDS: Final = 300.0
_ANSWERED_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True)
class Payload:
    """The readable alerts of one push, and one sentence for each that reaches nobody."""

    alerts: tuple[PushedAlert, ...]
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[PushedAlert]:
        """The alerts."""
        return iter(self.alerts)


class BadPayload(ValueError):  # noqa: N818 named like the other errors of the tree
    """The body is no version 4 payload within the limits; the message says what is expected.

    ``too_large``: answer 413 instead of 400.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def parse_body(body: bytes, received_at: float) -> Payload:
    """Parse a webhook body received at an instant (seconds since the epoch).

    Raises BadPayload for a body that cannot be read at all.
    """
    if len(body) > MOST_BYTES:
        raise BadPayload(f"the body has {len(body)} bytes; at most {MOST_BYTES} are read", too_large=True)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPayload(f"the body is not JSON: {error}; send Alertmanager's webhook payload") from error
    return parse(content, received_at)


def parse(content: object, received_at: float) -> Payload:
    """Parse a decoded payload.

    Raises BadPayload for one that cannot be read as a whole; a single unreadable alert is a problem in the result, so
    that it does not take the others along.
    """
    if not isinstance(content, dict) or str(content.get("version")) != "4":
        found = content.get("version") if isinstance(content, dict) else type(content).__name__
        raise BadPayload(f'version is {found!r}; send Alertmanager\'s webhook payload with "version": "4"')
    raw = content.get("alerts")
    if not isinstance(raw, list):
        raise BadPayload("alerts is missing or no list; send Alertmanager's webhook payload")
    if len(raw) > MOST_ALERTS:
        raise BadPayload(
            f"{len(raw)} alerts in one payload; at most {MOST_ALERTS} are read: set max_alerts or group finer",
            too_large=True,
        )
    alerts, problems = [], []
    for index, item in enumerate(raw):
        parsed = _alert(item, received_at)
        if isinstance(parsed, str):
            problems.append(f"alerts[{index}]: {parsed}")
        else:
            alerts.append(parsed)
    return Payload(tuple(alerts), _first(problems))


def covers(alert: PushedAlert, key: tuple[str, str]) -> bool:
    """True when the alert's labels ``namespace`` and ``rollout`` mean the rollout (namespace, name)."""
    namespace, name = key
    return alert.labels.get("namespace") == namespace and alert.labels.get("rollout") in {None, "", name}


def _alert(item: object, received_at: float) -> PushedAlert | str:
    if not isinstance(item, dict) or not isinstance(item.get("labels"), dict):
        return "not an alert with labels"
    labels = {str(name): str(value) for name, value in item["labels"].items()}
    status = item.get("status")
    if not labels.get("alertname"):
        return "the label alertname is missing"
    if status not in {"firing", "resolved"}:
        return f"{labels['alertname']}: status is {status!r}; firing or resolved is expected"
    if not labels.get("namespace"):
        return (
            f"{labels['alertname']} has no label namespace, so it is for no rollout; add the label to the rule or its "
            "expression"
        )
    starts_at = _instant(item, "startsAt")
    return PushedAlert(
        alertname=labels["alertname"],
        firing=status == "firing",
        received_at=received_at,
        starts_at=received_at if starts_at is None else starts_at,
        expires_at=_expiry(item, status == "firing", received_at),
        labels=labels,
    )


def _expiry(item: Mapping[str, Any], firing: bool, received_at: float) -> float:
    ends_at = _instant(item, "endsAt") if firing else None
    return ends_at if ends_at is not None and ends_at > received_at else received_at + LIFETIME_SECONDS


def _instant(item: Mapping[str, Any], name: str) -> float | None:
    """Seconds since the epoch; None for a missing, unreadable or zero (year 1) time."""
    try:
        moment = datetime.fromisoformat(item[name])
    except (KeyError, TypeError, ValueError):
        return None
    return moment.timestamp() if moment.year > 1 and moment.tzinfo is not None else None


def _first(problems: list[str]) -> tuple[str, ...]:
    if len(problems) <= _ANSWERED_PROBLEMS:
        return tuple(problems)
    return (*problems[:_ANSWERED_PROBLEMS], f"and {len(problems) - _ANSWERED_PROBLEMS} more")
