"""A verifier over HTTP that is away for long: `python -m tests.bench.bench_outage --minutes 60`.

A real Kafka, a flag server, a verifier's service that answers after 20 to 100 ms, and one orchestrator with an SQLite
store. Requests come at a steady rate before, through and after the outage, half of them with a text that was sent
before. The outage: nothing listens at the service's port. It counts from the moment at which the breaker has opened and
what was in work has ended, to the moment at which the service listens again. Meanwhile: results of any kind, but for
verdicts that were in the cache; offsets that were committed; the RSS of the worker. Afterwards the backlog is worked
off.

A verdict that is known is still published: each time that the breaker lets a probe through, some requests are looked at
again. Requests that were being asked when the breaker opened wait in a retry topic, all others stay where they are.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench import report
from tests.bench.report import Figure, at_least, at_most, say, stated
from tests.bench.traffic import Answers, Traffic, answers_of
from tests.bench.watch import Watch, hold, slope
from tests.support import faulty_verifier as faulty
from tests.support.faulty_verifier import Act, a_faulty_verifier, answer
from tests.support.flags import LIVE, ROLLOUT, Operator, a_document, free_ports, obeyed
from tests.support.ledger import GROUP
from tests.support.pipeline import Program, Topics, an_orchestrator, free_port, fresh_topics, topics_of
from tests.support.waiting import wait_until
from tools.kafka.cluster import a_kafka
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.events import Topic

SAMPLES: Final = report.FOLDER / "outage-samples.jsonl"
SEED: Final = 20_261_122
EVERY: Final = 5.0
PATIENCE: Final = 900.0
RETRIES: Final = (Topic.RETRY_SOON, Topic.RETRY_LATE)


@dataclass
class Stand:
    """What runs."""

    brokers: str
    port: int
    traffic: Traffic
    answers: Answers
    topics: Topics
    worker: Program
    watch: Watch
    began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    async def look(self) -> None:
        """Sample again and again."""
        async with httpx.AsyncClient(timeout=2) as client:
            while True:
                await self.watch.look(self.now, client, {"backlog": self.waiting, "results": self.results})
                await asyncio.sleep(EVERY)

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self.traffic.sent) - len(self.answers.keys)

    @property
    def results(self) -> int:
        """Answers that were not in the cache, failures and dead letters."""
        return self.answers.records.total() - self.answers.known

    async def done(self) -> int:
        """Records of the requests' topic that are committed."""
        return sum((await self.topics.committed(GROUP, Topic.INTERACTIVE)).values())

    async def paused(self, value: float) -> None:
        """Wait until the breaker's pause is there, or gone."""

        async def is_so() -> bool:
            return await self.worker.metric("veriramp_bus_paused", reason="breaker") == value

        await wait_until(is_so, PATIENCE, f"the breaker's pause to be {value:g}; see {self.worker.log}")

    async def quiet(self) -> None:
        """Wait until nothing is in work and nothing came for a while."""

        async def is_so() -> bool:
            idle = await self.worker.metric("veriramp_bus_paused", reason="breaker") == 1
            return idle and time.monotonic() - self.answers.last > EVERY

        await wait_until(is_so, PATIENCE, f"what was in work to end; see {self.worker.log}")


@asynccontextmanager
async def a_stand(rate: float) -> AsyncIterator[Stand]:
    """Kafka, flags, one worker and the account of answers; no verifier yet."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="veriramp-outage-")))
        brokers = stack.enter_context(a_kafka(folder)).bootstrap
        await fresh_topics(brokers)
        server = await stack.enter_async_context(FlagServer(free_ports()))
        await stack.enter_async_context(obeyed(Operator(server), a_document(revision=1, vector=LIVE)))
        port = free_port()
        env = {
            "VERIRAMP_BROKERS": brokers,
            "VERIRAMP_FLAGS_URL": f"127.0.0.1:{server.grpc_port}",
            "VERIRAMP_ROLLOUT": ROLLOUT,
            "VERIRAMP_FLAG_KEY": "verification",
            "VERIRAMP_STORE_URL": f"sqlite://{folder}/store.db",
            "VERIRAMP_BUDGET_PER_DAY": "100000000",
            "VERIRAMP_BUDGET_AT_ONCE": "1",
            "VERIRAMP_VERIFIER_URL": f"http://127.0.0.1:{port}",
        }
        answers = await stack.enter_async_context(answers_of(brokers))
        topics = await stack.enter_async_context(topics_of(brokers))
        worker = await stack.enter_async_context(an_orchestrator(folder, env))
        watch = Watch(stack.enter_context(SAMPLES.open("w", encoding="utf-8")), {"worker": worker})
        yield Stand(brokers, port, Traffic(brokers, rate, SEED), answers, topics, worker, watch)


@asynccontextmanager
async def a_verifier(port: int) -> AsyncIterator[None]:
    """The service: every text is consistent, after 20 to 100 ms."""
    draw = random.Random(SEED)

    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(draw.uniform(0.02, 0.1))
        await answer(faulty.SAT)(writer)

    def choose(path: str, _body: Any) -> Act:
        return answer({"status": "healthy"}) if path == "/health" else slow

    async with a_faulty_verifier(choose=choose, port=port):
        yield


async def measure(minutes: float, around: float, rate: float) -> list[Figure]:
    """The time before, the outage, the time after; the figures."""
    async with a_stand(rate) as stand, hold(asyncio.create_task(stand.look())):
        sending = asyncio.create_task(stand.traffic.send(60 * (minutes + 2 * around)))
        async with hold(sending):
            async with a_verifier(stand.port):
                say("the verifier answers")
                await asyncio.sleep(60 * around)
            say(f"the verifier is away; {stand.waiting} wait")
            away, figures = time.monotonic(), await _outage(stand, 60 * minutes)
            async with a_verifier(stand.port):
                say(f"it is back; {stand.waiting} wait")
                figures += await _after(stand, sending)
            say(f"{time.monotonic() - away:.0f} s since it went")
        assert await stand.worker.stop() == 0
    return figures


async def _outage(stand: Stand, seconds: float) -> list[Figure]:
    before = time.monotonic()
    await stand.paused(1)
    opened = time.monotonic() - before
    await stand.quiet()
    results, known, start = stand.results, stand.answers.known, stand.now
    say(f"the breaker is open, nothing is in work; {stand.waiting} wait")
    await asyncio.sleep(seconds - (time.monotonic() - before))
    rss = [(sample.at / 3600, sample.rss) for sample in stand.watch.of("worker", start)]
    retried = sum([await _records(stand, topic) for topic in RETRIES])
    unaccounted = max(0, await stand.done() - len(stand.answers.keys) - retried)
    return [
        stated("the verifier is away for", (time.monotonic() - before) / 60, "min"),
        stated("until the breaker was open", opened, "s"),
        at_most("results while it was away, but for the cache", stand.results - results, "", 0),
        stated("verdicts from the cache while it was away", stand.answers.known - known, ""),
        at_most("offsets committed without an answer or a retry", unaccounted, "", 0),
        stated("requests in the retry topics", retried, ""),
        at_least("readiness of the worker at the end of it", float(await stand.worker.ready()), "", 1),
        stated("requests that wait at the end of it", stand.waiting, ""),
        stated("RSS of the worker meanwhile, slope", slope(rss), "MiB/h"),
        stated("RSS of the worker meanwhile, most", max(size for _, size in rss), "MiB"),
    ]


async def _records(stand: Stand, topic: str) -> int:
    """How many records a topic has had."""

    async with AIOKafkaConsumer(bootstrap_servers=stand.brokers) as consumer:
        return sum((await consumer.end_offsets([TopicPartition(topic, number) for number in range(3)])).values())


async def _after(stand: Stand, sending: asyncio.Task[None]) -> list[Figure]:
    before = time.monotonic()
    results = stand.results

    async def first() -> bool:
        return stand.results > results

    await wait_until(first, PATIENCE, f"the first answer; see {stand.worker.log}")
    resumed = time.monotonic() - before

    async def few() -> bool:
        return stand.waiting <= max(10, stand.traffic.rate)

    await wait_until(few, PATIENCE, f"the backlog to be gone; see {stand.worker.log}")
    drained = time.monotonic() - before
    say(f"first answer after {resumed:.1f} s, backlog gone after {drained:.1f} s")
    await sending
    return [
        stated("from its return to the first answer (the breaker is open for 60 to 66 s)", resumed, "s"),
        stated("from its return to the end of the backlog", drained, "s"),
        *await _account(stand),
    ]


async def _account(stand: Stand) -> list[Figure]:
    answers, sent = stand.answers, stand.traffic.sent

    async def answered() -> bool:
        return answers.keys.keys() >= sent

    await wait_until(answered, PATIENCE, f"all answers; see {stand.worker.log}")

    async def committed() -> bool:
        return await stand.done() >= len(sent)

    await wait_until(committed, PATIENCE, "all commits")
    given_up = answers.records[Topic.FAILED] + answers.records[Topic.DEAD_LETTERS]
    return [
        stated("requests sent", len(sent), ""),
        at_most("requests without an answer", len(sent - answers.keys.keys()), "", 0),
        at_most("answered twice", answers.repeated, "", 0),
        at_most("requests given up (failed, dead letters)", given_up, "", 0),
        stated("RSS of the worker, most", max(sample.rss for sample in stand.watch.of("worker")), "MiB"),
    ]


def main() -> None:
    """Measure and write build/bench/outage.json."""
    parser = argparse.ArgumentParser(description="Let the verifier be away for long.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long it is away (2)")
    parser.add_argument("--around", type=float, default=1.0, help="minutes before and after it (1)")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second (5)")
    told = parser.parse_args()
    figures = asyncio.run(measure(told.minutes, told.around, told.rate))
    settings = {
        "requests": f"{told.rate:g} a second, seed {SEED}",
        "before and after the outage": f"{told.around:g} minutes each",
        "verifications at once": 10,
        "breaker": "5 failures in a row, open for 60 to 66 s",
    }
    report.write("outage", figures, settings)


if __name__ == "__main__":
    main()
