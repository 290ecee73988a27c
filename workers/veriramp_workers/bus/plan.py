"""Which topics the pipeline needs, and how those of a cluster differ from them.

Public names: :class:`TopicPlan`, :class:`TopicFacts`, :class:`Difference`, :func:`wanted_topics`, :func:`differences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_sdk.events import Topic

DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class TopicFacts:
    """What a topic is like; ``replication`` is that of its partition with the fewest replicas."""

    partitions: int
    retention_ms: int
    cleanup: str
    replication: int
    min_insync: int


@dataclass(frozen=True)
class TopicPlan:
    """A topic as it should be."""

    name: str
    facts: TopicFacts

    @property
    def configuration(self) -> dict[str, str]:
        """What Kafka is told when the topic is created, beside partitions and replication."""
        return {
            "retention.ms": str(self.facts.retention_ms),
            "cleanup.policy": self.facts.cleanup,
            "min.insync.replicas": str(self.facts.min_insync),
        }


@dataclass(frozen=True)
class Difference:
    """One thing about a topic that is not as it should be, and the command that changes it."""

    field: str
    wanted: str
    actual: str
    fix: str


def wanted_topics(replication: int, min_insync: int) -> tuple[TopicPlan, ...]:
    """Return the topics with this replication factor and this number of replicas that must have each message."""
    return tuple(
        TopicPlan(name, TopicFacts(partitions, days * DAY_MS, cleanup, replication, min_insync))
        for name, partitions, days, cleanup in _TOPICS
    )


def differences(plan: TopicPlan, actual: TopicFacts | None, brokers: str) -> tuple[Difference, ...]:
    """Compare a topic with its plan; more partitions or replicas than planned are no difference."""
    if actual is None:
        return (Difference("topic", "exists", "missing", "veriramp-worker topics --apply"),)
    wanted = plan.facts
    kafka = f"--bootstrap-server {brokers}"
    alter = f"kafka-configs.sh {kafka} --alter --entity-type topics --entity-name {plan.name} --add-config"
    found: list[Difference] = []
    if actual.partitions < wanted.partitions:
        fix = f"kafka-topics.sh {kafka} --alter --topic {plan.name} --partitions {wanted.partitions}"
        found.append(Difference("partitions", str(wanted.partitions), str(actual.partitions), fix))
    if actual.replication < wanted.replication:
        fix = (
            f"kafka-reassign-partitions.sh {kafka} --execute with {wanted.replication} replicas for each partition of "
            f"{plan.name}; or set VERIRAMP_TOPIC_REPLICATION={actual.replication}"
        )
        found.append(Difference("replication", str(wanted.replication), str(actual.replication), fix))
    settings = (
        ("retention.ms", str(wanted.retention_ms), str(actual.retention_ms)),
        ("cleanup.policy", wanted.cleanup, actual.cleanup),
        ("min.insync.replicas", str(wanted.min_insync), str(actual.min_insync)),
    )
    for name, want, have in settings:
        if set(want.split(",")) != set(have.split(",")):
            value = f"[{want}]" if "," in want else want
            found.append(Difference(name, want, have, f"{alter} {name}={value}"))
    return tuple(found)


# Marks of the documents to recalculate are kept elsewhere; compaction only keeps the topic short.
_TOPICS: Final = (
    (Topic.INTERACTIVE, 3, 7, "delete"),
    (Topic.BACKFILL, 3, 7, "delete"),
    (Topic.RETRY_SOON, 3, 7, "delete"),
    (Topic.RETRY_LATE, 3, 7, "delete"),
    (Topic.DEFERRED, 3, 7, "delete"),
    (Topic.DEAD_LETTERS, 1, 30, "delete"),
    (Topic.COMPLETE, 3, 30, "delete"),
    (Topic.FAILED, 1, 30, "delete"),
    (Topic.PAGERANK, 1, 1, "compact,delete"),
)
