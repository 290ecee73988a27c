"""The flag server in a pod: the service account's token and certificate authority, the pod's own address."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.support.flags import LIVE, a_document
from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster
from veriramp_operator.resources.flags import Owner, config_map
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

SECONDS = 60.0
PROBE = {"httpGet": {"path": "/readyz", "port": 8016}, "periodSeconds": 1}


def _create(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    client.post(path, json=body).raise_for_status()


@pytest.fixture
def pod(devcluster: DevCluster, namespace: str) -> str:
    """A flag server pod with the rights that it needs, ready; its address."""
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list", "watch"]},
    ]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {
        "name": "flagserver",
        "image": "veriramp/flagserver",
        "env": [
            address,
            {"name": "VERIRAMP_WATCH_NAMESPACES", "value": namespace},
            {"name": "VERIRAMP_LEASE_NAMESPACE", "value": namespace},
        ],
        "readinessProbe": PROBE,
    }
    with devcluster.client() as client:
        _create(client, f"{rbac}/roles", {"metadata": {"name": "flagserver"}, "rules": rules})
        binding = {
            "metadata": {"name": "flagserver"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "flagserver"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        }
        _create(client, f"{rbac}/rolebindings", binding)
        pods = f"/api/v1/namespaces/{namespace}/pods"
        _create(client, pods, {"metadata": {"name": "flagserver"}, "spec": {"containers": [container]}})

        def ready() -> str:
            status = client.get(f"{pods}/flagserver").json()["status"]
            conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
            return str(status["podIP"]) if conditions.get("Ready") == "True" else ""

        return wait_for(ready, SECONDS, "the flag server's pod to be ready")


def test_a_pod_serves_with_its_service_account(devcluster: DevCluster, namespace: str, pod: str) -> None:
    document = a_document(namespace=namespace, revision=3, vector=LIVE, lease_seconds=0)
    owner = Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", "5f0c")
    published = config_map(document, owner, "Rise")
    # There is no such rollout: where the CRD is installed, the garbage collector would take the ConfigMap away.
    del published["metadata"]["ownerReferences"]
    with devcluster.client() as client:
        _create(client, f"/api/v1/namespaces/{namespace}/configmaps", published)
    with Flags(f"{pod}:8015", f"{namespace}/demo", key="verification", registry=CollectorRegistry()) as flags:
        wait_for(lambda: flags.state().revision == 3, SECONDS, "the document")
        assert flags.state().mode is Mode.LIVE
        propagation = f"http://{pod}:8016/propagation/{namespace}/demo"
        wait_for(lambda: httpx.get(propagation).json()["processes"], SECONDS, "the report")
