"""Puts the product and a search service into the dev cluster, the way a platform engineer would."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.demo.console import Console
from tools.devcluster.cluster import DevCluster
from tools.toolchain import binary

ROOT: Final = Path(__file__).resolve().parents[2]
SYSTEM: Final = "veriramp-system"
SEARCH: Final = "search"
ROLLOUT: Final = "search-verification"


@dataclass(frozen=True, slots=True)
class Installed:
    """What the rest of the demo needs to know of the installation."""

    alert_token: str
    search_urls: tuple[str, ...]
    operator_pods: tuple[str, ...]
    flag_server_urls: tuple[str, ...]


def install(console: Console, cluster: DevCluster, rollout: Path) -> Installed:
    """Helm install, search service, then the rollout by kubectl apply; returns when all pods are ready."""
    token = secrets.token_urlsafe(24)
    with console.step("helm install veriramp (operator x2, flag server x2)"):
        cluster.kubectl("create", "namespace", SEARCH)
        helm_install(cluster, values(cluster, token))
    with console.step("search service (2 replicas), following the flags"):
        deploy_search(cluster, SEARCH, f"{SEARCH}/{ROLLOUT}")
    console.say(f"kubectl apply -f {rollout.relative_to(ROOT)}")
    cluster.kubectl("apply", "-n", SEARCH, "-f", str(rollout))
    return Installed(
        alert_token=token,
        search_urls=search_urls(cluster, SEARCH),
        operator_pods=pod_ips(cluster, SYSTEM, "app.kubernetes.io/component=operator"),
        flag_server_urls=tuple(
            f"http://{ip}:8016" for ip in pod_ips(cluster, SYSTEM, "app.kubernetes.io/component=flagserver")
        ),
    )


def deploy_search(cluster: DevCluster, namespace: str, rollout: str) -> None:
    """The example search service with its regression switch, obeying a rollout (namespace/name); returns when ready."""
    manifest = (ROOT / "examples/search/search.yaml").read_text(encoding="utf-8")
    manifest = manifest.replace(f"{SEARCH}/{ROLLOUT}", rollout)
    manifest = manifest.replace(f"namespace: {SEARCH}", f"namespace: {namespace}")
    objects = list(yaml.safe_load_all(manifest))
    settings = {"VERIRAMP_BROKERS": cluster.broker_address, "VERIRAMP_DEBUG": "1"}
    (container,) = objects[0]["spec"]["template"]["spec"]["containers"]
    kept = [variable for variable in container["env"] if variable["name"] not in settings]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in settings.items())]
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(objects))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/search", "--timeout=110s")


def search_urls(cluster: DevCluster, namespace: str) -> tuple[str, ...]:
    """Where the search processes of a namespace answer."""
    return tuple(f"http://{ip}:8080" for ip in pod_ips(cluster, namespace, "app.kubernetes.io/name=search"))


def values(cluster: DevCluster, alert_token: str) -> dict[str, Any]:
    """Chart values for a dev cluster; the alert token is given so that the demo can play Alertmanager."""
    return {
        "watchNamespaces": [SEARCH],
        "endpoints": {"default": {"url": cluster.prometheus_url, "scrapeInterval": "1s"}},
        "alerts": {"token": alert_token},
        "profiles": {
            "orchestrator": {
                "image": "veriramp/workers",
                "command": ["veriramp-worker", "orchestrator"],
                "env": {"VERIRAMP_BROKERS": cluster.broker_address},
            }
        },
    }


def helm_install(cluster: DevCluster, chart_values: dict[str, Any]) -> None:
    """``helm upgrade --install --wait`` of the chart in this tree."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(chart_values, file)
        file.flush()
        command = [str(binary("helm")), "upgrade", "--install", "veriramp", str(ROOT / "charts/veriramp")]
        options = ["--namespace", SYSTEM, "--create-namespace", "--values", file.name, "--wait", "--timeout", "240s"]
        done = subprocess.run(
            [*command, *options, "--kubeconfig", str(cluster.kubeconfig)], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise RuntimeError(f"helm install failed: {done.stderr.strip() or done.stdout.strip()}")


def pod_ips(cluster: DevCluster, namespace: str, selector: str) -> tuple[str, ...]:
    """Addresses of the running pods that a selector finds."""
    raw = json.loads(cluster.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))
    running = [pod for pod in raw["items"] if pod["status"].get("phase") == "Running"]
    return tuple(pod["status"]["podIP"] for pod in running if "deletionTimestamp" not in pod["metadata"])
