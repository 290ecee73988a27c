"""What may be changed in an orchestrator while it works, by the flags and by hand, and what it tells about itself.

Public names: :class:`Controls`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import replace

from prometheus_client import Gauge
from prometheus_client.samples import Sample

from veriramp_sdk.contract import Mode
from veriramp_sdk.decision import WorkerSettings
from veriramp_workers.breaker import CircuitBreaker
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.orchestrator import BREAKER, OFF, RATE, Orchestrator, RateLimiter, Tuning, tuning_from

_log = logging.getLogger("veriramp_workers")


class Controls:
    """The parts of one orchestrator, turned together. For the event loop's thread alone."""

    def __init__(
        self,
        worker: KafkaWorker,
        orchestrator: Orchestrator,
        breaker: CircuitBreaker,
        limiter: RateLimiter,
        metrics: BusMetrics,
    ) -> None:
        self._worker = worker
        self._orchestrator = orchestrator
        self._breaker = breaker
        self._limiter = limiter
        self._metrics = metrics
        self._mode = Mode.OFF
        self._revision = 0
        self._tuning = Tuning()
        self._complaints: tuple[str, ...] = ()
        # Until a flag says otherwise.
        limiter.closed = True
        orchestrator.tune(self._tuning, off=True)

    def follow(self, settings: WorkerSettings) -> None:
        """Obey the flags: mode and settings of this worker. Wrong settings are named once, their defaults hold."""
        tuning, complaints = tuning_from(settings.values)
        for complaint in complaints:
            if complaint not in self._complaints:
                _log.warning("revision %d: %s", settings.revision, complaint)
        new_pace = tuning.requests_per_minute != self._tuning.requests_per_minute
        if (settings.mode, tuning) != (self._mode, self._tuning) or not self._revision:
            _log.info(
                "mode is %s, at most %d verifications at once",
                settings.mode,
                tuning.concurrency,
                extra={"revision": settings.revision},
            )
        self._mode, self._revision = settings.mode, settings.revision
        self._tuning, self._complaints = tuning, complaints
        self._apply(tuning)
        if new_pace:
            self._worker.resume(RATE)
        self._limiter.closed = settings.mode is Mode.OFF
        if settings.mode is Mode.OFF:
            self._worker.pause()
        else:
            self._worker.resume(OFF)
            self._worker.resume()

    def _apply(self, tuning: Tuning) -> None:
        self._orchestrator.tune(tuning, off=self._mode is Mode.OFF)
        self._worker.resize(tuning.concurrency)
        self._breaker.configure(
            replace(self._breaker.settings, failures=tuning.breaker_failures, open_seconds=tuning.breaker_seconds)
        )
        self._limiter.resize(tuning.requests_per_minute)

    def reset_breaker(self) -> None:
        """Close the breaker and read on at once."""
        _log.warning("the breaker of %s is reset by hand", self._breaker.name)
        self._breaker.reset()
        self._orchestrator.unblock()
        self._worker.resume(BREAKER)

    def stats(self) -> dict[str, object]:
        """What a person asks first."""
        return {
            "mode": self._mode,
            "revision": self._revision,
            "complaints": list(self._complaints),
            "paused": sorted(sample.labels["reason"] for sample in _samples(self._metrics.paused) if sample.value),
            "degradation_level": int(self._orchestrator.level),
            "oldest_seconds": round(self._orchestrator.oldest_seconds, 3),
            "lag": {
                "/".join(sample.labels.values()): None if math.isnan(sample.value) else int(sample.value)
                for sample in _samples(self._metrics.lag)
            },
            "breaker": {
                "name": self._breaker.name,
                "state": self._breaker.state.name.lower(),
                "not_closed_seconds": round(self._breaker.not_closed_seconds, 3),
                "retry_after_seconds": round(self._breaker.retry_after, 3),
            },
            "concurrency": self._tuning.concurrency,
            "requests_per_minute": self._tuning.requests_per_minute,
        }


def _samples(gauge: Gauge) -> Iterator[Sample]:
    for metric in gauge.collect():
        yield from metric.samples
