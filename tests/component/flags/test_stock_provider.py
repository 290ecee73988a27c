"""A stock OpenFeature in-process provider, without any Veriramp code in it, is a client like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from tests.support.flags import LIVE, OFF, ROLLOUT, Operator, a_document, free_ports, until
from veriramp_operator.flagserver.server import FlagServer


@pytest.fixture(autouse=True)
def _no_provider_stays() -> Iterator[None]:
    yield
    api.clear_providers()


@pytest.mark.shows("S1-FLAG-03")
async def test_the_stock_python_provider_follows_the_rollout() -> None:
    async with FlagServer(free_ports()) as server:
        operator = Operator(server)
        operator.publish(a_document(revision=1, vector=LIVE))
        operator.renew()
        provider = FlagdProvider(
            host="127.0.0.1",
            port=server.grpc_port,
            resolver_type=ResolverType.IN_PROCESS,
            selector=ROLLOUT,
            deadline_ms=10_000,
        )
        await asyncio.to_thread(api.set_provider_and_wait, provider, "stock")
        client = api.get_client("stock")

        def arm(**attributes: object) -> object:
            context = EvaluationContext(attributes=attributes)  # type: ignore[arg-type]
            value = client.get_object_value("verification", {"arm": "default"}, context)
            return value["arm"] if isinstance(value, dict) else value

        assert arm(bucket=0) == "treatment"
        assert arm(bucket=2499) == "treatment"
        assert arm(bucket=2500) == "control"
        assert arm() == "off"
        assert arm(bucket=None) == "off"
        assert arm(bucket=1, group="staff") == "forced"
        assert arm(bucket=1, tenant="regulated") == "excluded"
        operator.publish(a_document(revision=2, vector=OFF))
        await until(lambda: arm(bucket=0) == "off")
        assert server.hub.count(ROLLOUT) == 1
        assert not list(server.reports.of(ROLLOUT)), "a stock client is heard, but unmeasured"
        await asyncio.to_thread(provider.shutdown)
