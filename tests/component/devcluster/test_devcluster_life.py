"""Clusters start, live side by side, and leave nothing behind, however they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import wait_for
from tests.support.workloads import IMAGES, SECONDS, SERVICE_PORT, Workloads, answers, container
from tools.devcluster import __main__ as command_line
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import REPOSITORY, Options
from tools.devcluster.errors import DevClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEAN = Options(prometheus=False, broker=False, owner=os.getpid())
STARTER = """
import signal, sys
from pathlib import Path
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
import os
owner = os.getpid() if sys.argv[2] == "owned" else None
options = Options(nodes=0, controllers=False, prometheus=False, broker=False, owner=owner)
DevCluster.up(Path(sys.argv[1]), options=options)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def lean(tmp_path: Path) -> Iterator[DevCluster]:
    with DevCluster.up(tmp_path / "lean", images=IMAGES, options=LEAN) as cluster:
        yield cluster


def test_two_clusters_live_side_by_side(workloads: Workloads, lean: DevCluster) -> None:
    other = Workloads(lean, "default")
    for place in (workloads, other):
        place.service("web")
        place.deployment("web", 1, {"containers": [container()]})
    for place in (workloads, other):
        place.available("web", 1)
        address = place.cluster_ip("web")
        name = place.pods()[0]["metadata"]["name"]
        wait_for(partial(answered_by, address, name), SECONDS, f"{name} behind its own service")

    assert workloads.cluster.api_url != lean.api_url
    assert workloads.pods()[0]["status"]["podIP"] != other.pods()[0]["status"]["podIP"]


def test_replicas_that_must_not_meet_are_on_different_nodes(tmp_path: Path) -> None:
    with DevCluster.up(tmp_path / "nodes", images=IMAGES, options=replace(LEAN, nodes=2)) as cluster:
        workloads = Workloads(cluster, "default")
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        workloads.deployment("web", 2, {"containers": [container()], "affinity": apart})
        workloads.available("web", 2)

        assert {pod["spec"]["nodeName"] for pod in workloads.pods()} == {"node-1", "node-2"}


def test_down_ends_every_process_and_keeps_logs(lean: DevCluster) -> None:
    workloads = Workloads(lean, "default")
    workloads.deployment("web", 2, {"containers": [container("stubborn")]})
    workloads.available("web", 2)
    logs = lean.root / "pods"
    wait_for(lambda: all(path.stat().st_size for path in logs.iterdir()), SECONDS, "both programs to have started")
    assert processes_of(lean.root)

    lean.down()

    assert processes_of(lean.root) == {}
    assert "node node-1 registered" in (lean.root / "logs" / "node-agent.log").read_text()
    assert [path.read_text() for path in logs.iterdir()] == ["ignoring SIGTERM\n"] * 2
    assert not lean.kubeconfig.exists()
    lean.down()  # once more is no harm


def test_down_works_on_what_a_killed_starter_and_a_killed_agent_leave(lean: DevCluster) -> None:
    workloads = Workloads(lean, "default")
    workloads.pod("left", {"containers": [container("stubborn")]})
    workloads.phase("left", "Running")
    lean.check()
    for name in ("node-agent", "kube-apiserver"):
        lean.kill(name, signal.SIGKILL)
        wait_for(partial(stopped, lean, name), SECONDS, f"{name} to be gone")
    with pytest.raises(DevClusterError, match=r"kube-apiserver of the cluster in .* has ended"):
        lean.check()
    assert processes_of(lean.root)

    DevCluster.attach(lean.root).down()

    assert processes_of(lean.root) == {}


@pytest.mark.parametrize("owned", [True, False], ids=["owned", "not-owned"])
def test_a_killed_starter(tmp_path: Path, owned: bool) -> None:
    root = tmp_path / "cluster"
    argv = [sys.executable, "-c", STARTER, str(root), "owned" if owned else "free"]
    started = subprocess.run(argv, cwd=REPOSITORY, check=False, capture_output=True, timeout=200)
    assert started.returncode == -signal.SIGKILL, started.stderr

    if not owned:
        cluster = DevCluster.attach(root)
        assert set(cluster.status()) == {"etcd", "kube-apiserver"}
        # The API server makes it when it is ready already.
        default = ("get", "ns", "default", "-o", "name")
        wait_for(lambda: cluster.kubectl(*default, check=False) == "namespace/default\n", SECONDS, "a namespace")
        cluster.down()
    wait_for(lambda: not processes_of(root), SECONDS, "every process of the cluster to be gone")


def test_a_folder_holds_one_cluster(lean: DevCluster) -> None:
    with pytest.raises(DevClusterError, match=r"a dev cluster runs in .* already; stop it with"):
        DevCluster.up(lean.root, options=LEAN)

    assert set(lean.status().values()) != {"stopped"}


def test_a_part_that_dies_at_start_is_shown_with_its_last_words(tmp_path: Path) -> None:
    broken = {"etcd": Path("/bin/false"), "kube-apiserver": Path("/bin/sh")}
    options = Options(nodes=0, controllers=False, prometheus=False, broker=False)

    with pytest.raises(DevClusterError, match="has ended while waiting for kube-apiserver"):
        DevCluster.up(tmp_path / "broken", options=options, binaries=broken)

    assert processes_of(tmp_path / "broken") == {}


def test_a_missing_tool_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("VERIRAMP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    with pytest.raises(DevClusterError, match=r"etcd .* is not on this machine yet: run `python3 tools/toolchain.py"):
        DevCluster.up(tmp_path / "cluster", options=Options(nodes=0))


def test_a_folder_below_run_is_refused() -> None:
    with pytest.raises(DevClusterError, match="below /run, which every pod has for itself; choose another folder"):
        DevCluster.up(Path("/run/cluster"))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "cluster"
    images = tmp_path / "images.json"
    images.write_text(json.dumps({"some/image": {"entrypoint": ["/bin/true"], "cmd": [], "env": {}, "workdir": "/"}}))

    def run(*arguments: str) -> str:
        code = command_line.main([*arguments, "--root", str(root)])
        printed = capsys.readouterr()
        return printed.out if code == 0 else f"exit {code}: {printed.err}"

    try:
        started = run("up", "--control-plane-only", "--images", str(images))
        assert "kube-apiserver ready" in started
        assert f"export KUBECONFIG={root}/kubeconfig" in started
        assert run("kubeconfig") == f"export KUBECONFIG={root}/kubeconfig\n"
        assert run("status").startswith("etcd                     running (pid ")
        assert run("logs", "nothing").startswith("exit 1: error: no log of 'nothing'")
        assert "etcd" in run("logs", "etcd") or run("logs", "etcd") == ""
    finally:
        assert run("down", "--remove") == "stopped\n"
    assert run("status").startswith("exit 1: error: no dev cluster in")
    images.write_text("{")
    assert "cannot be read" in run("up", "--images", str(images))
    assert processes_of(root) == {}


def stopped(cluster: DevCluster, component: str) -> bool:
    return cluster.status()[component] == "stopped"


def answered_by(address: str, name: str) -> bool:
    return answers(address, port=SERVICE_PORT) == name


def processes_of(root: Path) -> Mapping[int, str]:
    """Find the processes that have to do with a folder, by their command lines and open log files."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            output = str((entry / "fd" / "1").readlink())
        except OSError:
            continue  # it has ended meanwhile, or is a zombie
        if command and (f"{root}/" in command or output.startswith(f"{root}/")):
            found[int(entry.name)] = command
    return found
