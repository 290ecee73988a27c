"""The chart and the manifests on a real API server (no controllers): accepted, restricted, kept, checked offline."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.chart.helm import CHART, helm, of_kind, render
from tests.support.rollouts import CRD, DATA, ROOT, bad_rollouts
from tools.devcluster.cluster import DevCluster
from tools.toolchain import binary

SEARCH = ROOT / "examples" / "search" / "search.yaml"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/verificationrollouts.veriramp.dev"


@pytest.fixture
def client(control_plane: DevCluster) -> Iterator[httpx.Client]:
    with control_plane.client() as client:
        yield client


@pytest.fixture
def restricted(client: httpx.Client) -> str:
    """Return a fresh namespace that enforces Pod Security "restricted"."""
    name = f"restricted-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.post("/api/v1/namespaces", json={"metadata": {"name": name, "labels": labels}}).raise_for_status()
    return name


@pytest.mark.parametrize(
    "values",
    [{}, {"clusterWide": True}, {"networkPolicy": {"enabled": True, "monitoring": [{"podSelector": {}}]}}],
    ids=["default", "cluster", "policies"],
)
def test_the_api_server_accepts_every_object(
    control_plane: DevCluster, restricted: str, values: dict[str, Any], tmp_path: Path
) -> None:
    objects = [item for item in render(values) if item["kind"] != "CustomResourceDefinition"]
    for item in objects:
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = restricted
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    printed = control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert len(printed.splitlines()) == len(objects)


@pytest.mark.shows("S1-SEC-01")
def test_pods_are_admitted_where_pod_security_is_restricted(client: httpx.Client, restricted: str) -> None:
    deployments = of_kind([*render(), *yaml.safe_load_all(SEARCH.read_text(encoding="utf-8"))], "Deployment")
    assert len(deployments) == 3
    for deployment in deployments:
        template = deployment["spec"]["template"]
        account = template["spec"].get("serviceAccountName", "default")
        accounts = f"/api/v1/namespaces/{restricted}/serviceaccounts"
        if not client.get(f"{accounts}/{account}").is_success:
            client.post(accounts, json={"metadata": {"name": account}}).raise_for_status()
        pod = {"metadata": {"name": deployment["metadata"]["name"]}, "spec": template["spec"]}
        made = client.post(f"/api/v1/namespaces/{restricted}/pods", json=pod, params={"dryRun": "All"})
        assert made.is_success, made.text


def test_install_upgrade_and_uninstall_keep_the_token_and_the_crd(
    control_plane: DevCluster, client: httpx.Client, restricted: str
) -> None:
    release = ("veriramp", str(CHART), "-n", restricted, "--kubeconfig", str(control_plane.kubeconfig))

    def token() -> str:
        answer = client.get(f"/api/v1/namespaces/{restricted}/secrets/veriramp-alerts").raise_for_status()
        return str(answer.json()["data"]["token"])

    helm("install", *release, "--take-ownership")  # of the CRD, which other tests have applied
    first = token()
    assert len(first) > 40
    helm("upgrade", *release, "--set", "operator.replicas=3")
    assert token() == first
    deployment = client.get(f"/apis/apps/v1/namespaces/{restricted}/deployments/veriramp-operator").json()
    assert deployment["spec"]["replicas"] == 3
    helm("uninstall", "veriramp", "-n", restricted, "--kubeconfig", str(control_plane.kubeconfig))
    assert client.get(f"/apis/apps/v1/namespaces/{restricted}/deployments/veriramp-operator").status_code == 404
    assert client.get(CRDS).is_success
    # What kubectl users apply is the same definition, so that both ways may meet on one cluster.
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))


def test_rollouts_can_be_checked_offline(tmp_path: Path) -> None:
    definition = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["$schema"] = "http://json-schema.org/draft-04/schema#"  # as in OpenAPI 3.0, exclusiveMinimum is a boolean
    (tmp_path / "verificationrollout.json").write_text(json.dumps(schema))

    def check(path: Path) -> subprocess.CompletedProcess[str]:
        location = f"{tmp_path}/{{{{ .ResourceKind }}}}.json"
        command = [str(binary("kubeconform")), "-strict", "-schema-location", location, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    good = check(DATA / "complete.yaml")
    assert good.returncode == 0, good.stdout + good.stderr
    (unit,) = [bad for bad in bad_rollouts() if bad.name == "a rate given in percent"]
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(unit.manifest()))
    refused = check(file)
    assert refused.returncode == 1
    assert "samplingRate" in refused.stdout
