"""Start, look after and stop one dev cluster.

    with DevCluster.up(root, images={"veriramp/search": ImageCommand(("python", "-m", "veriramp_search.main"))}) as it:
        it.kubectl("get", "pods", "-A")

`DevCluster.up` starts one and returns when it is ready, `DevCluster.attach` finds one by its folder from any other
process, `down` stops it, also when whoever started it has crashed. Several may run on one machine.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import httpx

from tools.devcluster.addresses import Addresses, claim
from tools.devcluster.certificates import write_certificates
from tools.devcluster.components import Endpoints, Options, plan
from tools.devcluster.configuration import write_configuration
from tools.devcluster.errors import DevClusterError
from tools.devcluster.images import ImageCommand, read_images, write_images
from tools.devcluster.leftovers import container_process, containers, kill_leftover_containers
from tools.devcluster.processes import Process, spawn, stop_all
from tools.devcluster.readiness import Waiter, check_machine, log_tail
from tools.devcluster.state import Component, Layout, State, read_state

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    Progress = Callable[[str], None]

STOP_SECONDS: Final = 8.0
"""How long all components together may take to end after SIGTERM."""


class DevCluster:
    """A running (or stopped, but not removed) cluster; state is in its folder, this object only holds paths."""

    def __init__(self, layout: Layout, state: State) -> None:
        self.layout = layout
        self._state = state
        self._kubectl: str | None = None

    @classmethod
    def up(
        cls,
        root: Path,
        *,
        images: Mapping[str, ImageCommand] | None = None,
        options: Options | None = None,
        binaries: Mapping[str, Path] | None = None,
        progress: Progress = lambda _line: None,
    ) -> Self:
        """Start a cluster in a folder and wait until it is ready: API server, node and all.

        `binaries` names the programs; by default those of tools/toolchain.py. Raises DevClusterError when a tool is
        missing, a cluster runs in this folder already, or a part does not become ready; what was started is
        stopped then, and the logs stay.
        """
        options = options or Options()
        layout = Layout(root.resolve())
        check_machine(layout.root, with_pods=options.nodes > 0)
        _refuse_running(layout)
        found = binaries or _toolchain(options)
        _sweep(layout)
        for folder in (layout.logs, layout.pods):  # logs of the cluster that was here before
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (layout.logs, layout.pods, layout.run):
            folder.mkdir(parents=True, exist_ok=True)
        with claim() as addresses:
            state = _prepare(layout, options, addresses, found)
            write_images(layout.images, images or {})
            cluster = cls(layout, state)
            try:
                cluster._start_all(progress)
            except BaseException:
                cluster.down()
                raise
        return cluster

    @classmethod
    def attach(cls, root: Path) -> Self:
        """Find the cluster of a folder; raises DevClusterError when there is none."""
        layout = Layout(root.resolve())
        state = read_state(layout.state)
        if state is None:
            raise DevClusterError(f'no dev cluster in {root}; start one with "python -m tools.devcluster up"')
        return cls(layout, state)

    # What it offers.

    @property
    def root(self) -> Path:
        return self.layout.root

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator (client certificate)."""
        return self.layout.kubeconfig

    @property
    def api_url(self) -> str:
        return self._state.urls["api"]

    @property
    def ca(self) -> Path:
        """CA certificate (PEM) of the API server."""
        return self.layout.pki / "ca.crt"

    @property
    def urls(self) -> Mapping[str, str]:
        """Where the parts answer: api, etcd, and as far as they were started prometheus and broker."""
        return self._state.urls

    @property
    def prometheus_url(self) -> str:
        return self._url("prometheus")

    @property
    def broker_address(self) -> str:
        """host:port of the Kafka broker; the same after a restart."""
        return self._url("broker")

    @property
    def audit_log(self) -> Path:
        """One JSON object per line: every request of others than the cluster's own parts, at level Metadata."""
        return self.layout.audit_log

    def client(self) -> httpx.Client:
        """Open an HTTP client to the API server, as administrator; the caller closes it."""
        return httpx.Client(base_url=self.api_url, verify=self._tls(), timeout=30)

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it printed; raises DevClusterError with its words when it fails."""
        command = [self._kubectl_path(), "--kubeconfig", str(self.kubeconfig), *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise DevClusterError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    # Faults and changes.

    def kill(self, component: str, number: signal.Signals) -> None:
        """Signal one component, for example SIGKILL or SIGSTOP; raises DevClusterError when it does not run."""
        process = self._process(component)
        if process is None or not process.send(number):
            raise DevClusterError(f"{component} does not run")

    def stop_component(self, name: str, seconds: float = STOP_SECONDS) -> None:
        """End one component; its data stays."""
        process = self._process(name)
        if process is not None:
            stop_all([process], seconds)

    def start_component(self, name: str) -> None:
        """Start a component again, at the same address and with its data, and wait until it is ready."""
        component = self._state.component(name)
        process = self._process(name)
        if process is not None and process.alive():
            raise DevClusterError(f"{name} runs already (pid {process.pid})")
        process = self._spawn(component)
        self._waiter({name: process}).until_ready(component)

    def container_process(self, namespace: str, pod: str, container: str | None = None) -> Process:
        """Find the process of a pod's container (by default its only or first one), to signal it."""
        return container_process(self.layout.run, namespace, pod, container)

    def containers(self) -> dict[str, Process]:
        """Tell the processes of all running containers by namespace/pod/container."""
        return dict(containers(self.layout.run))

    def pod_log(self, namespace: str, pod: str, container: str) -> str:
        """All that a container printed, over its restarts."""
        path = self.layout.pods / f"{namespace}_{pod}_{container}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def set_images(self, images: Mapping[str, ImageCommand]) -> None:
        """Replace the images; counts for containers that are started from now on."""
        write_images(self.layout.images, images)

    def add_images(self, images: Mapping[str, ImageCommand]) -> None:
        """Add or replace some images; counts for containers that are started from now on."""
        write_images(self.layout.images, read_images(self.layout.images) | dict(images))

    def set_rules(self, name: str, text: str) -> None:
        """Write a Prometheus rule file (YAML) and have Prometheus load it."""
        (self.layout.rules / f"{name}.yaml").write_text(text)
        httpx.post(f"{self.prometheus_url}/-/reload", timeout=10).raise_for_status()

    # Looking and ending.

    def status(self) -> dict[str, str]:
        """Tell of each component `running (pid n)` or `stopped`."""
        return {component.name: self._describe(component) for component in self._state.components}

    def check(self) -> None:
        """Raise DevClusterError with the end of its log when a component has ended."""
        for component in self._state.components:
            process = self._process(component.name)
            if process is None or not process.alive():
                tail = log_tail(self.layout, component.name)
                raise DevClusterError(f"{component.name} of the cluster in {self.root} has ended:\n{tail}")

    def down(self, *, remove: bool = False) -> None:
        """Stop everything that belongs to the cluster; logs stay unless `remove`. Also works on what a crash left."""
        self._refresh()
        names = [name for name, process in self._state.processes.items() if process.pid != os.getpid()]
        servers = {"etcd", "kube-apiserver"}
        for wave in (["node-agent"], set(names) - servers, ["kube-apiserver"], ["etcd"]):
            # The agent ends the pods while the API server still answers; who has no clients left ends at once.
            stop_all([self._state.processes[name] for name in names if name in wave], STOP_SECONDS)
        kill_leftover_containers(self.layout.run)
        _sweep(self.layout)
        if remove:
            shutil.rmtree(self.layout.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.down()

    # Private helpers.

    def _start_all(self, progress: Progress) -> None:
        started: dict[str, Process] = {}
        pending: list[Component] = []
        for component in self._state.components:
            progress(f"starting {component.name}")
            started[component.name] = self._spawn(component)
            if component.name == "kube-apiserver":
                self._report(progress, started, [component])
            elif component.ready:
                pending.append(component)
        self._report(progress, started, pending)
        with self.client() as client:
            self._waiter(started).until_usable(client, started)

    def _report(self, progress: Progress, started: dict[str, Process], components: list[Component]) -> None:
        for component in components:
            begin = time.monotonic()
            self._waiter(started).until_ready(component)
            progress(f"{component.name} ready ({time.monotonic() - begin:.1f} s)")

    def _spawn(self, component: Component) -> Process:
        process = spawn(component.argv, component.env, self.layout.log(component.name))
        self._refresh()
        self._state = self._state.with_process(component.name, process)
        self._state.write(self.layout.state)
        return process

    def _waiter(self, started: Mapping[str, Process]) -> Waiter:
        return Waiter(self.layout, self._tls(), started)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.layout.pki / "admin.crt", self.layout.pki / "admin.key")
        return context

    def _url(self, name: str) -> str:
        try:
            return self._state.urls[name]
        except KeyError:
            raise DevClusterError(f"this cluster was started without {name}") from None

    def _kubectl_path(self) -> str:
        if self._kubectl is None:
            from tools.toolchain import binary  # noqa: PLC0415 - a cluster can be used without the tools

            self._kubectl = str(binary("kubectl"))
        return self._kubectl

    def _refresh(self) -> None:
        """Another process may have restarted a component meanwhile."""
        self._state = read_state(self.layout.state) or self._state

    def _process(self, name: str) -> Process | None:
        self._refresh()
        self._state.component(name)
        return self._state.processes.get(name)

    def _describe(self, component: Component) -> str:
        process = self._process(component.name)
        return f"running (pid {process.pid})" if process is not None and process.alive() else "stopped"


def _toolchain(options: Options) -> dict[str, Path]:
    from tools.toolchain import ToolMissing, binary  # noqa: PLC0415 - a cluster can be used without the tools

    try:
        return {name: binary(name) for name in options.binaries()}
    except ToolMissing as problem:
        raise DevClusterError(str(problem)) from problem


def _prepare(layout: Layout, options: Options, addresses: Addresses, binaries: Mapping[str, Path]) -> State:
    endpoints = Endpoints.choose(addresses)
    hosts = [addresses.host, addresses.first_service, "localhost", "kubernetes", "kubernetes.default"]
    hosts += ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    write_certificates(layout.pki, hosts)
    write_configuration(layout, options, addresses, endpoints)
    components = plan(options, layout, addresses, endpoints, binaries)
    state = State(addresses.number, endpoints.urls(options), tuple(components))
    state.write(layout.state)
    return state


def _refuse_running(layout: Layout) -> None:
    state = read_state(layout.state)
    if state is not None and any(process.alive() for process in state.processes.values()):
        raise DevClusterError(
            f"a dev cluster runs in {layout.root} already; stop it with "
            f'"python -m tools.devcluster down --root {layout.root}" or choose another folder'
        )


def _sweep(layout: Layout) -> None:
    """Remove everything but logs."""
    for folder in (layout.etcd, layout.prometheus, layout.broker, layout.pki, layout.run):
        shutil.rmtree(folder, ignore_errors=True)
    for path in (layout.state, layout.kubeconfig, layout.images, layout.agent_config, layout.audit_policy):
        path.unlink(missing_ok=True)
    for path in layout.root.glob("*.kubeconfig"):
        path.unlink()
