"""How fast a ConfigMap reaches every process, what a decision costs, and what many streams cost the flag server.

A real API server, the flag server as a process; eight Python and eight Node clients as processes, 200 updates; then
2,000 streams; then the operator and the flag server killed, until the lease has ended in every client.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc.aio
import httpx
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

from tests.bench import report
from tests.bench.clients import Client, node_clients, node_packages, python_clients
from tests.bench.report import Figure, percentile, say
from tests.support.flags import LIVE, a_document
from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from veriramp_operator.resources.flags import Owner, config_map, stamp
from veriramp_sdk.contract import Mode
from veriramp_sdk.document import Document, read_document
from veriramp_sdk.evaluation import Evaluator
from veriramp_sdk.provider import DocumentProvider

CLIENTS: Final = 8
UPDATES: Final = 200
STREAMS: Final = 2_000
STREAM_UPDATES: Final = 20
CHANNELS: Final = 100
LEASE_SECONDS: Final = 10
SECONDS: Final = 60.0
OWNER: Final = Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", "5f0c")
FAR: Final = 2**40
KEY: Final = "verification"


def main() -> None:
    """Measure and write build/bench/flags.json."""
    say("the cost of a decision")
    figures = decisions()
    with tempfile.TemporaryDirectory() as folder, _cluster(Path(folder)) as cluster:
        with _flag_server(cluster, Path(folder)) as server:
            figures += propagation(cluster, server)
        say(f"{STREAMS} streams")
        with _flag_server(cluster, Path(folder)) as server:
            figures += asyncio.run(streams(cluster, server))
        say("killing the operator, then the flag server")
        with _flag_server(cluster, Path(folder)) as server:
            figures += deaths(cluster, server)
    settings = {
        "clients": f"{CLIENTS} Python processes with the SDK, {CLIENTS} Node processes with the stock OpenFeature "
        "in-process provider (none where npm is missing)",
        "updates": UPDATES,
        "streams": f"{STREAMS} over {CHANNELS} connections, {STREAM_UPDATES} updates; their clients share the machine",
        "decisions": "CPU time of 2,000 calls, median of 25 rounds",
        "lease": f"{LEASE_SECONDS} s",
    }
    report.write("flags", figures, settings)


def decisions() -> list[Figure]:
    """The cost of one decision, remembered and through the OpenFeature client."""
    document = read_document(stamp(a_document(), FAR), "verification")
    evaluator = Evaluator("verification")
    evaluator.apply(document)
    users = [f"user-{number}" for number in range(1_000)]
    for user in users:
        evaluator.decide(user, "q")

    def held() -> Document:
        return document

    api.set_provider_and_wait(DocumentProvider(held), "bench")
    client = api.get_client("bench")
    context = EvaluationContext(attributes={"bucket": 77, "group": "guest", "tenant": "other"})
    turn = itertools.cycle(users)
    costs = {
        "decide() for a cached vector, p50": _cost(lambda: evaluator.decide(next(turn), "query-1")),
        "the flag through the OpenFeature client, p50": _cost(
            lambda: client.get_object_value("verification", {}, context)
        ),
    }
    bars = (5, 60)
    return [report.at_most(what, cost, "us", bar) for (what, cost), bar in zip(costs.items(), bars, strict=True)]


def propagation(cluster: Kube, server: Server) -> list[Figure]:
    """ConfigMap sent to the API server -> evaluated by each of the clients."""
    packages = node_packages()
    delays: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(cluster.renewing())
        cluster.publish(1)
        clients = {"Python": stack.enter_context(_clients(cluster, server))}
        if packages is not None:
            rollout = f"{cluster.namespace}/demo"
            clients["Node"] = stack.enter_context(node_clients(packages, server.address, rollout, KEY, CLIENTS))
        for client in itertools.chain(*clients.values()):
            _until(client, 1)
        for revision in range(2, UPDATES + 2):
            sent = time.time()
            cluster.publish(revision)
            for kind, some in clients.items():
                delays.setdefault(kind, []).extend((_until(client, revision) - sent) * 1000 for client in some)
            if revision % 50 == 0:
                say(f"update {revision} of {UPDATES}")
    figures = []
    for kind, took in delays.items():
        what = f"ConfigMap sent -> evaluated, {CLIENTS} {kind} clients, {UPDATES} updates"
        figures.append(report.at_most(f"{what}, p50", percentile(took, 0.5), "ms", 25))
        figures.append(report.at_most(f"{what}, p99", percentile(took, 0.99), "ms", 150))
    return figures


def deaths(cluster: Kube, server: Server) -> list[Figure]:
    """The operator, then the flag server killed: how long after the lease the last process goes off."""
    with _clients(cluster, server) as clients:
        with cluster.renewing():
            cluster.publish(20_000, LEASE_SECONDS)
            for client in clients:
                _until(client, 20_000, Mode.LIVE)
        last_contact = time.time()
        operator = max(_until(client, 20_000, Mode.OFF) for client in clients) - last_contact
        with cluster.renewing():
            for client in clients:
                _until(client, 20_000, Mode.LIVE)
            last_contact = time.time()
            server.process.kill()
            flag_server = max(_until(client, 20_000, Mode.OFF) for client in clients) - last_contact
    return [
        report.at_most(f"{who} killed -> every client off, beyond the lease", seconds - LEASE_SECONDS, "s", 5)
        for who, seconds in (("operator", operator), ("flag server", flag_server))
    ]


async def streams(cluster: Kube, server: Server) -> list[Figure]:
    """Two thousand open streams: an update to all of them, and the server's memory."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(server.address, options=options) for _ in range(CHANNELS)]
    request = sync_pb2.SyncFlagsRequest(selector=f"{cluster.namespace}/demo")
    open_streams: list[Any] = [
        sync_pb2_grpc.FlagSyncServiceStub(channels[number % CHANNELS]).SyncFlags(request) for number in range(STREAMS)
    ]
    delays: list[float] = []

    async def follow(stream: Any, marker: str) -> None:
        while marker not in (await stream.read()).flag_configuration:
            pass
        delays.append(time.time() - sent)

    for revision in range(10_000, 10_000 + STREAM_UPDATES):
        sent = time.time()
        await asyncio.to_thread(cluster.publish, revision)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(follow(stream, f'"revision":{revision}') for stream in open_streams))
        if revision == 10_000:
            delays.clear()
    memory = server.memory()
    for stream in open_streams:
        stream.cancel()
    for channel in channels:
        await channel.close()
    return [
        report.at_most(f"update to {STREAMS} streams, p99", percentile(delays, 0.99), "s", 1),
        report.at_most(f"flag server with {STREAMS} streams, memory", memory, "MB", 200),
    ]


class Kube:
    """The API server, written to the way the operator writes."""

    def __init__(self, kubeconfig: Path, client: httpx.Client) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = "bench"
        self._client = client
        self._client.post("/api/v1/namespaces", json={"metadata": {"name": self.namespace}}).raise_for_status()

    def publish(self, revision: int, lease_seconds: int = 240) -> None:
        """Write the ConfigMap of a revision."""
        vector = LIVE.model_copy(update={"canary_percent": float(revision % 100)})
        document = a_document(namespace=self.namespace, revision=revision, vector=vector, lease_seconds=lease_seconds)
        self._apply(
            self._client,
            f"/api/v1/namespaces/{self.namespace}/configmaps/demo-flags",
            config_map(document, OWNER, "Rise"),
        )

    @contextlib.contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew the operator's Lease every two seconds, as the leader does."""
        stop = threading.Event()

        def renew() -> None:
            path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/veriramp-operator"
            while not stop.wait(2):
                body = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": "veriramp-operator"},
                    "spec": {"renewTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")},
                }
                self._apply(self._client, path, body)

        thread = threading.Thread(target=renew)
        thread.start()
        yield
        stop.set()
        thread.join()

    def _apply(self, client: httpx.Client, path: str, body: dict[str, Any]) -> None:
        parameters = {"fieldManager": "veriramp", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        client.patch(path, params=parameters, headers=headers, json=body).raise_for_status()


class Server:
    """The flag server as a process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.address = f"127.0.0.1:{port}"

    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1000 if found else float("nan")


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Kube]:
    options = Options(nodes=0, controllers=False, prometheus=False, broker=False, owner=os.getpid())
    with DevCluster.up(folder / "cluster", options=options) as cluster, cluster.client() as client:
        yield Kube(cluster.kubeconfig, client)


@contextlib.contextmanager
def _flag_server(cluster: Kube, folder: Path) -> Iterator[Server]:
    log = folder / f"flagserver-{time.monotonic_ns()}.log"
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "VERIRAMP_WATCH_NAMESPACES": cluster.namespace,
        "VERIRAMP_LEASE_NAMESPACE": cluster.namespace,
        "VERIRAMP_GRPC_PORT": "0",
        "VERIRAMP_HTTP_PORT": "0",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from veriramp_operator.flagserver.main import main; main()"],
            env={**os.environ, **environment},
            stderr=output,
        )
    try:
        pattern = r"serving gRPC on \S+:(\d+), HTTP on (\d+)"
        found = wait_for(lambda: re.search(pattern, log.read_text()), SECONDS, "the flag server to listen")
        assert found
        ready = f"http://127.0.0.1:{found[2]}/readyz"
        wait_for(lambda: httpx.get(ready).is_success, SECONDS, "the flag server to be ready")
        yield Server(process, int(found[1]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def _clients(cluster: Kube, server: Server) -> contextlib.AbstractContextManager[list[Client]]:
    return python_clients((server.address,), f"{cluster.namespace}/demo", KEY, CLIENTS)


def _until(client: Client, revision: int, mode: Mode | None = None) -> float:
    """When the client first evaluated this revision (or a later one), in this mode."""
    return client.until(lambda seen: seen.revision >= revision and mode in (None, seen.mode)).at


def _cost(call: Any) -> float:
    """The median cost of a call in microseconds of this process's own time: the machine may be busy with others."""
    rounds = timeit.repeat(call, timer=time.process_time, number=2_000, repeat=25)
    return percentile(rounds, 0.5) / 2_000 * 1e6


if __name__ == "__main__":
    main()
