"""The kill campaign: a workload is judged by workers that are killed at random moments, and nothing is lost for it.

`workload()` makes the messages, `Campaign.run()` has them judged and returns `Totals`, which must equal those of a run
without kills. The moments are drawn from a seed: a kill comes as soon as so many answers are there.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.report import say
from tests.support.ledger import GROUP, Ledger, Totals, a_ledger
from tests.support.pipeline import Program, Topics, a_request, an_orchestrator, peak_megabytes, topics_of
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic


@dataclass(frozen=True)
class Workload:
    """Messages by topic; ``readable`` different requests are among them, and ``unreadable`` different other values."""

    messages: tuple[tuple[Topic, bytes, bytes], ...]
    readable: int
    unreadable: int


def workload(count: int, seed: int) -> Workload:
    """``count`` messages over both lanes: texts for every verdict, every twentieth twice, every fiftieth unreadable."""
    draw = random.Random(seed)
    messages: list[tuple[Topic, bytes, bytes]] = []
    unreadable = 0
    while len(messages) < count:
        number = len(messages)
        lane = Topic.BACKFILL if number % 5 == 0 else Topic.INTERACTIVE
        if number % 50 == 49:
            messages.append((lane, f"unreadable {number}".encode(), b"no request"))
            unreadable += 1
            continue
        request = a_request(*_text(number), document=str(number))
        message = (lane, request.to_bytes(), request.key())
        messages += [message] * min(2 if number % 20 == 10 else 1, count - number)
    readable = len({key for _, _, key in messages if key != b"no request"})
    draw.shuffle(messages)
    return Workload(tuple(messages), readable, unreadable)


def _text(number: int) -> tuple[str, ...]:
    """A claim and its premise, of which nothing else in the workload is a copy."""
    height, tower = 20 + number % 7, f"The height of the Orlin tower {number} is 20 metres."
    return (
        (f"The Orlin tower {number} is {height} metres tall.", tower),
        (f"The Orlin tower {number} is red.", tower),
        (f"The Orlin tower {number} may be tall.", tower),
        (f"(declare-const x Int)(assert (and (> x {number}) (< x {number})))",),
    )[number % 4]


@dataclass
class Run:
    """What happened on the way; ``answers`` and ``dead`` count every record, also the repeated ones."""

    totals: Totals
    kills: int
    answers: int
    dead: int
    seconds: float
    peak_megabytes: float
    committed: int
    contradictions: int


@dataclass
class Campaign:
    """Workers that judge a workload, and are killed ``kills`` times meanwhile; ``tell`` is told how far it is."""

    brokers: str
    env: Mapping[str, str]
    folder: Path
    workers: int = 2
    kills: int = 0
    seed: int = 1
    seconds: float = 120.0
    tell: Callable[[str], None] = say
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    async def run(self, work: Workload) -> Run:
        """Send everything, have it judged, and wait until every offset is committed."""
        began, peak = time.monotonic(), 0.0
        async with AsyncExitStack() as stack:
            topics = await stack.enter_async_context(topics_of(self.brokers))
            ledger = await stack.enter_async_context(a_ledger(self.brokers))
            fleet = [await self._worker(stack) for _ in range(self.workers)]
            await topics.send_all(work.messages)
            for number, moment in enumerate(self._moments(work), 1):
                await self._answered(ledger, moment)
                victim = self._draw.randrange(len(fleet))
                peak = max(peak, *map(peak_megabytes, fleet))
                await fleet[victim].kill()
                self.tell(f"kill {number} of {self.kills} at {self._done(ledger)} of {work.readable} answers")
                fleet[victim] = await self._worker(stack)
            await self._answered(ledger, work.readable + work.unreadable)
            for program in fleet:  # one that is still starting does not heed SIGTERM yet
                await wait_until(program.ready, self.seconds, f"a worker to be ready; see {program.log}")
            peak = max(peak, *map(peak_megabytes, fleet))
            committed = await self._committed(topics, len(work.messages))
            await ledger.caught_up()
            codes = [await program.stop() for program in fleet]
            assert codes == [0] * len(fleet), f"the workers ended with {codes}"
        records = ledger.records
        return Run(
            ledger.totals,
            self.kills,
            records[Topic.COMPLETE],
            records[Topic.DEAD_LETTERS],
            time.monotonic() - began,
            peak,
            committed,
            ledger.contradictions,
        )

    def _moments(self, work: Workload) -> Sequence[int]:
        """After how many answers the kills come: anywhere but at the very end, where nothing would be in work."""
        last = max(self.kills, int(0.95 * work.readable))
        return sorted(self._draw.sample(range(last), self.kills))

    async def _worker(self, stack: AsyncExitStack) -> Program:
        return await stack.enter_async_context(an_orchestrator(self.folder, self.env, wait=False))

    @staticmethod
    def _done(ledger: Ledger) -> int:
        return ledger.answered + len(ledger.dead)

    async def _answered(self, ledger: Ledger, count: int) -> None:
        async def enough() -> bool:
            return self._done(ledger) >= count

        await wait_until(enough, self.seconds, f"{count} answers; there are {self._done(ledger)}")

    async def _committed(self, topics: Topics, count: int) -> int:
        total = 0

        async def all_of_it() -> bool:
            nonlocal total
            lanes = [await topics.committed(GROUP, lane) for lane in (Topic.INTERACTIVE, Topic.BACKFILL)]
            total = sum(sum(lane.values()) for lane in lanes)
            return total == count

        await wait_until(all_of_it, self.seconds, f"{count} committed offsets")
        return total


def table(runs: Mapping[str, Run]) -> str:
    """The runs of a campaign side by side, for people."""
    rows = [f"{'run':<28} {'kills':>5} {'events':>7} {'records':>8} {'dead':>5} {'seconds':>8} {'MB':>6}  verdicts"]
    for name, run in runs.items():
        verdicts = json.dumps(run.totals.by_verdict)
        rows.append(
            f"{name:<28} {run.kills:>5} {len(run.totals.verdicts):>7} {run.answers:>8} {len(run.totals.dead):>5}"
            f" {run.seconds:>8.1f} {run.peak_megabytes:>6.0f}  {verdicts}"
        )
    return "\n".join(rows)
