"""The orchestrator when the broker comes late or goes for a while."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.bus_program import ANSWERS, GROUP
from tests.support.flags import LIVE, Operator, a_document
from tests.support.pipeline import (
    STOP_ALONE_SECONDS,
    STOP_SECONDS,
    Topics,
    a_client,
    a_program,
    a_request,
    admin_of,
    free_port,
    topics_of,
)
from tests.support.waiting import wait_until
from tools.toolchain import binary
from veriramp_sdk.events import Topic

TOKEN = "a-token-of-twenty-signs"
SECONDS = 45.0


@contextmanager
def a_broker_at(port: int, folder: Path) -> Iterator[str]:
    """A broker that keeps its topics in a folder."""
    arguments = [str(binary("broker")), "--port", str(port), "--default-partitions", "3", "--data-dir", str(folder)]
    with (
        (folder / "broker.log").open("ab") as log,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def env(env: dict[str, str], port: int, operator: Operator) -> dict[str, str]:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    return {**env, "VERIRAMP_BROKERS": f"127.0.0.1:{port}"}


async def test_it_waits_for_a_broker_that_comes_late_and_works_on_after_a_restart(
    tmp_path: Path, env: dict[str, str], port: int
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    env["VERIRAMP_ADMIN_TOKEN"] = TOKEN
    async with (
        a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env, wait=False) as program,
        a_client(authorization=f"Bearer {TOKEN}") as client,
    ):

        async def missed_it() -> bool:
            return "no broker yet" in program.log.read_text()

        async def lags() -> list[object]:
            answer = await client.get(f"{program.url}/admin/stats")
            lag: dict[str, object] = answer.json()["lag"]
            exported = await program.metric("kafka_consumer_lag", topic=Topic.INTERACTIVE, partition="0")
            return [lag.get(f"{Topic.INTERACTIVE}/0"), str(exported)]

        async def lag_known() -> bool:
            return await lags() == [0, "0.0"]

        async def lag_unknown() -> bool:
            return await lags() == [None, "nan"]

        await wait_until(missed_it, SECONDS, "the worker to miss the broker")
        with a_broker_at(port, folder) as brokers:
            await wait_until(program.ready, SECONDS, "the worker to be ready")
            async with topics_of(brokers) as topics:
                await topics.send(Topic.INTERACTIVE, a_request("The mill is red."))
                await topics.read(Topic.COMPLETE, lambda records: len(records) >= 1, "the first answer")
            await wait_until(lag_known, SECONDS, "the lag")
        await wait_until(lag_unknown, SECONDS, "the lag to be not known")
        with a_broker_at(port, folder) as brokers:
            async with topics_of(brokers) as topics:
                await topics.send(Topic.INTERACTIVE, a_request("The mill is old."))
                await topics.read(
                    Topic.COMPLETE, lambda records: len({record.key for record in records}) == 2, "the second answer"
                )
            await wait_until(lag_known, SECONDS, "the lag again")
            assert await program.stop() == 0
        assert program.log.read_text().count("verify_chunks.interactive is missing") == 1


async def test_half_a_minute_without_the_broker_makes_it_unready_until_it_is_back(
    tmp_path: Path, env: dict[str, str], port: int
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    told = rf"no answer from Kafka for \d+ s: 127\.0\.0\.1:{port} takes no connection\n"
    async with AsyncExitStack() as stack:
        with a_broker_at(port, folder):
            program = a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env)
            worker = await stack.enter_async_context(program)
        client = await stack.enter_async_context(a_client())

        async def unready() -> bool:
            return re.fullmatch(told, (await client.get(f"{worker.url}/readyz")).text) is not None

        await wait_until(unready, 60, "the worker to be unready")
        assert not await worker.ready()
        assert await worker.alive()
        with a_broker_at(port, folder):
            await wait_until(worker.ready, SECONDS, "the worker to be ready again")
            assert await worker.stop() == 0
    missed = (log := worker.log.read_text()).count("trying again: 127.0.0.1:")
    assert 1 <= log.count("Kafka answers again") <= missed, "its return is told as often as it was missed, not oftener"


@pytest.mark.shows("S1-VER-08")
async def test_without_a_broker_it_is_alive_not_ready_and_leaves_when_told(tmp_path: Path, env: dict[str, str]) -> None:
    async with a_program("veriramp_workers.main", "orchestrator", folder=tmp_path, env=env, wait=False) as program:
        await wait_until(program.alive, SECONDS, "the worker to be alive")
        assert not await program.ready()
        assert await program.stop() == 0


@pytest.mark.shows("S1-ORCH-05")
async def test_told_to_stop_while_the_broker_is_gone_it_leaves_and_the_work_is_done_by_the_next(
    tmp_path: Path, port: int
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    env = {"BUS_BROKERS": f"127.0.0.1:{port}", "BUS_COMMIT_SECONDS": "3600", "BUS_WORK_SECONDS": "0.5"}
    requests = [json.dumps({"id": number, "script": []}).encode() for number in range(40)]
    async with AsyncExitStack() as stack:
        with a_broker_at(port, folder) as brokers:
            async with topics_of(brokers) as topics:
                await topics.send_all((Topic.INTERACTIVE, value, value) for value in requests)
                program = a_program("tests.support.bus_program", folder=tmp_path, env=env, wait=False)
                worker = await stack.enter_async_context(program)
                await topics.read(ANSWERS, lambda records: len(records) >= 5, "some answers")
        assert await worker.stop(STOP_ALONE_SECONDS) == 0
    with a_broker_at(port, folder) as brokers:
        async with (
            topics_of(brokers) as topics,
            a_program("tests.support.bus_program", folder=tmp_path, env=env, wait=False),
        ):
            await topics.read(
                ANSWERS, lambda records: {record.value for record in records} == set(requests), "an answer to each"
            )


async def test_a_topic_that_is_created_anew_under_a_worker_is_read_from_its_start(
    tmp_path: Path, brokers: str, topics: Topics
) -> None:
    env = {"BUS_BROKERS": brokers, "BUS_COMMIT_SECONDS": "0.1", "BUS_WORK_SECONDS": "0"}
    requests = [json.dumps({"id": number, "script": []}).encode() for number in range(9)]
    async with a_program("tests.support.bus_program", folder=tmp_path, env=env, wait=False) as worker:
        await topics.send_all((Topic.INTERACTIVE, value, b"one partition") for value in requests[:6])
        await topics.read(ANSWERS, lambda records: len(records) >= 6, "the first answers")
        async with admin_of(brokers) as admin:
            await admin.delete_topics([Topic.INTERACTIVE])  # the broker creates it when it is asked for next
        await topics.send_all((Topic.INTERACTIVE, value, b"one partition") for value in requests[6:])
        await topics.read(ANSWERS, lambda records: {record.value for record in records} == set(requests), "the others")
        await topics.all_committed(GROUP, Topic.INTERACTIVE, 3)
        assert await worker.stop() == 0
    assert "verify_chunks.interactive/" in (log := worker.log.read_text())
    assert "was cut or created anew, offset 0 comes after 5" in log
