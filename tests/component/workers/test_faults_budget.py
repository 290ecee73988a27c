"""A tenant that has spent its budget, on real brokers and stores: others go on, nothing is lost or paid twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import NewTopic
from prometheus_client import CollectorRegistry

from tests.support.bus_program import bus_settings
from tests.support.databases import a_postgres, a_redis
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import GROUP, a_ledger, each_counts_once
from tests.support.pipeline import Program, Topics, a_program, a_request, admin_of, an_orchestrator, topics_of
from tests.support.stores import PATIENT
from tests.support.waiting import wait_until
from tools.kafka.cluster import a_kafka
from veriramp_sdk.events import Topic, Verdict, VerifyChunk
from veriramp_workers.bus import kafka as kafka_module
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.retry import RetryTopic, not_before_ms
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics
from veriramp_workers.ports import Judgement, Question, Record
from veriramp_workers.stores import BudgetSettings, open_stores
from veriramp_workers.stores.day import day_of

ZONE: Final = "Europe/Berlin"
LIMIT: Final = 10
SECONDS: Final = 60.0
DAILY: Final = BudgetSettings(per_day=LIMIT, zone=ZONE, at_once=1.0)


def asked_by(tenant: str, count: int) -> list[VerifyChunk]:
    return [a_request(f"The tower {number} is tall.", document=str(number), org=tenant) for number in range(count)]


class Verifier:
    name, version = "counting", "1"

    def __init__(self) -> None:
        self.asked = 0

    async def judge(self, question: Question) -> Judgement:
        self.asked += 1
        return Judgement(Verdict.UNDETERMINED, f"{len(question.text)} characters")


class Worker:
    """An orchestrator in this process, on a clock of the test's."""

    def __init__(self, registry: CollectorRegistry, verifier: Verifier) -> None:
        self.now = time.time()
        self.verifier = verifier
        self._registry = registry

    def metric(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(name, labels) or 0.0

    def next_day(self) -> None:
        day = day_of(datetime.fromtimestamp(self.now, UTC), ZoneInfo(ZONE))
        self.now = day.ends_at.timestamp() + 1.0


@asynccontextmanager
async def a_worker(
    brokers: str,
    url: str,
    budget: BudgetSettings = DAILY,
    *,
    waits: float = 1.0,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[Worker]:
    registry, verifier = CollectorRegistry(), Verifier()
    worker = Worker(registry, verifier)
    clock = clock or (lambda: worker.now)
    async with open_stores(url, registry, budget, deadlines=PATIENT, clock=clock) as stores:
        orchestrator = Orchestrator(
            verifier,
            OrchestratorMetrics(registry),
            formaliser_version="1",
            budget=stores.budget,
            clock=clock,
        )
        bus = bus_settings(brokers, deferred=RetryTopic(Topic.DEFERRED, waits))
        running, stop = KafkaWorker(bus, orchestrator, BusMetrics(registry)), asyncio.Event()
        task = asyncio.create_task(running.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await task


@contextmanager
def a_store(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/store.db"
        return
    with (a_redis if kind == "redis" else a_postgres)(folder / kind) as server:
        yield server.url


def keys_of(requests: list[VerifyChunk]) -> set[bytes]:
    return {request.key() for request in requests}


async def answers(topics: Topics, count: int) -> list[ConsumerRecord]:
    return await topics.read(
        Topic.COMPLETE, lambda found: len({record.key for record in found}) >= count, f"{count} answers"
    )


async def ends(brokers: str, topic: str) -> int:
    """How many records a topic has had."""
    places = [TopicPartition(topic, partition) for partition in range(3)]
    async with AIOKafkaConsumer(bootstrap_servers=brokers) as consumer:
        return sum((await consumer.end_offsets(places)).values())


@pytest.mark.parametrize(
    ("brokers", "store"),
    [("kafka", "sqlite"), ("kfake", "redis"), ("kfake", "postgres")],
    indirect=["brokers"],
)
@pytest.mark.shows("S1-COST-03")
async def test_the_others_are_answered_at_once_and_the_spent_tenant_day_by_day(
    tmp_path: Path, brokers: str, topics: Topics, store: str
) -> None:
    poor, rich = asked_by("poor", 40), asked_by("rich", LIMIT)
    with a_store(store, tmp_path) as url:
        async with a_worker(brokers, url) as worker:
            await topics.send(Topic.INTERACTIVE, *poor, *rich)
            found = await answers(topics, 2 * LIMIT)
            assert {record.key for record in found} >= keys_of(rich)
            assert len({record.key for record in found} & keys_of(poor)) == LIMIT
            await topics.all_committed("bus-tests", Topic.INTERACTIVE, len(poor) + len(rich))
            waiting = await topics.read(Topic.DEFERRED, lambda records: len(records) >= 60, "what waits, twice each")
            check_headers(waiting, keys_of(poor))
            for day in (2, 3, 4):
                assert worker.metric("veriramp_budget_takes_total", outcome="granted") == day * LIMIT
                worker.next_day()
                found = await answers(topics, (day + 1) * LIMIT)
            await topics.all_committed("bus-tests", Topic.DEFERRED, await ends(brokers, Topic.DEFERRED))
        assert sorted(record.key for record in found) == sorted(keys_of(poor) | keys_of(rich))
        assert worker.verifier.asked == len(poor) + len(rich)
        assert worker.metric("veriramp_budget_takes_total", outcome="granted") == len(poor) + len(rich)
        assert worker.metric("veriramp_budget_takes_total", outcome="repeated") == 0
        assert await ends(brokers, Topic.DEAD_LETTERS) == await ends(brokers, Topic.FAILED) == 0
        assert await ends(brokers, Topic.RETRY_SOON) == await ends(brokers, Topic.RETRY_LATE) == 0


async def test_what_the_pace_refuses_is_answered_when_it_frees_it_and_not_ten_minutes_later(
    tmp_path: Path, brokers: str, topics: Topics
) -> None:
    begun: float | None = None
    midnight = datetime.now(ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    ten_a_second = BudgetSettings(per_day=864_000, zone=ZONE, at_once=0.0)
    async with a_worker(
        brokers,
        f"sqlite:///{tmp_path}/store.db",
        ten_a_second,
        waits=600.0,
        clock=lambda: midnight + (0.0 if begun is None else time.monotonic() - begun),
    ) as worker:
        await topics.send(Topic.INTERACTIVE, *asked_by("only", 60))

        async def all_wait() -> bool:
            return worker.metric("veriramp_bus_records_total", topic=Topic.INTERACTIVE, outcome="deferred") >= 60

        await wait_until(all_wait, SECONDS, "nothing to be free at midnight")
        begun = time.monotonic()
        await answers(topics, 60)


async def test_a_topic_that_an_upgrade_left_out_is_told_and_what_is_meant_for_it_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_module, "_METADATA_MS", 1_000)
    poor, rich = asked_by("poor", 40), asked_by("rich", LIMIT)

    sentence = f"{Topic.DEFERRED} does not exist, nothing is read from it; veriramp-worker topics --apply creates it"

    async def told() -> bool:
        return sentence in caplog.messages

    with a_kafka(tmp_path, creates_topics=False) as kafka:
        async with admin_of(kafka.bootstrap) as admin, topics_of(kafka.bootstrap) as topics:
            others = [str(name) for name in Topic if name != Topic.DEFERRED]
            await admin.create_topics([NewTopic(name, 3, 1) for name in others])
            async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
                await consumer.end_offsets([TopicPartition(name, n) for name in others for n in range(3)])  # are led
            await topics.send(Topic.INTERACTIVE, *poor, *rich)
            async with a_worker(kafka.bootstrap, f"sqlite:///{tmp_path}/store.db") as worker:
                found = await answers(topics, 2 * LIMIT)
                assert {record.key for record in found} >= keys_of(rich), "the others do not wait"
                await wait_until(told, SECONDS, "what is said of the topic")
                await admin.create_topics([NewTopic(str(Topic.DEFERRED), 3, 1)])
                await topics.all_committed("bus-tests", Topic.INTERACTIVE, len(poor) + len(rich))
                for day in (3, 4, 5):
                    worker.next_day()
                    found = await answers(topics, day * LIMIT)
    assert {record.key for record in found} == keys_of(poor) | keys_of(rich)


def check_headers(waiting: list[ConsumerRecord], keys: set[bytes]) -> None:
    for record in waiting:
        headers = dict(record.headers)
        assert record.key in keys
        assert headers["veriramp-origin-topic"].decode() == Topic.INTERACTIVE
        assert headers["veriramp-reason"] == b"budget_day"
        assert "veriramp-attempt" not in headers
        since = int(headers["veriramp-deferred-since"])
        # It was put aside some time before the producer had it.
        assert since <= record.timestamp
        assert since < not_before_ms(Record("", 0, 0, None, b"", record.headers)) <= record.timestamp + 1_000
    first = {record.key: dict(record.headers)["veriramp-deferred-since"] for record in reversed(waiting)}
    assert all(dict(record.headers)["veriramp-deferred-since"] == first[record.key] for record in waiting)


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
@pytest.mark.shows("S1-COST-03", "S1-ORCH-01")
async def test_killed_between_putting_aside_and_committing(
    tmp_path: Path, env: dict[str, str], operator: Operator, brokers: str, topics: Topics
) -> None:
    poor, rich = asked_by("poor", 60), asked_by("rich", 30)
    store = tmp_path / "store.db"
    env = {
        **env,
        "VERIRAMP_STORE_URL": f"sqlite://{store}",
        "VERIRAMP_BUDGET_AT_ONCE": "1",
        "VERIRAMP_RETRY_SECONDS": "1,1",
    }
    await topics.send(Topic.INTERACTIVE, *poor, *rich)
    async with obeyed(operator, a_document(revision=1, vector=LIVE)), a_ledger(brokers) as ledger:
        for step, after in (("after the answer is acknowledged", "50"), ("before the commit", "0")):
            mortal = {
                **env,
                "VERIRAMP_BUDGET_PER_DAY": "30",
                "MORTAL_STEP": step,
                "MORTAL_AFTER": after,
                "MORTAL_SESSION": "2",
            }
            async with a_program(
                "tests.support.mortal_worker", "orchestrator", folder=tmp_path, env=mortal, wait=False
            ) as worker:
                await died(worker)
        moved = await topics.read(Topic.DEFERRED, lambda records: len(records) > 0, "what was put aside")
        assert {record.key for record in moved} <= keys_of(poor)
        async with an_orchestrator(tmp_path, {**env, "VERIRAMP_BUDGET_PER_DAY": "1000"}) as survivor:
            await each_counts_once(ledger, topics, [*poor, *rich])
            await topics.all_committed(GROUP, Topic.DEFERRED, await ends(brokers, Topic.DEFERRED))
            assert await survivor.stop() == 0
    with sqlite3.connect(store) as database:
        paid = dict(database.execute("SELECT tenant, sum(used) FROM budget_day GROUP BY tenant").fetchall())
    assert paid == {"poor": len(poor), "rich": len(rich)}, "each is paid once"


async def died(worker: Program) -> None:
    async def dead() -> bool:
        return worker.process.poll() is not None

    await wait_until(dead, SECONDS, f"the death; see {worker.log}")
    assert worker.process.returncode == -signal.SIGKILL, worker.log.read_text()
