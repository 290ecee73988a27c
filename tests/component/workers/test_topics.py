"""``veriramp-worker topics`` on real brokers: create, prove, do nothing twice, name what differs."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError

from tests.support.pipeline import BOTH_BROKERS, admin_of, free_port
from tests.support.waiting import wait_until
from tools.kafka.cluster import a_kafka
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.admin import Cluster, ClusterError, warn_of_topics
from veriramp_workers.bus.plan import TopicFacts, wanted_topics
from veriramp_workers.main import main
from veriramp_workers.topics import topics_command

NAMES = (
    "verify_chunks.interactive",
    "verify_chunks.backfill",
    "verify_chunks.retry.1m",
    "verify_chunks.retry.10m",
    "verify_chunks.deferred",
    "verify_chunks.dlq",
    "verification_complete",
    "verification_failed",
    "pagerank_recalc",
)
SECONDS = 30.0


class Command:
    """The command against one broker, with what it printed last."""

    def __init__(self, brokers: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.environment = {"VERIRAMP_BROKERS": brokers, "VERIRAMP_TOPIC_REPLICATION": "1"}
        self.capsys = capsys
        self.out = self.err = ""

    async def __call__(self, *arguments: str, **environment: str) -> int:
        level = logging.getLogger("aiokafka").level
        code = await asyncio.to_thread(topics_command, arguments, {**self.environment, **environment})
        assert logging.getLogger("aiokafka").level == level, "who called keeps what it had set"
        self.out, self.err = self.capsys.readouterr()
        return code


@pytest.fixture
async def command(brokers: str, capsys: pytest.CaptureFixture[str]) -> Command:
    async with admin_of(brokers) as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if not name.startswith("__")])
        await gone(admin, NAMES)
    return Command(brokers, capsys)


async def gone(admin: AIOKafkaAdminClient, names: tuple[str, ...]) -> None:
    async def none() -> bool:
        return not set(names) & set(await admin.list_topics())

    await wait_until(none, SECONDS, "the topics to be gone")


async def configuration(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


@BOTH_BROKERS
@pytest.mark.shows("S1-KAFKA-01", "S1-KAFKA-02", "S1-KAFKA-03", "S1-KAFKA-04", "S1-KAFKA-05")
async def test_topics_are_created_once_with_the_values_of_the_plan(brokers: str, command: Command) -> None:
    assert await command() == 1
    assert command.out.count("missing") == len(NAMES) + 1
    async with admin_of(brokers) as admin:
        assert not set(NAMES) & set(await admin.list_topics()), "looking creates nothing"
        assert await command("--apply") == 0
        assert command.out.endswith("9 created\n")
        described = {topic["topic"]: topic for topic in await admin.describe_topics(list(NAMES))}
        partitions = {name: len(described[name]["partitions"]) for name in NAMES}
        assert partitions == dict(zip(NAMES, (3, 3, 3, 3, 3, 1, 3, 1, 1), strict=True))
        days = {}
        for name in NAMES:
            values = await configuration(admin, name)
            assert values["min.insync.replicas"] == "1"
            days[name] = int(values["retention.ms"]) / 86_400_000
        assert days == dict(zip(NAMES, (7, 7, 7, 7, 7, 30, 30, 30, 1), strict=True))
        assert set((await configuration(admin, "pagerank_recalc"))["cleanup.policy"].split(",")) == {
            "compact",
            "delete",
        }
    assert await command("--apply") == 0
    assert command.out.endswith("all 9 topics are as they should be\n")
    assert await command("--check") == 0
    assert command.out == "all 9 topics are as they should be\n"


@BOTH_BROKERS
@pytest.mark.shows("S1-KAFKA-05")
async def test_what_differs_is_named_with_what_to_do_and_is_never_changed(brokers: str, command: Command) -> None:
    drifted = {"retention.ms": "3600000", "cleanup.policy": "compact"}
    async with admin_of(brokers) as admin:

        async def created() -> bool:
            answer = await admin.create_topics(
                [
                    NewTopic("verify_chunks.interactive", 2, 1, topic_configs=drifted),
                    NewTopic("verification_failed", 6, 1, topic_configs={"retention.ms": str(30 * 86_400_000)}),
                ]
            )
            return all(error[1] in {0, TopicAlreadyExistsError.errno} for error in answer.topic_errors)

        await wait_until(created, SECONDS, "two topics")
        assert await command("--apply", "--check") == 1
        assert (await configuration(admin, "verify_chunks.interactive"))["retention.ms"] == "3600000"
    lines = command.out.splitlines()
    assert lines[0::2][:3] == [
        "verify_chunks.interactive: partitions is 2, wanted 3",
        "verify_chunks.interactive: retention.ms is 3600000, wanted 604800000",
        "verify_chunks.interactive: cleanup.policy is compact, wanted delete",
    ]
    assert (
        lines[1]
        == f"  kafka-topics.sh --bootstrap-server {brokers} --alter --topic verify_chunks.interactive --partitions 3"
    )
    assert lines[3].endswith("--entity-name verify_chunks.interactive --add-config retention.ms=604800000")
    assert lines[6:] == ["7 created"], "more partitions than planned are no difference"
    assert await command("--json") == 1
    found: dict[str, Any] = json.loads(command.out)
    assert found["ok"] is False
    interactive = found["topics"][0]
    assert interactive["actual"]["partitions"] == 2
    assert [one["field"] for one in interactive["differences"]] == ["partitions", "retention.ms", "cleanup.policy"]
    assert await command() == 1
    assert "2 (wanted 3)  1 h (wanted 7 d)  compact (wanted delete)" in command.out


@pytest.mark.shows("S1-KAFKA-01")
async def test_three_replicas_are_the_default_and_too_few_brokers_are_told(command: Command) -> None:
    del command.environment["VERIRAMP_TOPIC_REPLICATION"]
    assert await command("--apply") == 2
    assert "verify_chunks.interactive wants 3 replicas and the cluster has 1 broker;" in command.err
    assert "VERIRAMP_TOPIC_REPLICATION=1" in command.err
    assert await command("--json") == 1
    wanted = json.loads(command.out)["topics"][0]["wanted"]
    assert (wanted["replication"], wanted["min_insync"]) == (3, 2)


@pytest.mark.timeout(300)
@pytest.mark.shows("S1-KAFKA-01", "S1-KAFKA-02", "S1-KAFKA-03", "S1-KAFKA-04")
async def test_three_brokers_keep_three_replicas_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_kafka(tmp_path, 3) as kafka:
        command = Command(kafka.bootstrap, capsys)
        del command.environment["VERIRAMP_TOPIC_REPLICATION"]
        assert await command("--apply") == 0

        async def all_right() -> bool:
            return await command("--check") == 0

        await wait_until(all_right, SECONDS, "every node to know the topics")
        async with admin_of(kafka.bootstrap) as admin:
            described = await admin.describe_topics(list(NAMES))
            replicas = {len(one["replicas"]) for topic in described for one in topic["partitions"]}
            in_sync = {(await configuration(admin, name))["min.insync.replicas"] for name in NAMES}
    assert (replicas, in_sync) == ({3}, {"2"})


async def test_a_node_that_hears_late_of_new_topics_is_asked_again(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, asked = Cluster.facts, itertools.count()

    async def heard_late(cluster: Cluster, names: Sequence[str]) -> dict[str, TopicFacts]:
        match next(asked):
            case 0 | 1:
                return {}
            case 2:
                raise ClusterError("described incompletely")
        return await facts(cluster, names)

    monkeypatch.setattr(Cluster, "facts", heard_late)
    assert await command("--apply") == 0, command.err
    assert command.out.endswith("9 created\n")


@BOTH_BROKERS
async def test_a_worker_tells_once_what_is_missing_and_what_differs(
    command: Command, brokers: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await command("--apply") == 0
    await warn_of_topics(KafkaSettings(brokers), wanted_topics(1, 1))
    assert said(caplog) == []
    async with admin_of(brokers) as admin:
        await admin.delete_topics(["verification_failed"])
        await gone(admin, ("verification_failed",))
        await warn_of_topics(KafkaSettings(brokers), wanted_topics(3, 1))
        assert "verification_failed" not in await admin.list_topics(), "looking creates nothing"
    (line,) = said(caplog)
    assert "verify_chunks.interactive: replication is 1, wanted 3" in line
    assert "verification_failed is missing" in line
    assert line.endswith("; veriramp-worker topics --check says what to do, --apply creates what is missing")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What our own loggers said."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("veriramp")]


async def test_a_broker_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = Command(f"127.0.0.1:{free_port()}", capsys)
    assert await nobody() == 2
    brokers = nobody.environment["VERIRAMP_BROKERS"]
    assert nobody.err == f"veriramp-worker topics: Kafka cannot be asked: {brokers} takes no connection\n"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"VERIRAMP_BROKERS": ""}, "VERIRAMP_BROKERS is not set; write host:port"),
        ({"VERIRAMP_TOPIC_REPLICATION": "none"}, 'VERIRAMP_TOPIC_REPLICATION is "none"; write a whole number'),
        (
            {"VERIRAMP_TOPIC_MIN_INSYNC": "2"},
            "VERIRAMP_TOPIC_MIN_INSYNC is 2, more than VERIRAMP_TOPIC_REPLICATION (1)",
        ),
    ],
)
async def test_a_wrong_environment_is_told(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command("127.0.0.1:1", capsys)
    assert await command(**changes) == 2
    assert sentence in command.err


def test_the_command_belongs_to_the_worker_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("VERIRAMP_BROKERS", raising=False)
    assert main(["topics", "--check"]) == 2
    assert "VERIRAMP_BROKERS is not set" in capsys.readouterr().err
