"""A broker and a flag server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.flags import ROLLOUT, Operator, free_ports
from tests.support.pipeline import Topics, a_broker, topics_of
from veriramp_operator.flagserver.server import FlagServer


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[str]:
    with a_broker(tmp_path) as address:
        yield address


@pytest.fixture
async def topics(brokers: str) -> AsyncIterator[Topics]:
    async with topics_of(brokers) as topics:
        yield topics


@pytest.fixture
async def flag_server() -> AsyncIterator[FlagServer]:
    async with FlagServer(free_ports()) as running:
        yield running


@pytest.fixture
def operator(flag_server: FlagServer) -> Operator:
    return Operator(flag_server)


@pytest.fixture
def env(flag_server: FlagServer, brokers: str) -> dict[str, str]:
    return {
        "VERIRAMP_BROKERS": brokers,
        "VERIRAMP_FLAGS_URL": f"127.0.0.1:{flag_server.grpc_port}",
        "VERIRAMP_ROLLOUT": ROLLOUT,
        "VERIRAMP_FLAG_KEY": "verification",
        "VERIRAMP_SOLVERS": "1",
        "VERIRAMP_SESSION_SECONDS": "6",
    }
