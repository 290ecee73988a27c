"""The flag server as a process, on a real API server: ConfigMaps and the operator's Lease in, streams out."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, OFF, SHADOW, a_document
from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster
from veriramp_operator.resources.flags import FlagDocument, Owner, config_map
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

SECONDS = 60.0
OWNER = Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", "5f0c")


class Cluster:
    """One namespace of the control plane, written to the way the operator writes."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.namespace = f"flags-{uuid.uuid4().hex[:8]}"
        self._renewals = itertools.count()
        client.post("/api/v1/namespaces", json={"metadata": {"name": self.namespace}}).raise_for_status()

    @property
    def config_map_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/demo-flags"

    def publish(self, **changes: Any) -> FlagDocument:
        document = a_document(namespace=self.namespace, **changes)
        self._apply(self.config_map_path, config_map(document, OWNER, "Rise"))
        return document

    def delete(self) -> None:
        self.client.delete(self.config_map_path).raise_for_status()

    def renew(self) -> None:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "veriramp-operator"},
            "spec": {
                "holderIdentity": f"renewal-{next(self._renewals)}",
                "renewTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            },
        }
        self._apply(f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/veriramp-operator", lease)

    def _apply(self, path: str, body: dict[str, Any]) -> None:
        self.client.patch(
            path,
            params={"fieldManager": "veriramp", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            json=body,
        ).raise_for_status()


class Server:
    """The real process ``veriramp-flagserver``."""

    def __init__(self, control_plane: DevCluster, namespace: str, log: Path) -> None:
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from veriramp_operator.flagserver.main import main; main()"],
                env={
                    **os.environ,
                    "KUBECONFIG": str(control_plane.kubeconfig),
                    "VERIRAMP_WATCH_NAMESPACES": namespace,
                    "VERIRAMP_LEASE_NAMESPACE": namespace,
                    "VERIRAMP_GRPC_PORT": "0",
                    "VERIRAMP_HTTP_PORT": "0",
                },
                stderr=output,
            )
        found = wait_for(self._listening, SECONDS, "the flag server to listen")
        assert found
        self.grpc, self.http = found.groups()

    def _listening(self) -> re.Match[str] | None:
        return re.search(r"serving gRPC on 127\.0\.0\.1:(\d+), HTTP on (\d+)", self.text())

    def text(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@pytest.fixture
def cluster(control_plane: DevCluster) -> Iterator[Cluster]:
    with control_plane.client() as client:
        yield Cluster(client)


@pytest.fixture
def server(control_plane: DevCluster, cluster: Cluster, tmp_path: Path) -> Iterator[Server]:
    running = Server(control_plane, cluster.namespace, tmp_path / "flagserver.log")
    yield running
    assert running.stop() == 0, running.text()


@contextlib.contextmanager
def following(server: Server, cluster: Cluster) -> Iterator[Flags]:
    with Flags(
        f"127.0.0.1:{server.grpc}", f"{cluster.namespace}/demo", key="verification", registry=CollectorRegistry()
    ) as flags:
        yield flags


def renewed_until(cluster: Cluster, flags: Flags, revision: int, mode: Mode) -> None:
    def holds() -> bool:
        cluster.renew()
        return (flags.state().revision, flags.state().mode) == (revision, mode)

    wait_for(holds, SECONDS, f"revision {revision} in mode {mode}")


@pytest.mark.shows("S1-FLAG-04")
def test_a_config_map_written_is_a_document_applied(cluster: Cluster, server: Server) -> None:
    cluster.publish(revision=1, vector=SHADOW)
    with following(server, cluster) as flags:
        renewed_until(cluster, flags, 1, Mode.SHADOW)
        cluster.publish(revision=2, vector=LIVE)
        renewed_until(cluster, flags, 2, Mode.LIVE)
        cluster.publish(revision=3, vector=OFF)
        renewed_until(cluster, flags, 3, Mode.OFF)


def test_a_deleted_config_map_is_all_off_at_the_next_revision(cluster: Cluster, server: Server) -> None:
    cluster.publish(revision=4)
    with following(server, cluster) as flags:
        renewed_until(cluster, flags, 4, Mode.LIVE)
        cluster.delete()
        wait_for(lambda: (flags.state().revision, flags.state().mode) == (5, Mode.OFF), SECONDS, "all off")
        cluster.publish(revision=5, vector=OFF)
        cluster.publish(revision=6, vector=SHADOW)
        renewed_until(cluster, flags, 6, Mode.SHADOW)


def test_a_config_map_edited_by_hand_is_all_off(cluster: Cluster, server: Server) -> None:
    cluster.publish(revision=1)
    with following(server, cluster) as flags:
        renewed_until(cluster, flags, 1, Mode.LIVE)
        edited = cluster.client.get(cluster.config_map_path).json()
        text = edited["data"]["flags.json"]
        edited["data"]["flags.json"] = text.replace('"rankingWeight":0.05', '"rankingWeight":0.9')
        cluster.client.put(cluster.config_map_path, json=edited).raise_for_status()
        wait_for(lambda: (flags.state().revision, flags.state().mode) == (2, Mode.OFF), SECONDS, "all off")
    assert "its content is not what the operator wrote" in server.text()


def test_the_lease_not_renewed_ends_it(cluster: Cluster, server: Server) -> None:
    cluster.publish(revision=1, lease_seconds=5)
    with following(server, cluster) as flags:
        renewed_until(cluster, flags, 1, Mode.LIVE)
        wait_for(lambda: flags.state().mode is Mode.OFF, SECONDS, "the end of the lease")
        renewed_until(cluster, flags, 1, Mode.LIVE)


def test_the_server_survives_an_api_server_that_goes_away(
    control_plane: DevCluster, cluster: Cluster, server: Server
) -> None:
    cluster.publish(revision=1)
    with following(server, cluster) as flags:
        renewed_until(cluster, flags, 1, Mode.LIVE)
        control_plane.stop_component("kube-apiserver")
        wait_for(lambda: "trying again" in server.text(), SECONDS, "the server to notice")
        assert flags.state().mode is Mode.LIVE
        control_plane.start_component("kube-apiserver")
        wait_for(lambda: _answers(cluster), SECONDS, "the API server to answer")
        cluster.publish(revision=2, vector=OFF)
        renewed_until(cluster, flags, 2, Mode.OFF)


def test_a_wrong_setting_is_told_in_one_sentence(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from veriramp_operator.flagserver.main import main; main()"],
        env={**os.environ, "VERIRAMP_GRPC_PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        'veriramp-flagserver: VERIRAMP_GRPC_PORT="eighty": write a port number, 0..65535 (0 takes a free one)'
    ]


def _answers(cluster: Cluster) -> bool:
    try:
        return cluster.client.get("/readyz").is_success
    except httpx.HTTPError:
        return False
