"""The samplers on a counting endpoint: each question once, nobody delayed by another, bounded memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.support.evidence import alert_gate, baseline_gate, firing_gate, numbers, reading, threshold_gate
from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.evidence.types import Answer, Matrix, PushedAlert, RuleSeen, Series
from veriramp_operator.sources.cache import MOST_PUSHES, MOST_READINGS, Watch
from veriramp_operator.sources.samplers import WAKE_BAD_SAMPLE, WAKE_READING, Samplers

Key = tuple[str, str]


class Counting:
    """Answers at once (or never) and counts."""

    scrape_interval = 15.0
    external_labels: tuple[str, ...] = ("cluster",)

    def __init__(self, *, hangs: bool = False) -> None:
        self.asked: Counter[str] = Counter()
        self.moments: dict[str, float] = {}
        self.value = 1.0
        self._hangs = hangs

    async def instant(self, query: str, at: float) -> Answer:
        self.asked[query] += 1
        self.moments[query] = at
        if self._hangs:
            await asyncio.Event().wait()
        return Series((at,)) if query.startswith("max(timestamp") else numbers(self.value)

    async def matrix(self, query: str, at: float) -> Matrix:
        del at
        self.asked[query] += 1
        return Matrix()

    async def rules(self, alertnames: Sequence[str]) -> tuple[RuleSeen, ...]:
        self.asked[f"rules {','.join(alertnames)}"] += 1
        return tuple(RuleSeen(name, "ok", time.time(), 15.0) for name in alertnames)


def spec(*gates: GateSpec, endpoint: str = "default") -> RolloutSpec:
    return RolloutSpec.model_validate({"prometheus": endpoint, "stages": [{"name": "s", "mode": "Shadow"}]}).model_copy(
        update={"gates": gates}
    )


@asynccontextmanager
async def running(samplers: Samplers) -> AsyncIterator[None]:
    task = asyncio.create_task(samplers.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 the samplers tell nobody of a reading that changes nothing
            await asyncio.sleep(0.005)


def bench(**endpoints: Counting) -> tuple[Samplers, list[tuple[Key, str]]]:
    woken: list[tuple[Key, str]] = []
    return Samplers(endpoints, lambda key, reason: woken.append((key, reason)), time.time), woken


async def test_a_question_is_asked_once_for_all_rollouts_and_gates() -> None:
    endpoint = Counting()
    samplers, woken = bench(default=endpoint)
    gates = [threshold_gate(name="a", every="60s"), threshold_gate(name="b", max=5, every="60s")]
    for number in range(50):
        samplers.watch(("ns", str(number)), spec(*gates))
        samplers.watch(("ns", str(number)), spec(*gates))
    async with running(samplers):
        await until(lambda: len(woken) == 100)
    assert endpoint.asked == {"sum(latency)": 1, "max(timestamp(requests_total))": 1}
    assert {reason for _, reason in woken} == {WAKE_READING}


async def test_what_is_held_against_each_other_is_asked_about_one_moment() -> None:
    endpoint = Counting()
    samplers, woken = bench(default=endpoint)
    gate = baseline_gate(query="value", lowerQuery="low", upperQuery="high", every="60s")
    samplers.watch(("ns", "a"), spec(gate, baseline_gate(name="other", query="value", baselineQuery="b", every="60s")))
    async with running(samplers):
        await until(lambda: len(woken) == 2)
    assert endpoint.asked.total() == len(endpoint.asked)
    assert len({endpoint.moments[query] for query in ("value", "baseline", "low", "high")}) == 1
    (known,) = samplers.samples(("ns", "a"))["gate"].readings
    assert known.baseline == known.lower == known.upper == numbers(1.0)


async def test_rules_are_asked_once_for_all_who_name_the_same_alerts() -> None:
    endpoint = Counting()
    samplers, woken = bench(default=endpoint)
    for name in ("a", "b"):
        samplers.watch(("ns", name), spec(firing_gate("Broken", source="Both", every="60s")))
    samplers.watch(("ns", "c"), spec(firing_gate("Broken", source="Push", every="60s")))
    async with running(samplers):
        await until(lambda: len(woken) == 2)
    assert endpoint.asked["rules Broken"] == 1
    known = samplers.samples(("ns", "a"))["gate"]
    assert known.external_labels == ("cluster",)
    assert isinstance(known.readings[0].rules, tuple)
    assert [rule.alertname for rule in known.readings[0].rules] == ["Broken"]
    assert samplers.samples(("ns", "c"))["gate"].readings == ()


async def test_one_endpoint_that_hangs_delays_nobody_else() -> None:
    samplers, _ = bench(slow=Counting(hangs=True), fast=Counting())
    samplers.watch(("ns", "slow"), spec(threshold_gate(every="1s"), endpoint="slow"))
    samplers.watch(("ns", "fast"), spec(threshold_gate(every="1s"), endpoint="fast"))
    async with running(samplers):
        await until(lambda: len(samplers.samples(("ns", "fast"))["gate"].readings) >= 2)
    assert samplers.samples(("ns", "slow"))["gate"].readings == ()


async def test_only_what_can_change_a_verdict_wakes() -> None:
    endpoint = Counting()
    samplers, woken = bench(default=endpoint)
    samplers.watch(("ns", "a"), spec(threshold_gate(every="1s")))
    async with running(samplers):
        await until(lambda: len(samplers.samples(("ns", "a"))["gate"].readings) >= 3)
        assert woken == [(("ns", "a"), WAKE_READING)]
        endpoint.value = 3.0
        await until(lambda: woken[-2:] == [(("ns", "a"), WAKE_BAD_SAMPLE)] * 2)


async def test_an_edit_keeps_what_is_known_of_unchanged_gates_and_forget_drops_all() -> None:
    endpoint = Counting()
    samplers, woken = bench(default=endpoint)
    kept, edited = threshold_gate(name="kept", every="60s"), alert_gate(name="edited", every="60s")
    samplers.watch(("ns", "a"), spec(kept, edited))
    async with running(samplers):
        await until(lambda: len(woken) == 2)
        samplers.watch(("ns", "a"), spec(kept, alert_gate(name="edited", expr="other > 1", every="60s")))
        assert len(samplers.samples(("ns", "a"))["kept"].readings) == 1
        assert samplers.samples(("ns", "a"))["edited"].readings == ()
        await until(lambda: endpoint.asked["other > 1"] == 1)
        samplers.forget(("ns", "a"))
        assert samplers.samples(("ns", "a")) == {}


def test_an_unknown_endpoint_is_simply_never_asked() -> None:
    samplers, _ = bench()
    samplers.watch(("ns", "a"), spec(threshold_gate()))
    assert samplers.samples(("ns", "a"))["gate"].readings == ()


def pushed(name: str = "Broken", *, firing: bool = True, expires: float = 1e12, **labels: str) -> PushedAlert:
    return PushedAlert(name, firing, 1000.0, 990.0, expires, {"alertname": name, "namespace": "ns"} | labels)


def test_a_push_reaches_the_rollouts_that_name_it() -> None:
    samplers, woken = bench()
    for name in ("a", "b"):
        samplers.watch(("ns", name), spec(firing_gate()))
    samplers.watch(("ns", "deaf"), spec(firing_gate("Other")))
    samplers.watch(("elsewhere", "a"), spec(firing_gate()))
    assert set(samplers.push([pushed()])) == {("ns", "a"), ("ns", "b")}
    assert set(samplers.push([pushed(rollout="a")])) == {("ns", "a")}
    assert {key for key, _ in woken} == {("ns", "a"), ("ns", "b")}
    assert len(samplers.samples(("ns", "a"))["gate"].pushes) == 2


def test_news_of_one_alert_replace_the_old_ones_and_expired_ones_go() -> None:
    watch = Watch(("ns", "a"), firing_gate(), 15.0)
    watch.push(pushed(), 1000.0)
    watch.push(pushed(firing=False, alertstate="resolved"), 1001.0)
    assert [alert.firing for alert in watch.samples().pushes] == [False]
    watch.push(pushed("Second", expires=3e12), 2e12)
    assert [alert.alertname for alert in watch.samples().pushes] == ["Second"]


def test_memory_is_bounded() -> None:
    watch = Watch(("ns", "a"), firing_gate(), 15.0)
    for number in range(3 * MOST_PUSHES):
        watch.push(pushed(pod=str(number), firing=number % 2 == 0), 1000.0)
    assert len(watch.samples().pushes) == MOST_PUSHES
    watch = Watch(("ns", "a"), alert_gate(**{"for": "2h"}, every="1s"), 15.0)
    for number in range(3 * MOST_READINGS):
        watch.add(reading(number * 10.0, numbers(1.0)))
    assert len(watch.samples().readings) == MOST_READINGS
    short = Watch(("ns", "a"), alert_gate(), 15.0)
    for number in range(100):
        short.add(reading(number * 5.0, numbers(1.0)))
    assert len(short.samples().readings) == 9


def test_a_clock_that_went_back_drops_what_came_after() -> None:
    watch = Watch(("ns", "a"), alert_gate(), 15.0)
    for at in (100.0, 105.0, 110.0, 103.0):
        watch.add(reading(at, numbers()))
    assert [known.at for known in watch.samples().readings] == [100.0, 103.0]


async def test_another_endpoint_is_asked_as_soon_as_the_spec_names_it() -> None:
    old, new = Counting(), Counting()
    samplers, woken = bench(old=old, new=new)
    gate = threshold_gate(every="60s")
    samplers.watch(("ns", "r"), spec(gate, endpoint="old"))
    async with running(samplers):
        await until(lambda: len(woken) == 1)
        samplers.watch(("ns", "r"), spec(gate, endpoint="new"))
        assert samplers.samples(("ns", "r"))[gate.name].readings == (), "what another Prometheus said counts no more"
        await until(lambda: new.asked["sum(latency)"] == 1)
        assert len(samplers.samples(("ns", "r"))[gate.name].readings) == 1


async def test_an_endpoint_that_was_unknown_is_asked_once_the_spec_names_one_that_is_known() -> None:
    known = Counting()
    samplers, _ = bench(known=known)
    samplers.watch(("ns", "r"), spec(threshold_gate(every="60s"), endpoint="misspelt"))
    samplers.watch(("ns", "r"), spec(threshold_gate(every="60s"), endpoint="known"))
    async with running(samplers):
        await until(lambda: known.asked["sum(latency)"] == 1)


def test_a_firing_alert_outlives_an_edit_of_its_gate_and_of_the_endpoint() -> None:
    samplers, _ = bench(default=Counting(), other=Counting())
    samplers.watch(("ns", "r"), spec(firing_gate("Slow")))
    now = time.time()
    samplers.push([PushedAlert("Slow", True, now, now, now + 300, {"alertname": "Slow", "namespace": "ns"})])
    edited = firing_gate("Slow", "Wrong")
    samplers.watch(("ns", "r"), spec(edited, endpoint="other"))
    assert [alert.alertname for alert in samplers.samples(("ns", "r"))[edited.name].pushes] == ["Slow"]
    narrowed = firing_gate("Wrong")
    samplers.watch(("ns", "r"), spec(narrowed, endpoint="other"))
    assert samplers.samples(("ns", "r"))[narrowed.name].pushes == (), "it asks for another alert now"
