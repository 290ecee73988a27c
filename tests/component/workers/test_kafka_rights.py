"""A real Kafka that checks rights: the guide's are enough; each that is missing is named, waited for, then used."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import TopicAuthorizationFailedError
from prometheus_client import CollectorRegistry

from tests.support.bus_program import bus_settings
from tests.support.certificates import Authority
from tests.support.flags import LIVE, Operator, a_document
from tests.support.pipeline import Topics, a_request, admin_of, an_orchestrator, followed, make_fresh_topics, topics_of
from tests.support.rights import Rights, rights_of
from tests.support.waiting import wait_until
from tests.unit.sdk.test_sdk_events import a_verdict
from tools.kafka.cluster import Kafka, Secured, a_kafka
from veriramp_sdk.events import Topic
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.kafka_rights import PRODUCER_RIGHT, SEARCH_RIGHTS, TOPICS_RIGHTS, WORKER_RIGHTS, Right, asked_for
from veriramp_sdk.kafka_settings import KafkaSettings, kafka_settings_from
from veriramp_sdk.trigger import Message
from veriramp_search.broker import follow_verdicts
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.ports import Handler, Record
from veriramp_workers.ports import Message as Published
from veriramp_workers.topics import topics_command

HOST = "127.12.31.10"
SECONDS = 60.0
LACKING = {f"lacking-{number}": right for number, right in enumerate(WORKER_RIGHTS)}
SEARCHING = {f"searching-{number}": right for number, right in enumerate(SEARCH_RIGHTS)}
GO, WRITTEN = b"go", b"written"


@dataclass(frozen=True)
class Site:
    """The cluster, and what its users are told."""

    kafka: Kafka
    password: Path

    def environment(self, user: str) -> dict[str, str]:
        return {
            "VERIRAMP_BROKERS": self.kafka.secured("SASL_PLAINTEXT"),
            "VERIRAMP_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "VERIRAMP_KAFKA_SASL_MECHANISM": "PLAIN",
            "VERIRAMP_KAFKA_USERNAME": user,
            "VERIRAMP_KAFKA_PASSWORD_FILE": str(self.password),
        }

    def settings(self, user: str) -> KafkaSettings:
        return kafka_settings_from(self.environment(user))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("rights")
    authority = Authority(folder)
    (folder / "password").write_text("password")
    users = dict.fromkeys(("worker", "search", "topics", "nobody", *LACKING, *SEARCHING), "password")
    secured = Secured(HOST, authority.issue("broker", HOST), authority.file, users)
    with a_kafka(folder, secured=secured, creates_topics=False, checks_rights=True) as kafka:
        yield Site(kafka, folder / "password")


@pytest.fixture
def brokers(site: Site) -> str:
    """The open listener, for the test itself."""
    make_fresh_topics(site.kafka.bootstrap)
    return site.kafka.bootstrap


@pytest.fixture
async def rights(brokers: str) -> AsyncIterator[Rights]:
    async with rights_of(brokers) as some:
        yield some


async def test_the_rights_of_the_guide_are_enough(
    tmp_path: Path, site: Site, env: dict[str, str], operator: Operator, rights: Rights
) -> None:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()
    await rights.give("worker", WORKER_RIGHTS)
    await rights.give("worker", [right for right in TOPICS_RIGHTS if right.operation != "Create"])
    await rights.give("search", SEARCH_RIGHTS)
    sender, seen, request = KafkaSender(site.settings("search")), set[str](), a_request("The mill is red.")
    following = asyncio.create_task(
        follow_verdicts(site.settings("search"), lambda event, _: seen.add(event.chunk_key))
    )

    async def followed() -> bool:
        assert not following.done(), following.result()
        return request.chunk_key in seen

    async with an_orchestrator(tmp_path, env | site.environment("worker")) as worker:
        await sender.send([Message(Topic.INTERACTIVE, request.key(), request.to_bytes(), ())])
        await sender.send([Message(Topic.BACKFILL, request.key(), request.to_bytes(), ())])
        await wait_until(followed, SECONDS, "the verdict")
        assert await worker.stop() == 0
    await sender.close()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    log = worker.log.read_text()
    assert "does not allow" not in log


def in_group(right: Right, group: str) -> Right:
    """The right for a worker with another group."""
    return replace(right, name=group) if right.kind == "group" else right


def entry_of(right: Right) -> str:
    """Where the message of a worker comes in: where it may not read, and never where it has to write."""
    if right.operation == "Read" and right.kind == "topic":
        return right.name
    return Topic.INTERACTIVE if right.name == Topic.BACKFILL else Topic.BACKFILL


def exit_of(right: Right) -> str:
    """Where it goes."""
    return right.name if right.operation == "Write" else Topic.COMPLETE


def routed(user: str, right: Right) -> Handler:
    """A handler of the message for this worker; the others are not its own."""

    async def handle(record: Record) -> tuple[Published, ...]:
        mine = record.key == user.encode() and record.value == GO
        return (Published(exit_of(right), record.key, WRITTEN),) if mine else ()

    return handle


@asynccontextmanager
async def at_work(site: Site, lacking: Mapping[str, Right]) -> AsyncIterator[dict[str, KafkaWorker]]:
    """A worker of each user in this process, with a group of its own."""
    stop, workers = asyncio.Event(), dict[str, KafkaWorker]()
    for user, right in lacking.items():
        settings = bus_settings("", deferred=RetryTopic(Topic.DEFERRED, 1.0), drain_seconds=1.0)
        settings = replace(settings, kafka=site.settings(user), group=user)
        workers[user] = KafkaWorker(settings, routed(user, right), BusMetrics(CollectorRegistry()))
    running = [asyncio.create_task(worker.run(stop)) for worker in workers.values()]
    try:
        yield workers
    finally:
        stop.set()
        await asyncio.gather(*running)


async def test_each_right_that_a_worker_lacks_is_named_and_nothing_is_lost_until_it_is_given(
    site: Site, rights: Rights, topics: Topics, brokers: str
) -> None:
    """A worker without the right to each; its message comes in, or is written, where that is needed."""
    lacking = {user: in_group(right, user) for user, right in LACKING.items()}
    written = set[tuple[str, bytes]]()

    def note(record: ConsumerRecord) -> None:
        if record.value == WRITTEN:
            written.add((record.topic, record.key))

    async def told() -> bool:
        wrong = {user: worker.missing for user, worker in workers.items()}
        return wrong == {user: asked_for(site.settings(user), [right]) for user, right in lacking.items()}

    async def done() -> bool:
        return len(written) == len(lacking) and not any(worker.missing for worker in workers.values())

    for user, right in lacking.items():
        await rights.give(user, {in_group(one, user) for one in WORKER_RIGHTS} - {right})
        await topics.send_raw(entry_of(right), GO, user.encode())
    async with followed(brokers, Topic, note), at_work(site, lacking) as workers:
        await wait_until(told, SECONDS, "each to say what it lacks")
        assert written == set()
        for user, right in lacking.items():
            await rights.give(user, [right])
        await wait_until(done, SECONDS, "each to do its work")
    assert written == {(exit_of(right), user.encode()) for user, right in lacking.items()}


async def test_a_worker_without_any_right_goes_on_when_it_has_them(
    site: Site, rights: Rights, topics: Topics, brokers: str
) -> None:
    written = set[bytes]()
    wanted = asked_for(site.settings("nobody"), [PRODUCER_RIGHT])

    async def told() -> bool:
        return workers["nobody"].missing == wanted

    async def done() -> bool:
        return written == {b"nobody"} and not workers["nobody"].missing

    async with (
        followed(brokers, [Topic.COMPLETE], lambda record: written.add(record.key)),
        at_work(site, {"nobody": Right("Write", "topic", Topic.COMPLETE)}) as workers,
    ):
        await topics.send_raw(Topic.BACKFILL, GO, b"nobody")
        await wait_until(told, SECONDS, "what it lacks first")
        await rights.give("nobody", {in_group(one, "nobody") for one in WORKER_RIGHTS})
        await wait_until(done, SECONDS, "its work")


async def test_each_right_that_search_lacks_is_named_and_taken_when_it_is_given(
    site: Site, rights: Rights, brokers: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Counter[str]()
    for user, right in SEARCHING.items():
        await rights.give(user, set(SEARCH_RIGHTS) - {right})
    writing = {user: right for user, right in SEARCHING.items() if right.operation == "Write"}
    reading = {user: right for user, right in SEARCHING.items() if right.operation == "Read"}
    following = [
        asyncio.create_task(follow_verdicts(site.settings(user), lambda *_, user=user: seen.update([user])))
        for user in reading
    ]
    senders = {user: KafkaSender(site.settings(user)) for user in writing}
    for user, right in writing.items():
        with pytest.raises(TopicAuthorizationFailedError, match=re.escape(asked_for(site.settings(user), [right]))):
            await senders[user].send([Message(Topic(right.name), b"key", b"value")])

    async def told() -> bool:
        return all(asked_for(site.settings(user), [right]) in caplog.text for user, right in reading.items())

    async def read() -> bool:
        return seen.keys() == reading.keys()

    await wait_until(told, SECONDS, "each reader to say what it lacks")
    for user, right in SEARCHING.items():
        await rights.give(user, [right])
    for user, right in writing.items():
        await senders[user].send([Message(Topic(right.name), b"key", b"value")])
        await senders[user].close()
    async with topics_of(brokers) as topics:
        await topics.send_raw(Topic.COMPLETE, a_verdict().to_bytes())
    await wait_until(read, SECONDS, "each reader to see a verdict")
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


async def test_the_topics_command_names_the_rights_that_it_lacks(
    site: Site, rights: Rights, brokers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with admin_of(brokers) as admin:
        await admin.delete_topics([str(Topic.PAGERANK)])
    environment = site.environment("topics") | {"VERIRAMP_TOPIC_REPLICATION": "1", "VERIRAMP_TOPIC_MIN_INSYNC": "1"}
    for operation in ("Describe", "DescribeConfigs", "Create"):
        lacking = sorted(right.name for right in TOPICS_RIGHTS if right.operation == operation)
        wanted = [Right(operation, "topic", name) for name in lacking]
        code = await asyncio.to_thread(topics_command, ["--apply"], environment)
        said = capsys.readouterr().err
        assert code == 2
        # Only what exists has a configuration, and only what is missing is created.
        wanted = [
            one for one in wanted if operation == "Describe" or (one.name == Topic.PAGERANK) == (operation == "Create")
        ]
        assert asked_for(site.settings("topics"), wanted) in said
        await rights.give("topics", [one for one in TOPICS_RIGHTS if one.operation == operation])
    assert await asyncio.to_thread(topics_command, ["--apply", "--check"], environment) in {0, 1}
    assert "1 created" in capsys.readouterr().out
