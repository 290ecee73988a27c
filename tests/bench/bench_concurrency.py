"""How many verifications a second the orchestrator makes with so many at once, and a verifier of fixed latency.

A broker (kfake), a flag server, one orchestrator, and a verifier's service that answers each question after the same
time and keeps its connections. For each `maxConcurrentVerifications` all requests lie in the broker before the worker
starts, spread over three partitions; and once more with all of them in one partition. Counted by the service, in a
window that begins when a fifth was asked and ends when a fifth is left: questions a second, and how many were with it
at once, the mean over time and the most. Little's law says in flight = rate x latency, so *the law's rate* is the
concurrency divided by the latency, and *used* the share of it that was reached: below 100 %, places were empty. CPU:
of the worker's process, for one message.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench import report
from tests.bench.proc import cpu_nanoseconds
from tests.bench.report import Figure, at_most, say, stated
from tests.support.faulty_verifier import SAT
from tests.support.flags import LIVE, ROLLOUT, Operator, a_document, free_ports, obeyed
from tests.support.ledger import GROUP
from tests.support.pipeline import a_broker, an_orchestrator, numbered, topics_of
from tests.support.waiting import wait_until
from veriramp_operator.flagserver.server import FlagServer
from veriramp_sdk.events import Topic

RUNS: Final = ((0.1, (1, 2, 5, 10, 20, 50)), (1.0, (50, 150)))
"""Latencies in seconds, and the concurrencies for each."""
SECONDS: Final = 12.0
"""How long a run would last at the law's rate."""
FASTEST: Final = 250.0
"""Requests a second that a run has at most, so that it does not last much longer where the law no longer holds."""
PATIENCE: Final = 300.0


@dataclass
class Meter:
    """How many are inside, and the integral of that over time."""

    inside: int = 0
    most: int = 0
    asked: int = 0
    area: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def step(self, change: int) -> None:
        """One came (1), or went (-1), or nothing (0)."""
        now = time.monotonic()
        self.area += self.inside * (now - self.at)
        self.at = now
        self.inside += change
        self.most = max(self.most, self.inside)
        self.asked += change == 1


@dataclass(frozen=True)
class Run:
    """What the service and the kernel counted in the window."""

    at_once: int
    rate: float
    mean: float
    most: int
    cpu_ms: float


@asynccontextmanager
async def a_verifier(latency: float, meter: Meter) -> AsyncIterator[str]:
    """A service that answers after so many seconds; yields its URL."""
    content = json.dumps(SAT).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(each.split(b":")[1]) for each in line.lower().split(b"\r\n") if b"-length:" in each)
                await reader.readexactly(length)
                meter.step(1)
                await asyncio.sleep(latency)
                meter.step(-1)
                writer.write(head + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the worker has closed it
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


async def one(at_once: int, *, one_partition: bool, latency: float) -> Run:
    """A backlog for one concurrency, in a broker of its own."""
    meter, count = Meter(), max(100, round(min(at_once / latency, FASTEST) * SECONDS))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        brokers = stack.enter_context(a_broker(folder))
        server = await stack.enter_async_context(FlagServer(free_ports()))
        settings = {"orchestrator": {"maxConcurrentVerifications": at_once}}
        document = a_document(revision=1, vector=LIVE, worker_settings=settings)
        await stack.enter_async_context(obeyed(Operator(server), document))
        topics = await stack.enter_async_context(topics_of(brokers))
        url = await stack.enter_async_context(a_verifier(latency, meter))
        key = b"one partition" if one_partition else None
        requests = numbered(count)
        await topics.send_all((Topic.INTERACTIVE, each.to_bytes(), key or each.key()) for each in requests)
        env = {
            "VERIRAMP_BROKERS": brokers,
            "VERIRAMP_FLAGS_URL": f"127.0.0.1:{server.grpc_port}",
            "VERIRAMP_ROLLOUT": ROLLOUT,
            "VERIRAMP_FLAG_KEY": "verification",
            "VERIRAMP_VERIFIER_URL": url,
            "VERIRAMP_BUDGET_PER_DAY": "none",
        }
        worker = await stack.enter_async_context(an_orchestrator(folder, env))
        first = await _when(meter, count // 5, worker.process.pid)
        last = await _when(meter, count - count // 5, worker.process.pid)
        await topics.all_committed(GROUP, Topic.INTERACTIVE, count)
        assert await worker.stop() == 0
    assert meter.asked == count, f"{meter.asked} questions for {count} requests"
    seconds, asked = last.at - first.at, last.asked - first.asked
    return Run(at_once, asked / seconds, (last.area - first.area) / seconds, meter.most, (last.cpu - first.cpu) / asked)


@dataclass(frozen=True)
class _Moment:
    at: float
    asked: int
    area: float
    cpu: float


async def _when(meter: Meter, asked: int, pid: int) -> _Moment:
    async def so_many() -> bool:
        return meter.asked >= asked

    await wait_until(so_many, PATIENCE, f"{asked} questions")
    meter.step(0)
    return _Moment(meter.at, meter.asked, meter.area, cpu_nanoseconds(pid) / 1e6)


def _figures(run: Run, where: str, latency: float) -> list[Figure]:
    law = run.at_once / latency
    what = f"{latency:g} s, {run.at_once} at once, {where}"
    used = 100 * run.rate / law
    return [
        stated(f"{what}: rate", run.rate, "1/s"),
        stated(f"{what}: used of the law's {law:g} 1/s", used, "%"),
        stated(f"{what}: in flight, mean", run.mean, ""),
        at_most(f"{what}: in flight, most", run.most, "", run.at_once),
        stated(f"{what}: CPU of the worker", run.cpu_ms, "ms"),
    ]


async def measure() -> list[Figure]:
    """Every concurrency over three partitions, and in one."""
    figures: list[Figure] = []
    for (latency, concurrencies), one_partition in itertools.product(RUNS, (False, True)):
        where = "one partition" if one_partition else "three partitions"
        for at_once in concurrencies:
            say(f"{at_once} at once, {latency:g} s, {where}")
            run = await one(at_once, one_partition=one_partition, latency=latency)
            say(f"{run.rate:.1f} 1/s, {run.mean:.2f} in flight, {run.most} at most, {run.cpu_ms:.2f} ms")
            figures += _figures(run, where, latency)
    return figures


def main() -> None:
    """Measure and write build/bench/concurrency.json."""
    figures = asyncio.run(measure())
    report.write("concurrency", figures, {"requests": f"as many as last {SECONDS:g} s, at most {FASTEST:g} a second"})


if __name__ == "__main__":
    main()
