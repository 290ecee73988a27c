"""Put pods, Deployments and Services of `pod_program` into a namespace, and look at what becomes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from tests.support.waiting import wait_for
from tools.devcluster.images import ImageCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.devcluster.cluster import DevCluster
    from tools.devcluster.processes import Process

Object = dict[str, Any]

PROGRAM: Final = Path(__file__).with_name("pod_program.py")
IMAGE: Final = "test/program"
IMAGES: Final[Mapping[str, ImageCommand]] = {
    IMAGE: ImageCommand((sys.executable, str(PROGRAM)), ("serve",), {"FROM_IMAGE": "yes", "PYTHONUNBUFFERED": "1"})
}
SECONDS: Final = 60.0
SERVICE_PORT: Final = 8880
"""Ports below 1024 could not be forwarded without root."""
POD_IP: Final[Object] = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def container(*args: str, **fields: Any) -> Object:
    """Describe a container of the test program."""
    own = {"name": "main", "image": f"registry.example/{IMAGE}:1.0", "env": [POD_IP, *fields.pop("env", [])]}
    return own | ({"args": list(args)} if args else {}) | fields


class Workloads:
    """One namespace of a cluster."""

    def __init__(self, cluster: DevCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        cluster.add_images(IMAGES)

    def apply(self, *objects: Object) -> None:
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(listing))

    def get(self, kind: str, *more: str) -> Object:
        text = self.cluster.kubectl("get", "-n", self.namespace, kind, *more, "-o", "json")
        return dict(json.loads(text))

    def pods(self) -> list[Object]:
        return list(self.get("pods")["items"])

    def pod(self, name: str, spec: Object, **metadata: Any) -> None:
        spec = {"terminationGracePeriodSeconds": 1} | spec
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec})

    def deployment(self, name: str, replicas: int, spec: Object, annotations: Mapping[str, str] | None = None) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels, "annotations": dict(annotations or {})}, "spec": spec}
        template["spec"] = {"terminationGracePeriodSeconds": 1} | spec
        self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
            }
        )

    def service(self, name: str, port: int = SERVICE_PORT, target: str | int = 8080, **spec: Any) -> None:
        ports = [{"port": port, "targetPort": target}]
        fields = {"selector": {"app": name}, "ports": ports} | spec
        self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": fields})

    def config_map(self, name: str, **data: str) -> None:
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})

    def status(self, name: str) -> Object:
        return dict(self.get("pod", name)["status"])

    def container_status(self, name: str) -> Object:
        statuses = self.status(name).get("containerStatuses", [{}])
        return dict(statuses[0])

    def waiting_message(self, name: str, reason: str) -> str:
        """Wait until the pod's container waits for that reason and return its message."""

        def message() -> str:
            waiting = self.container_status(name).get("state", {}).get("waiting", {})
            return str(waiting["message"]) if waiting.get("reason") == reason else ""

        return wait_for(message, SECONDS, f"pod {name} to wait with reason {reason}")

    def ready_pod(self, name: str) -> str:
        """Wait until a pod is Ready and return its address."""
        wait_for(lambda: condition(self.status(name), "Ready") == "True", SECONDS, f"pod {name} to be Ready")
        return str(self.status(name)["podIP"])

    def condition(self, kind: str, name: str, wanted: str, value: str = "True") -> None:
        """Wait until an object's condition has that value."""
        wait_for(
            lambda: condition(self.get(kind, name)["status"], wanted) == value,
            SECONDS,
            f"{kind} {name} to be {wanted}={value}",
        )

    def pods_left(self, count: int) -> None:
        """Wait until there are exactly so many pods."""
        wait_for(lambda: len(self.pods()) == count, SECONDS, f"{count} pods to be left")

    def phase(self, name: str, wanted: str) -> None:
        wait_for(lambda: self.status(name)["phase"] == wanted, SECONDS, f"pod {name} to be {wanted}")

    def available(self, name: str, replicas: int) -> None:
        """Wait until a Deployment has exactly so many available pods."""
        wait_for(
            lambda: self.get("deployment", name)["status"].get("availableReplicas", 0) == replicas,
            SECONDS,
            f"deployment {name} to have {replicas} available pods",
        )

    def cluster_ip(self, service: str) -> str:
        return str(self.get("service", service)["spec"]["clusterIP"])

    def process(self, pod: str) -> Process:
        return self.cluster.container_process(self.namespace, pod)

    def log(self, pod: str, name: str = "main") -> str:
        return self.cluster.pod_log(self.namespace, pod, name)


def condition(status: Object, kind: str) -> str:
    """Read the status (True, False, Unknown) of a condition; empty when it is not there."""
    return next((str(c["status"]) for c in status.get("conditions", []) if c["type"] == kind), "")


def ask(address: str, path: str, port: int = 8080, **query: str) -> httpx.Response:
    """GET from a pod, with a connection of its own."""
    return httpx.get(f"http://{address}:{port}{path}", params=query, timeout=30)


def answers(address: str, path: str = "/name", port: int = 8080) -> str:
    """GET from a pod; empty when nothing answers."""
    try:
        return ask(address, path, port).text
    except httpx.TransportError:
        return ""
