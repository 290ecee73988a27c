"""What the orchestrator exports.

Public names: :class:`OrchestratorMetrics`.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veriramp_sdk.effects import Effect, FailureMode
from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement


class OrchestratorMetrics:
    """Counters, histograms and gauges of one worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "verification_requests", "Requests for verification, by outcome", ("status",), registry=registry
        )
        self.verdicts = Counter("verification_verdicts", "Verdicts given", ("verdict",), registry=registry)
        self.modes = Counter("verification_failure_mode", "Verdicts given, by mode", ("mode",), registry=registry)
        self.waits = Counter(
            "verification_waits", "Times that a request had to wait, by reason", ("reason",), registry=registry
        )
        self.duration = Histogram(
            "verification_duration_seconds",
            "From taking a request to its verdict",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.waiting = Histogram(
            "verification_queue_seconds",
            "From asking to taking the request",
            buckets=_WAITING_BUCKETS,
            registry=registry,
        )
        self.oldest = Gauge(
            "verification_backlog_seconds", "Age of the oldest request of a search that waits", registry=registry
        )
        self.degradation = Gauge(
            "veriramp_degradation_level",
            "0 full, 1 requests of searches only, 2 known verdicts only, 3 off",
            registry=registry,
        )
        for status in ("success", "invalid", "error", "cache_hit", "expired"):
            self.requests.labels(status)
        for verdict in Verdict:
            self.verdicts.labels(verdict)
        for mode in FailureMode:
            self.modes.labels(mode)

    def answered(self, judgement: Judgement, effect: Effect, *, known: bool, seconds: float) -> None:
        """Count one verdict; a known one cost no time of the verifier."""
        self.verdicts.labels(judgement.verdict).inc()
        self.modes.labels(effect.mode).inc()
        self.requests.labels("cache_hit" if known else _STATUS.get(judgement.verdict, "success")).inc()
        if not known:
            self.duration.observe(seconds)


_STATUS: Final = {Verdict.NOT_FORMALISABLE: "invalid", Verdict.ERROR: "error"}
_DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
_WAITING_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
