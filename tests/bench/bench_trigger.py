"""What the trigger costs a search: with a broker, with one that hangs, with none, and with a queue that is full.

Each search takes 2 ms of computing, then offers 30 new results of 1,000 characters without a content hash, of which ten
are asked for: more than any real search, whose results were mostly asked for before. Searches arrive at an even pace;
blocks with the trigger and blocks without it take turns. Figures: the time within ``offer``, by the clock and as CPU
time (which does not count what else the machine did meanwhile), and the CPU time that sending adds beside the searches.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench import report
from tests.bench.report import Figure, percentile, say
from tools.toolchain import binary
from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.decision import VerificationDecision
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.trigger import Chunk, VerificationTrigger

RATE: Final = 50.0
SECONDS: Final = 2.0
BLOCKS: Final = 8
COMPUTING: Final = 0.002
RESULTS: Final = 30
TOP_K: Final = 10
CHARACTERS: Final = 1_000
DECISION: Final = VerificationDecision(Mode.LIVE, Arm.TREATMENT, verify=True, weight=0.1, top_k=TOP_K, revision=1)


def main() -> None:
    """Measure and write build/bench/trigger.json."""
    logging.disable(logging.ERROR)  # a broker that is away is told for every attempt
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        with _a_broker(Path(folder)) as (process, address):
            figures += _figures("broker up", asyncio.run(measure(address)))
            os.kill(process.pid, signal.SIGSTOP)
            figures += _figures("broker hanging", asyncio.run(measure(address)))
            os.kill(process.pid, signal.SIGCONT)
        figures += _figures("broker away", asyncio.run(measure(_closed_port())))
        figures += _figures("queue full", asyncio.run(measure(_closed_port(), capacity=1)))
    settings = {
        "searches": f"{RATE:g}/s, {COMPUTING * 1000:g} ms of computing each; {BLOCKS} blocks of {SECONDS:g} s with the "
        f"trigger and {BLOCKS} without it, in turns",
        "results": f"{RESULTS} new chunks of {CHARACTERS:,} characters without a hash, topK {TOP_K}",
        "broker": "kfake; hanging: SIGSTOP; away: nothing listens",
    }
    report.write("trigger", figures, settings)


@dataclass
class Measured:
    """Seconds: of each ``offer`` by block, its CPU time, and that of the blocks with the trigger and without."""

    offers: list[list[float]] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)
    blocks: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})


async def measure(address: str, capacity: int = 1_000) -> Measured:
    """Put the trigger under load in this loop."""
    measured, number = Measured(), 0
    sender = KafkaSender(address)
    async with VerificationTrigger(sender, rollout="bench/trigger", capacity=capacity, registry=None) as trigger:
        for block in range(2 * BLOCKS):
            asked = block % 2 == 1
            if asked:
                measured.offers.append([])
            started, computing = asyncio.get_running_loop().time(), time.thread_time()
            for turn in range(int(RATE * SECONDS)):
                number += 1
                await asyncio.sleep(max(0.0, started + turn / RATE - asyncio.get_running_loop().time()))
                results = _search(number)
                if asked:
                    _offer(measured, trigger, results, number)
            measured.blocks[asked] += time.thread_time() - computing
    return measured


def _search(number: int) -> list[Chunk]:
    end = time.thread_time() + COMPUTING
    while time.thread_time() < end:
        pass
    return [
        Chunk("org", f"doc-{number}-{place}", "0", f"{number} {place} ".ljust(CHARACTERS, "x"), score=30.0 - place)
        for place in range(RESULTS)
    ]


def _offer(measured: Measured, trigger: VerificationTrigger, results: list[Chunk], number: int) -> None:
    started, computing = time.perf_counter(), time.thread_time()
    trigger.offer(DECISION, results, f"query-{number}")
    measured.computing.append(time.thread_time() - computing)
    measured.offers[-1].append(time.perf_counter() - started)


def _figures(what: str, measured: Measured) -> list[Figure]:
    say(what)
    offers = [seconds * 1000 for block in measured.offers for seconds in block]
    computing = [seconds * 1000 for seconds in measured.computing]
    quietest = min(percentile(block, 0.99) for block in measured.offers) * 1000
    beside = (measured.blocks[True] - measured.blocks[False] - sum(measured.computing)) / len(offers) * 1000
    return [
        report.stated(f"{what}: a search waits for the trigger, p50", percentile(offers, 0.5), "ms"),
        report.at_most(f"{what}: a search waits for the trigger, p99", percentile(offers, 0.99), "ms", 1.0),
        report.stated(f"{what}: the same in the quietest block, p99", quietest, "ms"),
        report.at_most(f"{what}: CPU time of it, p99", percentile(computing, 0.99), "ms", 1.0),
        report.stated(f"{what}: CPU time of sending, for each search, beside it", beside, "ms"),
    ]


@contextmanager
def _a_broker(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with (
        (folder / "broker.log").open("wb") as log,
        subprocess.Popen(
            [str(binary("broker")), "--default-partitions", "3"], stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["address"]
        finally:
            process.kill()
            process.wait(timeout=10)


def _closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


if __name__ == "__main__":
    main()
