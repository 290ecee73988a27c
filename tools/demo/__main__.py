"""``python -m tools.demo``: plan and simulation first, then the real thing, then the report."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import yaml

from tools.demo import report
from tools.demo.console import Console
from tools.demo.incidents import Rollback, first_bad_sample, measure, push_alert, set_regression
from tools.demo.installation import ROLLOUT, ROOT, SEARCH, Installed, install
from tools.demo.load import search_load
from tools.demo.look_ahead import Prediction, look_ahead
from tools.demo.look_back import look_back
from tools.demo.watching import Watcher
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from tools.devcluster.errors import DevClusterError
from tools.devcluster.images import repository_images
from tools.gobuild import BuildFailed, ToolMissing
from tools.toolchain import binary, ensure
from veriramp_sdk.bucket import bucket

MANIFEST: Final = ROOT / "examples/rollouts/demo.yaml"
TOOLS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "prometheus",
    "helm",
    "broker",
)
USERS: Final = 2000
RATE: Final = 40
CLIMB_SECONDS: Final = 400.0
ROLLBACK_SECONDS: Final = 120.0
INJECT_AT_WEIGHT: Final = 0.05
FULL_CANARY: Final = 20


def main() -> int:
    """Exit code 0 when both rollbacks happened and were measured, and every decision comes out the same again."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    parser.add_argument("--keep", action="store_true", default=keep, help="leave everything running (KEEP=1)")
    where = os.environ.get("CLUSTER") or "local"
    parser.add_argument("--cluster", default=where, help="local (default) or kind (CLUSTER=kind)")
    parser.add_argument("--build", type=Path, default=ROOT / "build/demo", help="folder of the cluster and the report")
    arguments = parser.parse_args()
    console = Console()
    if arguments.cluster != "local":
        return _elsewhere(console, arguments.cluster)
    build: Path = arguments.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    predicted = look_ahead(console, MANIFEST, build)
    console.section("2. Building what is missing (once; nothing to do the next time)")
    ensure(TOOLS)
    console.section("3. For real: API server, Prometheus, broker, operator, workers, search")
    began = time.monotonic()
    root = build / "cluster"
    if root.exists():
        if (root / "state.json").exists():
            DevCluster.attach(root).down()
        shutil.rmtree(root, ignore_errors=True)
    owner = None if arguments.keep else os.getpid()
    options = Options(scrape_interval="1s", owner=owner)
    cluster = DevCluster.up(root, images=repository_images(), options=options, progress=console.say)
    try:
        _run(console, cluster, predicted, began, build)
    finally:
        if arguments.keep:
            _how_to_go_on(console, cluster)
        else:
            with console.step("stopping everything"):
                cluster.down()
    return 0


def _run(console: Console, cluster: DevCluster, predicted: Prediction, began: float, build: Path) -> None:
    installed = install(console, cluster, MANIFEST)
    load = search_load(installed.search_urls, build / "load.json", users=USERS, rate=RATE)
    with load, Watcher(console, cluster) as watcher:
        console.section("4. The ramp climbs, step by step, as long as the evidence is good")
        pull = _pulled(console, cluster, installed, watcher)
        exposed = _exposed(watcher, pull)
        pushed = _pushed(console, cluster, installed, watcher)
        results = report.Results(
            predicted=predicted,
            rollbacks=[pull, pushed],
            users_exposed=exposed,
            points=list(watcher.points),
            stages=[
                {"name": point.stage, "at": point.at, "phase": point.phase, "vector": point.parameters}
                for point in watcher.points
            ],
            propagation=watcher.propagation,
            seconds=time.monotonic() - began,
        )
    console.section("7. Report")
    console.show(report.text(results))
    report.write_json(build / "report.json", results)
    report.draw(build / "measured.png", results)
    shown = build.relative_to(ROOT) if build.is_relative_to(ROOT) else build
    console.say(f"machine-readable: {shown}/report.json; plots: {shown}/simulated.png, {shown}/measured.png")
    look_back(console, cluster, build)


def _pulled(console: Console, cluster: DevCluster, installed: Installed, watcher: Watcher) -> Rollback:
    watcher.wait("influence on the ranking", CLIMB_SECONDS, lambda seen: _weight(seen) >= INJECT_AT_WEIGHT)
    console.section("5. A regression: the treatment arm fails 3 of 10 searches")
    injected = time.time()
    set_regression(installed, error_rate=0.3, latency=0.0)
    watcher.wait("rollback by the alert query", ROLLBACK_SECONDS, lambda seen: seen.get("phase") == "RolledBack")
    gate = next(gate for gate in _gates() if "alert" in gate)
    rollback = measure(watcher, installed, "Prometheus alert query", injected)
    bad_at = first_bad_sample(cluster, gate["alert"]["expr"], injected)
    console.say(f"safe everywhere {rollback.applied_at - bad_at:.2f} s after the first bad sample")
    return Rollback(**{**_fields(rollback), "bad_at": bad_at})


def _pushed(console: Console, cluster: DevCluster, installed: Installed, watcher: Watcher) -> Rollback:
    console.section("6. The fix is out: retry, and then Alertmanager rings")
    set_regression(installed, error_rate=0.0, latency=0.0)
    _until_well(cluster, watcher)
    stage = watcher.status["stage"]["name"]
    console.say(f"veriramp retry {ROLLOUT}")
    search_path = os.pathsep.join([str(binary("kubectl").parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PATH": search_path}
    command = [sys.executable, "-m", "veriramp_operator.cli.main", "retry", ROLLOUT, "--namespace", SEARCH]
    subprocess.run(command, check=True, env=environment)
    watcher.wait(
        f"the way back up from {stage}",
        CLIMB_SECONDS,
        lambda seen: (seen.get("parameters") or {}).get("canaryPercent", 0) >= FULL_CANARY,
    )
    alertname = next(gate for gate in _gates() if "firing" in gate)["firing"]["alertnames"][0]
    console.say(f"Alertmanager pushes {alertname}")
    sent = push_alert(installed, alertname)
    watcher.wait("rollback by the push", ROLLBACK_SECONDS, lambda seen: seen.get("phase") == "RolledBack")
    rollback = measure(watcher, installed, "Alertmanager push", sent)
    console.say(f"safe everywhere {rollback.applied_at - sent:.2f} s after the push")
    return rollback


def _until_well(cluster: DevCluster, watcher: Watcher) -> None:
    del cluster
    watcher.wait(
        "the alert query to be quiet again",
        ROLLBACK_SECONDS,
        lambda seen: all(gate["verdict"] != "Regression" for gate in seen.get("gates") or ()),
    )


def _exposed(watcher: Watcher, rollback: Rollback) -> int:
    """Users of the treatment arm whose turn came while it was bad: the load goes round them at a steady rate."""
    salt = watcher.status["flags"]["salt"]
    before = [point for point in watcher.points if point.at < rollback.published_at]
    percent = max((float(point.parameters.get("canaryPercent", 0.0)) for point in before), default=0.0)
    treatment = sum(bucket(salt, f"user-{number}") < percent * 100 for number in range(USERS))
    asked = min(1.0, RATE * (rollback.applied_at - rollback.bad_at) / USERS)
    return round(treatment * asked)


def _gates() -> list[dict[str, Any]]:
    gates: list[dict[str, Any]] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]["gates"]
    return gates


def _weight(status: dict[str, Any]) -> float:
    return float((status.get("parameters") or {}).get("rankingWeight", 0.0))


def _fields(rollback: Rollback) -> dict[str, Any]:
    return {name: getattr(rollback, name) for name in rollback.__slots__}


def _elsewhere(console: Console, cluster: str) -> int:
    missing = [name for name in ("docker", "kind") if shutil.which(name) is None]
    if cluster != "kind":
        console.say(f"CLUSTER={cluster} is unknown; write local (the default) or kind")
    elif missing:
        console.say(f"CLUSTER=kind needs {' and '.join(missing)} on PATH; plain `make demo` needs neither")
    else:
        console.say("CLUSTER=kind is not built yet; plain `make demo` runs the same parts on this machine")
    return 2


def _kubectl_on_path() -> str:
    """The line that a shell needs to find kubectl, where the demo had to build one."""
    return "" if shutil.which("kubectl") else f"  export PATH={binary('kubectl').parent}:$PATH\n"


def _how_to_go_on(console: Console, cluster: DevCluster) -> None:
    console.section("Everything is still running; try")
    console.show(
        f"  export KUBECONFIG={cluster.kubeconfig}\n"
        f"{_kubectl_on_path()}"
        f"  kubectl get vr -n {SEARCH}\n"
        f"  .venv/bin/veriramp get {ROLLOUT} -n {SEARCH}\n"
        f"  .venv/bin/veriramp watch {ROLLOUT} -n {SEARCH}\n"
        f"  .venv/bin/veriramp retry {ROLLOUT} -n {SEARCH}\n"
        f"  .venv/bin/veriramp abort {ROLLOUT} -n {SEARCH}\n"
        f"  .venv/bin/python -m tools.devcluster down --root {cluster.layout.root}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (TimeoutError, RuntimeError, DevClusterError, ToolMissing, BuildFailed) as trouble:
        sys.exit(f"demo: {trouble}")
