"""The product as users install it, on a dev cluster, with an exporter that tells Prometheus what a bench wants told.

Public: :class:`Stand`, :func:`stand`. Two operator replicas and two flag servers by the chart, Prometheus with a scrape
interval of one second, one namespace with the rollout ``bench``.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from tests.bench.report import say
from tests.support.waiting import wait_for
from tests.support.workloads import condition
from tools.demo.installation import SYSTEM, helm_install, pod_ips
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from tools.devcluster.images import ImageCommand, repository_images

Object = dict[str, Any]
SECONDS: Final = 60.0
NAMESPACE: Final = "bench"
ROLLOUT: Final = "bench"
ALERT: Final = "SearchBroken"
_EXPORTER: Final = "bench/exporter"
_PROGRAM: Final = Path(__file__).resolve().parents[1] / "support/exporter_program.py"
_PATH: Final = f"/apis/veriramp.dev/v1alpha1/namespaces/{NAMESPACE}/verificationrollouts/{ROLLOUT}"


class Stand:
    """The installed product and the hands of a person, of Alertmanager and of the measured service."""

    def __init__(self, cluster: DevCluster, token: str) -> None:
        self.cluster, self._token = cluster, token
        self.api = cluster.client()
        self._http = httpx.Client(trust_env=False, timeout=20)
        self.operators = pod_ips(cluster, SYSTEM, "app.kubernetes.io/component=operator")
        servers = pod_ips(cluster, SYSTEM, "app.kubernetes.io/component=flagserver")
        self.flag_servers = tuple(f"{ip}:8015" for ip in servers)
        self._exporter = f"http://{self._start_exporter()}:8080"

    def close(self) -> None:
        """Close the connections."""
        self.api.close()
        self._http.close()

    def apply(self, spec: Object) -> None:
        """Create or replace the rollout."""
        manifest = {
            "apiVersion": "veriramp.dev/v1alpha1",
            "kind": "VerificationRollout",
            "metadata": {"name": ROLLOUT, "namespace": NAMESPACE},
            "spec": spec,
        }
        headers = {"Content-Type": "application/apply-patch+yaml"}
        answer = self.api.patch(_PATH, params={"fieldManager": "person"}, headers=headers, json=manifest)
        if answer.is_error:
            raise RuntimeError(f"the rollout was refused: {answer.text}")

    def annotate(self, name: str, value: str) -> None:
        """Ask by annotation: ``annotate("abort", "1")``."""
        body = {"metadata": {"annotations": {f"veriramp.dev/{name}": value}}}
        headers = {"Content-Type": "application/merge-patch+json"}
        self.api.patch(_PATH, headers=headers, json=body).raise_for_status()

    def status(self) -> Object:
        """The rollout's status."""
        return dict(self.api.get(_PATH).raise_for_status().json().get("status") or {})

    def until(self, what: str, holds: Callable[[Object], bool]) -> Object:
        """Wait until the status is so."""
        last: Object = {}

        def so() -> bool:
            nonlocal last
            last = self.status()
            return holds(last)

        try:
            wait_for(so, SECONDS, what)
        except AssertionError as error:
            raise TimeoutError(f"{error}: {last.get('phase')}, {last.get('reason')}: {last.get('message')}") from error
        return last

    def says(self, errors: float, case: str = ROLLOUT) -> None:
        """Set the share of errors that Prometheus will scrape for a case."""
        query: Mapping[str, str | float] = {"case": case, "errors": errors, "requests": 10}
        self._http.post(f"{self._exporter}/set", params=query).raise_for_status()

    def first_sample(self, since: float, holds: Callable[[float], bool], case: str = ROLLOUT) -> float | None:
        """When Prometheus took the first sample since an instant whose value is so; None when it has none yet."""
        span = int(time.time() - since) + 2
        query = {"query": f'test_errors{{case="{case}"}}[{span}s]'}
        answer = self._http.get(f"{self.cluster.prometheus_url}/api/v1/query", params=query).raise_for_status().json()
        samples = [sample for series in answer["data"]["result"] for sample in series["values"]]
        times = [float(at) for at, value in samples if float(at) >= since and holds(float(value))]
        return min(times, default=None)

    def push(self, operator: str, status: str, rollouts: Sequence[str] = (ROLLOUT,)) -> None:
        """Post what Alertmanager posts (version 4), firing or resolved, to one operator pod."""
        now = datetime.now(UTC).isoformat()
        ends = "0001-01-01T00:00:00Z" if status == "firing" else now
        alerts = [
            {
                "status": status,
                "labels": {"alertname": ALERT, "namespace": NAMESPACE, "rollout": rollout},
                "annotations": {},
                "startsAt": now,
                "endsAt": ends,
            }
            for rollout in rollouts
        ]
        body = {"version": "4", "status": status, "receiver": "veriramp", "groupLabels": {}, "alerts": alerts}
        headers = {"Authorization": f"Bearer {self._token}"}
        self._http.post(f"http://{operator}:8081/alerts/v1", json=body, headers=headers).raise_for_status()

    def _start_exporter(self) -> str:
        address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        probe = {"httpGet": {"path": "/metrics", "port": 8080}}
        container = {"name": "main", "image": _EXPORTER, "env": [address], "readinessProbe": probe}
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "exporter", "annotations": annotations},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        }
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        wait_for(lambda: self.api.post(pods, json=pod).is_success, SECONDS, "the pod to be taken")

        def ready() -> str:
            status = self.api.get(f"{pods}/exporter").json()["status"]
            return str(status["podIP"]) if condition(status, "Ready") == "True" else ""

        return wait_for(ready, SECONDS, "the exporter")


@contextmanager
def stand(scrape_interval: str = "1s") -> Iterator[Stand]:
    """Bring everything up, and down again."""
    images = repository_images() | {_EXPORTER: ImageCommand((sys.executable, str(_PROGRAM)))}
    options = Options(scrape_interval=scrape_interval, broker=False, owner=os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        say("starting a dev cluster and installing the chart (2 operators, 2 flag servers)")
        with DevCluster.up(Path(folder) / "cluster", images=images, options=options) as cluster:
            token = secrets.token_urlsafe(24)
            cluster.kubectl("create", "namespace", NAMESPACE)
            helm_install(cluster, chart_values(cluster, token))
            standing = Stand(cluster, token)
            try:
                yield standing
            finally:
                standing.close()


def chart_values(cluster: DevCluster, token: str) -> Object:
    """Values of the chart for a bench."""
    return {
        "watchNamespaces": [NAMESPACE],
        "endpoints": {"default": {"url": cluster.prometheus_url, "scrapeInterval": "1s"}},
        "alerts": {"token": token},
    }
