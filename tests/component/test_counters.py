"""Treatment against control on counters that a real Prometheus scrapes from processes that restart and vanish."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from tests.support.evidence import comparison_gate
from tests.support.flags import LIVE, a_document
from tests.support.pipeline import free_port
from tests.support.prometheus import scraping
from tests.support.waiting import wait_until
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import judge
from veriramp_operator.evidence.ratio import sample_ratio
from veriramp_operator.evidence.types import Counts, Samples, Trial, Verdict
from veriramp_operator.resources.flags import stamp
from veriramp_operator.sources.prometheus import PrometheusEndpoint
from veriramp_operator.sources.samplers import Samplers
from veriramp_sdk.arms import ArmMetrics, search_metrics_of
from veriramp_sdk.contract import Arm
from veriramp_sdk.document import read_document
from veriramp_sdk.evaluation import Evaluator

KEY = ("search", "demo")
SCRAPE = 0.25
PERCENT = 50.0
DEADLINE = 60.0
GATE = comparison_gate(
    events="veriramp_search_errors_total", total="veriramp_search_requests_total", tolerance=0.5, every="1s"
)
SPEC = RolloutSpec.model_validate({"stages": [{"name": "s", "mode": "Shadow"}]}).model_copy(update={"gates": (GATE,)})


@dataclass
class Pod:
    """A search process with the SDK's own evaluation and metrics; it keeps its port when it restarts."""

    port: int = field(default_factory=free_port)

    def start(self) -> None:
        registry = CollectorRegistry()
        evaluator = Evaluator("verification")
        document = a_document(vector=LIVE.model_copy(update={"canary_percent": PERCENT}), include=(), exclude=())
        assert evaluator.apply(read_document(stamp(document, 2**40), "verification"))
        self._evaluator = evaluator
        self._arms = ArmMetrics(search_metrics_of(registry), *KEY, occupied=evaluator.occupied)
        self._server, self._thread = start_http_server(self.port, addr="127.0.0.1", registry=registry)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, user: int, shares: dict[Arm, float], chance: float) -> Arm:
        arm = self._evaluator.decide(f"user-{user}", "q").arm
        self._arms.observe(arm, 0.01, error=chance < shares[arm])
        return arm


@dataclass
class Site:
    """Pods under load; ``shares``: errors per request of each arm; ``served``: requests by arm."""

    url: str
    pods: list[Pod]
    shares: dict[Arm, float]
    served: dict[Arm, int]

    async def load(self) -> None:
        rng = random.Random(4)
        while True:
            for pod in self.pods:
                for _ in range(20):
                    self.served[pod.serve(rng.randrange(3000), self.shares, rng.random())] += 1
            await asyncio.sleep(0.01)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    pods = [Pod(), Pod()]
    for pod in pods:
        pod.start()
    shares = dict.fromkeys((Arm.TREATMENT, Arm.CONTROL), 0.05)
    ready = 'count(veriramp_search_requests_total{arm="treatment"}) == 2'
    ports = [pod.port for pod in pods]
    with scraping(tmp_path, CollectorRegistry(), ready=ready, interval="250ms", ports=ports) as url:
        yield Site(url, pods, shares, dict.fromkeys(shares, 0))
    for pod in pods:
        with suppress(OSError):
            pod.stop()


class Watcher:
    """The samplers of an operator, and what they make of the site."""

    def __init__(self, samplers: Samplers, trial: Trial) -> None:
        self.samplers, self.trial = samplers, trial

    @property
    def samples(self) -> Samples:
        return self.samplers.samples(KEY)["gate"]

    @property
    def counts(self) -> Counts:
        return self.samples.counts or Counts(0.0, 0.0)

    @property
    def verdict(self) -> Verdict:
        return judge(GATE, self.samples, time.time(), None, self.trial)

    async def says(self, *kinds: VerdictKind) -> Verdict:
        async def right() -> Verdict | None:
            verdict = self.verdict
            return verdict if verdict.kind in kinds else None

        found = await wait_until(right, DEADLINE, f"{kinds}")
        assert found is not None
        return found

    async def has_counted(self, requests: float) -> None:
        """Wait until the treatment has more than so many requests."""

        async def enough() -> bool:
            return sum(self.counts.treatment_total) > requests

        await wait_until(enough, DEADLINE, f"{requests:.0f} requests of the treatment")

    async def counted(self, intervals: int) -> None:
        async def enough() -> bool:
            return len(self.counts.at) >= intervals

        await wait_until(enough, DEADLINE, f"{intervals} intervals")


@asynccontextmanager
async def watching(site: Site, trial: Trial) -> AsyncIterator[Watcher]:
    endpoint = PrometheusEndpoint(site.url, scrape_interval=SCRAPE)
    samplers = Samplers({"default": endpoint}, lambda *_: None)
    samplers.watch(KEY, SPEC, trial)
    task = asyncio.create_task(samplers.run())
    try:
        yield Watcher(samplers, trial)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await endpoint.aclose()


@pytest.mark.shows("S1-AB-02")
async def test_two_arms_from_healthy_over_restarts_to_a_regression(site: Site) -> None:
    load = asyncio.create_task(site.load())
    began = time.time()
    async with watching(site, Trial(PERCENT, began, began, 3600.0)) as watcher:
        assert watcher.verdict.kind is VerdictKind.INCONCLUSIVE
        healthy = await watcher.says(VerdictKind.PASS)
        assert "surely within what is tolerated" in healthy.message
        assert sample_ratio(watcher.samples.occupied, PERCENT).kind is VerdictKind.PASS
        assert sample_ratio(watcher.samples.occupied, 40.0).kind is VerdictKind.REGRESSION

        restarted, vanishes = site.pods
        restarted.stop()
        restarted.start()
        await watcher.counted(len(watcher.counts.at) + 8)
        site.pods.remove(vanishes)
        vanishes.stop()
        await watcher.counted(len(watcher.counts.at) + 8)
        assert watcher.verdict.kind in (VerdictKind.PASS, VerdictKind.INCONCLUSIVE)
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await watcher.has_counted(0.7 * site.served[Arm.TREATMENT])
        assert sum(watcher.counts.treatment_total) <= site.served[Arm.TREATMENT]

        site.shares[Arm.TREATMENT] = 0.2
        load = asyncio.create_task(site.load())
        worse = await watcher.says(VerdictKind.REGRESSION)
        assert "in the treatment" in worse.message
        assert worse.breached_at is not None
        assert began <= worse.breached_at < time.time()

        async with watching(site, watcher.trial) as another:
            await another.counted(len(watcher.counts.at))
            assert another.verdict.kind is VerdictKind.REGRESSION

            async def agree() -> bool:
                until = min(watcher.counts.until, another.counts.until)
                return _up_to(another.counts, until) == _up_to(watcher.counts, until)

            # Who watched while a scrape was stored late has counted it one interval later.
            await wait_until(agree, DEADLINE, "both to have counted the same")
    load.cancel()


def _up_to(counts: Counts, until: float) -> tuple[float, ...]:
    """Intervals, their seconds, and the sums of what was counted in them."""
    columns = (counts.treatment_events, counts.treatment_total, counts.control_events, counts.control_total)
    rows = [row for row in zip(counts.at, counts.seconds, *columns, strict=True) if row[0] <= until]
    return len(rows), *(sum(column) for column in list(zip(*rows, strict=True))[1:])
