"""What a cluster remembers in its folder: the paths, and state.json with addresses, commands and processes.

`Layout` names every path below the root, `State` is the content of state.json. Any process that knows the folder
can look after the cluster, also after the one that started it has crashed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.devcluster.errors import DevClusterError
from tools.devcluster.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a cluster are, below its root folder (absolute)."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def images(self) -> Path:
        return self.root / "images.json"

    @property
    def agent_config(self) -> Path:
        return self.root / "agent.json"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def audit_policy(self) -> Path:
        return self.root / "audit-policy.yaml"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def prometheus(self) -> Path:
        return self.root / "prometheus"

    @property
    def rules(self) -> Path:
        return self.prometheus / "rules"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def pods(self) -> Path:
        """Logs of containers: <namespace>_<pod>_<container>.log."""
        return self.root / "pods"

    @property
    def run(self) -> Path:
        """One folder per pod uid: its volumes, launch scripts and process files."""
        return self.root / "run"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"


@dataclass(frozen=True, slots=True)
class Component:
    """How one part is started, and the address at which it answers when it is ready (None: not asked)."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The content of state.json."""

    number: int
    urls: Mapping[str, str]
    components: tuple[Component, ...]
    processes: Mapping[str, Process] = field(default_factory=dict)

    def component(self, name: str) -> Component:
        """Look a component up; raises DevClusterError for a name the cluster does not have."""
        for component in self.components:
            if component.name == name:
                return component
        known = ", ".join(component.name for component in self.components)
        raise DevClusterError(f"this cluster has no component {name!r}; it has {known}")

    def with_process(self, name: str, process: Process) -> State:
        return replace(self, processes={**self.processes, name: process})

    def write(self, path: Path) -> None:
        """Replace state.json in one step."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1))
        part.rename(path)


def read_state(path: Path) -> State | None:
    """Read state.json; None when there is none, DevClusterError when it cannot be understood."""
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise DevClusterError(f"{path} is damaged ({problem}); remove the folder {path.parent}") from problem
    return _parse(raw)


def _parse(raw: dict[str, Any]) -> State:
    return State(
        number=raw["number"],
        urls=raw["urls"],
        components=tuple(Component(c["name"], tuple(c["argv"]), c["env"], c["ready"]) for c in raw["components"]),
        processes={name: Process(**process) for name, process in raw["processes"].items()},
    )
