"""The counters of comparison gates: history in chunks, then the tail, and the same counts whoever reads them."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.evidence import comparison_gate
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.evidence.types import (
    NO_TRIAL,
    Answer,
    Counts,
    Failure,
    Matrix,
    Occupied,
    RawSeries,
    RuleSeen,
    Samples,
    Trial,
)
from veriramp_operator.sources.counters import CHUNK_SECONDS
from veriramp_operator.sources.samplers import Samplers

NOW = 1_700_100_000.0
KEY = ("search", "r")
SCRAPE = 15.0


class Stored:
    """Serves raw samples by metric name, as a range selector selects them."""

    scrape_interval = SCRAPE
    external_labels: tuple[str, ...] = ()

    def __init__(self, **metrics: list[RawSeries]) -> None:
        self.metrics, self.asked = metrics, list[tuple[str, float, float]]()
        self.failure: Failure | None = None
        self.most_seconds = 1e9
        self.hangs = False

    async def matrix(self, query: str, at: float) -> Matrix | Failure:
        found = re.fullmatch(r"(\w+)\{(.*)\}\[(\d+)s\]", query)
        assert found is not None, query
        assert 'namespace="search",rollout="' in found[2]
        seconds = float(found[3])
        self.asked.append((found[1], at - seconds, at))
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            return self.failure
        if seconds > self.most_seconds:
            return Failure(NoDataReason.TOO_LARGE, "too large")
        return Matrix(tuple(_cut(series, at - seconds, at) for series in self.metrics.get(found[1], [])))

    async def instant(self, query: str, at: float) -> Answer:
        raise AssertionError(f"{query} is not asked at {at}")

    async def rules(self, alertnames: Any) -> tuple[RuleSeen, ...]:
        raise AssertionError(f"{alertnames} are not asked")


def _cut(series: RawSeries, since: float, until: float) -> RawSeries:
    kept = [(at, value) for at, value in zip(series.at, series.values, strict=True) if since < at <= until]
    return RawSeries(series.labels, tuple(at for at, _ in kept), tuple(value for _, value in kept))


def counter(arm: str, per_scrape: float, pod: str = "a", seconds: float = 9000.0) -> RawSeries:
    """A counter that has grown evenly until now, restarted half way."""
    count = int(seconds / SCRAPE)
    first = NOW - seconds + (1.0 if pod == "a" else 7.0)
    values = [per_scrape * (index % (count // 2)) for index in range(count)]
    return RawSeries({"arm": arm, "pod": pod}, tuple(first + SCRAPE * index for index in range(count)), tuple(values))


def stored() -> Stored:
    return Stored(
        errors=[counter(arm, 1, pod) for arm in ("treatment", "control") for pod in "ab"],
        requests=[counter(arm, 100, pod) for arm in ("treatment", "control") for pod in "ab"],
        veriramp_occupied_buckets=[
            RawSeries({"arm": arm, "pod": "a"}, (NOW - 5,), (seen,))
            for arm, seen in (("treatment", 40.0), ("control", 60.0))
        ],
    )


def spec(*gates: GateSpec) -> RolloutSpec:
    return RolloutSpec.model_validate({"stages": [{"name": "s", "mode": "Shadow"}]}).model_copy(
        update={"gates": gates or (comparison_gate(),)}
    )


class Bench:
    """Samplers on a clock that stands until it is moved."""

    def __init__(self, endpoint: Stored) -> None:
        self.now, self.woken = NOW, list[str]()
        self.samplers = Samplers({"default": endpoint}, lambda _, reason: self.woken.append(reason), lambda: self.now)

    def look(self) -> None:
        """Look at the clock again: it stands, so nothing comes due by itself."""
        self.samplers._counters._moved.set()

    @property
    def samples(self) -> Samples:
        return self.samplers.samples(KEY)["gate"]

    @property
    def counts(self) -> Counts:
        assert self.samples.counts is not None
        return self.samples.counts


@asynccontextmanager
async def running(endpoint: Stored, trial: Trial, now: float = NOW) -> AsyncIterator[Bench]:
    bench = Bench(endpoint)
    bench.now = now
    bench.samplers.watch(KEY, spec(), trial)
    task = asyncio.create_task(bench.samplers.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 a chunk of history wakes nobody
            await asyncio.sleep(0.002)


def at_the_end(bench: Bench) -> bool:
    counts = bench.samples.counts
    return counts is not None and counts.until >= bench.now - SCRAPE - 1


async def test_the_whole_history_is_read_forward_in_overlapping_chunks() -> None:
    endpoint = stored()
    async with running(endpoint, Trial(50.0, NOW - 6000)) as bench:
        await until(lambda: at_the_end(bench))
    asked = [span[1:] for span in endpoint.asked if span[0] == "requests"]
    assert all(end - start <= CHUNK_SECONDS for start, end in asked)
    assert all(after[0] <= before[1] - 290 for before, after in itertools.pairwise(asked))
    assert len(asked) == 10
    assert sum(bench.counts.treatment_total) == sum(bench.counts.control_total)
    assert sum(bench.counts.treatment_total) == 100 * sum(bench.counts.treatment_events)
    assert bench.samples.occupied == Occupied(NOW - 5, 40, 60)
    assert bench.samples.readings[-1].newest is not None


async def test_who_follows_and_who_reads_it_all_at_the_end_count_the_same() -> None:
    trial = Trial(50.0, NOW - 3000)
    endpoint = stored()
    async with running(endpoint, trial, now=NOW - 2900) as following:
        for step in range(0, 2901, 145):
            following.now = NOW - 2900 + step
            following.samplers.watch(KEY, spec(comparison_gate()), trial)
            following.look()
            await until(lambda: at_the_end(following))
    async with running(stored(), trial) as restarted:
        await until(lambda: at_the_end(restarted))
    assert following.counts == restarted.counts


async def test_a_new_stage_counts_anew_and_no_arms_count_nothing() -> None:
    async with running(stored(), Trial(50.0, NOW - 3000)) as bench:
        await until(lambda: at_the_end(bench))
        bench.samplers.watch(KEY, spec(), Trial(50.0, NOW - 600))
        assert bench.samples.counts is None
        await until(lambda: at_the_end(bench))
        assert bench.counts.since == NOW - 600
        bench.samplers.watch(KEY, spec(), Trial(60.0, NOW - 600))
        assert bench.counts.since == NOW - 600, "a step of the ramp goes on counting"
        bench.samplers.watch(KEY, spec(), NO_TRIAL)
        assert bench.samples.counts is None


async def test_a_fault_is_a_reading_and_ends_with_the_next_answer() -> None:
    endpoint = stored()
    endpoint.failure = Failure(NoDataReason.REFUSED, "nobody there")
    async with running(endpoint, Trial(50.0, NOW - 600)) as bench:
        await until(lambda: bool(bench.samples.readings))
        assert bench.samples.readings[-1].answer == Failure(NoDataReason.REFUSED, "requests: nobody there")
        assert bench.woken == ["counts"]
        endpoint.failure = None
        bench.now += SCRAPE
        bench.look()
        await until(lambda: at_the_end(bench))


async def test_an_answer_that_is_too_large_is_asked_for_in_smaller_parts() -> None:
    endpoint = stored()
    endpoint.most_seconds = 300.0
    async with running(endpoint, Trial(50.0, NOW - 3000)) as bench:
        await until(lambda: at_the_end(bench))
    async with running(stored(), Trial(50.0, NOW - 3000)) as whole:
        await until(lambda: at_the_end(whole))
    assert bench.counts == whole.counts


async def test_an_arm_without_series_is_told_by_name() -> None:
    endpoint = stored()
    endpoint.metrics["requests"] = [counter("control", 100)]
    async with running(endpoint, Trial(50.0, NOW - 600)) as bench:
        await until(lambda: bool(bench.samples.readings))
        answer = bench.samples.readings[-1].answer
    assert isinstance(answer, Failure)
    assert answer.reason is NoDataReason.NOT_YET_EXPOSED
    assert 'requests lately has no series with arm="treatment"' in answer.message


async def test_scrapes_that_are_far_apart_are_read_to_the_end() -> None:
    endpoint = stored()
    endpoint.scrape_interval = 700.0
    async with running(endpoint, Trial(50.0, NOW - 6000)) as bench:
        await until(lambda: bench.samples.counts is not None and bench.counts.until >= NOW - 701)


async def test_endpoints_that_hang_delay_nobody_else() -> None:
    slow, fast = stored(), stored()
    slow.hangs = True
    samplers = Samplers({"slow": slow, "fast": fast}, lambda *_: None, lambda: NOW)
    for number in range(20):
        spec_of_slow = spec().model_copy(update={"prometheus": "slow"})
        samplers.watch(("search", str(number)), spec_of_slow, Trial(50.0, NOW - 600))
    samplers.watch(KEY, spec().model_copy(update={"prometheus": "fast"}), Trial(50.0, NOW - 600))
    task = asyncio.create_task(samplers.run())
    await until(lambda: samplers.samples(KEY)["gate"].counts is not None)
    assert len(slow.asked) < 20
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_clock_that_was_ahead_and_went_back_costs_no_counts() -> None:
    trial = Trial(50.0, NOW - 3600)
    async with running(stored(), trial) as bench:
        await until(lambda: at_the_end(bench))
        right = bench.counts
        bench.now = NOW + 7200
        bench.look()
        await until(lambda: at_the_end(bench))
        bench.now = NOW
        bench.samplers.watch(KEY, spec(), trial)
        await until(lambda: bench.samples.counts is not None and at_the_end(bench) and bench.counts.until <= NOW)
        assert bench.counts == right
