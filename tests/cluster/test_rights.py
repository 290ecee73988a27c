"""The installed chart does its whole work with the rights it asks for, and asks for no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, helm
from tests.support.rollouts import ROOT
from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster

SECONDS: Final = 60.0
ROLLOUT: Final = """
apiVersion: veriramp.dev/v1alpha1
kind: VerificationRollout
metadata: {name: search-verification}
spec:
  workers: [{profile: orchestrator, replicas: {min: 1}}]
  stages:
    - {name: shadow, mode: Shadow, samplingRate: 0.5, bake: 1s}
    - {name: live, mode: Live, canaryPercent: 10, rankingWeight: 0.05, bake: 1s}
  gates:
    - {name: up, threshold: {query: count(up), min: 1}, selector: up, every: 1s, window: 1s, onRegression: Shadow}
"""
# Only read when somebody else's object has the name of a worker Deployment.
ON_CONFLICT: Final = {("veriramp-operator", "deployments", "get")}

Right = tuple[str, str, str]


@pytest.fixture
def installed(devcluster: DevCluster, namespace: str) -> Iterator[str]:
    """Install the chart in the namespace, which it also watches."""
    values = {
        "endpoints": {"default": {"url": devcluster.prometheus_url, "scrapeInterval": "1s"}},
        "profiles": {"orchestrator": {"env": {"VERIRAMP_BROKERS": devcluster.broker_address}}},
    }
    place = ("-n", namespace, "--kubeconfig", str(devcluster.kubeconfig))
    install = ("install", "veriramp", str(CHART), *place, "--take-ownership", "-f", "-", "--wait", "--timeout", "240s")
    helm(*install, stdin=json.dumps(values))
    yield namespace
    helm("uninstall", "veriramp", *place)


@pytest.mark.shows("S1-DEP-01")
def test_a_whole_life_of_a_rollout_needs_each_granted_right_and_no_other(
    devcluster: DevCluster, installed: str
) -> None:
    def status() -> dict[str, Any]:
        read = json.loads(devcluster.kubectl("get", "vr", "search-verification", "-n", installed, "-o", "json"))
        return dict(read.get("status") or {})

    def everything_off() -> bool:
        seen = status()
        return seen["parameters"]["mode"] == "Off" and [worker["desired"] for worker in seen["workers"]] == [0]

    search = (ROOT / "examples" / "search" / "search.yaml").read_text(encoding="utf-8")
    search = search.replace("namespace: search", f"namespace: {installed}")
    search = search.replace("veriramp-system", installed).replace("search/search-ver", f"{installed}/search-ver")
    devcluster.kubectl("apply", "-f", "-", stdin=search.replace("kafka.kafka.svc:9092", devcluster.broker_address))
    devcluster.kubectl("apply", "-n", installed, "-f", "-", stdin=ROLLOUT)

    wait_for(lambda: status().get("phase") == "Guarding", SECONDS, "the last stage")
    stop = '{"spec": {"killSwitch": true}}'
    devcluster.kubectl("patch", "vr", "search-verification", "-n", installed, "--type", "merge", "-p", stop)
    wait_for(everything_off, SECONDS, "everything to be off")
    devcluster.kubectl("delete", "vr", "search-verification", "-n", installed, "--timeout", "100s")

    rights = granted(devcluster, installed)
    # The API server writes its audit log in batches.
    wait_for(lambda: rights - requests(devcluster, installed)[0] <= ON_CONFLICT, SECONDS, "the use of every right")
    asked, refused = requests(devcluster, installed)
    assert refused == set()
    assert {("veriramp-operator", "configmaps", "patch"), ("veriramp-flagserver", "leases", "watch")} <= rights
    assert rights - asked <= ON_CONFLICT


def requests(devcluster: DevCluster, namespace: str) -> tuple[set[Right], set[Right]]:
    """Return which rights the chart's accounts used, and which requests were forbidden."""
    asked: set[Right] = set()
    refused: set[Right] = set()
    prefix = f"system:serviceaccount:{namespace}:veriramp-"
    *whole, _being_written = devcluster.audit_log.read_text(encoding="utf-8").split("\n")
    for line in whole:
        if prefix not in line:
            continue
        event = json.loads(line)
        target = event.get("objectRef", {})
        if not event["user"]["username"].startswith(prefix) or "resource" not in target:
            continue
        resource = "/".join(part for part in (target["resource"], target.get("subresource")) if part)
        right = (event["user"]["username"].rpartition(":")[2], resource, event["verb"])
        (refused if event.get("responseStatus", {}).get("code") == 403 else asked).add(right)
    return asked, refused


def granted(devcluster: DevCluster, namespace: str) -> set[Right]:
    """Return the rights that the Roles of the release give."""
    selector = "app.kubernetes.io/part-of=veriramp"
    roles = yaml.safe_load(devcluster.kubectl("get", "roles", "-n", namespace, "-l", selector, "-o", "yaml"))["items"]
    return {
        (role["metadata"]["name"].removesuffix("-rollouts"), resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
