from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_for
from tools.devcluster.addresses import Addresses, claim
from tools.devcluster.agent.pods import AddressPool
from tools.devcluster.agent.services import Endpoint, endpoint_of, targets_of
from tools.devcluster.components import Endpoints, Options, plan
from tools.devcluster.errors import DevClusterError
from tools.devcluster.images import ImageCommand, lookup, read_images, write_images
from tools.devcluster.processes import Process, spawn, stop_all
from tools.devcluster.state import Component, Layout, State, read_state

IMAGES = {"team/app": ImageCommand(("app",)), "plain": ImageCommand(("plain",))}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("team/app", "app"),
        ("team/app:1.0", "app"),
        ("registry.example:5000/team/app:1.0", "app"),
        ("localhost/team/app@sha256:abc", "app"),
        ("plain:latest", "plain"),
        ("other/team/app", None),
        ("app", None),
    ],
)
def test_images_are_found_with_and_without_registry_and_tag(reference: str, found: str | None) -> None:
    image = lookup(IMAGES, reference)
    assert (image and image.entrypoint[0]) == found


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ([], [], ["entry", "default"]),
        ([], ["own"], ["entry", "own"]),
        (["other"], [], ["other"]),
        (["other"], ["own"], ["other", "own"]),
    ],
)
def test_command_and_args_replace_what_the_image_has(command: list[str], args: list[str], argv: list[str]) -> None:
    assert ImageCommand(("entry",), ("default",)).argv(command, args) == argv


def test_images_survive_the_file(tmp_path: Path) -> None:
    images = {"a": ImageCommand(("x", "y"), ("z",), {"A": "1"}, "/tmp")}
    write_images(tmp_path / "images.json", images)
    assert read_images(tmp_path / "images.json") == images


def test_addresses_of_two_clusters_never_meet() -> None:
    everything = [
        text for number in range(54) for a in [Addresses(number)] for text in (a.host, a.service_range, a.pod_range)
    ]
    assert len(set(everything)) == len(everything)
    assert (Addresses(53).pod_range, Addresses(53).service_range) == ("127.10.212.0/22", "127.253.0.0/16")


def test_a_number_is_claimed_as_long_as_someone_holds_it() -> None:
    with claim() as first:
        with claim() as second:
            assert first != second
        with pytest.raises(DevClusterError, match=f"cluster number {first.number} is taken"), claim(first.number):
            pass
        with claim(second.number) as again:
            assert again == second


def test_pod_addresses_are_handed_out_in_turn_and_wanted_ones_first() -> None:
    pool = AddressPool("127.10.0.0/30")

    first, second = pool.take(), pool.take()
    with pytest.raises(RuntimeError, match="all 2 pod addresses are in use"):
        pool.take()
    pool.give_back(first)

    assert {first, second} == {"127.10.0.1", "127.10.0.2"}
    assert pool.take(first) == first


def service(**port: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, **port}]}}


def endpoint(address: str, namespace: str = "shop", app: str = "web", **ports: int) -> Endpoint:
    return Endpoint(namespace, f"pod-{address}", address, {"app": app, "more": "x"}, ports)


@pytest.mark.parametrize(
    ("of", "targets"),
    [
        (service(), [("a", 80), ("b", 80)]),
        (service(targetPort=8080), [("a", 8080), ("b", 8080)]),
        (service(targetPort="http"), [("b", 81)]),
        (service(targetPort="none"), []),
    ],
)
def test_targets_of_a_service(of: dict[str, Any], targets: list[tuple[str, int]]) -> None:
    endpoints = [endpoint("b", http=81), endpoint("a"), endpoint("c", "other"), endpoint("d", app="else")]
    assert targets_of(of, of["spec"]["ports"][0], endpoints) == targets


def test_a_service_without_selector_has_no_targets() -> None:
    bare: dict[str, Any] = {"metadata": {"namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}
    assert targets_of(bare, {"port": 80}, [endpoint("a")]) == []


def test_the_endpoint_of_a_pod() -> None:
    containers = [{"ports": [{"name": "http", "containerPort": 81}, {"containerPort": 82}]}, {}]
    pod = {"metadata": {"namespace": "shop", "name": "p", "labels": {"app": "web"}}, "spec": {"containers": containers}}
    assert endpoint_of(pod, "a") == Endpoint("shop", "p", "a", {"app": "web"}, {"http": 81})


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (Options(0, controllers=False, prometheus=False, broker=False), ["etcd", "kube-apiserver"]),
        (
            Options(),
            [
                "etcd",
                "kube-apiserver",
                "broker",
                "kube-controller-manager",
                "kube-scheduler",
                "node-agent",
                "prometheus",
            ],
        ),
        (Options(0, controllers=False, prometheus=False, owner=7), ["etcd", "kube-apiserver", "broker", "guardian"]),
    ],
)
def test_what_a_cluster_consists_of(tmp_path: Path, options: Options, names: list[str]) -> None:
    endpoints = Endpoints("http://h:1", "http://h:2", "https://h:3", "http://h:4", "h:5")
    binaries = {name: Path("/bin") / name for name in options.binaries()}

    components = plan(options, Layout(tmp_path), Addresses(0), endpoints, binaries)

    assert [component.name for component in components] == names
    assert all(part.startswith(("/", "-", "tools.")) or part.isdigit() for c in components for part in c.argv)


def test_state_survives_the_file_and_a_damaged_one_says_so(tmp_path: Path) -> None:
    state = State(3, {"api": "x"}, (Component("etcd", ("a", "b"), {"X": "1"}, "url"),), {"etcd": Process(1, 2)})
    path = tmp_path / "state.json"
    assert read_state(path) is None
    state.write(path)
    assert read_state(path) == state

    path.write_text("{")
    with pytest.raises(DevClusterError, match=r"is damaged .*; remove the folder"):
        read_state(path)


def test_a_process_is_known_by_its_start_time_too(tmp_path: Path) -> None:
    process = spawn(["/bin/sleep", "60"], {}, tmp_path / "log")
    stranger = Process(process.pid, process.started - 1)

    assert process.alive()
    assert not stranger.alive()
    assert not stranger.send(signal.SIGTERM)
    stranger.kill_group()
    assert process.alive()
    stop_all([process], 5)
    assert not process.alive()
    stop_all([process], 5)


def test_children_of_a_dead_leader_are_ended_with_its_group(tmp_path: Path) -> None:
    script = "sleep 60 & echo $!; exec sleep 61"
    process = spawn(["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin"}, tmp_path / "log")
    number = wait_for((tmp_path / "log").read_text, 10, "the child to be started")
    child = Process.of(int(number))
    assert child is not None

    stop_all([process], 5)

    assert child.wait_gone(5)


def test_a_line_of_proc_with_a_strange_name_is_read() -> None:
    line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987 1 2\n"
    assert Process.parse(line) == Process(42, 987)


def test_the_front_door_imports_without_the_cluster_libraries() -> None:
    code = "import sys, tools.devcluster; sys.exit('httpx' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0
