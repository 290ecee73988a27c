"""Services: names and ClusterIPs lead to ready pods."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from typing import TYPE_CHECKING

from tests.support.waiting import wait_for
from tests.support.workloads import SECONDS, SERVICE_PORT, Workloads, answers, ask, container

if TYPE_CHECKING:
    from typing import Any

READY: dict[str, Any] = {"readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1}}
GATED: dict[str, Any] = {
    "readinessProbe": {
        "httpGet": {"path": "/flag?of=/run/gate/open", "port": 8080},
        "periodSeconds": 1,
        "failureThreshold": 1,
    },
    "volumeMounts": [{"name": "gate", "mountPath": "/run/gate"}],
}
GATE = [{"name": "gate", "configMap": {"name": "gate"}}]


def test_a_service_spreads_over_its_pods(workloads: Workloads) -> None:
    workloads.service("web", target="http")
    ports = [{"name": "http", "containerPort": 8080}]
    workloads.deployment("web", 2, {"containers": [container(ports=ports, **READY)]})
    workloads.available("web", 2)
    address = workloads.cluster_ip("web")
    names = {pod["metadata"]["name"] for pod in workloads.pods()}
    # Each pod on its own becomes known to the Service.
    wait_for(lambda: {answers(address, port=SERVICE_PORT) for _ in names} == names, SECONDS, "both pods to answer")

    seen = [ask(address, "/name", port=SERVICE_PORT).text for _ in range(6)]

    assert set(seen) == names
    assert all(first != second for first, second in itertools.pairwise(seen)), "they take turns"


def test_only_ready_pods_get_requests_and_without_any_the_service_refuses(workloads: Workloads) -> None:
    workloads.config_map("gate", open="no")
    workloads.service("web")
    workloads.deployment("web", 1, {"containers": [container(**GATED)], "volumes": GATE})
    address = workloads.cluster_ip("web")
    wait_for(
        lambda: [pod["status"]["phase"] for pod in workloads.pods()] == ["Running"],
        SECONDS,
        "the pod to be there, and to run",
    )
    assert refuses(address, SERVICE_PORT)

    workloads.config_map("gate", open="yes")
    wait_for(lambda: answers(address, port=SERVICE_PORT), SECONDS, "the service to answer")
    workloads.config_map("gate", open="no")
    wait_for(lambda: refuses(address, SERVICE_PORT), SECONDS, "the service to refuse again")


def test_connections_to_a_pod_that_is_gone_are_closed(workloads: Workloads) -> None:
    workloads.service("web")
    workloads.deployment("web", 1, {"containers": [container(**READY)]})
    workloads.available("web", 1)
    address = workloads.cluster_ip("web")
    wait_for(lambda: answers(address, port=SERVICE_PORT), SECONDS, "the service to answer")

    with socket.create_connection((address, SERVICE_PORT), timeout=SECONDS) as connection:
        connection.sendall(b"GET /name HTTP/1.1\r\n")  # the rest of the request never comes
        workloads.cluster.kubectl("scale", "-n", workloads.namespace, "deploy/web", "--replicas=0")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_names_of_services_are_known_inside_pods(workloads: Workloads) -> None:
    workloads.service("web")
    workloads.service("direct", clusterIP="None", selector={"app": "web"})
    workloads.deployment("web", 1, {"containers": [container(**READY)]})
    workloads.available("web", 1)
    pod_address = workloads.pods()[0]["status"]["podIP"]
    env = [{"name": "DIRECT", "value": f"direct.{workloads.namespace}.svc:8080"}]
    workloads.pod("client", {"containers": [container(env=env, **READY)]})
    client = workloads.ready_pod("client")

    hosts = ask(client, "/file", of="/etc/hosts").text.splitlines()

    assert any(
        line.split()[0] == workloads.cluster_ip("web") and f"web.{workloads.namespace}.svc" in line.split()
        for line in hosts
    )
    assert json.loads(ask(client, "/env").text)["DIRECT"] == f"{pod_address}:8080"


def refuses(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return False
    except ConnectionRefusedError:
        return True
