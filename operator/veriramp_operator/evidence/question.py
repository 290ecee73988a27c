"""What a gate asks of monitoring, how far back the answer looks, and how old it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.evidence.promql import is_bare_selector, largest_range

DEFAULT_WINDOW: Final = 300.0
DEFAULT_SCRAPE_INTERVAL: Final = 15.0
LEAST_MAX_AGE: Final = 30.0
POLLS_PER_MAX_AGE: Final = 3.0
SCRAPES_PER_MAX_AGE: Final = 2.0
MOST_POLLS_PER_FOR: Final = 400.0


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


def questions(gate: GateSpec, namespace: str, name: str) -> Questions:
    """The queries that a sampler must ask for this gate of the rollout; none for kinds that are not polled (yet)."""
    del namespace, name
    query = query_of(gate)
    if query is None:
        return Questions()
    kind = gate.alert or gate.threshold
    presence = kind.presence.query if kind is not None and kind.presence is not None else None
    selector = selector_of(gate)
    return Questions(query, presence, None if selector is None else f"max(timestamp({selector}))")


def query_of(gate: GateSpec) -> str | None:
    """The gate's own query: the alert expression or the threshold query."""
    if gate.alert is not None:
        return gate.alert.expr
    return gate.threshold.query if gate.threshold is not None else None


def selector_of(gate: GateSpec) -> str | None:
    """The series selector that tells the evidence's age: ``selector``, else the query itself where it is a bare one."""
    if gate.selector is not None:
        return gate.selector
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
    """Seconds of the past that one answer speaks about: ``window``, else the query's largest range, else 5 min."""
    if gate.window is not None:
        return gate.window
    query = query_of(gate)
    found = largest_range(query) if query is not None else None
    return DEFAULT_WINDOW if found is None else found


def max_age_of(gate: GateSpec, scrape_interval: float = DEFAULT_SCRAPE_INTERVAL) -> float:
    """Seconds that the newest sample may be old: ``maxAge``, else max(3 x every, 2 x scrape interval, 30 s)."""
    if gate.max_age is not None:
        return gate.max_age
    return max(POLLS_PER_MAX_AGE * every_of(gate), SCRAPES_PER_MAX_AGE * scrape_interval, LEAST_MAX_AGE)
