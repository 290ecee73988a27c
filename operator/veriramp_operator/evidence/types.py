"""Samples as they come from monitoring, and the verdict that a gate makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import VerdictKind


@dataclass(frozen=True, slots=True)
class Series:
    """A good answer: one value per returned series, each with its labels (without ``__name__``).

    ``number``: the value of the only series, where that is finite. Worked out here, because an answer comes once and is
    looked at in every pass for as long as it is kept.
    """

    values: tuple[float, ...]
    labels: tuple[Mapping[str, str], ...] = ()
    number: float | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what follows from the values."""
        only = self.values[0] if len(self.values) == 1 else math.nan
        object.__setattr__(self, "number", only if math.isfinite(only) else None)


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, and why."""

    number: ClassVar[None] = None
    reason: NoDataReason
    message: str


Answer = Series | Failure


@dataclass(frozen=True, slots=True)
class RawSeries:
    """The stored samples of one series, oldest first: times in seconds since the epoch, and ``__name__`` in labels."""

    labels: Mapping[str, str]
    at: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The answer of a range selector (``name{..}[15m]``): the raw samples of each series."""

    series: tuple[RawSeries, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """One alerting rule as Prometheus lists it: ``health`` is ``ok``, ``unknown`` or ``err``.

    ``evaluated_at``: seconds since the epoch of its last evaluation; ``interval``: seconds between two of them.
    """

    alertname: str
    health: str
    evaluated_at: float
    interval: float
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of a gate.

    ``at``: evaluation time in seconds since the epoch. ``answer``: of the gate's own query. ``presence``: answer of
    the presence query, if the gate has one. ``newest``: answer of ``max(timestamp(<selector>))``, i.e. the time of the
    newest sample behind the answer; None when the gate asks for no age. ``baseline``, ``lower``, ``upper``: answers of
    a ``baseline`` gate's further queries. ``rules``: the alerting rules that a pulled ``firing`` gate names.
    """

    at: float
    answer: Answer
    presence: Answer | None = None
    newest: Answer | None = None
    baseline: Answer | None = None
    lower: Answer | None = None
    upper: Answer | None = None
    rules: tuple[RuleSeen, ...] | Failure | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What two counters grew by in both arms, interval by interval: columns of one length, oldest first.

    ``at``: end of each interval (seconds since the epoch, strictly rising); ``seconds``: its length. Recent intervals
    are one scrape long, older ones are merged, so that a stage of any length has at most about 2,000 of them.
    ``since``..``until``: everything in between has been read; nothing before ``since`` is known.
    """

    since: float
    until: float
    at: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    treatment_events: tuple[float, ...] = ()
    treatment_total: tuple[float, ...] = ()
    control_events: tuple[float, ...] = ()
    control_total: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Occupied:
    """Distinct buckets (of 10,000) of users that one process has seen in each arm; the process that has seen most."""

    at: float
    treatment: int
    control: int


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
    ``counts`` and ``occupied``: what a ``comparison`` gate compares; its readings then only tell failures and age.
    ``external_labels``: names of labels that the endpoint adds to the alerts that it sends to Alertmanager.
    """

    readings: tuple[Reading, ...] = ()
    pushes: tuple[PushedAlert, ...] = ()
    scrape_interval: float = 15.0
    counts: Counts | None = None
    occupied: Occupied | None = None
    external_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """The comparison of two arms that the present stage makes; times in seconds since the epoch.

    ``percent``: share of users (0..100) in the treatment that is in force, 0 while nothing is Live. ``began_at``: when
    the first treated revision of this stage was confirmed; None = not yet. ``full_at``: when the stage's full vector
    was confirmed; None = still on the ramp. ``seconds``: healthy time that the stage takes at most (ramp and maxBake),
    over which errors are budgeted; 0 = nobody knows.
    """

    percent: float = 0.0
    began_at: float | None = None
    full_at: float | None = None
    seconds: float = 0.0

    @property
    def has_arms(self) -> bool:
        """True when both arms have a share of the users."""
        return 0.0 < self.percent < 100.0  # noqa: PLR2004 percent

    def clipped(self, since: float | None) -> Trial:
        """The same trial without what happened before an instant (the anchor of a fall or a retry)."""
        if since is None or self.began_at is None:
            return self
        full_at = None if self.full_at is None else max(self.full_at, since)
        return Trial(self.percent, max(self.began_at, since), full_at, self.seconds)


NO_TRIAL = Trial()


class Verdict(NamedTuple):
    """What a gate says; a tuple, because each pass makes one per gate.

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
