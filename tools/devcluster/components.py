"""The command line of every part of a cluster.

`plan(options, layout, addresses, binary)` turns what is wanted into `Component`s, in the order in which they are
started, and writes nothing; `configuration.py` has the files that they read.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.devcluster.state import Component, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.devcluster.addresses import Addresses

    Binary = Callable[[str], Path]

REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    """What the cluster consists of; etcd and the API server are always there.

    `nodes` is the number of Node objects (the node agent runs the pods of all of them; 0: no agent, no pods).
    `scrape_interval` is Prometheus' and is also how often it evaluates rules. `owner` is the pid of a process with
    which the cluster ends, however that one ends; without it the cluster runs until `down`.
    """

    nodes: int = 1
    controllers: bool = True
    prometheus: bool = True
    broker: bool = True
    scrape_interval: str = "1s"
    owner: int | None = None

    def binaries(self) -> list[str]:
        """Name the programs that these options need."""
        names = ["etcd", "kube-apiserver", "kubectl"]
        names += ["kube-controller-manager", "kube-scheduler"] if self.controllers else []
        names += ["prometheus"] if self.prometheus else []
        names += ["broker"] if self.broker else []
        return names


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the parts answer."""

    etcd: str
    etcd_peer: str
    api: str
    prometheus: str
    broker: str

    @staticmethod
    def choose(addresses: Addresses) -> Endpoints:
        """Take the usual ports on the cluster's own address, other free ones where those are taken."""
        host = addresses.host
        return Endpoints(
            etcd=f"http://{host}:{addresses.port(2379)}",
            etcd_peer=f"http://{host}:{addresses.port(2380)}",
            api=f"https://{host}:{addresses.port(6443)}",
            prometheus=f"http://{host}:{addresses.port(9090)}",
            broker=f"{host}:{addresses.port(9092)}",
        )

    def urls(self, options: Options) -> dict[str, str]:
        urls = {"etcd": self.etcd, "api": self.api}
        urls |= {"prometheus": self.prometheus} if options.prometheus else {}
        urls |= {"broker": self.broker} if options.broker else {}
        return urls


def plan(
    options: Options, layout: Layout, addresses: Addresses, endpoints: Endpoints, binaries: Mapping[str, Path]
) -> list[Component]:
    """List the components in the order in which they are started."""
    components = [
        _etcd(layout, endpoints, binaries["etcd"]),
        _api_server(layout, addresses, endpoints, binaries["kube-apiserver"]),
    ]
    if options.broker:
        components.append(_broker(layout, endpoints, binaries["broker"]))
    if options.controllers:
        components.append(_controller_manager(layout, binaries["kube-controller-manager"]))
        components.append(_scheduler(layout, binaries["kube-scheduler"]))
    if options.nodes:
        components.append(_node_agent(layout))
    if options.prometheus:
        components.append(_prometheus(layout, endpoints, binaries["prometheus"]))
    if options.owner is not None:
        components.append(_guardian(layout, options.owner))
    return components


def _etcd(layout: Layout, endpoints: Endpoints, binary: Path) -> Component:
    argv = (
        str(binary),
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls={endpoints.etcd}",
        f"--advertise-client-urls={endpoints.etcd}",
        f"--listen-peer-urls={endpoints.etcd_peer}",
        f"--initial-advertise-peer-urls={endpoints.etcd_peer}",
        f"--initial-cluster=default={endpoints.etcd_peer}",
        "--unsafe-no-fsync",  # the data of a dev cluster need not outlive the machine's power
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    )
    return Component("etcd", argv, _system_env(), ready=f"{endpoints.etcd}/health")


def _api_server(layout: Layout, addresses: Addresses, endpoints: Endpoints, binary: Path) -> Component:
    host, port = endpoints.api.removeprefix("https://").split(":")
    argv = (
        str(binary),
        f"--etcd-servers={endpoints.etcd}",
        f"--bind-address={host}",
        f"--advertise-address={host}",
        f"--secure-port={port}",
        f"--service-cluster-ip-range={addresses.service_range}",
        "--endpoint-reconciler-type=none",  # it would publish a loopback address, which is refused
        f"--tls-cert-file={layout.pki / 'apiserver.crt'}",
        f"--tls-private-key-file={layout.pki / 'apiserver.key'}",
        f"--client-ca-file={layout.pki / 'ca.crt'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={layout.pki / 'service-accounts.key'}",
        f"--service-account-key-file={layout.pki / 'service-accounts.pub'}",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-mode=batch",
        "--audit-log-batch-max-wait=200ms",
        "--audit-log-maxsize=0",
        "--allow-privileged=true",
        f"--cert-dir={layout.pki}",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    )
    return Component("kube-apiserver", argv, _system_env(), ready=f"{endpoints.api}/readyz")


def _controller_manager(layout: Layout, binary: Path) -> Component:
    # The endpoint controllers would fail for every pod for ever: addresses in 127.0.0.0/8 are refused in
    # EndpointSlices. The node agent forwards ClusterIPs to ready pods instead.
    off = ("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller")
    argv = (
        str(binary),
        f"--kubeconfig={layout.root / 'controller-manager.kubeconfig'}",
        f"--controllers=*,{','.join(f'-{name}' for name in off)}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        f"--service-account-private-key-file={layout.pki / 'service-accounts.key'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    )
    return Component("kube-controller-manager", argv, _system_env())


def _scheduler(layout: Layout, binary: Path) -> Component:
    argv = (
        str(binary),
        f"--kubeconfig={layout.root / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    )
    return Component("kube-scheduler", argv, _system_env())


def _node_agent(layout: Layout) -> Component:
    argv = (sys.executable, "-m", "tools.devcluster.agent", str(layout.agent_config))
    return Component("node-agent", argv, _system_env() | {"PYTHONPATH": str(REPOSITORY)})


def _guardian(layout: Layout, owner: int) -> Component:
    argv = (sys.executable, "-m", "tools.devcluster.guardian", str(layout.root), str(owner))
    return Component("guardian", argv, _system_env() | {"PYTHONPATH": str(REPOSITORY)})


def _prometheus(layout: Layout, endpoints: Endpoints, binary: Path) -> Component:
    argv = (
        str(binary),
        f"--config.file={layout.prometheus / 'prometheus.yml'}",
        f"--storage.tsdb.path={layout.prometheus / 'data'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={endpoints.prometheus.removeprefix('http://')}",
        "--web.enable-lifecycle",
        "--scrape.discovery-reload-interval=1s",  # a new pod is scraped soon after it got its address
        "--log.level=warn",
    )
    return Component("prometheus", argv, _system_env(), ready=f"{endpoints.prometheus}/-/ready")


def _broker(layout: Layout, endpoints: Endpoints, binary: Path) -> Component:
    host, port = endpoints.broker.split(":")
    argv = (str(binary), f"--host={host}", f"--port={port}", f"--data-dir={layout.broker}")
    return Component("broker", argv, _system_env(), ready=f"tcp://{endpoints.broker}")


def _system_env() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
