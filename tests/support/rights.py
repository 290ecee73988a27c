"""Gives the users of a Kafka that checks rights what they may do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from tests.support.pipeline import admin_of
from veriramp_sdk.kafka_rights import Right

# Kafka's numbers, from the protocol.
_KINDS = {"topic": 2, "group": 3}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
_LITERAL, _ALLOW = 3, 3


class Rights:
    """The rights of a cluster, changed by one who may."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def give(self, user: str, rights: Iterable[Right]) -> None:
        """Let a user do some things."""
        for right in rights:
            what = (_KINDS[right.kind], right.name, _LITERAL, f"User:{user}", "*", _OPERATIONS[right.operation], _ALLOW)
            (said,) = (await self._admin._send_to_controller(CreateAclsRequest(*what))).creation_responses
            assert said[0] == 0, said


@asynccontextmanager
async def rights_of(brokers: str) -> AsyncIterator[Rights]:
    """The rights of the cluster behind its open listener."""
    async with admin_of(brokers) as admin:
        yield Rights(admin)
