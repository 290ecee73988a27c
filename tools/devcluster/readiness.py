"""Tell when a cluster is ready, and whether this machine can run one at all."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from tools.devcluster.errors import DevClusterError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tools.devcluster.processes import Process
    from tools.devcluster.state import Component, Layout

DEADLINE_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.05
TAIL_LINES: Final = 15


class Waiter:
    """Waits for parts to answer, and gives up with the end of its log when one has died."""

    def __init__(self, layout: Layout, tls: ssl.SSLContext, processes: Mapping[str, Process]) -> None:
        self._layout = layout
        self._tls = tls
        self._processes = processes

    def until_ready(self, component: Component) -> None:
        """Wait until it answers at its ready address; raises DevClusterError."""
        if component.ready is None:
            return
        url = component.ready
        if url.startswith("tcp://"):
            self._wait(lambda: _connects(url), f"{component.name} to accept connections at {url}")
            return
        with httpx.Client(verify=self._tls, timeout=5) as client:
            self._wait(lambda: _answers(client, url), f"{component.name} to answer at {url}")

    def until_usable(self, api: httpx.Client, started: Mapping[str, Process]) -> None:
        """Wait until a pod could be created and scheduled, as far as this cluster has these parts."""
        if "kube-controller-manager" in started:
            path = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait(lambda: _answers(api, path), "the service account of the default namespace")
            self._wait(
                lambda: _answers(api, "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"),
                "the root certificate of the default namespace",
            )
        if "node-agent" in started:
            self._wait(lambda: _node_ready(api), "the node to be Ready")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            for name, process in self._processes.items():
                if not process.alive():
                    raise DevClusterError(f"{name} has ended while waiting for {what}:\n{log_tail(self._layout, name)}")
            if time.monotonic() > deadline:
                raise DevClusterError(f"waited {DEADLINE_SECONDS:.0f} s for {what}; see {self._layout.logs}")
            time.sleep(PAUSE_SECONDS)


def log_tail(layout: Layout, component: str) -> str:
    """Give the last lines of a component's log."""
    path = layout.log(component)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-TAIL_LINES:])


def check_machine(root: Path, *, with_pods: bool) -> None:
    """Raise DevClusterError when this machine or folder cannot hold a cluster."""
    if root.parts[:2] == ("/", "run") or root.parts[:3] == ("/", "var", "run"):
        raise DevClusterError(f"{root} is below /run, which every pod has for itself; choose another folder")
    if not with_pods:
        return
    if shutil.which("unshare") is None:
        raise DevClusterError('the program "unshare" is missing; install the package util-linux')
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise DevClusterError(
            f"pods need a mount namespace of their own, and this machine refuses one ({done.stderr.strip()}); "
            "allow it with: sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
            "kernel.apparmor_restrict_unprivileged_userns=0 (those that exist here), and in a container start it "
            "with --security-opt seccomp=unconfined --cap-add SYS_ADMIN"
        )


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.TransportError:
        return False


def _connects(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1):
            return True
    except OSError:
        return False


def _node_ready(api: httpx.Client) -> bool:
    try:
        nodes = api.get("/api/v1/nodes").json().get("items", [])
    except httpx.TransportError:
        return False
    return bool(nodes) and all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
        and not node["spec"].get("taints")
        for node in nodes
    )
