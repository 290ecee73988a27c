"""A broker and a flag server for each test.

`brokers` is a kfake of the test's own, or, in a test or module marked with `BOTH_BROKERS`, that and then the real Kafka
that all tests of a session share: it takes seconds to start. Its topics are fresh for each test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.flags import ROLLOUT, Operator, free_ports, renewed
from tests.support.pipeline import Topics, a_broker, make_fresh_topics, topics_of
from tests.support.stores import zone_at_noon
from tools.kafka.cluster import Kafka, a_kafka
from veriramp_operator.flagserver.server import FlagServer


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with a_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def brokers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if getattr(request, "param", "kfake") == "kfake":
        with a_broker(tmp_path) as address:
            yield address
        return
    shared: Kafka = request.getfixturevalue("kafka")
    for node in shared.nodes:
        if not node.running:  # a test killed it and failed
            node.start()
    shared.wait()
    make_fresh_topics(shared.bootstrap)
    yield shared.bootstrap


@pytest.fixture
async def topics(brokers: str) -> AsyncIterator[Topics]:
    async with topics_of(brokers) as topics:
        yield topics


@pytest.fixture
async def flag_server() -> AsyncIterator[FlagServer]:
    async with FlagServer(free_ports()) as running:
        yield running


@pytest.fixture
async def operator(flag_server: FlagServer) -> AsyncIterator[Operator]:
    async with renewed(Operator(flag_server)) as operator:
        yield operator


@pytest.fixture
def env(flag_server: FlagServer, brokers: str) -> dict[str, str]:
    return {
        "VERIRAMP_BROKERS": brokers,
        "VERIRAMP_FLAGS_URL": f"127.0.0.1:{flag_server.grpc_port}",
        "VERIRAMP_ROLLOUT": ROLLOUT,
        "VERIRAMP_FLAG_KEY": "verification",
        "VERIRAMP_SOLVERS": "1",
        "VERIRAMP_SESSION_SECONDS": "6",
        "VERIRAMP_TIME_ZONE": zone_at_noon(),
    }
