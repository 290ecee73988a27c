"""How soon there is something to work with: API server, whole dev cluster, the product installed by its chart."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench import report
from tests.bench.report import Figure, percentile, say
from tests.bench.stand import NAMESPACE, chart_values
from tools.demo.installation import helm_install
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from tools.devcluster.images import repository_images

STARTS: Final = 5
CONTROL_PLANE: Final = "etcd and API server, started -> ready"
CLUSTER: Final = "whole dev cluster (controllers, node, Prometheus, broker too), started -> ready"
CHART: Final = "helm install --wait (CRD, 2 operators, 2 flag servers) -> all pods ready"
DOWN: Final = "whole dev cluster with the product in it, told to stop -> gone"


def main() -> None:
    """Measure and write build/bench/control_plane.json."""
    took: dict[str, list[float]] = {CONTROL_PLANE: [], CLUSTER: [], CHART: [], DOWN: []}
    for number in range(STARTS):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), took)
        say(f"start {number + 1} of {STARTS}: " + ", ".join(f"{values[-1]:.1f} s" for values in took.values()))
    figures = [figure for what, values in took.items() for figure in _figures(what, values)]
    report.write("control_plane", figures, {"starts": STARTS, "tools": "built before, folders fresh for each start"})


def measure(folder: Path, took: dict[str, list[float]]) -> None:
    """One start of each kind; seconds are added to ``took``."""
    bare = Options(nodes=0, controllers=False, prometheus=False, broker=False, owner=os.getpid())
    began = time.monotonic()
    with DevCluster.up(folder / "bare", options=bare):
        took[CONTROL_PLANE].append(time.monotonic() - began)
    began = time.monotonic()
    options = Options(scrape_interval="1s", owner=os.getpid())
    with DevCluster.up(folder / "whole", images=repository_images(), options=options) as cluster:
        took[CLUSTER].append(time.monotonic() - began)
        cluster.kubectl("create", "namespace", NAMESPACE)
        began = time.monotonic()
        helm_install(cluster, chart_values(cluster, secrets.token_urlsafe(24)))
        took[CHART].append(time.monotonic() - began)
        began = time.monotonic()
    took[DOWN].append(time.monotonic() - began)


def _figures(what: str, values: Sequence[float]) -> list[Figure]:
    return [
        report.stated(f"{what}, median", percentile(values, 0.5), "s"),
        report.stated(f"{what}, slowest", max(values), "s"),
    ]


if __name__ == "__main__":
    main()
