"""Flag documents and a flag server for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.support.waiting import PATIENCE
from veriramp_operator.api.vector import Vector
from veriramp_operator.flagserver.server import FlagServer
from veriramp_operator.flagserver.settings import Settings
from veriramp_operator.flagserver.store import EVERYWHERE
from veriramp_operator.resources.flags import DocumentRequest, FlagDocument, build
from veriramp_sdk.contract import Mode

ROLLOUT = "search/demo"
LIVE = Vector(mode=Mode.LIVE, sampling_rate=0.5, canary_percent=25, ranking_weight=0.05)
SHADOW = Vector(mode=Mode.SHADOW, sampling_rate=0.05)
OFF = Vector()

_REQUEST = DocumentRequest(
    namespace="search",
    rollout="demo",
    key="verification",
    uid="5f0c",
    revision=1,
    generation=1,
    vector=LIVE,
    salt="9b1d0f7c2a4e6d8833aa55cc77ee1122",
    sample_salt="00112233445566778899aabbccddeeff",
    lease_seconds=240,
    include=(("group", "staff"),),
    exclude=(("tenant", "regulated"),),
    worker_settings={"orchestrator": {"maxConcurrentVerifications": 10}},
)


def a_request(**changes: Any) -> DocumentRequest:
    """A document request with some fields changed."""
    return replace(_REQUEST, **changes)


def a_document(**changes: Any) -> FlagDocument:
    """The document of such a request."""
    return build(a_request(**changes))


def free_ports() -> Settings:
    """Settings of a flag server on loopback."""
    return Settings(grpc_port=0, http_port=0)


class Operator:
    """Feeds a flag server's store the way the watch does: documents, confirmations, lease renewals."""

    def __init__(self, server: FlagServer) -> None:
        self._server = server
        self._renewals = 0
        self._documents: dict[str, FlagDocument] = {}

    def publish(self, *documents: FlagDocument) -> None:
        """Write the documents' ConfigMaps."""
        for document in documents:
            self._documents[f"{document.namespace}/{document.rollout}"] = document
        self.list()

    def delete(self, rollout: str) -> None:
        """Delete a rollout's ConfigMap."""
        del self._documents[rollout]
        self.list()

    def list(self) -> None:
        """The server lists what there is."""
        server = self._server
        server.push(server.store.replace(EVERYWHERE, self._documents, server.clock()))

    def go_on(self) -> None:
        """What it published is still so; nothing before the first document."""
        if self._documents:
            self.list()
            self.renew()

    def renew(self) -> None:
        """The operator renews its Lease twice: the first look is not a change."""
        server = self._server
        for _ in range(2):
            self._renewals += 1
            server.push(server.store.lease_seen(str(self._renewals), server.clock()))


@asynccontextmanager
async def obeyed(operator: Operator, *documents: FlagDocument) -> AsyncIterator[Operator]:
    """Publish, and renew for as long as it takes."""
    operator.publish(*documents)
    operator.renew()
    async with renewed(operator):
        yield operator


@asynccontextmanager
async def renewed(operator: Operator) -> AsyncIterator[Operator]:
    """Renew what is published: after a minute without news a process that starts would stay off."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(5)
            operator.go_on()

    renewing = asyncio.create_task(renew())
    try:
        yield operator
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0, why: str = "") -> None:
    """Wait until a condition holds; fails after `seconds` x PATIENCE."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        holds = condition()
        if await holds if isinstance(holds, Awaitable) else holds:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {why or condition}")


def buckets_of(users: Iterable[str], salt: str) -> dict[str, int]:
    """The bucket of each user."""
    from veriramp_sdk.bucket import bucket  # noqa: PLC0415

    return {user: bucket(salt, user) for user in users}
