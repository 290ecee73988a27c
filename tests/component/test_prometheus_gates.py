"""Every kind of gate that reads numbers or rules, asked of the real Prometheus by the samplers, then judged."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from tests.support.evidence import baseline_gate, burn_gate, firing_gate
from tests.support.prometheus import scraping
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge, questions
from veriramp_operator.evidence.types import PushedAlert, Series, Verdict
from veriramp_operator.sources.prometheus import PrometheusEndpoint
from veriramp_operator.sources.samplers import Samplers

KEY = ("search", "demo")
PATIENCE_SECONDS = 90.0
RULES = """
groups:
- name: alerts
  interval: 1s
  rules:
  - {alert: Quiet, expr: level > 1000, labels: {namespace: search}}
  - {alert: Fires, expr: 'level{part="a"} > 1', labels: {namespace: search}}
  - {alert: Pending, expr: 'level{part="a"} > 1', for: 1h, labels: {namespace: search}}
  - {alert: ForAnother, expr: 'level{part="a"} > 1', labels: {namespace: search, rollout: other}}
  - {alert: ForThisOne, expr: 'level{part="a"} > 1', labels: {namespace: search, rollout: demo}}
  - {alert: Elsewhere, expr: 'level{part="a"} > 1', labels: {namespace: shop}}
  - {alert: Breaks, expr: 'label_replace(level, "part", "same", "", "")', labels: {namespace: search}}
  - {alert: Comes.And+Goes, expr: sum(switch) > 0, labels: {namespace: search}}
"""


INTERVAL = {"lowerQuery": "precision_low", "upperQuery": "precision_high"}
NUMBERS = {"precision": 0.80, "precision_low": 0.78, "precision_high": 0.82, "baseline": 0.81, "zero": 0.0}


@dataclass(frozen=True)
class Site:
    """What is exported, and who scrapes it."""

    url: str
    switch: Gauge
    errors: Counter
    requests: Counter


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    registry = CollectorRegistry()
    level = Gauge("level", "a number", ["part"], registry=registry)
    for part, value in (("a", 42.0), ("b", 7.0)):
        level.labels(part).set(value)
    for name, number in {**NUMBERS, "nothing": math.nan}.items():
        Gauge(name, "a number", registry=registry).set(number)
    Counter("idle", "no requests at all", registry=registry)
    Counter("hidden", "errors that nobody has exposed yet", ["code"], registry=registry)
    switch = Gauge("switch", "turned on and off", registry=registry)
    errors, requests = (Counter(name, "events", registry=registry) for name in ("errors", "requests"))
    folder = tmp_path_factory.mktemp("prometheus")
    # Asked for twice: then every rule has been evaluated, those after it too.
    with scraping(folder, registry, RULES, 'count_over_time(ALERTS{alertname="Pending"}[1h]) > 1') as url:
        yield Site(url, switch, errors, requests)


@asynccontextmanager
async def watching(site: Site, gate: GateSpec) -> AsyncIterator[Samplers]:
    source = PrometheusEndpoint(site.url, scrape_interval=1.0, external_labels=("cluster",))
    samplers = Samplers({"default": source}, lambda _key, _reason: None, time.time)
    spec = RolloutSpec.model_validate({"stages": [{"name": "s", "mode": "Shadow"}]})
    samplers.watch(KEY, spec.model_copy(update={"gates": (gate,)}))
    task = asyncio.create_task(samplers.run())
    try:
        yield samplers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.aclose()


async def until(samplers: Samplers, gate: GateSpec, condition: Callable[[Verdict], bool]) -> Verdict:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        verdict = judge(gate, samplers.samples(KEY)[gate.name], time.time())
        if condition(verdict):
            return verdict
        assert time.monotonic() < deadline, verdict
        await asyncio.sleep(0.05)


async def says(site: Site, gate: GateSpec, kind: VerdictKind, beginning: str) -> Verdict:
    """Wait for this verdict; most often it is the first, unless a scrape was late."""
    async with watching(site, gate) as samplers:
        return await until(
            samplers, gate, lambda verdict: verdict.kind is kind and verdict.message.startswith(beginning)
        )


def pull(*names: str, source: str = "Pull") -> GateSpec:
    return firing_gate(*names, source=source, every="1s")


@pytest.mark.shows("S1-ROLL-07")
@pytest.mark.parametrize(
    ("names", "kind", "beginning"),
    [
        (["Quiet"], VerdictKind.PASS, "not firing, with sound rules: Quiet"),
        (["Pending"], VerdictKind.PASS, "not firing"),
        (["ForAnother"], VerdictKind.PASS, "not firing"),
        (["Elsewhere"], VerdictKind.PASS, "not firing"),
        (["Fires"], VerdictKind.REGRESSION, "Fires is firing, as Prometheus said"),
        (["ForThisOne"], VerdictKind.REGRESSION, "ForThisOne is firing"),
        (["Quiet", "Fires"], VerdictKind.REGRESSION, "Fires is firing"),
        (["NoSuch"], VerdictKind.NO_DATA, "Prometheus has no alerting rule NoSuch; load it there"),
        (["Quiet", "NoSuch"], VerdictKind.NO_DATA, "Prometheus has no alerting rule NoSuch"),
        (["NoSuch", "Fires"], VerdictKind.REGRESSION, "Fires is firing"),
        (["Breaks"], VerdictKind.NO_DATA, "the rule of alert Breaks fails:"),
    ],
)
async def test_pulled_alerts(site: Site, names: list[str], kind: VerdictKind, beginning: str) -> None:
    verdict = await says(site, pull(*names), kind, beginning)
    assert kind is not VerdictKind.NO_DATA or verdict.reason == NoDataReason.RULE_MISSING


async def test_a_server_that_keeps_no_state_of_alerts_still_tells_which_fire(site: Site) -> None:
    query = questions(pull("Fires"), *KEY).query or ""
    source = PrometheusEndpoint(site.url)
    known = await source.instant(query, time.time())
    without = await source.instant(query.replace("ALERTS_FOR_STATE", "no_such_metric"), time.time())
    await source.aclose()
    assert isinstance(known, Series)
    assert isinstance(without, Series)
    assert 1 < known.values[0] <= time.time()
    assert without.values == (1.0,)
    assert {labels["alertname"] for labels in (*known.labels, *without.labels)} == {"Fires"}


async def test_a_pulled_alert_comes_and_goes_and_is_the_one_that_was_pushed(site: Site) -> None:
    gate = pull("Comes.And+Goes", source="Both")
    async with watching(site, gate) as samplers:
        await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.PASS)
        before = time.time()
        site.switch.set(1)
        verdict = await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.REGRESSION)
        assert verdict.breached_at is not None
        # Prometheus keeps whole seconds.
        assert before - 1 <= verdict.breached_at <= time.time()
        samplers.push([pushed("Comes.And+Goes", before, firing=True)])
        verdict = await until(samplers, gate, lambda verdict: "Alertmanager" in verdict.message)
        assert verdict.message == "Comes.And+Goes is firing, as Prometheus and Alertmanager said"
        assert verdict.sample_size == 1
        site.switch.set(0)
        samplers.push([pushed("Comes.And+Goes", before, firing=False)])
        await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.PASS)


def pushed(name: str, starts_at: float, *, firing: bool) -> PushedAlert:
    # The rule sums, so that the alert has the labels of the rule alone; the cluster is an external label.
    labels = {"alertname": name, "namespace": "search", "cluster": "west"}
    return PushedAlert(name, firing, time.time(), starts_at, time.time() + 300, labels)


@pytest.mark.parametrize(
    ("fields", "kind", "beginning"),
    [
        ({}, VerdictKind.PASS, "0.8 is not below 0.729, which is 10 % below the baseline 0.81"),
        ({"maxDrop": 0.005}, VerdictKind.REGRESSION, "0.8 is below 0.80595"),
        (
            {"lowerQuery": "precision_low", "upperQuery": "precision_high"},
            VerdictKind.PASS,
            "0.8 (interval 0.78 .. 0.82)",
        ),
        (
            {"lowerQuery": "precision_low", "upperQuery": "precision_high", "maxDrop": 0.005},
            VerdictKind.INCONCLUSIVE,
            "0.8 (interval 0.78 .. 0.82) reaches to both sides",
        ),
        (
            {"lowerQuery": "precision_high", "upperQuery": "precision_low"},
            VerdictKind.NO_DATA,
            "lowerQuery returned 0.82, which is above 0.78 of upperQuery",
        ),
        ({"baselineQuery": "zero"}, VerdictKind.NO_DATA, "the baseline query returned 0"),
        ({"baselineQuery": "nothing"}, VerdictKind.NO_DATA, "the baseline query returned nan"),
        ({"baselineQuery": "no_such"}, VerdictKind.NO_DATA, "the baseline query returned no series"),
        ({"baselineQuery": "level"}, VerdictKind.NO_DATA, "the baseline query returned 2 series"),
        ({"baselineQuery": "rate("}, VerdictKind.NO_DATA, "the baseline query: the query is refused"),
    ],
)
async def test_baselines(site: Site, fields: dict[str, Any], kind: VerdictKind, beginning: str) -> None:
    gate = baseline_gate(**{"query": "precision", "baselineQuery": "baseline", "every": "1s", **fields})
    await says(site, gate, kind, beginning)


@asynccontextmanager
async def traffic(site: Site, *, errors: bool) -> AsyncIterator[None]:
    async def send() -> None:
        while True:
            site.requests.inc()
            if errors:
                site.errors.inc()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


WINDOWS = [{"long": "6s", "short": "3s", "rate": 14.4}, {"long": "9s", "short": "6s", "rate": 6}]


@pytest.mark.shows("S1-ROLL-07")
async def test_a_burn_rate_passes_trips_and_ends(site: Site) -> None:
    gate = burn_gate(windows=WINDOWS, minRequests=20, every="1s")
    async with watching(site, gate) as samplers:
        async with traffic(site, errors=False):
            await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.PASS)
        async with traffic(site, errors=True):
            verdict = await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.REGRESSION)
            assert verdict.value is not None
            assert verdict.value > 6
        async with traffic(site, errors=False):
            await until(samplers, gate, lambda verdict: verdict.kind is VerdictKind.PASS)
        # Nobody asks any more: no good news and no alarm.
        verdict = await until(samplers, gate, lambda verdict: verdict.reason == NoDataReason.NOT_PRESENT)
        assert verdict.kind is VerdictKind.NO_DATA


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"total": "idle_total"}, NoDataReason.NOT_PRESENT),
        ({"total": "no_such_total"}, NoDataReason.NOT_YET_EXPOSED),
        ({"errors": "hidden_total", "minRequests": 0}, NoDataReason.NOT_YET_EXPOSED),
        ({"errors": "errors_total{"}, NoDataReason.BAD_QUERY),
    ],
)
async def test_burn_rates_without_data(site: Site, fields: dict[str, Any], reason: NoDataReason) -> None:
    gate = burn_gate(
        **{"errors": "errors_total", "total": "requests_total", "windows": WINDOWS, "every": "1s", **fields}
    )
    async with watching(site, gate) as samplers:
        verdict = await until(samplers, gate, lambda verdict: verdict.reason == reason)
    assert verdict.kind is VerdictKind.NO_DATA
