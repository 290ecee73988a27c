"""The rights on Kafka: the guide has the lists of the code, and an error tells which of them is missing."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from veriramp_sdk.kafka_rights import (
    PRODUCER_RIGHT,
    SEARCH_RIGHTS,
    TOPICS_RIGHTS,
    WORKER_RIGHTS,
    Right,
    asked_for,
    missing_rights,
)
from veriramp_sdk.kafka_settings import KafkaSettings

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "kafka-secured.md"
PROGRAMS = {"worker": WORKER_RIGHTS, "search": SEARCH_RIGHTS, "`veriramp-worker topics`": TOPICS_RIGHTS}


def rows(program: str, rights: tuple[Right, ...]) -> list[str]:
    """The lines of a table: what has the same operations stands in one."""
    operations = defaultdict[tuple[str, str], list[str]](list)
    for right in rights:
        operations[right.kind, right.name].append(right.operation)
    together = defaultdict[tuple[str, str], list[str]](list)
    for (kind, name), some in operations.items():
        together[", ".join(some), kind].append(f"`{name}`")
    return [
        f"| {program} | {some} | {kind}{'s' * (len(names) > 1)} {', '.join(names)} |"
        for (some, kind), names in together.items()
    ]


def test_the_guide_s_table_is_that_of_the_code() -> None:
    wanted = [row for program, rights in PROGRAMS.items() for row in rows(program, rights)]
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(tuple(f"| {name} |" for name in PROGRAMS))] == wanted


def caused(error: KafkaError) -> KafkaError:
    whole = KafkaError("Unexpected error during batch delivery")
    whole.__cause__ = error
    return whole


@pytest.mark.parametrize(
    ("error", "rights"),
    [
        (GroupAuthorizationFailedError("group"), [Right("Read", "group", "group")]),
        (TopicAuthorizationFailedError("a"), [Right("Write", "topic", "a")]),
        (TopicAuthorizationFailedError({"b", "a"}), [Right("Write", "topic", "a"), Right("Write", "topic", "b")]),
        (TopicAuthorizationFailedError(), [Right("Write", "topic", "topic")]),
        (ClusterAuthorizationFailedError(), [PRODUCER_RIGHT]),
        (caused(ClusterAuthorizationFailedError()), [PRODUCER_RIGHT]),
        (caused(KafkaError()), []),
        (OSError(), []),
    ],
)
def test_an_error_tells_which_rights_are_missing(error: BaseException, rights: list[Right]) -> None:
    assert list(missing_rights(error, "Write", "topic")) == rights


@pytest.mark.parametrize(
    ("settings", "who"),
    [
        (KafkaSettings("kafka:9092", username="alice"), '"alice"'),
        (KafkaSettings("kafka:9092", certificate_file="/tls/tls.crt"), "the name in /tls/tls.crt"),
        (KafkaSettings("kafka:9092"), "clients without a name"),
    ],
)
def test_the_sentence_names_who_is_to_be_given_what(settings: KafkaSettings, who: str) -> None:
    rights = (Right("Read", "topic", "a"), Right("Read", "group", "b"))
    assert (
        asked_for(settings, rights) == f"Kafka does not allow it: give {who} Read on the topic a, Read on the group b"
    )
