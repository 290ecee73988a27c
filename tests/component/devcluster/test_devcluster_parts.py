"""Prometheus, the broker and the node agent, and their faults."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.waiting import wait_for
from tests.support.workloads import SECONDS, Workloads, ask, container
from tools.devcluster.errors import DevClusterError

if TYPE_CHECKING:
    from tools.devcluster.cluster import DevCluster

READY: dict[str, Any] = {"readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1}}
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
RULES = """
groups:
  - name: test
    rules:
      - alert: TestRequests
        expr: test_requests{namespace="%s"} > 41
"""


def query(cluster: DevCluster, text: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{cluster.prometheus_url}/api/v1/query", params={"query": text}, timeout=30)
    return list(answer.raise_for_status().json()["data"]["result"])


def test_prometheus_finds_a_pod_and_an_alert_fires_on_its_metric(workloads: Workloads) -> None:
    cluster, expression = workloads.cluster, f'test_requests{{namespace="{workloads.namespace}"}}'
    ports = [{"name": "http", "containerPort": 8080}, {"name": "other", "containerPort": 8081}]
    workloads.deployment("web", 1, {"containers": [container(ports=ports, **READY)]}, SCRAPED)

    (series,) = wait_for(lambda: query(cluster, expression), SECONDS, "a sample of the pod")

    pod = workloads.pods()[0]
    assert series["value"][1] == "42"
    assert series["metric"]["pod"] == pod["metadata"]["name"]
    assert series["metric"]["instance"] == f"{pod['status']['podIP']}:8080"
    assert (series["metric"]["node"], series["metric"]["app"]) == ("node-1", "web")
    cluster.set_rules("test", RULES % workloads.namespace)
    wait_for(lambda: query(cluster, 'ALERTS{alertname="TestRequests"}'), SECONDS, "the alert to fire")


def test_prometheus_stops_and_comes_back_at_its_address_with_its_data(workloads: Workloads) -> None:
    cluster, expression = workloads.cluster, f'test_requests{{namespace="{workloads.namespace}"}}'
    workloads.pod("web", {"containers": [container(**READY)]}, annotations=SCRAPED)
    wait_for(lambda: query(cluster, expression), SECONDS, "a sample of the pod")

    cluster.stop_component("prometheus")
    with pytest.raises(httpx.ConnectError):
        query(cluster, expression)
    cluster.start_component("prometheus")

    assert query(cluster, f"last_over_time({expression}[5m])")


async def test_the_broker_keeps_its_address_and_messages_over_a_restart(devcluster: DevCluster) -> None:
    topic = "restart"
    async with AIOKafkaProducer(bootstrap_servers=devcluster.broker_address) as producer:
        await producer.send_and_wait(topic, b"before", partition=0)
    devcluster.stop_component("broker")
    devcluster.start_component("broker")
    async with AIOKafkaProducer(bootstrap_servers=devcluster.broker_address) as producer:
        await producer.send_and_wait(topic, b"after", partition=0)

    async with AIOKafkaConsumer(bootstrap_servers=devcluster.broker_address) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        seen = [(await consumer.getone()).value for _ in range(2)]

    assert seen == [b"before", b"after"]


def test_a_killed_agent_finds_its_pods_again(workloads: Workloads) -> None:
    workloads.pod("web", {"containers": [container(**READY)]})
    address = workloads.ready_pod("web")
    before = workloads.process("web")

    workloads.cluster.kill("node-agent", signal.SIGKILL)
    wait_for(lambda: workloads.cluster.status()["node-agent"] == "stopped", SECONDS, "the agent to be gone")
    assert ask(address, "/name").text == "web", "pods outlive the agent"
    workloads.cluster.start_component("node-agent")

    wait_for(lambda: workloads.container_status("web")["restartCount"] == 1, SECONDS, "the agent to start it anew")
    assert workloads.ready_pod("web") == address
    assert not before.alive()


def test_pods_outlive_an_outage_of_the_api_server_and_work_goes_on_after_it(workloads: Workloads) -> None:
    workloads.pod("web", {"containers": [container(**READY)]})
    address = workloads.ready_pod("web")

    workloads.cluster.stop_component("kube-apiserver", seconds=2)
    workloads.process("web").send(signal.SIGKILL)
    workloads.cluster.start_component("kube-apiserver")
    workloads.deployment("late", 1, {"containers": [container(**READY)]})

    workloads.available("late", 1)
    wait_for(lambda: workloads.container_status("web")["restartCount"] == 1, SECONDS, "the restart to be reported")
    assert workloads.ready_pod("web") == address


def test_a_deletion_is_finished_after_an_outage_of_the_api_server(workloads: Workloads) -> None:
    name = f"leaving-{workloads.namespace}"
    notice = workloads.cluster.root / "pods" / f"{name}.note"
    hook = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"echo deleted > /run/shared/{notice.name}"]}}}
    fields = {"lifecycle": hook, "volumeMounts": [{"name": "shared", "mountPath": "/run/shared"}]}
    shared = [{"name": "shared", "hostPath": {"path": str(notice.parent)}}]
    stubborn = {"containers": [container("stubborn", **fields)], "volumes": shared, "terminationGracePeriodSeconds": 5}
    workloads.pod(name, stubborn)
    wait_for(lambda: workloads.log(name), SECONDS, "the program to say that it has started")
    process = workloads.process(name)

    workloads.cluster.kubectl("delete", "pod", "-n", workloads.namespace, name, "--wait=false")
    wait_for(notice.exists, SECONDS, "the agent to know of the deletion")
    workloads.cluster.kill("kube-apiserver", signal.SIGKILL)
    wait_for(lambda: not process.alive(), SECONDS, "the process to be ended all the same")
    workloads.cluster.start_component("kube-apiserver")

    workloads.pods_left(0)


def test_what_the_node_controller_says_after_a_long_silence_is_put_right(workloads: Workloads) -> None:
    workloads.pod("web", {"containers": [container(**READY)]})
    workloads.ready_pod("web")
    unknown = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    false = unknown.replace("Unknown", "False")
    place = ("-n", workloads.namespace)

    workloads.cluster.kubectl("patch", "pod", "web", *place, "--subresource=status", "-p", false)
    workloads.cluster.kubectl("patch", "node", "node-1", "--subresource=status", "-p", unknown)

    workloads.ready_pod("web")
    workloads.condition("node", "node-1", "Ready")


def test_a_part_can_be_frozen_and_thawed(devcluster: DevCluster) -> None:
    devcluster.kill("broker", signal.SIGSTOP)
    assert devcluster.status()["broker"].startswith("running")
    devcluster.kill("broker", signal.SIGCONT)


def test_an_unknown_part_is_named(devcluster: DevCluster) -> None:
    with pytest.raises(DevClusterError, match=r"no component 'etcdd'; it has etcd, kube-apiserver, broker"):
        devcluster.stop_component("etcdd")
    with pytest.raises(DevClusterError, match="broker runs already"):
        devcluster.start_component("broker")
