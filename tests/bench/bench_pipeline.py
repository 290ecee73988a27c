"""How many requests a second go from the broker through the orchestrator and two solvers back to the broker.

A broker (kfake) and one orchestrator with two solver processes, each a process of its own. The requests are two thirds
reasoning puzzles (ProofWriter, ProntoQA: 15 to 20 sentences of facts and rules) and one third chunks of the search
service's corpus (1 to 3 sentences against 7 facts), every text another one.

Throughput: all requests lie in the broker before the orchestrator starts; counted from the first tenth of the answers
to the last one, by the answers in the broker. CPU: user and system time of each process in that window, per answer; it
says what the wall clock does not while other work holds the cores: two cores have 4 ms for each of 500 messages a
second. Other work makes this time longer too (caches, hyper-threads), so the best 500 answers in a row stand beside it.
Latency beside queueing: one request at a time, sent when the answer before has arrived, from the call that sends it to
the answer in a consumer, so with both ways through the broker but without any queue. Latency under load: the same with
random arrivals (Poisson) at half the bar.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench import report
from tests.bench.proc import children, cpu_nanoseconds, peak_mib
from tests.bench.puzzles import rows_of
from tests.bench.report import Figure, percentile, say
from tests.support.flags import LIVE, ROLLOUT, Operator, a_document, free_ports
from tests.support.pipeline import Program, a_broker, a_program, a_request
from tests.support.waiting import wait_until
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.events import Topic, VerifyChunk
from veriramp_search.corpus import shipped

REQUESTS: Final = int(os.environ.get("VERIRAMP_BENCH_REQUESTS", "10000"))
WINDOW: Final = 500
SINGLE: Final = 1_000
PACED: Final = 3_000
RATE: Final = 250.0
SOLVERS: Final = 2
CONCURRENCY: Final = 64
SECONDS: Final = 600.0
PARTS: Final = ("broker", "orchestrator", "solvers")


@dataclass(frozen=True)
class Text:
    """A claim and what it is judged against."""

    claim: str
    premises: tuple[str, ...]


def texts() -> Iterator[Text]:
    """Endless different texts, one of each kind after the other."""
    kinds = [list(_puzzles(name)) for name in ("proofwriter", "prontoqa")]
    corpus = shipped()
    kinds.append([Text(one.text, corpus.references.get(one.topic, ())) for one in corpus.documents])
    turns = [cycle(kind) for kind in kinds if kind]
    for number in range(10**9):
        yield _renamed(next(turns[number % len(turns)]), number)


def _puzzles(name: str) -> Iterator[Text]:
    for row in rows_of(name):
        yield Text(row["claim"], (row["premises"],))


_GRAMMAR: Final = re.compile(
    r"a|an|the|is|are|not|no|every|each|all|if|then|and|or|something|someone|it|they|things?|people|do|does|has|have|in|of"
    r"|\w+s|like|see|need|eat|chase|visit|was|built|before|after|on|by|at|least|most|more|than|less|fewer|exactly|with|may"
    r"|km|be|owner|length|height|depth|width|weight|metres|long|tall|deep|wide|older|say|discovered|founded|\d+"
)


def _renamed(text: Text, number: int) -> Text:
    """The same text in other words, so that no cache and no repeated sentence saves any work."""

    def other(found: re.Match[str]) -> str:
        word = found[0]
        if _GRAMMAR.fullmatch(word.lower()) and not word.lower().endswith("us") and not word.lower().endswith("uses"):
            return word
        return f"{'Q' if word[0].isupper() else 'q'}{number}{word.lower()}"

    claim, *premises = (re.sub(r"\w+", other, one) for one in (text.claim, *text.premises))
    return Text(claim, tuple(premises))


class Stand:
    """A broker, a flag server and one orchestrator."""

    def __init__(self, brokers: str, folder: Path, flags_url: str) -> None:
        self.brokers = brokers
        self._folder = folder
        self._flags_url = flags_url
        (self.broker_pid,) = children(os.getpid())

    @asynccontextmanager
    async def orchestrator(self) -> AsyncIterator[Program]:
        """The worker, ready."""
        env = {
            "VERIRAMP_BROKERS": self.brokers,
            "VERIRAMP_FLAGS_URL": self._flags_url,
            "VERIRAMP_ROLLOUT": ROLLOUT,
            "VERIRAMP_FLAG_KEY": "verification",
            "VERIRAMP_SOLVERS": str(SOLVERS),
        }
        async with a_program("veriramp_workers.main", "orchestrator", folder=self._folder, env=env) as program:
            yield program

    def cpu(self, program: Program) -> dict[str, float]:
        """CPU seconds used so far by each part."""
        worker = program.process.pid
        solvers = sum(map(cpu_nanoseconds, children(worker)))
        used = (cpu_nanoseconds(self.broker_pid), cpu_nanoseconds(worker), solvers)
        return {part: nanoseconds / 1e9 for part, nanoseconds in zip(PARTS, used, strict=True)}


@asynccontextmanager
async def a_stand() -> AsyncIterator[Stand]:
    """Everything that runs through the whole bench."""
    with tempfile.TemporaryDirectory() as name, a_broker(Path(name)) as brokers:
        async with FlagServer(free_ports()) as server:
            settings = {"orchestrator": {"maxConcurrentVerifications": CONCURRENCY}}
            operator = Operator(server)
            operator.publish(a_document(revision=1, vector=LIVE, worker_settings=settings))
            operator.renew()
            yield Stand(brokers, Path(name), f"127.0.0.1:{server.grpc_port}")


def a_message(text: Text, number: int) -> VerifyChunk:
    """The request about one text."""
    return a_request(text.claim, *text.premises, document=f"document-{number}")


@dataclass(frozen=True)
class Point:
    """How far the work was at a moment: answers, seconds by the clock, CPU seconds of each part."""

    answers: int
    at: float
    cpu: Mapping[str, float]

    def since(self, other: Point) -> dict[str, float]:
        """CPU milliseconds of each part for one answer since another moment."""
        answers = self.answers - other.answers
        return {part: 1000 * (self.cpu[part] - other.cpu[part]) / answers for part in PARTS}


async def throughput(stand: Stand, requests: Sequence[VerifyChunk]) -> list[Figure]:
    """Work off a backlog."""
    async with AIOKafkaProducer(bootstrap_servers=stand.brokers, linger_ms=5) as producer:
        for request in requests:
            await producer.send(Topic.INTERACTIVE, value=request.to_bytes(), key=request.key())
        await producer.flush()
    say(f"{len(requests)} requests lie in the broker")
    async with stand.orchestrator() as program, _answers(stand) as consumer:
        points = await _points(stand, program, consumer, len(requests))
        pids = {"orchestrator": {program.process.pid}, "solvers": children(program.process.pid)}
        peaks = {part: max(peak_mib(pid) for pid in found) for part, found in pids.items()}
        verdicts = await _verdicts(consumer, requests)
    say(f"verdicts: {dict(verdicts)}")
    first, last = points[0], points[-1]
    used = last.since(first)
    quiet = min((late.since(early) for early, late in pairwise(points)), key=lambda cpu: sum(cpu.values()))
    rate = (last.answers - first.answers) / (last.at - first.at)
    return [
        report.at_least("throughput by the wall clock", rate, "messages/s", 500),
        report.at_most("CPU per message, all parts", sum(used.values()), "ms", 4.0),
        *(report.stated(f"  of it {part}", used[part], "ms") for part in PARTS),
        report.stated(f"CPU per message, the best {WINDOW} in a row", sum(quiet.values()), "ms"),
        *(report.stated(f"  of it {part} there", quiet[part], "ms") for part in PARTS),
        *(report.stated(f"peak memory, {part}", peak, "MiB") for part, peak in peaks.items()),
        report.stated("messages with a verdict", sum(verdicts.values()), "messages"),
    ]


async def _points(stand: Stand, program: Program, consumer: AIOKafkaConsumer, count: int) -> list[Point]:
    """Look each time that so many more answers are there, from the first tenth on."""
    partitions = [TopicPartition(Topic.COMPLETE, number) for number in range(3)]
    points: list[Point] = []
    wanted = count // 10

    async def done() -> bool:
        nonlocal wanted
        answers: int = sum((await consumer.end_offsets(partitions)).values())
        if answers >= wanted:
            points.append(Point(answers, time.monotonic(), stand.cpu(program)))
            wanted = min(count, answers + WINDOW)
        return answers >= count

    await wait_until(done, SECONDS, f"{count} answers")
    return points


@asynccontextmanager
async def _answers(stand: Stand) -> AsyncIterator[AIOKafkaConsumer]:
    async with AIOKafkaConsumer(
        Topic.COMPLETE, bootstrap_servers=stand.brokers, auto_offset_reset="earliest"
    ) as consumer:
        yield consumer


async def _verdicts(consumer: AIOKafkaConsumer, requests: Sequence[VerifyChunk]) -> Counter[str]:
    """The verdicts of the answers; fails when a request has none or two."""
    found: dict[str, str] = {}
    await consumer.seek_to_beginning()
    while len(found) < len(requests):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                event = json.loads(record.value)
                assert event["chunk_key"] not in found, f"answered twice: {event['chunk_key']}"
                found[event["chunk_key"]] = event["verdict"]
    assert found.keys() == {request.chunk_key for request in requests}
    return Counter(found.values())


async def latencies(stand: Stand, single: Iterator[VerifyChunk], paced: Iterator[VerifyChunk]) -> list[Figure]:
    """One request at a time, then random arrivals."""
    async with stand.orchestrator(), Exchange(stand) as exchange:
        for request in islice(single, 100):
            await exchange.ask(request)
        say("warm; one request at a time")
        alone = [await exchange.ask(request) for request in islice(single, SINGLE)]
        say("random arrivals")
        draw, clock = random.Random(5), asyncio.get_running_loop().time
        asked, at = [], clock()
        for request in islice(paced, PACED):
            at += draw.expovariate(RATE)
            await asyncio.sleep(at - clock())
            asked.append(asyncio.create_task(exchange.ask(request)))
        loaded = await asyncio.gather(*asked)
    return [
        report.stated("latency beside queueing, p50", 1000 * percentile(alone, 0.5), "ms"),
        report.at_most("latency beside queueing, p99", 1000 * percentile(alone, 0.99), "ms", 50),
        report.stated(f"latency at {RATE:g} messages/s, p50", 1000 * percentile(loaded, 0.5), "ms"),
        report.stated(f"latency at {RATE:g} messages/s, p99", 1000 * percentile(loaded, 0.99), "ms"),
    ]


class Exchange:
    """Sends requests and hands each answer to who waits for it."""

    def __init__(self, stand: Stand) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=stand.brokers)
        self._consumer = AIOKafkaConsumer(
            Topic.COMPLETE, bootstrap_servers=stand.brokers, auto_offset_reset="latest", metadata_max_age_ms=3_600_000
        )
        self._waiting: dict[bytes, asyncio.Future[float]] = {}
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        await self._consumer.seek_to_end()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)  # the end is looked up now and not after the first answer
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await self._consumer.stop()
        await self._producer.stop()

    async def ask(self, request: VerifyChunk) -> float:
        """Seconds from sending the request to its answer."""
        answer = self._waiting[request.key()] = asyncio.get_running_loop().create_future()
        before = time.monotonic()
        await self._producer.send(Topic.INTERACTIVE, value=request.to_bytes(), key=request.key())
        async with asyncio.timeout(SECONDS):
            arrived: float = await answer
        return arrived - before

    async def _read(self) -> None:
        async for record in self._consumer:
            waiting = self._waiting.pop(record.key, None)
            if waiting is not None:
                waiting.set_result(time.monotonic())


async def measure() -> list[Figure]:
    """Every figure."""
    messages = (a_message(text, number) for number, text in enumerate(texts()))
    async with a_stand() as stand:
        figures = await throughput(stand, list(islice(messages, REQUESTS)))
        return figures + await latencies(stand, messages, messages)


def main() -> None:
    """Measure and write build/bench/pipeline.json."""
    figures = asyncio.run(measure())
    settings = {
        "requests": REQUESTS,
        "requests one at a time": SINGLE,
        "requests at random": PACED,
        "solver processes": SOLVERS,
        "verifications at once": CONCURRENCY,
    }
    report.write("pipeline", figures, settings)


if __name__ == "__main__":
    main()
