"""Two regressions: one that Prometheus sees, one that Alertmanager pushes; each measured from bad to safe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from tools.demo.installation import ROLLOUT, SEARCH, Installed
from tools.demo.watching import Watcher
from tools.devcluster.cluster import DevCluster

APPLIED_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback, in seconds since the epoch.

    ``bad_at``: first bad sample in Prometheus, or the push. ``applied_at``: the last process evaluates safely.
    """

    trigger: str
    gate: str
    bad_at: float
    detected_at: float
    published_at: float
    applied_at: float
    clients: int
    revision: int


def set_regression(installed: Installed, *, error_rate: float, latency: float) -> None:
    """Make the treatment arm of every search process fail, or (with zeros) well again."""
    set_regression_at(installed.search_urls, error_rate=error_rate, latency=latency)


def set_regression_at(urls: Sequence[str], *, error_rate: float, latency: float) -> None:
    """Do the same to search processes by their addresses."""
    for url in urls:
        body = {"arm": "treatment", "errorRate": error_rate, "extraLatencySeconds": latency}
        httpx.post(f"{url}/debug/regression", json=body, trust_env=False).raise_for_status()


def measure(watcher: Watcher, installed: Installed, trigger: str, bad_at: float) -> Rollback:
    """Collect the moments of the rollback that is latched now."""
    status = watcher.wait(
        "the safe document applied everywhere",
        APPLIED_SECONDS,
        lambda seen: bool((seen.get("rollback") or {}).get("appliedAt")),
    )
    rollback, revision = status["rollback"], int(status["flags"]["revision"])
    applied = _applied(installed, revision)
    published_at = _seconds(rollback["publishedAt"])
    return Rollback(
        trigger=trigger,
        gate=rollback["gate"],
        bad_at=bad_at,
        detected_at=_seconds(rollback["detectedAt"]),
        published_at=published_at,
        # Clients are often faster than the API server's answer, which is when the operator calls it published.
        applied_at=max(published_at, *applied.values()),
        clients=len(applied),
        revision=revision,
    )


def first_bad_sample(cluster: DevCluster, expression: str, since: float) -> float:
    """When the alert's expression was first true, by Prometheus' own samples, to 0.02 s."""
    answer = httpx.get(
        f"{cluster.prometheus_url}/api/v1/query_range",
        params={"query": expression, "start": f"{since:.3f}", "end": f"{time.time():.3f}", "step": "0.02"},
        trust_env=False,
    ).raise_for_status()
    times = [float(sample[0]) for series in answer.json()["data"]["result"] for sample in series["values"]]
    if not times:
        raise RuntimeError("Prometheus never saw the injected regression")
    return min(times)


def push_alert(installed: Installed, alertname: str) -> float:
    """Post what Alertmanager 0.27+ posts (version 4) to an operator pod; the moment of sending."""
    sent = time.time()
    payload: dict[str, Any] = {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{alertname}"}}',
        "status": "firing",
        "receiver": "veriramp",
        "groupLabels": {"alertname": alertname},
        "commonLabels": {"alertname": alertname, "namespace": SEARCH, "rollout": ROLLOUT},
        "commonAnnotations": {},
        "externalURL": "",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": alertname, "namespace": SEARCH, "rollout": ROLLOUT},
                "annotations": {"summary": "the pager says so"},
                "startsAt": datetime.fromtimestamp(sent, UTC).isoformat(),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "d3m0",
            }
        ],
    }
    url = f"http://{installed.operator_pods[0]}:8081/alerts/v1"
    headers = {"Authorization": f"Bearer {installed.alert_token}"}
    httpx.post(url, json=payload, headers=headers, timeout=10, trust_env=False).raise_for_status()
    return sent


def _applied(installed: Installed, revision: int) -> dict[str, float]:
    """When each process applied the revision (or a later one), as the processes report it themselves."""
    applied: dict[str, float] = {}
    for url in installed.flag_server_urls:
        answer = httpx.get(f"{url}/propagation/{SEARCH}/{ROLLOUT}", trust_env=False).raise_for_status().json()
        for process in answer["processes"]:
            if int(process["revision"]) >= revision:
                applied[process["process"]] = _seconds(process["appliedAt"])
    if not applied:
        raise RuntimeError(f"no process reports revision {revision}")
    return applied


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    return datetime.fromisoformat(str(value)).timestamp()
