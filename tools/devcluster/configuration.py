"""The files that the parts of a cluster read: kubeconfigs, audit policy, Prometheus' and the agent's settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tools.devcluster.addresses import Addresses
    from tools.devcluster.components import Endpoints, Options
    from tools.devcluster.state import Layout


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the node agent has to know; the content of agent.json."""

    root: str
    api: str
    ca: str
    certificate: str
    key: str
    pod_range: str
    nodes: int

    @staticmethod
    def read(path: Path) -> AgentConfig:
        return AgentConfig(**json.loads(path.read_text()))


def write_configuration(layout: Layout, options: Options, addresses: Addresses, endpoints: Endpoints) -> None:
    """Write all of them; the certificates are there already."""
    _write_kubeconfig(layout, layout.kubeconfig, endpoints.api, "admin")
    for client in ("controller-manager", "scheduler"):
        _write_kubeconfig(layout, layout.root / f"{client}.kubeconfig", endpoints.api, client)
    layout.audit_policy.write_text(yaml.safe_dump(_audit_policy()))
    agent = AgentConfig(
        root=str(layout.root),
        api=endpoints.api,
        ca=str(layout.pki / "ca.crt"),
        certificate=str(layout.pki / "node-agent.crt"),
        key=str(layout.pki / "node-agent.key"),
        pod_range=addresses.pod_range,
        nodes=options.nodes,
    )
    layout.agent_config.write_text(json.dumps(asdict(agent), indent=1))
    layout.rules.mkdir(parents=True, exist_ok=True)
    config = prometheus_config(layout, endpoints.api, options.scrape_interval)
    (layout.prometheus / "prometheus.yml").write_text(yaml.safe_dump(config, sort_keys=False))


def _write_kubeconfig(layout: Layout, path: Path, api: str, client: str) -> None:
    name = f"devcluster-{layout.root.name}" if client == "admin" else client
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": api, "certificate-authority": str(layout.pki / "ca.crt")}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate": str(layout.pki / f"{client}.crt"),
                    "client-key": str(layout.pki / f"{client}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def _audit_policy() -> dict[str, Any]:
    """Record who did what to what, never contents: tests compare it with the Roles of the chart."""
    cluster = ["devcluster:controller-manager", "devcluster:scheduler", "devcluster:node-agent", "system:apiserver"]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "None", "users": cluster}, {"level": "Metadata"}],
    }


def prometheus_config(layout: Layout, api: str, interval: str) -> dict[str, Any]:
    """Scrape every pod that is annotated with prometheus.io/scrape, as clusters usually do.

    The port is that of the annotation prometheus.io/port, else the container port named `metrics`; the path is
    that of prometheus.io/path, else /metrics. Series carry namespace, pod, node and the pod's labels
    app.kubernetes.io/*, app and *.veriramp.dev/* (with `_` for every other sign).
    """
    tls = {
        "ca_file": str(layout.pki / "ca.crt"),
        "cert_file": str(layout.pki / "prometheus.crt"),
        "key_file": str(layout.pki / "prometheus.key"),
    }
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(layout.rules / "*.yaml")],
        "scrape_configs": [
            {
                "job_name": "pods",
                "kubernetes_sd_configs": [{"role": "pod", "api_server": api, "tls_config": tls}],
                "relabel_configs": _pod_relabeling(),
            }
        ],
    }


def _pod_relabeling() -> list[dict[str, Any]]:
    pod = "__meta_kubernetes_pod"
    scrape, port, path = (f"{pod}_annotation_prometheus_io_{name}" for name in ("scrape", "port", "path"))
    return [
        {"action": "keep", "source_labels": [scrape], "regex": "true"},
        {"action": "drop", "source_labels": [f"{pod}_phase"], "regex": "Pending|Succeeded|Failed"},
        {"action": "keep", "source_labels": [port, f"{pod}_container_port_name"], "regex": "[^;]+;.*|;metrics"},
        {
            "source_labels": [f"{pod}_ip", port],
            "regex": "(.+);(.+)",
            "target_label": "__address__",
            "replacement": "$1:$2",
        },
        {"source_labels": [path], "regex": "(.+)", "target_label": "__metrics_path__"},
        {"action": "labelmap", "regex": f"{pod}_label_(app|app_kubernetes_io_.+|.*veriramp_dev_.+)"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{pod}_name"], "target_label": "pod"},
        {"source_labels": [f"{pod}_node_name"], "target_label": "node"},
    ]
