"""Samples as they come from monitoring, and the verdict that a gate makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import VerdictKind


@dataclass(frozen=True, slots=True)
class Series:
    """A good answer: one value per returned series, each with its labels (without ``__name__``)."""

    values: tuple[float, ...]
    labels: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why."""

    reason: NoDataReason
    message: str


Answer = Series | Failure


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of a gate.

    ``at``: evaluation time in seconds since the epoch. ``presence``: answer of the presence query, if the gate has
    one. ``newest``: answer of ``max(timestamp(<selector>))``, i.e. the time of the newest sample behind the answer;
    None when the gate asks for no age.
    """

    at: float
    answer: Answer
    presence: Answer | None = None
    newest: Answer | None = None


@dataclass(frozen=True, slots=True)
class PushedAlert:
    """An alert pushed by Alertmanager: when it was received, whether it fires, and until when that counts."""

    alertname: str
    firing: bool
    received_at: float
    starts_at: float
    expires_at: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Samples:
    """Everything known for one gate: readings with rising ``at``, and pushes by fingerprint.

    ``scrape_interval``: seconds between two scrapes of the endpoint that was asked; the default ``maxAge`` follows it.
    """

    readings: tuple[Reading, ...] = ()
    pushes: tuple[PushedAlert, ...] = ()
    scrape_interval: float = 15.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says.

    ``observed_at``: time of the newest evidence used. ``breached_at``: time of the first sample of the present breach
    (Regression only), from which the time to safe is counted. ``leans_bad``: Inconclusive with a point estimate past
    the tolerance (or a breach younger than ``for``).
    """

    kind: VerdictKind
    reason: str
    message: str
    value: float | None = None
    sample_size: int | None = None
    observed_at: float | None = None
    breached_at: float | None = None
    leans_bad: bool = False
