"""What the trigger exports, so that one can see what was asked for, what was not, and why.

Public names: :class:`TriggerMetrics`, :class:`Query`, :class:`Outcome`, :class:`Drop`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veriramp_sdk.collectors import per_registry

LABELS: Final = ("namespace", "rollout")
OFFER_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01)
"""Upper bounds in seconds of the time that a search spends in the trigger."""


class Query(StrEnum):
    """What a search came with."""

    SAMPLED = "sampled"
    UNSAMPLED = "unsampled"
    OFF = "off"


class Outcome(StrEnum):
    """What became of a chunk of a sampled query; ``sent`` is counted beside ``queued``.

    ``spared``: taken from ``topK`` because the query was clear, for backlog or the host's own share; ``budget``: left
    out because the verifier's budget for the tenant runs short.
    """

    QUEUED = "queued"
    SENT = "sent"
    FRESH = "fresh"
    PENDING = "pending"
    SPARED = "spared"
    BUDGET = "budget"


class Drop(StrEnum):
    """Why a chunk that should have been verified was let go."""

    FULL = "full"
    """the queue was full: the broker takes less than search asks"""
    LARGE = "large"
    """longer than a verifier or a broker accepts"""
    INVALID = "invalid"
    """empty, no Unicode, or a time in the wrong unit; the log says which"""
    FAILED = "failed"
    """the broker did not take it"""
    OFF = "off"
    """verification was switched off while it waited"""
    SHUTDOWN = "shutdown"
    """the process ended before it could be sent"""


class TriggerMetrics:
    """The series of one rollout in one registry (None: in one of its own)."""

    def __init__(self, registry: CollectorRegistry | None, rollout: str | None) -> None:
        families = _families_of(registry or CollectorRegistry())
        namespace, _, name = (rollout or "").partition("/")
        labels = (namespace, name)
        self._queries = {one: families.queries.labels(*labels, one) for one in Query}
        self._chunks = {one: families.chunks.labels(*labels, one) for one in Outcome}
        self._drops = {one: families.drops.labels(*labels, one) for one in Drop}
        self._offer = families.offer.labels(*labels)
        self._queue = families.queue.labels(*labels)
        self._pending = families.pending.labels(*labels)
        self._budget = families.budget.labels(*labels)

    def asked(self, query: Query) -> None:
        """Count one search."""
        self._queries[query].inc()

    def count(self, outcome: Outcome, chunks: int = 1) -> None:
        """Count chunks."""
        self._chunks[outcome].inc(chunks)

    def dropped(self, reason: Drop, chunks: int = 1) -> None:
        """Count chunks that were let go."""
        self._drops[reason].inc(chunks)

    def took(self, seconds: float) -> None:
        """Record how long one search spent in the trigger."""
        self._offer.observe(seconds)

    def follow(self, *, queue: Callable[[], float], pending: Callable[[], float], budget: Callable[[], float]) -> None:
        """Read these at each scrape."""
        self._queue.set_function(queue)
        self._pending.set_function(pending)
        self._budget.set_function(budget)


class _Families:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.queries = Counter(
            "veriramp_trigger_queries", "Searches that came to the trigger", (*LABELS, "outcome"), registry=registry
        )
        self.chunks = Counter(
            "veriramp_trigger_chunks", "Chunks of sampled queries", (*LABELS, "outcome"), registry=registry
        )
        self.drops = Counter(
            "veriramp_trigger_dropped", "Chunks that were let go", (*LABELS, "reason"), registry=registry
        )
        self.queue = Gauge("veriramp_trigger_queue_chunks", "Chunks that wait to be sent", LABELS, registry=registry)
        self.pending = Gauge(
            "veriramp_trigger_pending_chunks", "Chunks asked for and not answered yet", LABELS, registry=registry
        )
        self.budget = Gauge(
            "veriramp_trigger_budget_share",
            "Lowest share of its requests that the budget of a tenant leaves; 1 without news",
            LABELS,
            registry=registry,
        )
        self.offer = Histogram(
            "veriramp_trigger_offer_seconds",
            "Time that a search spends in the trigger",
            LABELS,
            buckets=OFFER_BUCKETS,
            registry=registry,
        )


_families_of: Final = per_registry(_Families)
