"""What many rollouts cost: CPU, memory and API requests of the leading operator, whether each gate keeps its interval,
how fast some of them fall at once, and how soon a new operator is ready.

The product as the chart installs it; rollouts that bake (a status write every ten minutes each, nothing else), each
with one threshold gate on a query of its own every 10 s. CPU and memory come from /proc, API requests from the audit
log, intervals from Prometheus' own query log, moments of a fall from clients and from the operator's published-at.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from prometheus_client import CollectorRegistry

from tests.bench import report
from tests.bench.proc import cpu_seconds, rss_mib
from tests.bench.report import Figure, percentile, say
from tests.bench.stand import ALERT, NAMESPACE, Object, Stand, stand
from tests.support.replica import Operator, OperatorFiles
from tests.support.waiting import wait_for
from tools.demo.installation import SYSTEM
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

FULL: Final = 1000
SIZES: Final = tuple(int(size) for size in os.environ.get("VERIRAMP_BENCH_ROLLOUTS", f"200,{FULL}").split(","))
EVERY: Final = 10
SCRAPE: Final = "5s"
MEASURED_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 30.0
SECONDS: Final = 240.0
BAD: Final = 0.9
ROLLOUTS: Final = f"/apis/veriramp.dev/v1alpha1/namespaces/{NAMESPACE}/verificationrollouts"
DEPLOYMENT: Final = "veriramp-operator"


def main() -> None:
    """Measure and write build/bench/scale.json."""
    with stand(SCRAPE) as here:
        scale = Scale(here)
        figures: list[Figure] = []
        for size in SIZES:
            scale.grow(size)
            figures += scale.settled()
        failing = max(1, SIZES[-1] // 100)
        figures += scale.pull(list(range(failing)))
        figures += scale.push(list(range(failing, 2 * failing)))
        figures += scale.start()
    settings = {
        "rollouts": ", ".join(str(size) for size in SIZES),
        "scrape interval": SCRAPE,
        "gate": f"threshold on a query of its own, every: {EVERY}s; the age of its samples is a second query",
        "stage": "Shadow, bake 24h",
        "measured": f"{MEASURED_SECONDS:g} s after {SETTLE_SECONDS:g} s of rest",
        "failing at once": failing,
    }
    report.write("scale", figures, settings)


class Scale:
    """Many rollouts in one namespace, and the process that leads."""

    def __init__(self, here: Stand) -> None:
        self.here, self.size = here, 0
        config = here.cluster.layout.prometheus / "prometheus.yml"
        self._queries = here.cluster.layout.logs / "queries.log"
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        content["global"]["query_log_file"] = str(self._queries)
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        httpx.post(f"{here.cluster.prometheus_url}/-/reload", trust_env=False, timeout=10).raise_for_status()

    def grow(self, size: int) -> None:
        """Have that many rollouts, all of them baking."""
        for number in range(self.size, size):
            self.here.says(0, case(number))
        began = time.monotonic()
        for number in range(self.size, size):
            self.here.api.post(ROLLOUTS, json=a_rollout(number)).raise_for_status()
        self.size = size
        say(f"{size} rollouts written in {time.monotonic() - began:.1f} s")
        seen: dict[str, int] = {}

        def all_bake() -> bool:
            nonlocal seen
            before, seen = seen, self._reasons()
            if seen != before:
                say(", ".join(f"{count} {reason or 'new'}" for reason, count in sorted(seen.items())))
            return seen == {"Baking": size}

        wait_for(all_bake, SECONDS, f"{size} rollouts to bake")
        say(f"all of them bake after {time.monotonic() - began:.1f} s")

    def settled(self) -> list[Figure]:
        """CPU, memory, API requests and intervals at rest."""
        wait(SETTLE_SECONDS)
        pid = self._leader()
        cpu, began = cpu_seconds(pid), time.time()
        wait(MEASURED_SECONDS)
        minutes = (time.time() - began) / 60
        spent = (cpu_seconds(pid) - cpu) / minutes
        requests = sum(1 for _ in self._requests(began)) / minutes / 60
        gaps = list(self._gaps(began))
        what = f"{self.size} rollouts settled"
        rows = [
            (f"{what}: CPU of the leader", spent, "s/min", 12.0),
            (f"{what}: memory of the leader", rss_mib(pid), "MiB", 200.0),
            (f"{what}: API requests of the operator", requests, "1/s", 2.0),
            (f"{what}: interval of a gate, p50", percentile(gaps, 0.5), "s", 10.1),
            (f"{what}: interval of a gate, p99", percentile(gaps, 0.99), "s", 10.1),
            (f"{what}: interval of a gate, longest", max(gaps), "s", None),
        ]
        figures = [self._figure(name, value, unit, bar) for name, value, unit, bar in rows]
        for figure in figures:
            say(report.line(figure))
        return figures

    def pull(self, numbers: Sequence[int]) -> list[Figure]:
        """Some turn bad at once: first bad sample -> published Off."""
        began = time.time()
        for number in numbers:
            self.here.says(BAD, case(number))
        took = self._published(numbers, {number: self._bad_at(number, began) for number in numbers})
        what = f"{len(numbers)} of {self.size} turn bad at once (every: {EVERY}s): first bad sample -> published"
        return [
            report.stated(f"{what}, p50", percentile(took, 0.5), "s"),
            self._figure(f"{what}, last", max(took), "s", 10.5),
        ]

    def push(self, numbers: Sequence[int]) -> list[Figure]:
        """Some alerts in one push: sent -> applied in a client of each."""
        applied: dict[int, float] = {}
        address = self.here.flag_servers[0]
        with ExitStack() as stack:
            for number in numbers:
                flags = Flags(address, f"{NAMESPACE}/{case(number)}", registry=CollectorRegistry())
                stack.enter_context(flags)
                flags.on_change(lambda state, n=number: self._note(applied, n, state.mode, state.revision))  # type: ignore[misc]
                flags.wait_ready(30)
            applied.clear()
            sent = time.time()
            self.here.push(self.here.operators[0], "firing", [case(number) for number in numbers])
            wait_for(lambda: len(applied) == len(numbers), SECONDS, "all pushed rollouts to be off")
        took = [at - sent for at in applied.values()]
        what = f"{len(numbers)} of {self.size} in one push: sent -> applied in their clients"
        return [
            report.stated(f"{what}, p50", percentile(took, 0.5), "s"),
            self._figure(f"{what}, p99", percentile(took, 0.99), "s", 1.0),
        ]

    def start(self) -> list[Figure]:
        """All operators gone; one is started: -> ready, and what it writes where nothing has changed."""
        kubectl = self.here.cluster.kubectl
        kubectl("scale", "-n", SYSTEM, f"deployment/{DEPLOYMENT}", "--replicas=0")
        selector = "app.kubernetes.io/component=operator"
        kubectl("wait", "-n", SYSTEM, "--for=delete", "pod", "-l", selector, "--timeout=60s")
        config: Object = {
            "endpoints": {"default": {"url": self.here.cluster.prometheus_url, "scrapeInterval": "1s"}},
            "flagServer": {"namespace": SYSTEM, "podSelector": "app.kubernetes.io/component=flagserver"},
        }
        with tempfile.TemporaryDirectory() as folder:
            files = OperatorFiles.write(Path(folder), self.here.cluster.kubeconfig, config)
            operator = Operator("bench", files, SYSTEM, [NAMESPACE])
            began, wall = time.monotonic(), time.time()
            operator.start()
            try:
                operator.ready()
                ready = time.monotonic() - began
                wait_for(lambda: operator.leads, SECONDS, "the new operator to lead")
                wait(SETTLE_SECONDS)
                writes = [entry for entry in self._audit(wall) if _is_write(entry)]
            finally:
                operator.stop()
        for text in sorted({f"{entry['verb']} {entry['objectRef']['resource']}" for entry in writes}):
            say(f"written after the start: {text}")
        return [
            self._figure(f"start with {self.size} rollouts -> ready", ready, "s", 10),
            self._figure("writes in the 30 s after it leads, where nothing has changed", len(writes), "requests", 0),
        ]

    def _figure(self, what: str, value: float, unit: str, bar: float | None) -> Figure:
        """The bars are for the full number of rollouts."""
        if bar is None or self.size < FULL:
            return report.stated(what, value, unit)
        return report.at_most(what, value, unit, bar)

    def _leader(self) -> int:
        raw = json.loads(self.here.cluster.kubectl("get", "lease", "-n", SYSTEM, "veriramp-operator", "-o", "json"))
        pod = str(raw["spec"]["holderIdentity"]).rpartition("_")[0]
        return self.here.cluster.container_process(SYSTEM, pod).pid

    def _reasons(self) -> dict[str, int]:
        counted: dict[str, int] = defaultdict(int)
        for item in self.here.api.get(ROLLOUTS).raise_for_status().json()["items"]:
            counted[(item.get("status") or {}).get("reason", "")] += 1
        return dict(counted)

    def _audit(self, since: float) -> Iterator[dict[str, Any]]:
        with self.here.cluster.audit_log.open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                if datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp() >= since:
                    yield entry

    def _requests(self, since: float) -> Iterator[dict[str, Any]]:
        for entry in self._audit(since):
            if entry["user"]["username"].startswith(f"system:serviceaccount:{SYSTEM}:") and _of_operator(entry):
                yield entry

    def _gaps(self, since: float) -> Iterator[float]:
        asked: dict[str, list[float]] = defaultdict(list)
        with self._queries.open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                at = datetime.fromisoformat(entry["params"]["start"]).timestamp()
                if at >= since and entry["params"]["query"].startswith("test_errors"):
                    asked[entry["params"]["query"]].append(at)
        for times in asked.values():
            yield from (after - before for before, after in pairwise(times))

    def _bad_at(self, number: int, since: float) -> float:
        def taken() -> float | None:
            return self.here.first_sample(since, lambda value: value >= BAD, case(number))

        at = wait_for(taken, SECONDS, "the bad sample")
        assert at is not None
        return at

    def _published(self, numbers: Sequence[int], since: dict[int, float]) -> list[float]:
        took = []
        for number in numbers:
            rollback = wait_for(lambda n=number: self._rollback(n), SECONDS, f"{case(number)} to fall")  # type: ignore[misc]
            took.append(datetime.fromisoformat(rollback["publishedAt"]).timestamp() - since[number])
        return took

    def _rollback(self, number: int) -> Object:
        status = self.here.api.get(f"{ROLLOUTS}/{case(number)}").json().get("status") or {}
        rollback = status.get("rollback") or {}
        return dict(rollback) if rollback.get("publishedAt") else {}

    @staticmethod
    def _note(applied: dict[int, float], number: int, mode: Mode, revision: int) -> None:
        if mode is Mode.OFF and revision:
            applied.setdefault(number, time.time())


def case(number: int) -> str:
    """The name of a rollout, and of its series."""
    return f"r-{number:04d}"


def a_rollout(number: int) -> Object:
    """A rollout that bakes for a day."""
    query = f'test_errors{{case="{case(number)}"}}'
    gate = {"name": "errors", "threshold": {"query": query, "max": 0.5}, "every": f"{EVERY}s", "window": "1s"}
    pager = {"name": "pager", "firing": {"alertnames": [ALERT], "source": "Push"}, "required": False, "window": "1s"}
    return {
        "apiVersion": "veriramp.dev/v1alpha1",
        "kind": "VerificationRollout",
        "metadata": {"name": case(number), "namespace": NAMESPACE},
        "spec": {
            "stages": [
                {"name": "shadow", "mode": "Shadow", "samplingRate": 1, "bake": "24h"},
                {"name": "live", "mode": "Live", "canaryPercent": 5, "bake": "24h"},
            ],
            "gates": [gate | {"onRegression": "KillSwitch"}, pager | {"onRegression": "KillSwitch"}],
        },
    }


def wait(seconds: float) -> None:
    """Let time pass: here it is what is measured over."""
    time.sleep(seconds)


def _of_operator(entry: dict[str, Any]) -> bool:
    return not str(entry["user"]["username"]).endswith("flagserver")


def _is_write(entry: dict[str, Any]) -> bool:
    reference = entry.get("objectRef") or {}
    return entry["verb"] in {"create", "update", "patch", "delete"} and reference.get("resource") != "leases"


if __name__ == "__main__":
    main()
