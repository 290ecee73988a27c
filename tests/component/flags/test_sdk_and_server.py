"""The SDK and stock OpenFeature providers against a real flag server, over loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.support.flags import LIVE, OFF, ROLLOUT, SHADOW, Operator, a_document, free_ports, until
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.contract import Arm, Mode, Role
from veriramp_sdk.decision import FlagState
from veriramp_sdk.flags import Flags


@pytest.fixture
async def server() -> AsyncIterator[FlagServer]:
    async with FlagServer(free_ports()) as running:
        yield running


@pytest.fixture
def operator(server: FlagServer) -> Operator:
    return Operator(server)


@pytest.fixture
def flags(server: FlagServer) -> Iterator[Flags]:
    with a_client(server) as client:
        yield client


def a_client(server: FlagServer, registry: CollectorRegistry | None = None, **options: object) -> Flags:
    return Flags(
        f"grpc://127.0.0.1:{server.grpc_port}",
        ROLLOUT,
        key="verification",
        registry=registry or CollectorRegistry(),
        **options,  # type: ignore[arg-type]
    )


async def test_a_published_document_reaches_the_process(operator: Operator, flags: Flags) -> None:
    operator.publish(a_document(revision=7))
    operator.renew()
    await until(lambda: flags.state().mode is Mode.LIVE)
    arms = {flags.decide(f"user-{number}", "q").arm for number in range(50)}
    assert arms == {Arm.CONTROL, Arm.TREATMENT}
    assert flags.decide("user-1", "q").revision == 7
