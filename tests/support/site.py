"""Everything round an operator under test but the operator: flag server, exporter, clients, one namespace.

Given a dev cluster, ``Surroundings`` runs a flag server and an exporter as pods; a ``Site`` is one namespace with one
rollout named ``demo``, a client of its flags, and the questions and answers that tests need.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client import CollectorRegistry

from tests.support.proxy import Request
from tests.support.waiting import wait_for
from tests.support.workloads import condition
from tools.devcluster.cluster import DevCluster
from tools.devcluster.images import ImageCommand
from veriramp_operator.api.rollout import GROUP, PLURAL, VERSION
from veriramp_operator.api.status import Phase, RolloutStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import Direction, Published
from veriramp_operator.resources.published import published_from
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

Object = dict[str, Any]
SECONDS: Final = 60.0
SYSTEM: Final = "veriramp-system"
NAME: Final = "demo"
_EXPORTER: Final = "test/exporter"
_POD_IP: Final = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


class Surroundings:
    """The pods that all operator tests share."""

    def __init__(self, cluster: DevCluster) -> None:
        self.cluster, self.client = cluster, cluster.client()
        program = str(Path(__file__).with_name("exporter_program.py"))
        cluster.add_images({_EXPORTER: ImageCommand((sys.executable, program))})
        for path in sorted(Path(__file__).resolve().parents[2].joinpath("crds").glob("*.yaml")):
            cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
        # Not "kubectl wait", which fails on a CRD so new that it has no conditions at all.
        served = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
        wait_for(lambda: self.client.get(served).is_success, SECONDS, "the API of the CRD")
        cluster.kubectl("create", "namespace", SYSTEM)
        account = f"--serviceaccount={SYSTEM}:default"
        cluster.kubectl("create", "clusterrolebinding", "test-flagserver", "--clusterrole=cluster-admin", account)
        ready = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/default"
        wait_for(lambda: self.client.get(ready).is_success, SECONDS, "the service account")
        self._pod(SYSTEM, "flagserver", "veriramp/flagserver", 8016, "/readyz", {"VERIRAMP_LEASE_NAMESPACE": SYSTEM})
        self.flags_address = f"{self._address(SYSTEM, 'flagserver')}:8015"
        self._exporter = self.exporter(SYSTEM)

    def says(self, case: str, *, errors: float = 0.0, requests: float = 10.0) -> None:
        """Set what Prometheus will scrape for a case."""
        query = {"case": case, "errors": str(errors), "requests": str(requests)}
        httpx.post(f"{self._exporter}/set", params=query, trust_env=False, timeout=30).raise_for_status()

    def until_scraped(self, case: str, *, errors: float) -> None:
        """Say it, and wait until Prometheus knows."""
        self.says(case, errors=errors)
        question = {"query": f'test_errors{{case="{case}"}} == {errors}'}

        def known() -> bool:
            url = f"{self.cluster.prometheus_url}/api/v1/query"
            answer = httpx.get(url, params=question, trust_env=False, timeout=30)
            return bool(answer.raise_for_status().json()["data"]["result"])

        wait_for(known, SECONDS, f"Prometheus to know that {case} has errors of {errors}")

    def exporter(self, namespace: str) -> str:
        """Run an exporter as a pod of a namespace; its URL."""
        self._pod(namespace, "exporter", _EXPORTER, 8080, "/metrics", {})
        return f"http://{self._address(namespace, 'exporter')}:8080"

    def forget_lease(self) -> None:
        """Delete the operator's Lease, so that the next operator need not wait for a dead one's."""
        self.client.delete(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/veriramp-operator")

    def config(self) -> Object:
        """The operator's configuration file."""
        return {
            "endpoints": {"default": {"url": self.cluster.prometheus_url, "scrapeInterval": "1s"}},
            "profiles": {"orchestrator": {"image": _EXPORTER}},
            "flagServer": {"namespace": SYSTEM, "podSelector": "app=flagserver"},
            "limits": {"maxRankingWeight": 0.5},
        }

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _pod(self, namespace: str, name: str, image: str, port: int, path: str, environment: Mapping[str, str]) -> None:
        container = {
            "name": "main",
            "image": image,
            "env": [_POD_IP, *({"name": key, "value": value} for key, value in environment.items())],
            "readinessProbe": {"httpGet": {"path": path, "port": port}},
        }
        metadata = {
            "name": name,
            "labels": {"app": name},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)},
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        }
        self.client.post(f"/api/v1/namespaces/{namespace}/pods", json=pod).raise_for_status()

    def _address(self, namespace: str, name: str) -> str:
        def ready() -> str:
            status = self.client.get(f"/api/v1/namespaces/{namespace}/pods/{name}").json()["status"]
            return str(status["podIP"]) if condition(status, "Ready") == "True" else ""

        return wait_for(ready, SECONDS, f"pod {name} to be ready")


def a_stage(name: str, **fields: Any) -> Object:
    """A stage of a second."""
    return {"name": name, "bake": "1s", **fields}


def canary(case: str, *, ramp: int = 2, **fields: Any) -> Object:
    """A plan of one Live stage with a ramp of so many steps and seconds, and the gates of :func:`ladder`."""
    steps = {"duration": f"{ramp}s", "interval": "1s"}
    stage = a_stage("canary", mode="Live", samplingRate=1, canaryPercent=50, rankingWeight=0.1, ramp=steps)
    return ladder(case, **{"stages": [stage], **fields})


def ladder(case: str, **fields: Any) -> Object:
    """The spec of a short plan: shadow, a ramped canary, half; one alert gate and one pushed alert."""
    return {
        "flags": {"leaseSeconds": 60},
        "stages": [
            a_stage("shadow", mode="Shadow", samplingRate=0.5),
            a_stage(
                "canary", mode="Live", canaryPercent=5, rankingWeight=0.1, ramp={"duration": "2s", "interval": "1s"}
            ),
            a_stage("half", mode="Live", canaryPercent=50),
        ],
        "gates": [
            {
                "name": "errors",
                "alert": {
                    "expr": f'test_errors{{case="{case}"}} > 0.5',
                    "presence": {"query": f'test_requests{{case="{case}"}}', "min": 1},
                },
                "selector": f'test_requests{{case="{case}"}}',
                "every": "1s",
                "window": "1s",
                "onRegression": "KillSwitch",
            },
            {
                "name": "pager",
                "firing": {"alertnames": ["SearchBroken"], "source": "Push"},
                "required": False,
                "onRegression": "Shadow",
            },
        ],
        **fields,
    }


class Site:
    """One namespace with the rollout ``demo``."""

    def __init__(self, surroundings: Surroundings, namespace: str) -> None:
        self.around, self.namespace = surroundings, namespace
        self.client = surroundings.client
        self.path = f"/apis/veriramp.dev/v1alpha1/namespaces/{namespace}/verificationrollouts/{NAME}"
        self.document_path = f"/api/v1/namespaces/{namespace}/configmaps/{NAME}-flags"
        surroundings.says(namespace)

    def apply(self, spec: Object) -> None:
        """Create or replace the rollout."""
        manifest = {
            "apiVersion": "veriramp.dev/v1alpha1",
            "kind": "VerificationRollout",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": spec,
        }
        response = self.client.patch(
            self.path,
            params={"fieldManager": "person", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            json=manifest,
        )
        assert response.is_success, response.text

    def annotate(self, **annotations: str) -> None:
        """Write request annotations: ``annotate(abort="1")`` writes ``veriramp.dev/abort: "1"``."""
        notes = {f"veriramp.dev/{name}": value for name, value in annotations.items()}
        self.client.patch(
            self.path,
            headers={"Content-Type": "application/merge-patch+json"},
            json={"metadata": {"annotations": notes}},
        ).raise_for_status()

    def hold(self, *finalizers: str) -> None:
        """Add finalizers of somebody else; without any: take all away."""
        kept = [*self.raw()["metadata"].get("finalizers", ()), *finalizers] if finalizers else None
        self.client.patch(
            self.path,
            headers={"Content-Type": "application/merge-patch+json"},
            json={"metadata": {"finalizers": kept}},
        ).raise_for_status()

    def delete(self, propagation: str = "Background") -> None:
        """Delete the rollout."""
        self.client.request("DELETE", self.path, json={"propagationPolicy": propagation}).raise_for_status()

    def exists(self) -> bool:
        """Whether the rollout is still there."""
        return self.client.get(self.path).status_code != httpx.codes.NOT_FOUND

    def raw(self) -> Object:
        """The rollout as stored."""
        return dict(self.client.get(self.path).raise_for_status().json())

    def status(self) -> RolloutStatus:
        """Its status."""
        return RolloutStatus.model_validate(self.raw().get("status") or {})

    def published(self) -> Published | None:
        """Its flag document; None when there is none."""
        response = self.client.get(self.document_path)
        return published_from(response.json()) if response.is_success else None

    def until(self, what: str, holds: Callable[[RolloutStatus], bool], seconds: float = SECONDS) -> RolloutStatus:
        """Wait until the status is so."""
        last = RolloutStatus()

        def so() -> bool:
            nonlocal last
            last = self.status()
            return holds(last)

        try:
            wait_for(so, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last.phase} {last.reason} {last.message} at {last.parameters}") from error
        return last

    def until_reason(self, *reasons: str) -> RolloutStatus:
        """Wait until the status gives one of the reasons."""
        return self.until(f"reason {' or '.join(reasons)}", lambda status: status.reason in reasons)

    def until_stage(self, name: str, *, weight: float = 0.0) -> RolloutStatus:
        """Wait until a stage has begun, and at least this weight is in force."""

        def so(status: RolloutStatus) -> bool:
            in_force = status.parameters.ranking_weight if status.parameters else 0.0
            return status.stage is not None and status.stage.name == name and in_force >= weight

        return self.until(f"stage {name}", so)

    def until_mode(self, mode: Mode) -> Published:
        """Wait until the flag document has a mode."""
        wait_for(lambda: (seen := self.published()) is not None and seen.vector.mode is mode, SECONDS, f"mode {mode}")
        seen = self.published()
        assert seen is not None
        return seen

    def alert(self, name: str = "SearchBroken", status: str = "firing") -> Object:
        """What Alertmanager posts about this rollout."""
        now = datetime.now(UTC).isoformat()
        labels = {"alertname": name, "namespace": self.namespace, "rollout": NAME, "severity": "page"}
        alert = {
            "status": status,
            "labels": labels,
            "annotations": {},
            "startsAt": now,
            "endsAt": "0001-01-01T00:00:00Z",
        }
        return {"version": "4", "status": status, "receiver": "veriramp", "groupLabels": {}, "alerts": [alert]}

    @contextmanager
    def consumer(self) -> Iterator[Flags]:
        """A process that evaluates the flags (the real SDK)."""
        rollout = f"{self.namespace}/{NAME}"
        with Flags(self.around.flags_address, rollout, registry=CollectorRegistry(), report_interval=1.0) as flags:
            yield flags

    def events(self) -> list[str]:
        """Reasons of the Events about the rollout, in order."""
        items = self.client.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events").json()["items"]
        items.sort(key=lambda item: item["eventTime"] or "")
        return [item["reason"] for item in items if item["regarding"]["kind"] == "VerificationRollout"]

    def until_guarding(self) -> RolloutStatus:
        """Wait until all stages are done."""
        return self.until("the guard", lambda status: status.phase is Phase.GUARDING)

    def until_ramping(self) -> RolloutStatus:
        """Wait until a ramp is on its way: live, and not yet at its end."""
        return self.until(
            "a ramp", lambda status: status.parameters is not None and status.parameters.ranking_weight > 0
        )

    def clean(self) -> None:
        """Let the rollout go, whatever state it is in."""
        if self.exists():
            self.client.patch(
                self.path,
                headers={"Content-Type": "application/merge-patch+json"},
                json={"metadata": {"finalizers": None}},
            )


def off_at(flags: Flags) -> float:
    """Wait until a client evaluates Off; the moment."""
    wait_for(lambda: flags.state().mode is Mode.OFF, SECONDS, "the client to be off")
    return time.time()


def ramp_step(request: Request) -> bool:
    """Whether it writes a flag document with some ranking weight (for hooks of the proxy)."""
    if request.kind != "configmaps" or f'"{Direction.RISE}"'.encode() not in request.body:
        return False
    published = published_from(json.loads(request.body))
    return published is not None and published.vector.ranking_weight > 0


def vectors(documents: Sequence[Published]) -> list[Vector]:
    """What was published, in order."""
    return [document.vector for document in documents]


def rises(path: Sequence[Vector]) -> list[tuple[Vector, Vector]]:
    """The steps of a path that raised something."""
    return [(before, after) for before, after in itertools.pairwise(path) if not after.is_at_most(before)]
