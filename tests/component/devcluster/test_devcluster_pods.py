"""Pods as a user of a cluster knows them: started, configured, restarted, ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import wait_for
from tests.support.workloads import SECONDS, Workloads, answers, ask, condition, container

if TYPE_CHECKING:
    from typing import Any

READY: dict[str, Any] = {"readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1}}

ELSEWHERE = "/media"
"""A folder that every machine has; what a pod mounts there hides neither this tree nor its Python."""


def test_a_deployment_becomes_available_with_an_address_for_each_pod(workloads: Workloads) -> None:
    workloads.deployment("web", 2, {"containers": [container(**READY)]})
    workloads.available("web", 2)

    addresses = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in workloads.pods()}

    assert len(addresses) == 2
    assert {address: ask(address, "/name").text for address in addresses} == addresses


def test_scaling_down_and_up_again(workloads: Workloads) -> None:
    workloads.deployment("web", 3, {"containers": [container(**READY)]})
    workloads.available("web", 3)

    for replicas in (1, 2):
        workloads.cluster.kubectl("scale", "-n", workloads.namespace, "deploy/web", f"--replicas={replicas}")
        workloads.available("web", replicas)
        workloads.pods_left(replicas)


def test_environment_from_everywhere(workloads: Workloads) -> None:
    workloads.config_map("settings", COLOUR="red", other="x")
    workloads.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "s3"}})
    workloads.service("backend", port=81)
    env = [
        {"name": "GREETING", "value": "hello $(POD_IP) $$(POD_IP) $(UNKNOWN)"},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
        {"name": "OTHER", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "other"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MISSING", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none", "optional": True}}},
        {"name": "URL", "value": f"http://backend.{workloads.namespace}.svc.cluster.local:81/x"},
    ]
    source = [{"prefix": "CM_", "configMapRef": {"name": "settings"}}]
    workloads.pod("env", {"containers": [container(env=env, envFrom=source, **READY)]}, labels={"team": "search"})

    address = workloads.ready_pod("env")
    seen = json.loads(ask(address, "/env").text)

    assert seen["GREETING"] == f"hello {address} $(POD_IP) $(UNKNOWN)"
    assert (seen["NAMESPACE"], seen["TEAM"], seen["HOSTNAME"]) == (workloads.namespace, "search", "env")
    assert (seen["OTHER"], seen["TOKEN"], seen["CM_COLOUR"]) == ("x", "s3", "red")
    assert seen["URL"] == f"http://{workloads.cluster_ip('backend')}:81/x"
    assert seen["FROM_IMAGE"] == "yes"
    assert "MISSING" not in seen
    assert "USER" not in seen, "the environment of whoever started the cluster must not leak"


def test_a_missing_config_map_holds_the_pod_until_it_is_there(workloads: Workloads) -> None:
    source = [{"configMapRef": {"name": "late"}}]
    workloads.pod("patient", {"containers": [container(envFrom=source, **READY)]})
    assert workloads.waiting_message("patient", "CreateContainerConfigError") == 'configMap "late" not found'

    workloads.config_map("late", NAME="value")

    assert json.loads(ask(workloads.ready_pod("patient"), "/env").text)["NAME"] == "value"


def test_volumes_are_at_their_paths_and_follow_their_config_map(workloads: Workloads) -> None:
    workloads.config_map("content", greeting="one")
    mounts = [
        {"name": "content", "mountPath": "/run/veriramp/content"},
        {"name": "content", "mountPath": "/var/run/one/file", "subPath": "greeting"},
        {"name": "scratch", "mountPath": ELSEWHERE},
        {"name": "about", "mountPath": "/run/about"},
    ]
    volumes = [
        {"name": "content", "configMap": {"name": "content"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "about", "downwardAPI": {"items": [{"path": "me", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    writer = container("append", f"{ELSEWHERE}/note", "from the first", name="writer", volumeMounts=mounts)
    spec = {"initContainers": [writer], "containers": [container(volumeMounts=mounts, **READY)], "volumes": volumes}
    workloads.pod("mounts", spec)
    address = workloads.ready_pod("mounts")

    def content(path: str) -> str:
        return ask(address, "/file", of=path).text

    assert content("/run/veriramp/content/greeting") == content("/run/one/file") == "one"
    assert (content(f"{ELSEWHERE}/note"), content("/run/about/me")) == ("from the first", "mounts")
    workloads.config_map("content", greeting="two")
    wait_for(lambda: content("/run/veriramp/content/greeting") == "two", SECONDS, "the new content in the pod")
    assert content("/run/one/file") == "one", "a subPath is not updated, as in Kubernetes"


def test_readiness_follows_the_probe(workloads: Workloads) -> None:
    workloads.config_map("gate", open="no")
    flag = {"path": "/flag?of=/run/gate/open", "port": "http"}
    probe = {"httpGet": flag, "periodSeconds": 1, "failureThreshold": 1}
    mount = [{"name": "gate", "mountPath": "/run/gate"}]
    ports = [{"name": "http", "containerPort": 8080}]
    gated = container(readinessProbe=probe, volumeMounts=mount, ports=ports)
    workloads.pod("gated", {"containers": [gated], "volumes": [{"name": "gate", "configMap": {"name": "gate"}}]})
    workloads.phase("gated", "Running")

    for value, ready in (("yes", "True"), ("no", "False"), ("yes", "True")):
        before = condition(workloads.status("gated"), "Ready")
        assert before != ready
        workloads.config_map("gate", open=value)
        workloads.condition("pod", "gated", "Ready", ready)


def test_a_crash_is_restarted_and_counted(workloads: Workloads) -> None:
    workloads.pod("crashing", {"containers": [container("exit", "3")]})

    assert "back-off" in workloads.waiting_message("crashing", "CrashLoopBackOff")
    status = workloads.container_status("crashing")

    assert status["restartCount"] >= 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"].endswith("leaving with 3")


def test_a_kill_is_reported_as_137_and_the_container_comes_back(workloads: Workloads) -> None:
    workloads.pod("killed", {"containers": [container(**READY)]})
    address = workloads.ready_pod("killed")

    workloads.process("killed").kill_group()

    wait_for(lambda: workloads.container_status("killed")["restartCount"] == 1, SECONDS, "the restart")
    assert workloads.container_status("killed")["lastState"]["terminated"]["exitCode"] == 137
    assert workloads.ready_pod("killed") == address


def test_a_failing_liveness_probe_restarts_and_a_startup_probe_holds_it_off(workloads: Workloads) -> None:
    workloads.config_map("health", alive="yes", started="no")
    mount = [{"name": "health", "mountPath": "/run/health"}]

    def probe(name: str, failures: int) -> dict[str, Any]:
        get = {"path": f"/flag?of=/run/health/{name}", "port": 8080}
        return {"httpGet": get, "periodSeconds": 1, "failureThreshold": failures}

    probes = {"startupProbe": probe("started", 60), "livenessProbe": probe("alive", 1)}
    spec = {"containers": [container(volumeMounts=mount, **probes)]}
    workloads.pod("health", spec | {"volumes": [{"name": "health", "configMap": {"name": "health"}}]})
    workloads.phase("health", "Running")
    assert workloads.container_status("health")["started"] is False

    workloads.config_map("health", alive="yes", started="yes")
    workloads.ready_pod("health")
    workloads.config_map("health", alive="no", started="yes")

    wait_for(lambda: workloads.container_status("health")["restartCount"] >= 1, SECONDS, "the liveness restart")


@pytest.mark.parametrize(("command", "said"), [("polite", "bye"), ("stubborn", "ignoring SIGTERM")])
def test_deletion_gives_the_grace_and_then_ends_it(workloads: Workloads, command: str, said: str) -> None:
    # Who is polite ends long before its grace is over, also where processes wait for their turn.
    grace = 60 if command == "polite" else 1
    workloads.pod(command, {"containers": [container(command)], "terminationGracePeriodSeconds": grace})
    wait_for(lambda: workloads.log(command), SECONDS, "the program to say that it has started")
    process = workloads.process(command)

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, command, "--wait=true", "--timeout=90s")

    assert not process.alive()
    assert workloads.log(command).strip().endswith(said)


def test_deletion_by_force_ends_the_process_too(workloads: Workloads) -> None:
    workloads.pod("forced", {"containers": [container("stubborn")], "terminationGracePeriodSeconds": 600})
    wait_for(lambda: workloads.log("forced"), SECONDS, "the program to say that it has started")
    process = workloads.process("forced")

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, "forced", "--force", "--grace-period=0")

    wait_for(lambda: not process.alive(), SECONDS, "the process to end")


def test_exec_probe_and_pre_stop_run_inside_the_container(workloads: Workloads) -> None:
    mount = [{"name": "shared", "mountPath": "/run/shared"}]
    fields: dict[str, Any] = {
        "volumeMounts": mount,
        "readinessProbe": {"exec": {"command": ["test", "-e", "/run/shared"]}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "echo bye from $HOSTNAME > /run/shared/log"]}}},
    }
    volumes = [{"name": "shared", "hostPath": {"path": str(workloads.cluster.root / "pods")}}]
    spec = {"containers": [container(**fields)], "volumes": volumes, "terminationGracePeriodSeconds": 60}
    workloads.pod("hooks", spec)
    workloads.ready_pod("hooks")

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, "hooks", "--timeout=90s")

    assert (workloads.cluster.root / "pods" / "log").read_text() == "bye from hooks\n"


def test_jobs_complete_and_fail(workloads: Workloads) -> None:
    for name, code in (("good", "0"), ("bad", "1")):
        pod = {"restartPolicy": "Never", "containers": [container("exit", code)]}
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        workloads.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})

    for name, outcome in (("good", "Complete"), ("bad", "Failed")):
        workloads.condition("job", name, outcome)
    phases = {pod["metadata"]["labels"]["job-name"]: pod["status"]["phase"] for pod in workloads.pods()}
    assert phases == {"good": "Succeeded", "bad": "Failed"}
    workloads.cluster.kubectl("delete", "jobs", "-n", workloads.namespace, "--all", "--timeout=90s")
    workloads.pods_left(0)


def test_init_containers_run_in_order_and_a_failing_one_ends_the_pod(workloads: Workloads) -> None:
    mount = [{"name": "shared", "mountPath": "/run/shared"}]
    steps = [container("append", "/run/shared/log", text, name=text, volumeMounts=mount) for text in ("a", "b", "c")]
    volumes = [{"name": "shared", "emptyDir": {}}]
    workloads.pod(
        "steps", {"initContainers": steps, "containers": [container(volumeMounts=mount, **READY)], "volumes": volumes}
    )
    broken = {
        "initContainers": [container("exit", "1", name="first")],
        "containers": [container()],
        "restartPolicy": "Never",
    }
    workloads.pod("broken", broken)

    assert ask(workloads.ready_pod("steps"), "/file", of="/run/shared/log").text == "abc"
    workloads.phase("broken", "Failed")
    assert "terminated" not in workloads.container_status("broken")["state"]


@pytest.mark.parametrize(
    ("name", "spec", "reason", "says"),
    [
        (
            "image",
            {"containers": [{"name": "main", "image": "nobody/knows:1"}]},
            "ErrImagePull",
            "mapped to no command",
        ),
        (
            "claim",
            {
                "containers": [container(volumeMounts=[{"name": "data", "mountPath": "/run/data"}])],
                "volumes": [{"name": "data", "csi": {"driver": "some.driver"}}],
            },
            "CreateContainerConfigError",
            "csi is not supported by the dev cluster; use configMap",
        ),
        (
            "elsewhere",
            {
                "containers": [container(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
            "CreateContainerConfigError",
            "mount it below /run, for example at /run/data",
        ),
    ],
)
def test_what_cannot_run_here_says_so(workloads: Workloads, name: str, spec: Any, reason: str, says: str) -> None:
    workloads.pod(name, spec)

    assert says in workloads.waiting_message(name, reason)


def test_a_pod_that_never_started_can_be_deleted(workloads: Workloads) -> None:
    workloads.pod("stuck", {"containers": [{"name": "main", "image": "nobody/knows:1"}]})
    workloads.waiting_message("stuck", "ErrImagePull")

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, "stuck", "--timeout=90s")

    assert workloads.pods() == []


def test_nothing_answers_at_the_address_of_a_deleted_pod(workloads: Workloads) -> None:
    workloads.pod("web", {"containers": [container(**READY)]})
    address = workloads.ready_pod("web")
    assert answers(address) == "web"

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, "web", "--timeout=90s")

    assert answers(address) == ""
