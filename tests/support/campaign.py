"""The kill campaign: a workload is judged by workers that are killed at random moments, and nothing is lost for it.

`workload()` makes the messages, `Campaign.run()` has them judged and returns `Totals`, which must equal those of a run
without kills. The moments are drawn from a seed: a kill comes as soon as so many answers are there.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from tests.bench.report import say
from tests.support.pipeline import Program, Topics, a_program, a_request, topics_of
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerificationComplete, parse_event

GROUP = "verification-orchestrator-group"


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


@dataclass(frozen=True)
class Totals:
    """What a sink has at the end that counts each event once.

    ``verdicts``: by event id the verdict, its reason and the chunk's key; ``dead``: the values of the dead letters.
    """

    verdicts: Mapping[str, tuple[str, str | None, bytes]]
    dead: frozenset[bytes]

    @property
    def by_verdict(self) -> dict[str, int]:
        """How many events there are of each verdict."""
        return dict(sorted(Counter(verdict for verdict, _, _ in self.verdicts.values()).items()))


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


class Ledger:
    """Follows the topics with the answers and counts each event once."""

    def __init__(self) -> None:
        self.verdicts: dict[str, tuple[str, str | None, bytes]] = {}
        self.dead: set[bytes] = set()
        self.contradictions = 0
        self.records: Counter[str] = Counter()

    @property
    def totals(self) -> Totals:
        return Totals(dict(self.verdicts), frozenset(self.dead))

    def note(self, record: ConsumerRecord) -> None:
        """Count a record; the same event with another content is a contradiction."""
        self.records[record.topic] += 1
        if record.topic == Topic.DEAD_LETTERS:
            self.dead.add(record.value)
            return
        event = parse_event(VerificationComplete, record.value)
        answer = (str(event.verdict), event.reason, bytes(record.key))
        if self.verdicts.setdefault(event.event_id, answer) != answer:
            self.contradictions += 1


@asynccontextmanager
async def a_ledger(brokers: str) -> AsyncIterator[Ledger]:
    """Follow the answers of a broker from their beginning."""
    ledger = Ledger()
    topics = (Topic.COMPLETE, Topic.DEAD_LETTERS)
    async with AIOKafkaConsumer(*topics, bootstrap_servers=brokers, auto_offset_reset="earliest") as consumer:

        async def follow() -> None:
            async for record in consumer:
                ledger.note(record)

        following = asyncio.create_task(follow())
        try:
            yield ledger
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


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
            await wait_until(fleet[0].ready, self.seconds, "a worker to be ready")
            peak = max(peak, *map(peak_megabytes, fleet))
            committed = await self._committed(topics, len(work.messages))
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
        program = a_program("veriramp_workers.main", "orchestrator", folder=self.folder, env=self.env, wait=False)
        return await stack.enter_async_context(program)

    @staticmethod
    def _done(ledger: Ledger) -> int:
        return len(ledger.verdicts) + len(ledger.dead)

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


def peak_megabytes(program: Program) -> float:
    """The most memory that the process itself has held so far; 0 when it is gone."""
    try:
        status = Path(f"/proc/{program.process.pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


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
