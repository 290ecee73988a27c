"""Pods act as their service account: real tokens, real RBAC, real audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_for
from tests.support.workloads import SECONDS, Workloads, ask, container

if TYPE_CHECKING:
    from tools.devcluster.cluster import DevCluster

READY: dict[str, Any] = {"readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1}}


def allow_config_maps(workloads: Workloads, account: str = "default") -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": workloads.namespace}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    api = "rbac.authorization.k8s.io/v1"
    workloads.apply(
        {"apiVersion": api, "kind": "Role", "metadata": {"name": "reader"}, "rules": rules},
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": role,
            "subjects": [subject],
        },
    )


def test_rbac_denies_and_permits_a_pods_token(workloads: Workloads) -> None:
    workloads.pod("asking", {"containers": [container(**READY)]})
    address = workloads.ready_pod("asking")
    path = f"/api/v1/namespaces/{workloads.namespace}/configmaps"

    assert ask(address, "/api", of=path).status_code == 403
    allow_config_maps(workloads)

    wait_for(lambda: ask(address, "/api", of=path).status_code == 200, SECONDS, "the role to count")
    assert ask(address, "/api", of=path.replace("configmaps", "secrets")).status_code == 403


def test_in_cluster_settings_of_the_client_library_work_unchanged(workloads: Workloads) -> None:
    allow_config_maps(workloads)
    pod = {"restartPolicy": "Never", "containers": [container("in-cluster")]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "library"}}
    workloads.apply(job | {"spec": {"backoffLimit": 0, "template": {"spec": pod}}})

    workloads.condition("job", "library", "Complete")

    assert "sees kube-root-ca.crt" in workloads.log(workloads.pods()[0]["metadata"]["name"])


def test_the_audit_log_tells_what_a_pod_asked_for(workloads: Workloads) -> None:
    workloads.pod("audited", {"containers": [container(**READY)]})
    ask(workloads.ready_pod("audited"), "/api", of=f"/api/v1/namespaces/{workloads.namespace}/secrets/canary")

    event = wait_for(lambda: audited(workloads.cluster, workloads.namespace, "canary"), SECONDS, "the audit event")

    assert event["verb"] == "get"
    assert event["user"]["username"] == f"system:serviceaccount:{workloads.namespace}:default"
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert "requestObject" not in event


def test_pod_security_is_enforced_where_a_namespace_asks_for_it(workloads: Workloads) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    workloads.cluster.kubectl("label", "namespace", workloads.namespace, label)
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": {"containers": [container()]}}

    def refused() -> bool:
        apply = ("apply", "--dry-run=server", "-n", workloads.namespace, "-f", "-")
        answer = workloads.cluster.kubectl(*apply, stdin=json.dumps(bare), check=False)
        return 'violates PodSecurity "restricted' in answer

    # The API server judges by its cache of namespaces.
    wait_for(refused, SECONDS, "the pod to be refused")


def audited(cluster: DevCluster, namespace: str, name: str) -> dict[str, Any]:
    *whole, _being_written = cluster.audit_log.read_text().split("\n")
    for line in whole:
        if namespace not in line:
            continue
        event: dict[str, Any] = json.loads(line)
        if event.get("objectRef", {}).get("namespace") == namespace and event["objectRef"].get("name") == name:
            return event
    return {}
