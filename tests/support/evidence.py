"""Gates and readings for tests, built in one line each."""

from __future__ import annotations

from typing import Any

from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.evidence.types import Answer, Reading, Samples, Series

NOW = 10_000.0


def alert_gate(**fields: Any) -> GateSpec:
    """An alert gate with presence, polled every 5 s, that trips at once."""
    kind = {"expr": "rate(errors_total[1m]) > 0.01", "presence": {"query": "rate(requests_total[1m])", "min": 0.1}}
    kind.update({name: fields.pop(name) for name in ("expr", "for", "presence") if name in fields})
    return _gate({"alert": kind}, fields)


def threshold_gate(**fields: Any) -> GateSpec:
    """A threshold gate (max 2) with a bare selector, polled every 5 s."""
    kind: dict[str, Any] = {"query": "sum(latency)", "max": 2}
    kind.update(
        {name: fields.pop(name) for name in ("query", "max", "min", "for", "emptyMeans", "presence") if name in fields}
    )
    return _gate({"threshold": kind}, fields)


def baseline_gate(**fields: Any) -> GateSpec:
    """A baseline gate (at most 10 % down) with a bare query, polled every 5 s."""
    kind: dict[str, Any] = {"query": "precision", "baselineQuery": "baseline", "maxDrop": 0.1}
    kind.update(
        {
            name: fields.pop(name)
            for name in ("query", "baselineQuery", "maxDrop", "lowerQuery", "upperQuery")
            if name in fields
        }
    )
    return _gate({"baseline": kind}, {"selector": None, "maxAge": "30s", **fields})


def burn_gate(**fields: Any) -> GateSpec:
    """A burn rate gate (99 %, 14.4 over 1 h and 5 min), polled every 5 s."""
    kind: dict[str, Any] = {
        "errors": "errors_total",
        "total": "requests_total",
        "objective": 0.99,
        "windows": [{"long": "1h", "short": "5m", "rate": 14.4}],
    }
    kind.update(
        {
            name: fields.pop(name)
            for name in ("errors", "total", "objective", "windows", "minRequests")
            if name in fields
        }
    )
    return _gate({"burnRate": kind}, {"selector": None, **fields})


def firing_gate(*names: str, source: str = "Push", **fields: Any) -> GateSpec:
    """A gate on alerts by name."""
    return _gate({"firing": {"alertnames": list(names) or ["Broken"], "source": source}}, fields)


def comparison_gate(**fields: Any) -> GateSpec:
    """A comparison of errors per request."""
    kind: dict[str, Any] = {"events": "errors", "total": "requests"}
    names = ("events", "total", "direction", "tolerance", "alpha", "minRequests", "minUsers")
    kind.update({name: fields.pop(name) for name in names if name in fields})
    base = {"every": "15s", "selector": None}
    return _gate({"comparison": kind}, {**base, **fields})


def reading(at: float, answer: Answer, *, presence: Answer | None = None, newest: Answer | None = None) -> Reading:
    """One poll; present and fresh unless said otherwise."""
    return Reading(at, answer, presence or numbers(1.0), newest if newest is not None else numbers(at - 1.0))


def numbers(*values: float) -> Series:
    """An answer with one series per value."""
    return Series(values, tuple({"pod": str(index)} for index in range(len(values))))


def polls(*answers: Answer, every: float = 5.0, until: float = NOW) -> Samples:
    """One reading per answer, the last one at ``until``."""
    count = len(answers)
    return Samples(tuple(reading(until - every * (count - 1 - index), answer) for index, answer in enumerate(answers)))


def _gate(kind: dict[str, Any], fields: dict[str, Any]) -> GateSpec:
    base = {"name": "gate", "onRegression": "Shadow", "every": "5s", "selector": "requests_total"}
    return GateSpec.model_validate({**base, **kind, **fields})
