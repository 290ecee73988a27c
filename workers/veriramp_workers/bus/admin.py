"""The topics of a cluster: what they are like, and how to create those that are missing.

Public names: :class:`Cluster`, :class:`ClusterError`, :func:`warn_of_topics`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from veriramp_sdk.kafka_rights import Right, asked_for
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import why_unreachable
from veriramp_workers.bus.plan import TopicFacts, TopicPlan, differences

_log = logging.getLogger(__name__)


class ClusterError(Exception):
    """The cluster could not be asked, or does not do what it was told; the text says what to do about it."""


class Cluster:
    """The admin side of a Kafka cluster, an async context manager; everything raises :class:`ClusterError`."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._brokers = kafka.brokers
        self._admin: AIOKafkaAdminClient

    async def __aenter__(self) -> Self:
        self._admin = AIOKafkaAdminClient(**self._kafka.options(), request_timeout_ms=_TIMEOUT_MS)
        try:
            await self._admin.start()
        except BaseException as error:
            await self._admin.close()
            if not isinstance(error, KafkaError):
                raise
            why = await why_unreachable(self._kafka) or repr(error)
            raise ClusterError(f"Kafka cannot be asked: {why}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._admin.close()

    async def facts(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """Return what the topics are like that exist; asking creates none."""
        try:
            described = await self._described(names)
            existing = [topic["topic"] for topic in described]
            if not existing:
                return {}
            answers = await self._admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_CONFIGURATION)) for name in existing]
            )
        except (KafkaError, TimeoutError) as error:
            raise ClusterError(f"the brokers at {self._brokers} do not describe their topics: {error!r}") from error
        resources = [resource for answer in answers for resource in answer.resources]
        self._check_allowed("DescribeConfigs", {name: code for code, _, _, name, _ in resources})
        return _facts(described, resources)

    async def _described(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Describe the topics that exist."""
        # The client's own question would create them on a broker that creates topics at their first use.
        question = MetadataRequest(list(names), allow_auto_topic_creation=False)
        answer = await self._admin._send_request(question)  # noqa: SLF001
        topics: list[dict[str, Any]] = answer.to_object()["topics"]
        self._check_allowed("Describe", {topic["topic"]: topic["error_code"] for topic in topics})
        return [topic for topic in topics if for_code(topic["error_code"]) is not UnknownTopicOrPartitionError]

    def _check_allowed(self, operation: str, codes: Mapping[str, int]) -> None:
        rights = [
            Right(operation, "topic", name)
            for name, code in sorted(codes.items())
            if for_code(code) is TopicAuthorizationFailedError
        ]
        if rights:
            raise ClusterError(asked_for(self._kafka, rights))

    async def create(self, plans: Sequence[TopicPlan]) -> frozenset[str]:
        """Create topics and wait until the cluster lists them; one that exists already is left as it is.

        Returns the names of those that were created.
        """
        topics = [
            NewTopic(plan.name, plan.facts.partitions, plan.facts.replication, topic_configs=plan.configuration)
            for plan in plans
        ]
        try:
            answer = await self._admin.create_topics(topics, timeout_ms=_TIMEOUT_MS)
            self._check_allowed("Create", {name: code for name, code, _ in answer.topic_errors})
            outcomes = {name: (for_code(code), text) for name, code, text in answer.topic_errors}
            for name, (error, text) in outcomes.items():
                if error not in {NoError, TopicAlreadyExistsError}:
                    raise ClusterError(await self._explained(name, error, text, plans))
            await self._listed({plan.name for plan in plans})
            return frozenset(name for name, (error, _) in outcomes.items() if error is NoError)
        except (KafkaError, TimeoutError) as error:
            raise ClusterError(f"the brokers at {self._brokers} create no topics: {error!r}") from error

    async def _listed(self, names: set[str]) -> None:
        async with asyncio.timeout(_TIMEOUT_MS / 1000):
            while not names <= set(await self._admin.list_topics()):  # noqa: ASYNC110 - the cluster signals nothing
                await asyncio.sleep(_POLL_SECONDS)

    async def _explained(self, name: str, error: type[KafkaError], text: str | None, plans: Sequence[TopicPlan]) -> str:
        if error is InvalidReplicationFactorError:
            brokers = len((await self._admin.describe_cluster())["brokers"])
            wanted = next(plan.facts.replication for plan in plans if plan.name == name)
            return (
                f"{name} wants {wanted} replicas and the cluster has {brokers} broker{'s' * (brokers != 1)}; add "
                "brokers, or, where losing messages does not matter, set VERIRAMP_TOPIC_REPLICATION=1 and "
                "VERIRAMP_TOPIC_MIN_INSYNC=1"
            )
        return f"{name} was not created: {text or error.description or error.__name__}"


async def warn_of_topics(kafka: KafkaSettings, plans: Sequence[TopicPlan]) -> None:
    """Log in one line which topics are missing or differ from their plan. Raises :class:`ClusterError`."""
    async with Cluster(kafka) as cluster:
        facts = await cluster.facts([plan.name for plan in plans])
    wrong = [
        f"{plan.name}: {one.field} is {one.actual}, wanted {one.wanted}"
        if plan.name in facts
        else f"{plan.name} is missing"
        for plan in plans
        for one in differences(plan, facts.get(plan.name), kafka.brokers)
    ]
    if wrong:
        _log.warning(
            "%s; veriramp-worker topics --check says what to do, --apply creates what is missing", "; ".join(wrong)
        )


def _facts(described: Sequence[dict[str, Any]], resources: Sequence[tuple[Any, ...]]) -> dict[str, TopicFacts]:
    settings = {name: {entry[0]: entry[1] for entry in entries} for _, _, _, name, entries in resources}
    found = {}
    for topic in described:
        name, partitions = topic["topic"], topic["partitions"]
        configured = settings.get(name, {})
        if not partitions or not configured.keys() >= set(_CONFIGURATION):
            raise ClusterError(f"the broker describes {name} incompletely: {configured}; is reading it allowed?")
        found[name] = TopicFacts(
            partitions=len(partitions),
            retention_ms=int(configured["retention.ms"]),
            cleanup=configured["cleanup.policy"],
            replication=min(len(partition["replicas"]) for partition in partitions),
            min_insync=int(configured["min.insync.replicas"]),
        )
    return found


_CONFIGURATION: Final = ("retention.ms", "cleanup.policy", "min.insync.replicas")
_TIMEOUT_MS: Final = 15_000
_POLL_SECONDS: Final = 0.1
