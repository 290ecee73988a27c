"""The status of a pod from the states of its containers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.devcluster.agent.api import Object


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running: why."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Running since."""

    started_at: str


@dataclass(frozen=True, slots=True)
class Terminated:
    """Ran and ended."""

    exit_code: int
    reason: str
    started_at: str
    finished_at: str
    message: str = ""


ContainerState = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """What a container tells about itself."""

    name: str
    image: str
    state: ContainerState
    last: Terminated | None
    restarts: int
    ready: bool
    started: bool

    @property
    def ended(self) -> Terminated | None:
        return self.state if isinstance(self.state, Terminated) else None


OWNED: Final = ("Initialized", "ContainersReady", "Ready")
Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


@dataclass(frozen=True, slots=True)
class PodReport:
    """What a pod worker knows; `finished` when no container will be started again."""

    init: Sequence[ContainerReport]
    main: Sequence[ContainerReport]
    initialized: bool
    finished: bool
    address: str
    started_at: str

    @property
    def phase(self) -> Phase:
        """Derive the phase as the kubelet does."""
        if self.finished:
            ended = [c.ended for c in (*self.init, *self.main)]
            return "Succeeded" if all(state is not None and state.exit_code == 0 for state in ended) else "Failed"
        begun = all(not isinstance(c.state, Waiting) or c.last is not None for c in self.main)
        return "Running" if self.initialized and begun else "Pending"


def pod_status(pod: Object, report: PodReport, now: str) -> Object:
    """Render the status; conditions whose value did not change keep their transition time."""
    containers_ready = bool(report.main) and all(c.ready for c in report.main)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    current = {c["type"]: c for c in pod.get("status", {}).get("conditions", [])}
    gates_ready = all(current.get(gate, {}).get("status") == "True" for gate in gates)
    why = "PodCompleted" if report.phase == "Succeeded" else "ContainersNotReady"
    conditions = [
        _condition("Initialized", report.initialized, "ContainersNotInitialized"),
        _condition("ContainersReady", containers_ready, why),
        _condition(
            "Ready", containers_ready and gates_ready, why if not containers_ready else "ReadinessGatesNotReady"
        ),
    ]
    for condition in conditions:
        known = current.get(condition["type"], {})
        same = known.get("status") == condition["status"]
        condition["lastTransitionTime"] = known.get("lastTransitionTime", now) if same else now
    return {
        "phase": report.phase,
        "hostIP": report.address,
        "hostIPs": [{"ip": report.address}],
        "podIP": report.address,
        "podIPs": [{"ip": report.address}],
        "startTime": pod.get("status", {}).get("startTime") or report.started_at,
        "conditions": conditions,
        "initContainerStatuses": [_container(c) for c in report.init],
        "containerStatuses": [_container(c) for c in report.main],
    }


def conditions_of(pod: Object) -> dict[str, str]:
    """Read the conditions that the agent owns, by type."""
    conditions = pod.get("status", {}).get("conditions", [])
    return {c["type"]: c["status"] for c in conditions if c["type"] in OWNED}


def _condition(kind: str, value: bool, reason: str) -> dict[str, Any]:
    condition: dict[str, Any] = {"type": kind, "status": str(value), "reason": None if value else reason}
    return condition


def _container(report: ContainerReport) -> Object:
    return {
        "name": report.name,
        "image": report.image,
        "imageID": f"local://{report.image}",
        "ready": report.ready,
        "started": report.started,
        "restartCount": report.restarts,
        "state": _state(report.state),
        "lastState": _state(report.last) if report.last else {},
    }


def _state(state: ContainerState) -> Object:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, "message": message}}
        case Running(started_at):
            return {"running": {"startedAt": started_at}}
        case Terminated():
            ended = {"exitCode": state.exit_code, "reason": state.reason, "message": state.message}
            return {"terminated": ended | {"startedAt": state.started_at, "finishedAt": state.finished_at}}
