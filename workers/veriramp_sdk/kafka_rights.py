"""The rights that the programs need where Kafka checks them, and the sentence about one that is missing.

Public names: :class:`Right`, :data:`WORKER_RIGHTS`, :data:`SEARCH_RIGHTS`, :data:`TOPICS_RIGHTS`,
:data:`PRODUCER_RIGHT`, :data:`GROUP`, :func:`missing_rights`, :func:`asked_for`; needs aiokafka.

The guide's table is these lists, and a test with a Kafka that checks rights gives exactly them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from veriramp_sdk.events import Topic
from veriramp_sdk.kafka_settings import KafkaSettings

GROUP: Final = "verification-orchestrator-group"
"""The consumer group of all orchestrators."""


@dataclass(frozen=True, slots=True)
class Right:
    """An operation, by Kafka's name for it, on a ``topic``, ``topics`` or a ``group``."""

    operation: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on the {self.kind} {self.name}"


def _on(topics: Iterable[Topic], *operations: str) -> tuple[Right, ...]:
    return tuple(Right(operation, "topic", str(topic)) for topic in topics for operation in operations)


_REQUESTS: Final = (Topic.INTERACTIVE, Topic.BACKFILL)
_ANSWERS: Final = (Topic.COMPLETE, Topic.FAILED)
_AGAIN: Final = (Topic.RETRY_SOON, Topic.RETRY_LATE, Topic.DEFERRED)

WORKER_RIGHTS: Final = (
    Right("Read", "group", GROUP),
    *_on((*_REQUESTS, *_AGAIN), "Read", "Write"),
    *_on((*_ANSWERS, Topic.DEAD_LETTERS), "Write"),
)
"""What an orchestrator cannot work without."""

PRODUCER_RIGHT: Final = Right(
    "Write", "topics", ", ".join(one.name for one in WORKER_RIGHTS if one.operation == "Write")
)
"""What an idempotent producer is refused its number without: at least one of these, and before Kafka 3.0 another."""

SEARCH_RIGHTS: Final = (*_on(_REQUESTS, "Write"), *_on(_ANSWERS, "Read"))
"""What trigger and reader of verdicts need."""

TOPICS_RIGHTS: Final = _on(Topic, "Describe", "DescribeConfigs", "Create")
"""What ``veriramp-worker topics`` needs, Create with ``--apply`` only; a worker that starts needs the others."""


def missing_rights(error: BaseException, operation: str, topic: str = "") -> tuple[Right, ...]:
    """Return the rights whose lack an error of ``operation`` tells of, on ``topic`` if it names none; else nothing."""
    if isinstance(error, GroupAuthorizationFailedError):
        return tuple(Right("Read", "group", str(name)) for name in error.args)
    if isinstance(error, TopicAuthorizationFailedError):
        named = error.args[0] if error.args else topic
        return tuple(Right(operation, "topic", name) for name in ([named] if isinstance(named, str) else sorted(named)))
    if isinstance(error, ClusterAuthorizationFailedError):
        return (PRODUCER_RIGHT,)
    return missing_rights(error.__cause__, operation, topic) if isinstance(error.__cause__, KafkaError) else ()


def asked_for(settings: KafkaSettings, rights: Iterable[Right]) -> str:
    """Return the sentence that tells who is to be given which rights."""
    if settings.username:
        who = f'"{settings.username}"'
    elif settings.certificate_file:
        who = f"the name in {settings.certificate_file}"
    else:
        who = "clients without a name"
    return f"Kafka does not allow it: give {who} {', '.join(map(str, rights))}"
