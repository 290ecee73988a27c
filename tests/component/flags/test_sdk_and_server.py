"""The SDK and stock OpenFeature providers against a real flag server, over loopback."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc.aio
import httpx
import pytest
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, OFF, ROLLOUT, SHADOW, Operator, a_document, free_ports, until
from tests.support.pipeline import free_port
from veriramp_operator.flagserver.server import FlagServer
from veriramp_operator.flagserver.settings import Settings
from veriramp_operator.flagserver.store import payload
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


def applied_revision(registry: CollectorRegistry) -> float | None:
    """What process p1 exports; it says so a moment after it has decided by it."""
    labels = {"namespace": "search", "rollout": "demo", "process": "p1"}
    return registry.get_sample_value("veriramp_flag_applied_revision", labels)


async def test_a_published_document_reaches_the_process(operator: Operator, flags: Flags) -> None:
    operator.publish(a_document(revision=7))
    operator.renew()
    await until(lambda: flags.state().mode is Mode.LIVE)
    arms = {flags.decide(f"user-{number}", "q").arm for number in range(50)}
    assert arms == {Arm.CONTROL, Arm.TREATMENT}
    assert flags.decide("user-1", "q").revision == 7


@pytest.mark.shows("S1-FLAG-01", "S1-DEP-01")
async def test_everything_is_off_before_the_first_document(flags: Flags) -> None:
    decision = flags.decide("user-1", "q", {"group": "staff"})
    assert (decision.mode, decision.arm, decision.verify, decision.weight) == (Mode.OFF, Arm.OFF, False, 0.0)


async def test_a_server_that_cannot_be_followed_is_told_once_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="veriramp.flags")
    settings = replace(free_ports(), grpc_port=free_port())
    with Flags(f"127.0.0.1:{settings.grpc_port}", ROLLOUT, key="verification", registry=CollectorRegistry()) as flags:
        await until(lambda: "UNAVAILABLE" in caplog.text, 60)
        async with FlagServer(settings) as server:
            operator = Operator(server)
            operator.publish(a_document(revision=7))
            operator.renew()
            await until(lambda: flags.state().revision == 7, 60)
    told = [record.getMessage() for record in caplog.records if "flag server" in record.getMessage()]
    assert [line.partition(" at 127")[0] for line in told] == ["no flags from the flag server", "the flag server"]


@pytest.mark.shows("S1-FLAG-04")
async def test_a_change_arrives_without_a_restart(operator: Operator, flags: Flags) -> None:
    operator.publish(a_document(revision=1, vector=SHADOW))
    operator.renew()
    await until(lambda: flags.state() == FlagState("5f0c", 1, Mode.SHADOW, 0.05, 10))
    operator.publish(a_document(revision=2, vector=LIVE))
    await until(lambda: flags.state() == FlagState("5f0c", 2, Mode.LIVE, 0.5, 10))
    operator.publish(a_document(revision=3, vector=OFF))
    await until(lambda: flags.state() == FlagState("5f0c", 3, Mode.OFF, 0.0, 10))
    assert flags.decide("user-1", "q").mode is Mode.OFF


async def test_a_server_that_never_saw_the_lease_change_stamps_nothing(
    server: FlagServer, operator: Operator, flags: Flags
) -> None:
    operator.publish(a_document())
    server.push(server.store.lease_seen("t0", server.clock()))
    await until(lambda: flags.state().revision == 1)
    assert flags.state().mode is Mode.OFF
    assert flags.decide("user-1", "q").mode is Mode.OFF
    server.push(server.store.lease_seen("t1", server.clock()))
    await until(lambda: flags.state().mode is Mode.LIVE)


async def test_a_deleted_document_is_all_off_at_the_next_revision(operator: Operator, flags: Flags) -> None:
    operator.publish(a_document(revision=5))
    operator.renew()
    await until(lambda: flags.state().mode is Mode.LIVE)
    operator.delete(ROLLOUT)
    await until(lambda: flags.state() == FlagState("5f0c", 6, Mode.OFF, 0.0, 10))
    operator.publish(a_document(revision=6, vector=OFF), a_document(revision=7, vector=SHADOW))
    await until(lambda: flags.state().mode is Mode.SHADOW)


@pytest.mark.shows("S1-ROLL-07")
async def test_the_end_of_the_lease_turns_off_and_is_told(operator: Operator, server: FlagServer) -> None:
    told: list[tuple[int, Mode]] = []
    operator.publish(a_document(lease_seconds=4))
    with a_client(server) as flags:

        def live_while_renewed() -> bool:
            operator.renew()
            return told[-1:] == [(1, Mode.LIVE)] and flags.decide("user-1", "q").mode is Mode.LIVE

        flags.on_change(lambda state: told.append((state.revision, state.mode)))
        await until(live_while_renewed)
        await until(lambda: told[-1] == (1, Mode.OFF), why="the lease ends, no renewal comes")
        assert flags.decide("user-1", "q").mode is Mode.OFF
        assert flags.settings("orchestrator").mode is Mode.OFF
        await until(live_while_renewed, why="the operator is back, the same vector is")


async def test_a_lower_revision_of_the_same_rollout_is_refused(
    server: FlagServer, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry()
    operator.publish(a_document(revision=9, vector=SHADOW))
    operator.renew()
    with a_client(server, registry, process_id="p1") as flags:
        await until(lambda: flags.state().revision == 9)
        await server.__aexit__(None, None, None)
        async with FlagServer(Settings(grpc_port=server.grpc_port, http_port=0)) as lagging:
            behind = Operator(lagging)
            behind.publish(a_document(revision=8, vector=LIVE))
            behind.renew()
            await until(lambda: "refused revision 8" in caplog.text)
            assert (flags.state().revision, flags.state().mode) == (9, Mode.SHADOW)
            behind.publish(a_document(revision=1, vector=LIVE, uid="another object"))
            await until(lambda: flags.state().revision == 1)
        await until(lambda: applied_revision(registry) == 1)


@pytest.mark.shows("S1-FLAG-04")
async def test_clients_come_back_to_a_restarted_server(server: FlagServer, operator: Operator) -> None:
    operator.publish(a_document(revision=1, vector=SHADOW))
    operator.renew()
    with a_client(server) as flags:
        await until(lambda: flags.state().revision == 1)
        await server.__aexit__(None, None, None)
        async with FlagServer(Settings(grpc_port=server.grpc_port, http_port=0)) as second:
            again = Operator(second)
            again.publish(a_document(revision=2, vector=LIVE))
            again.renew()
            await until(lambda: flags.state() == FlagState("5f0c", 2, Mode.LIVE, 0.5, 10))


async def test_a_process_reports_what_it_applied(server: FlagServer, operator: Operator) -> None:
    operator.publish(a_document(revision=3))
    operator.renew()
    with a_client(server, process_id="search-1"), a_client(server, process_id="worker-1", role=Role.WORKER):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}") as http:

            async def reported() -> bool:
                answer = (await http.get("/propagation/search/demo")).json()
                return [(p["process"], p["role"], p["revision"]) for p in answer["processes"]] == [
                    ("search-1", "search", 3),
                    ("worker-1", "worker", 3),
                ]

            await until(reported)
            answer = (await http.get("/propagation/search/demo")).json()
    assert (answer["uid"], answer["revision"], answer["reportIntervalSeconds"]) == ("5f0c", 3, 10)
    assert answer["streams"] == 2
    assert set(answer["processes"][0]) == {
        "process",
        "role",
        "uid",
        "revision",
        "appliedAt",
        "reportedAt",
        "firstSeenAt",
    }


async def test_documents_have_an_etag_that_the_lease_is_part_of(server: FlagServer, operator: Operator) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}") as http:
        assert (await http.get("/readyz")).status_code == 503
        operator.list()
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/flags/search/demo")).status_code == 404
        operator.publish(a_document())
        first = await http.get("/flags/search/demo")
        assert first.json()["metadata"]["revision"] == 1
        headers = {"If-None-Match": first.headers["etag"]}
        assert (await http.get("/flags/search/demo", headers=headers)).status_code == 304
        operator.renew()
        assert (await http.get("/flags/search/demo", headers=headers)).status_code == 200
        assert "veriramp_flagserver_documents 1.0" in (await http.get("/metrics")).text


async def test_a_token_is_asked_for_when_there_is_one() -> None:
    settings = Settings(grpc_port=0, http_port=0, token="open-sesame")
    async with FlagServer(settings) as server:
        operator = Operator(server)
        operator.publish(a_document())
        operator.renew()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.http_port}") as http:
            assert (await http.get("/flags/search/demo")).status_code == 401
            assert (await http.get("/livez")).status_code == 200
        with a_client(server) as stranger, a_client(server, token="open-sesame") as friend:
            await until(lambda: friend.state().mode is Mode.LIVE)
            assert stranger.state() == FlagState()


async def test_streams_close_when_documents_are_not_confirmed_any_more() -> None:
    now = [1000.0]
    async with FlagServer(free_ports(), clock=lambda: now[0]) as server:
        operator = Operator(server)
        operator.publish(a_document())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = sync_pb2_grpc.FlagSyncServiceStub(channel)
            stream = stub.SyncFlags(sync_pb2.SyncFlagsRequest(selector=ROLLOUT))
            assert await stream.read()
            now[0] += 61
            server.hub.close_all("not confirmed")
            for call in (stream, stub.SyncFlags(sync_pb2.SyncFlagsRequest(selector=ROLLOUT))):
                with pytest.raises(grpc.aio.AioRpcError, match="not confirmed"):
                    await call.read()
            operator.list()
            assert await stub.SyncFlags(sync_pb2.SyncFlagsRequest(selector=ROLLOUT)).read()


@pytest.mark.shows("S1-OBS-01")
async def test_metrics_count_requests_by_arm(server: FlagServer, operator: Operator) -> None:
    registry = CollectorRegistry()
    operator.publish(a_document(vector=LIVE, include=(), exclude=()))
    operator.renew()
    with a_client(server, registry, process_id="p1") as flags:
        await until(lambda: flags.state().mode is Mode.LIVE)
        seen = [flags.decide(f"user-{number}", "q") for number in range(200)]
        for decision in seen:
            flags.observe(decision, 0.02, error=decision.arm is Arm.TREATMENT)
        treated = sum(decision.arm is Arm.TREATMENT for decision in seen)
        arm = {"namespace": "search", "rollout": "demo", "arm": "treatment"}
        process = {"namespace": "search", "rollout": "demo", "process": "p1"}
        assert 0 < treated < 200
        assert registry.get_sample_value("veriramp_search_requests_total", arm) == treated
        assert registry.get_sample_value("veriramp_search_errors_total", arm) == treated
        assert registry.get_sample_value("veriramp_search_request_duration_seconds_count", arm) == treated
        assert 0 < (registry.get_sample_value("veriramp_occupied_buckets", arm) or 0) <= treated
        assert (registry.get_sample_value("veriramp_flag_lease_remaining_seconds", process) or 0) > 200


async def test_async_use_and_threads_that_end(server: FlagServer, operator: Operator) -> None:
    operator.publish(a_document())
    operator.renew()
    async with a_client(server) as flags:
        await until(lambda: flags.state().mode is Mode.LIVE)
    assert flags.decide("user-1", "q").mode is Mode.OFF
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("veriramp-flags")])


async def test_five_hundred_streams_hear_of_an_update(server: FlagServer, operator: Operator) -> None:
    operator.publish(a_document(revision=1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = sync_pb2_grpc.FlagSyncServiceStub(channel)
        request = sync_pb2.SyncFlagsRequest(selector=ROLLOUT)
        streams: list[Any] = [stub.SyncFlags(request) for _ in range(500)]
        first = await asyncio.gather(*(stream.read() for stream in streams))
        assert all('"revision":1' in message.flag_configuration for message in first)
        operator.publish(a_document(revision=2))
        second = await asyncio.gather(*(stream.read() for stream in streams))
        assert all('"revision":2' in message.flag_configuration for message in second)
        for stream in streams:
            stream.cancel()
    await until(lambda: server.hub.count() == 0)


@pytest.mark.shows("S0-02")
async def test_a_black_hole_between_us_ends_at_the_lease(server: FlagServer, operator: Operator) -> None:
    """The connection stays open and nothing comes through, while the operator goes on renewing."""
    hole = asyncio.Event()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not hole.is_set():
                writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.grpc_port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    operator.publish(a_document(lease_seconds=4))
    with Flags(
        f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
        ROLLOUT,
        key="verification",
        registry=CollectorRegistry(),
    ) as flags:

        def is_while_renewed(mode: Mode) -> bool:
            operator.renew()
            return flags.state().mode is mode

        await until(lambda: is_while_renewed(Mode.LIVE))
        hole.set()
        await until(lambda: is_while_renewed(Mode.OFF))
    proxy.close()


async def test_a_slow_client_is_dropped_and_nobody_waits_for_it(server: FlagServer, operator: Operator) -> None:
    server.service.send_seconds = 1.0
    filling = {"orchestrator": {"text": "x" * 200_000}}
    operator.publish(a_document(revision=1, vector=SHADOW, worker_settings=filling))
    operator.renew()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        slow = sync_pb2_grpc.FlagSyncServiceStub(channel).SyncFlags(sync_pb2.SyncFlagsRequest(selector=ROLLOUT))
        await slow.wait_for_connection()
        with a_client(server) as flags:
            revisions = itertools.count(2)

            async def dropped() -> bool:
                latest = next(revisions)
                operator.publish(a_document(revision=latest, vector=SHADOW, worker_settings=filling))
                await until(lambda: flags.state().revision == latest)
                # The other one too, if this process stood still for so long; it comes back at once.
                return server.service.dropped >= 1 and server.hub.count() == 1

            await until(dropped)


async def test_a_document_in_doubt_is_off_until_a_good_one_comes(server: FlagServer, operator: Operator) -> None:
    registry = CollectorRegistry()
    operator.publish(a_document(revision=1))
    operator.renew()
    with a_client(server, registry, process_id="p1") as flags:
        await until(lambda: flags.state().mode is Mode.LIVE)
        for text in ("{", "[" * 100_000, '{"flags":{}}'):
            for stream in server.hub._streams[ROLLOUT]:
                stream.offer(payload(text))
            await until(lambda: flags.state() == FlagState(), why=text[:20])
            await until(lambda: applied_revision(registry) == 0)
            server.push([ROLLOUT])
            await until(lambda: flags.state().mode is Mode.LIVE)


@pytest.mark.shows("S1-FLAG-02")
async def test_worker_settings_arrive_with_the_flags(operator: Operator, flags: Flags) -> None:
    operator.publish(a_document(revision=1))
    operator.renew()
    await until(lambda: flags.settings("orchestrator").integer("maxConcurrentVerifications", 0) == 10)
    operator.publish(a_document(revision=2, worker_settings={"orchestrator": {"maxConcurrentVerifications": 3}}))
    await until(lambda: flags.settings("orchestrator").integer("maxConcurrentVerifications", 0) == 3)
    assert flags.settings("orchestrator").mode is Mode.LIVE
    assert flags.settings("unknown").values == {}
