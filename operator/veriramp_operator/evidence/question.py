"""What a gate asks of monitoring, how far back the answer looks, and how old it may be."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.rollout import AlertSource, FiringGate, GateSpec
from veriramp_operator.evidence.burn_rate import burn_query
from veriramp_operator.evidence.promql import is_bare_selector, largest_range

DEFAULT_WINDOW: Final = 300.0
COMPARED_WINDOW: Final = 60.0
DEFAULT_SCRAPE_INTERVAL: Final = 15.0
LEAST_MAX_AGE: Final = 30.0
POLLS_PER_MAX_AGE: Final = 3.0
SCRAPES_PER_MAX_AGE: Final = 2.0
MOST_POLLS_PER_FOR: Final = 400.0
GAP_POLLS: Final = 2.5
"""So many polls without data a breach outlives: what breaks a service often takes its metrics along."""


@dataclass(frozen=True, slots=True)
class Questions:
    """The PromQL strings to ask as instant queries; None where the gate needs none.

    ``query``: the gate's own. ``presence``: proves that an empty answer is good news. ``newest``: the time of the
    newest sample behind the answer, in seconds since the epoch. ``baseline``, ``lower``, ``upper``: of a ``baseline``
    gate. ``alertnames``: the alerting rules whose state is asked beside the query.
    """

    query: str | None = None
    presence: str | None = None
    newest: str | None = None
    baseline: str | None = None
    lower: str | None = None
    upper: str | None = None
    alertnames: tuple[str, ...] = ()

    @property
    def queries(self) -> tuple[str, ...]:
        """All of them that are asked."""
        asked = (self.query, self.presence, self.newest, self.baseline, self.lower, self.upper)
        return tuple(query for query in asked if query is not None)


def questions(gate: GateSpec, namespace: str, name: str) -> Questions:
    """The queries that a sampler must ask for this gate of the rollout; none for kinds that are not polled (yet)."""
    if gate.firing is not None and gate.firing.source is not AlertSource.PUSH:
        return Questions(firing_query(gate.firing, namespace, name), alertnames=gate.firing.alertnames)
    selector = selector_of(gate)
    if gate.burn_rate is not None:
        return Questions(burn_query(gate.burn_rate, selector or gate.burn_rate.total))
    query = query_of(gate)
    if query is None:
        return Questions()
    newest = None if selector is None else f"max(timestamp({selector}))"
    if gate.baseline is not None:
        stored = gate.baseline
        return Questions(query, None, newest, stored.baseline_query, stored.lower_query, stored.upper_query)
    kind = gate.alert or gate.threshold
    presence = kind.presence.query if kind is not None and kind.presence is not None else None
    return Questions(query, presence, newest)


def firing_query(firing: FiringGate, namespace: str, name: str) -> str:
    """The firing alerts meant for a rollout, each with the time at which its expression first held.

    The value is that time (seconds since the epoch), or 1 from a server that keeps no ``ALERTS_FOR_STATE``. Meant are,
    as for pushed alerts, those with the rollout's ``namespace`` and no ``rollout`` label or its name.
    """
    names = json.dumps("|".join(re.escape(alertname) for alertname in firing.alertnames), ensure_ascii=False)
    meant = f'alertname=~{names},namespace="{namespace}",rollout=~"|{name}"'
    alerts = f'ALERTS{{alertstate="firing",{meant}}}'
    began = f"{alerts} * 0 + ignoring (alertstate) ALERTS_FOR_STATE{{{meant}}}"
    return f"({began}) or ignoring (alertstate) {alerts}"


def query_of(gate: GateSpec) -> str | None:
    """The query that the gate's author wrote: the alert expression, or the one of a threshold or a baseline."""
    if gate.alert is not None:
        return gate.alert.expr
    kind = gate.threshold or gate.baseline
    return None if kind is None else kind.query


def selector_of(gate: GateSpec) -> str | None:
    """The series selector that tells the evidence's age.

    ``selector``; without one the total of a burn rate, or the query itself where it is a bare selector.
    """
    if gate.selector is not None:
        return gate.selector
    if gate.burn_rate is not None:
        return gate.burn_rate.total
    query = query_of(gate)
    return query if query is not None and is_bare_selector(query) else None


def for_of(gate: GateSpec) -> float:
    """Seconds that a breach must last before it counts; 0 where the kind has no ``for``."""
    kind = gate.alert or gate.threshold
    return 0.0 if kind is None else kind.for_


def every_of(gate: GateSpec) -> float:
    """Seconds between two polls: ``every``, stretched where ``for`` is so long that its polls would fill memory."""
    return max(gate.every, for_of(gate) / MOST_POLLS_PER_FOR)


def window_of(gate: GateSpec) -> float:
    """Seconds of the past that one answer speaks about.

    ``window``; without one the longest window of a burn rate, a minute of compared counters (each interval is counted
    for itself; large breakage shows within a minute), the query's largest range, or else 5 min.
    """
    if gate.window is not None:
        return gate.window
    if gate.burn_rate is not None:
        return max(window.long for window in gate.burn_rate.windows)
    if gate.comparison is not None:
        return COMPARED_WINDOW
    query = query_of(gate)
    found = largest_range(query) if query is not None else None
    return DEFAULT_WINDOW if found is None else found


def max_age_of(gate: GateSpec, scrape_interval: float = DEFAULT_SCRAPE_INTERVAL) -> float:
    """Seconds that the newest sample may be old: ``maxAge``, else max(3 x every, 2 x scrape interval, 30 s)."""
    if gate.max_age is not None:
        return gate.max_age
    return max(POLLS_PER_MAX_AGE * every_of(gate), SCRAPES_PER_MAX_AGE * scrape_interval, LEAST_MAX_AGE)


def counted_age_of(gate: GateSpec, scrape_interval: float = DEFAULT_SCRAPE_INTERVAL) -> float:
    """Seconds that what was counted of the arms and of their users may be old: of one answer more than ``maxAge``."""
    return 2 * max_age_of(gate, scrape_interval)
