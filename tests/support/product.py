"""The installed product: chart, search service and workers as pods, in a dev cluster that no other test uses.

`Product` is the installation: leader, helm values, the alert door. `tests/support/road.py` has one rollout on it.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.waiting import PAUSE_SECONDS, wait_for
from tools.demo.installation import SYSTEM, helm_install, pod_ips, values
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from tools.devcluster.images import repository_images
from tools.devcluster.processes import Process

Object = dict[str, Any]
SECONDS: Final = 60.0
OPERATOR: Final = "veriramp-operator"
COMPONENT: Final = "app.kubernetes.io/component"


@dataclass(frozen=True)
class Product:
    """The chart in a cluster, watching all namespaces."""

    cluster: DevCluster
    client: httpx.Client
    token: str

    @classmethod
    @contextmanager
    def up(cls, root: Path, owner: int) -> Iterator[Product]:
        """Start a cluster and install the chart; all of it ends with the block, or with the process `owner`."""
        up = DevCluster.up(root, images=repository_images(), options=Options(owner=owner))
        with up as cluster, cluster.client() as client:
            product = cls(cluster, client, secrets.token_urlsafe(24))
            product.install()
            yield product

    def install(self, **changes: Any) -> None:
        """Install or upgrade the chart, with further values."""
        helm_install(self.cluster, {**self.values(), **changes})

    def values(self) -> Object:
        """The values of the installation."""
        return {**values(self.cluster, self.token), "watchNamespaces": [], "clusterWide": True}

    def holder(self) -> str:
        """The process (pod and pid) that holds the Lease."""
        answer = self.client.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{OPERATOR}")
        return str(answer.raise_for_status().json()["spec"].get("holderIdentity") or "")

    def leading_process(self) -> Process:
        """The process that holds the Lease."""
        return self.cluster.container_process(SYSTEM, self.holder().rpartition("_")[0])

    def remove_leader(self) -> str:
        """SIGKILL the leading process and remove its pod without grace. Returns who it was."""
        holder = self.holder()
        assert self.leading_process().send(signal.SIGKILL)
        pod = holder.rpartition("_")[0]
        force = ("--grace-period=0", "--force", "--wait=false")
        self.cluster.kubectl("delete", "pod", "-n", SYSTEM, pod, *force)
        return holder

    def another_leads(self, former: str, seconds: float = SECONDS) -> str:
        """Wait until another process than the former holds the Lease."""
        return wait_for(
            lambda: holder if (holder := self.holder()) not in {"", former} else "", seconds, "another leader"
        )

    def scale_operator(self, replicas: int) -> None:
        """Scale the operator's Deployment and wait until its pods are there, or gone."""
        self.cluster.kubectl("scale", "-n", SYSTEM, f"deployment/{OPERATOR}", f"--replicas={replicas}")
        wait_for(lambda: self.ready("operator") == replicas, SECONDS, f"{replicas} operator pods")

    def ready(self, component: str) -> int:
        """How many pods of a part of the product exist, negative while some are not ready."""
        items = self.client.get(
            f"/api/v1/namespaces/{SYSTEM}/pods", params={"labelSelector": f"{COMPONENT}={component}"}
        ).json()["items"]
        ready = [_is_ready(pod) for pod in items]
        return len(items) if all(ready) else -len(items)

    def push(self, alertname: str, namespace: str, rollout: str) -> None:
        """Post to any operator pod what Alertmanager posts, and as it does: again until it is taken."""
        labels = {"alertname": alertname, "namespace": namespace, "rollout": rollout}
        alert = {
            "status": "firing",
            "labels": labels,
            "annotations": {},
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
        }
        body = {"version": "4", "status": "firing", "receiver": "veriramp", "groupLabels": {}, "alerts": [alert]}
        headers = {"Authorization": f"Bearer {self.token}"}

        def taken() -> bool:
            for address in pod_ips(self.cluster, SYSTEM, f"{COMPONENT}=operator"):
                try:
                    url = f"http://{address}:8081/alerts/v1"
                    answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
                except httpx.TransportError:  # this one starts or ends at the moment
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer.raise_for_status().is_success
            return False

        wait_for(taken, SECONDS, "an operator to take a push")

    @contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A fresh namespace; at the end it is deleted, with whatever is left in it."""
        path = f"/api/v1/namespaces/{name}"
        self.client.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        parts = (f"{path}/serviceaccounts/default", f"{path}/configmaps/kube-root-ca.crt")
        wait_for(lambda: all(self.client.get(part).is_success for part in parts), SECONDS, f"namespace {name}")
        try:
            yield name
        finally:
            self.client.delete(path)


def stays(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again for so many seconds; fails as soon as the answer is no."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert holds(), f"it was not so that {what} for {seconds:g} s"
        time.sleep(PAUSE_SECONDS)


def kstatus(raw: Mapping[str, Any]) -> str:
    """What kstatus (kubectl, Argo CD, Flux) reads: InProgress, Current, Failed or Terminating.

    The rules: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md.
    """
    status = raw.get("status") or {}
    if raw["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", raw["metadata"]["generation"]) != raw["metadata"]["generation"]:
        return "InProgress"
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Reconciling") == "True" or conditions.get("Ready") in {"False", "Unknown"}:
        return "InProgress"
    return "Current"


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ())
