"""What a process exports about the flags it applied and, where it serves searches, about the requests of each arm.

Public: :class:`FlagMetrics`, :func:`flag_metrics_of`, :class:`ProcessMetrics`; :class:`SearchMetrics`,
:func:`search_metrics_of`, :class:`ArmMetrics`. Counters carry no revision and no stage: their series live as long as
the rollout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veriramp_sdk.collectors import per_registry
from veriramp_sdk.contract import Arm

LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Upper bounds in seconds of the request duration histogram."""


class FlagMetrics:
    """The collectors of one registry that every process has, shared by the rollouts that it follows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        process = ("namespace", "rollout", "process")
        self.revision = Gauge(
            "veriramp_flag_applied_revision", "Revision of the document in use", process, registry=registry
        )
        self.applied_at = Gauge(
            "veriramp_flag_applied_timestamp_seconds", "When that revision was applied", process, registry=registry
        )
        self.lease_remaining = Gauge(
            "veriramp_flag_lease_remaining_seconds",
            "Time until the document turns itself off",
            process,
            registry=registry,
        )
        self.clock_skew = Gauge(
            "veriramp_flag_clock_skew_seconds", "Clock of the flag server minus ours", process, registry=registry
        )


class SearchMetrics:
    """The collectors of one registry in a process that serves searches.

    A worker has none of them: its zeros would look like arms that are measured and have no errors.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        arm = ("namespace", "rollout", "arm")
        self.occupied = Gauge(
            "veriramp_occupied_buckets", "Distinct buckets of users seen in the arm", arm, registry=registry
        )
        self.requests = Counter("veriramp_search_requests", "Search requests", arm, registry=registry)
        self.errors = Counter("veriramp_search_errors", "Search requests that failed", arm, registry=registry)
        self.duration = Histogram(
            "veriramp_search_request_duration_seconds",
            "Duration of search requests",
            arm,
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )


flag_metrics_of: Final = per_registry(FlagMetrics)
search_metrics_of: Final = per_registry(SearchMetrics)
"""The collectors of a registry, made at the first call: one registry refuses a second of the same name."""


class ArmMetrics:
    """Requests, errors, latency and occupied buckets of one rollout, by arm."""

    def __init__(self, metrics: SearchMetrics, namespace: str, rollout: str, *, occupied: Callable[[Arm], int]) -> None:
        self._requests = {arm: metrics.requests.labels(namespace, rollout, arm) for arm in Arm}
        self._errors = {arm: metrics.errors.labels(namespace, rollout, arm) for arm in Arm}
        self._duration = {arm: metrics.duration.labels(namespace, rollout, arm) for arm in Arm}
        for arm in Arm:
            metrics.occupied.labels(namespace, rollout, arm).set_function(_bound(occupied, arm))

    def observe(self, arm: Arm, seconds: float, *, error: bool) -> None:
        """Count one request of an arm with its duration in seconds."""
        self._requests[arm].inc()
        self._duration[arm].observe(seconds)
        if error:
            self._errors[arm].inc()


class ProcessMetrics:
    """What one process tells about the document it uses."""

    def __init__(
        self,
        metrics: FlagMetrics,
        namespace: str,
        rollout: str,
        process: str,
        *,
        lease_remaining: Callable[[], float],
    ) -> None:
        self._labels = (namespace, rollout, process)
        self._gauges = (metrics.revision, metrics.applied_at, metrics.lease_remaining, metrics.clock_skew)
        self._revision = metrics.revision.labels(*self._labels)
        self._applied_at = metrics.applied_at.labels(*self._labels)
        self._skew = metrics.clock_skew.labels(*self._labels)
        metrics.lease_remaining.labels(*self._labels).set_function(lease_remaining)

    def applied(self, revision: int, at: float) -> None:
        """Record that a revision is in use since ``at`` (seconds since 1970)."""
        self._revision.set(revision)
        self._applied_at.set(at)

    def skewed(self, seconds: float) -> None:
        """Record the flag server's clock minus ours."""
        self._skew.set(seconds)

    def close(self) -> None:
        """Drop the series of this process."""
        for gauge in self._gauges:
            gauge.remove(*self._labels)


def _bound(occupied: Callable[[Arm], int], arm: Arm) -> Callable[[], float]:
    return lambda: float(occupied(arm))
