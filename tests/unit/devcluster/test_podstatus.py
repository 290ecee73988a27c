from __future__ import annotations

from typing import Any

import pytest

from tools.devcluster.agent.podstatus import (
    ContainerReport,
    ContainerState,
    PodReport,
    Running,
    Terminated,
    Waiting,
    pod_status,
)

NOW, BEFORE = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
GOOD = Terminated(0, "Completed", BEFORE, NOW)
BAD = Terminated(3, "Error", BEFORE, NOW, "boom")


def a_container(state: ContainerState, *, ready: bool = False, last: Terminated | None = None) -> ContainerReport:
    return ContainerReport("main", "img:1", state, last, 1 if last else 0, ready, ready)


def a_report(*main: ContainerReport, initialized: bool = True, finished: bool = False) -> PodReport:
    return PodReport([], main, initialized, finished, "127.10.0.1", BEFORE)


@pytest.mark.parametrize(
    ("report", "phase"),
    [
        (a_report(a_container(Waiting("ContainerCreating"))), "Pending"),
        (a_report(a_container(Running(BEFORE))), "Running"),
        (a_report(a_container(Running(BEFORE)), a_container(Waiting("ContainerCreating"))), "Pending"),
        (a_report(a_container(Waiting("CrashLoopBackOff"), last=BAD)), "Running"),
        (a_report(a_container(Running(BEFORE)), initialized=False), "Pending"),
        (a_report(a_container(GOOD), finished=True), "Succeeded"),
        (a_report(a_container(GOOD), a_container(BAD), finished=True), "Failed"),
        (a_report(a_container(Waiting("PodInitializing")), finished=True), "Failed"),
    ],
)
def test_phase(report: PodReport, phase: str) -> None:
    assert report.phase == phase


def conditions(pod: dict[str, Any], report: PodReport) -> dict[str, tuple[str, str]]:
    status = pod_status(pod, report, NOW)
    return {c["type"]: (c["status"], c["lastTransitionTime"]) for c in status["conditions"]}


def test_a_condition_that_stays_keeps_its_time() -> None:
    known = [{"type": kind, "status": "True", "lastTransitionTime": BEFORE} for kind in ("Initialized", "Ready")]
    pod = {"spec": {}, "status": {"conditions": known}}

    assert conditions(pod, a_report(a_container(Running(BEFORE), ready=True))) == {
        "Initialized": ("True", BEFORE),
        "ContainersReady": ("True", NOW),
        "Ready": ("True", BEFORE),
    }
    assert conditions(pod, a_report(a_container(Running(BEFORE))))["Ready"] == ("False", NOW)


def test_a_readiness_gate_holds_ready_back() -> None:
    pod: dict[str, Any] = {"spec": {"readinessGates": [{"conditionType": "x/warm"}]}, "status": {}}
    report = a_report(a_container(Running(BEFORE), ready=True))
    assert (conditions(pod, report)["ContainersReady"][0], conditions(pod, report)["Ready"][0]) == ("True", "False")

    pod["status"] = {"conditions": [{"type": "x/warm", "status": "True"}]}
    assert conditions(pod, report)["Ready"][0] == "True"


def test_container_states_are_rendered_as_kubernetes_writes_them() -> None:
    report = a_report(a_container(Waiting("CrashLoopBackOff", "back-off"), last=BAD))

    (container,) = pod_status({"spec": {}}, report, NOW)["containerStatuses"]

    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert (container["restartCount"], container["ready"]) == (1, False)
