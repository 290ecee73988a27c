"""Does the pipeline leak, lose or repeat when it runs for long: `python -m tests.bench.bench_soak --minutes 75`.

A real Kafka, a flag server, and orchestrators with the embedded verifier and one SQLite store with a budget. Requests
come at a steady rate, half of them with a text that was sent before. What happens, in shares of the time: at .20 a
second worker joins; at .30 and .80 every twentieth new text takes a solver about a second, for .03; at .40 the flags go
Off, for .02; at .50 and .70 Kafka is killed (SIGKILL) and started again after 20 s; at .60 the second worker gets
SIGTERM under load, and another one takes its place. At the end all is answered and committed, then SIGTERM for both.

RSS, solvers, open files, threads, lag, the store's file and its WAL are read every few seconds, and written to
`build/bench/soak-samples.jsonl` at once. The slope is the median over all pairs of samples of the first worker, which
lives through everything, after the warm-up: the first third, and again for the last third alone; a run of minutes, the
default, only shows that all is answered, its slopes say nothing. *Answered twice* are records beyond the first of a
request, all with the same event id: a kill of Kafka may cause some.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.bench import report
from tests.bench.report import Figure, at_most, say, stated
from tests.bench.traffic import Answers, Traffic, answers_of
from tests.bench.watch import Sample, Watch, hold, slope
from tests.support.flags import LIVE, OFF, ROLLOUT, Operator, a_document, free_ports, obeyed
from tests.support.ledger import GROUP
from tests.support.pipeline import Program, an_orchestrator, fresh_topics, topics_of
from tests.support.waiting import wait_until
from tools.kafka.cluster import Kafka, a_kafka
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.events import Topic

SAMPLES: Final = report.FOLDER / "soak-samples.jsonl"
SEED: Final = 20_261_121
BROKER_AWAY_SECONDS: Final = 20.0
HARD: Final = 0.05
WARM: Final = 1 / 3
PATIENCE: Final = 900.0
SIGTERM_SECONDS: Final = 25.0
FIRST: Final = "first"


@dataclass
class Soak:
    """Everything that runs, and what is noted on the way."""

    kafka: Kafka
    operator: Operator
    env: dict[str, str]
    folder: Path
    seconds: float
    traffic: Traffic
    answers: Answers
    watch: Watch
    stack: AsyncExitStack
    began: float = field(default_factory=time.monotonic)
    drains: list[float] = field(default_factory=list)
    backlog: list[tuple[float, int]] = field(default_factory=list)
    files: list[tuple[float, float]] = field(default_factory=list)
    _revision: int = 1

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    async def start(self, name: str) -> None:
        """Start a worker and watch it."""
        say(f"{name} worker starts")
        program = await self.stack.enter_async_context(an_orchestrator(self.folder, self.env))
        self.watch.workers[name] = program

    async def stop(self, name: str) -> None:
        """SIGTERM; its time is noted, a wrong exit code ends the bench."""
        program: Program = self.watch.workers.pop(name)
        before = time.monotonic()
        code = await program.stop()
        self.drains.append(time.monotonic() - before)
        say(f"{name} worker ended {self.drains[-1]:.2f} s after SIGTERM")
        assert code == 0, f"exit code {code}; see {program.log}"

    async def replace(self) -> None:
        """The second worker goes under load, a third one comes."""
        await self.stop("second")
        await self.start("third")

    async def off(self) -> None:
        """Flags Off for a while."""
        self._publish(OFF)
        await asyncio.sleep(0.02 * self.seconds)
        self._publish(LIVE)

    async def hard(self) -> None:
        """Texts that keep solvers busy, for a while."""
        self.traffic.hard = HARD
        await asyncio.sleep(0.03 * self.seconds)
        self.traffic.hard = 0.0

    async def broker(self) -> None:
        """Kafka is killed and comes back."""
        self.kafka.nodes[0].kill()
        await asyncio.sleep(BROKER_AWAY_SECONDS)
        self.kafka.nodes[0].start()
        await asyncio.to_thread(self.kafka.wait)

    def _publish(self, vector: Any) -> None:
        self._revision += 1
        self.operator.publish(a_document(revision=self._revision, vector=vector))

    async def events(self) -> None:
        """Let everything happen in its time."""
        acts: Sequence[tuple[float, str, Callable[[], Coroutine[Any, Any, None]]]] = (
            (0.2, "a second worker joins", lambda: self.start("second")),
            (0.3, "hard texts", self.hard),
            (0.4, "flags Off", self.off),
            (0.5, "Kafka is killed", self.broker),
            (0.6, "SIGTERM for the second worker", self.replace),
            (0.7, "Kafka is killed again", self.broker),
            (0.8, "hard texts again", self.hard),
        )
        for share, what, act in acts:
            await asyncio.sleep(share * self.seconds - self.now)
            say(f"{what}; {self._state()}")
            await act()
            say(f"that was it; {self._state()}")

    async def look(self, every: float) -> None:
        """Sample again and again."""
        store = self.folder / "store.db"
        async with httpx.AsyncClient(timeout=2) as client:
            while True:
                sizes = [_mib(store), _mib(store.with_name("store.db-wal"))]
                self.backlog.append((self.now, len(self.traffic.sent) - len(self.answers.keys)))
                self.files.append((sizes[0], sizes[1]))
                more = {"store": sizes[0], "wal": sizes[1], "backlog": self.backlog[-1][1]}
                await self.watch.look(self.now, client, more)
                await asyncio.sleep(every)

    async def settle(self) -> None:
        """Wait for every answer and every commit."""

        async def answered() -> bool:
            return self.answers.keys.keys() >= self.traffic.sent

        await wait_until(answered, PATIENCE, f"all answers; see {self.folder}")
        async with topics_of(self.kafka.bootstrap) as topics:

            async def committed() -> bool:
                done = sum((await topics.committed(GROUP, Topic.INTERACTIVE)).values())
                return done >= len(self.traffic.sent)

            await wait_until(committed, PATIENCE, "all commits")

    def _state(self) -> str:
        return f"sent {len(self.traffic.sent)}, answered {len(self.answers.keys)}, repeated {self.answers.repeated}"


@asynccontextmanager
async def a_soak(seconds: float, rate: float) -> AsyncIterator[Soak]:
    """Kafka, flags, traffic and the account of answers; no worker yet."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="veriramp-soak-")))
        kafka = stack.enter_context(a_kafka(folder))
        await fresh_topics(kafka.bootstrap)
        server = await stack.enter_async_context(FlagServer(free_ports()))
        operator = await stack.enter_async_context(obeyed(Operator(server), a_document(revision=1, vector=LIVE)))
        env = {
            "VERIRAMP_BROKERS": kafka.bootstrap,
            "VERIRAMP_FLAGS_URL": f"127.0.0.1:{server.grpc_port}",
            "VERIRAMP_ROLLOUT": ROLLOUT,
            "VERIRAMP_FLAG_KEY": "verification",
            "VERIRAMP_STORE_URL": f"sqlite://{folder}/store.db",
            "VERIRAMP_BUDGET_PER_DAY": "100000000",
            "VERIRAMP_BUDGET_AT_ONCE": "1",
        }
        answers = await stack.enter_async_context(answers_of(kafka.bootstrap))
        traffic = Traffic(kafka.bootstrap, rate, SEED)
        watch = Watch(stack.enter_context(SAMPLES.open("w", encoding="utf-8")))
        yield Soak(kafka, operator, env, folder, seconds, traffic, answers, watch, stack)


async def measure(seconds: float, rate: float, every: float) -> list[Figure]:
    """Run everything; the figures."""
    async with a_soak(seconds, rate) as soak:
        await soak.start(FIRST)
        soak.began = time.monotonic()
        async with hold(asyncio.create_task(soak.look(every))):
            await asyncio.gather(soak.traffic.send(seconds), soak.events())
            say("no more requests")
            await soak.settle()
        for name in tuple(soak.watch.workers):
            await soak.stop(name)
    return [*_account(soak), *_growth(soak), *_course(soak)]


def _account(soak: Soak) -> list[Figure]:
    answers, sent = soak.answers, soak.traffic.sent
    return [
        stated("requests sent", len(sent), ""),
        at_most("requests without an answer", len(sent - answers.keys.keys()), "", 0),
        at_most("answers to no request", len(answers.keys.keys() - sent), "", 0),
        at_most("requests with two different answers", answers.contradictions, "", 0),
        at_most(
            "dead letters and failures", answers.records[Topic.DEAD_LETTERS] + answers.records[Topic.FAILED], "", 0
        ),
        stated("answered twice, with the same event id", answers.repeated, ""),
        stated("sent twice, because Kafka was away", soak.traffic.again, ""),
        stated("answers from the cache", 100 * answers.known / max(1, len(answers.keys)), "%"),
    ]


def _growth(soak: Soak) -> list[Figure]:
    warm = soak.watch.of(FIRST, WARM * soak.seconds, soak.seconds)
    late = soak.watch.of(FIRST, 2 * WARM * soak.seconds, soak.seconds)
    tenth = max(1, len(warm) // 10)
    figures = []
    for what, of in (("the first worker", _rss), ("its solvers, together", _solvers)):
        figures += [
            stated(f"RSS of {what}, after the warm-up", statistics.median(map(of, warm[:tenth])), "MiB"),
            stated(f"RSS of {what}, at the end", statistics.median(map(of, warm[-tenth:])), "MiB"),
            stated(f"RSS of {what}, most", max(map(of, soak.watch.of(FIRST))), "MiB"),
            stated(f"RSS of {what}, slope", _hourly(warm, of), "MiB/h"),
            stated(f"RSS of {what}, slope of the last third", _hourly(late, of), "MiB/h"),
        ]
    for what, values in (
        ("open files", [sample.files for sample in warm]),
        ("threads", [sample.threads for sample in warm]),
    ):
        figures += [stated(f"{what}, fewest", min(values), ""), stated(f"{what}, most", max(values), "")]
        figures += [stated(f"{what}, at the end", values[-1], "")]
    return figures


def _course(soak: Soak) -> list[Figure]:
    lags = [sample.lag for sample in soak.watch.of(FIRST) if not math.isnan(sample.lag)]
    waiting = [count for _, count in soak.backlog]
    return [
        stated("unanswered requests, p50", statistics.median(waiting), ""),
        stated("unanswered requests, most", max(waiting), ""),
        stated("lag of the first worker, p50", statistics.median(lags), ""),
        stated("store, at the end", soak.files[-1][0], "MiB"),
        stated("its WAL, most", max(wal for _, wal in soak.files), "MiB"),
        at_most("from SIGTERM under load to the end of the process", soak.drains[0], "s", SIGTERM_SECONDS),
        at_most("from SIGTERM without load, longest", max(soak.drains[1:]), "s", SIGTERM_SECONDS),
    ]


def _rss(sample: Sample) -> float:
    return sample.rss


def _solvers(sample: Sample) -> float:
    return sum(sample.solvers)


def _hourly(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return slope([(sample.at / 3600, of(sample)) for sample in samples])


def _mib(path: Path) -> float:
    try:
        return path.stat().st_size / 2**20
    except FileNotFoundError:
        return 0.0


def main() -> None:
    """Measure and write build/bench/soak.json."""
    parser = argparse.ArgumentParser(description="Run the pipeline for long and look for leaks.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long requests are sent (5)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second (20)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples (5)")
    told = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # Kafka is away on purpose
    figures = asyncio.run(measure(60 * told.minutes, told.rate, told.every))
    settings = {
        "requests": f"{told.rate:g} a second for {told.minutes:g} minutes, seed {SEED}",
        "solver processes": "2 for each worker",
        "samples": f"every {told.every:g} s",
    }
    report.write("soak", figures, settings)


if __name__ == "__main__":
    main()
