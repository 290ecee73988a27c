"""Keep the Node objects of the agent registered and their Leases fresh."""

from __future__ import annotations

import asyncio
import logging
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx

from tools.devcluster.agent.api import CONFLICT, NOT_FOUND, Api, ApiError, Object

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 40
CAPACITY: Final = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "500Gi"}
"""Resources are accepted and not enforced, so the node claims enough for every request of a test."""


def node_names(count: int) -> list[str]:
    """Name the nodes of a cluster: node-1, node-2, ..."""
    return [f"node-{index}" for index in range(1, count + 1)]


async def keep_nodes(api: Api, names: Sequence[str]) -> None:
    """Register the nodes and renew their Leases for ever; register again what was lost or called not ready."""
    pause = 0.1
    while True:
        try:
            for name in names:
                if not await _is_ready(api, name):
                    await _register(api, name)
                await _renew(api, name)
            pause = HEARTBEAT_SECONDS
        except (ApiError, httpx.HTTPError) as problem:
            log.warning("node heartbeat: %s", problem)
            pause = min(pause * 2, HEARTBEAT_SECONDS)
        await asyncio.sleep(pause)


async def _is_ready(api: Api, name: str) -> bool:
    """Tell whether the node is registered and Ready: after an outage the node controller calls it Unknown."""
    try:
        node = await api.get(f"/api/v1/nodes/{name}")
    except ApiError as problem:
        if problem.status != NOT_FOUND:
            raise
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


async def _register(api: Api, name: str) -> None:
    node = _node(name)
    try:
        await api.create("/api/v1/nodes", node)
    except ApiError as problem:
        if problem.status != CONFLICT:
            raise
    await api.patch(f"/api/v1/nodes/{name}/status", {"status": node["status"]})
    # Admission taints a new node; the controller would lift that some seconds later, and we are ready now.
    await api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
    log.info("node %s registered", name)


async def _renew(api: Api, name: str) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now_micro()}
    try:
        await api.patch(f"{path}/{name}", {"spec": spec})
    except ApiError:
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        await api.create(path, lease)


def _node(name: str) -> Object:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
    }
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "AgentReady",
        "message": "the node agent runs pods as local processes",
        "lastHeartbeatTime": now(),
        "lastTransitionTime": now(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "conditions": [ready],
            "addresses": [{"type": "Hostname", "address": name}],
        },
    }


def now() -> str:
    """Tell the time as Kubernetes writes it (seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """Tell the time as Leases write it (microseconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
