"""A worker under a flag server that serves a file: off by the file, and off when the server is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flagfile import OFF, FlagFile, a_flag_file
from tests.support.pipeline import Program, Topics, a_client, a_request, an_orchestrator
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic

CONTRACT_SECONDS = 10
"""S1-FLAG-04: a change takes effect within so long."""
LEASE_SECONDS = 30


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FlagFile]:
    with a_flag_file(tmp_path) as file:
        yield file


async def paused(worker: Program, wanted: bool, seconds: float) -> None:
    async def as_wanted() -> bool:
        return (await worker.metric("veriramp_bus_paused", reason="mode") == 1) is wanted

    await wait_until(as_wanted, seconds, f"the worker to be {'off' if wanted else 'on'}")


@pytest.mark.shows("S1-FLAG-04")
async def test_a_worker_obeys_the_file(tmp_path: Path, brokers: str, topics: Topics, file: FlagFile) -> None:
    env = {
        "VERIRAMP_BROKERS": brokers,
        "VERIRAMP_FLAGS_URL": file.address,
        "VERIRAMP_ROLLOUT": "search/demo",
        "VERIRAMP_SOLVERS": "1",
        "VERIRAMP_SESSION_SECONDS": "6",
    }
    live = file.path.read_text()
    async with an_orchestrator(tmp_path, env) as worker:
        await paused(worker, False, CONTRACT_SECONDS)
        await topics.send(Topic.INTERACTIVE, a_request("The mill is red.", "The mill is red."))
        await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the first verdict")
        async with a_client() as client:
            exported = (await client.get(f"{worker.url}/metrics")).text
        assert "veriramp_flag_applied_revision" in exported
        assert "veriramp_search_" not in exported
        file.write(OFF)
        await paused(worker, True, CONTRACT_SECONDS)
        await topics.send(Topic.INTERACTIVE, a_request("The dam is old.", "The dam is old."))
        assert await worker.metric("verification_requests_total") == 1
        file.write(live)
        await topics.read(
            Topic.COMPLETE, lambda records: len({record.key for record in records}) == 2, "the second verdict"
        )
        file.kill()
        await paused(worker, True, LEASE_SECONDS + 5)
        assert await worker.ready()
