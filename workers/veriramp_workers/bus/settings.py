"""What a worker on the bus is told, and what it exports.

Public names: :class:`BusSettings`, :class:`BusMetrics`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.plan import TopicPlan
from veriramp_workers.bus.retry import RetryTopic, Route

DEFAULT_CONCURRENCY: Final = 10
"""Records in work at once, where the flags say nothing else."""


@dataclass(frozen=True)
class BusSettings:
    """Where to read and how much at once. All times are in seconds.

    ``topics`` come by falling importance; after the first of them the retry topics, and then ``deferred``, where
    records wait that a handler defers. A record that was done is read again after a crash when it is among the last
    ``window`` of its partition and one before it was not done yet. ``drain_seconds`` bounds the wait for work in flight
    at a hand-over. What differs from ``plans`` is told at the start.
    """

    kafka: KafkaSettings
    group: str
    topics: tuple[str, ...]
    dead_letters: str
    retries: tuple[RetryTopic, ...] = ()
    deferred: RetryTopic | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    window: int = 200
    max_poll_records: int = 10
    patience: int = 9
    drain_seconds: float = 15.0
    commit_seconds: float = 0.5
    session_seconds: float = 10.0
    plans: tuple[TopicPlan, ...] = ()
    route: Route = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.max_poll_records <= self.window:
            raise ValueError(f"max_poll_records is {self.max_poll_records}; write 1 to window ({self.window})")
        object.__setattr__(self, "route", Route(self.retries, self.dead_letters, self.deferred))

    @property
    def lanes(self) -> tuple[str, ...]:
        """All topics to read, by falling importance."""
        return (*self.topics[:1], *self.delays, *self.topics[1:])

    @property
    def delays(self) -> dict[str, float]:
        """How long a record waits at most in each topic with a delay."""
        return {step.topic: step.seconds for step in (*self.retries, self.deferred) if step is not None}


class BusMetrics:
    """What the bus exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "veriramp_bus_records", "Records worked on, by outcome", ("topic", "outcome"), registry=registry
        )
        self.lag = Gauge("kafka_consumer_lag", "Records not yet committed", ("topic", "partition"), registry=registry)
        self.polls = Counter("veriramp_bus_polls", "Times that the broker was asked for records", registry=registry)
        self.paused = Gauge(
            "veriramp_bus_paused", "1 while nothing is read for this reason", ("reason",), registry=registry
        )
        self.in_work = Gauge("veriramp_bus_in_work", "Records read and not done yet", registry=registry)
        self.failures = Counter(
            "veriramp_bus_publish_failures",
            "Messages that the broker did not take at once",
            ("topic", "error"),
            registry=registry,
        )
        self.broker_failures = Counter(
            "veriramp_bus_broker_failures",
            "Times that the broker could not be asked; the next try follows by itself",
            ("step",),
            registry=registry,
        )
        for step in ("connect", "read", "commit", "lag"):
            self.broker_failures.labels(step)
