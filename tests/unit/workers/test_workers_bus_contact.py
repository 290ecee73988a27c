"""What a worker says of brokers that do not answer: in the log, and to ``/readyz``."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_rights import Right
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.contact import SILENT_SECONDS, Contact


class Cluster:
    """A clock, and what asking the brokers would find."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fault = "kafka:9092 takes no connection"
        self.asked = 0
        self.contact = Contact(KafkaSettings("kafka:9092"), clock=lambda: self.now, ask=self._ask)

    async def _ask(self, _: KafkaSettings, __: float) -> str:
        self.asked += 1
        return self.fault

    async def miss(self, seconds: float, *, every: float = 2.0) -> None:
        """Miss the brokers again and again for a time."""
        end = self.now + seconds
        while self.now < end:
            await self.contact.missed("the lag is not known", TimeoutError())
            self.now += every


async def test_half_a_minute_without_an_answer_is_told_to_readyz_until_the_next_answer() -> None:
    cluster = Cluster()
    await cluster.miss(SILENT_SECONDS - 2.0)
    assert cluster.contact.missing == ""
    await cluster.miss(4.0)
    assert cluster.contact.missing == "no answer from Kafka for 32 s: kafka:9092 takes no connection"
    cluster.contact.answered()
    assert (cluster.contact.missing, cluster.contact.cause) == ("", "")


async def test_a_cause_is_told_when_it_is_new_and_then_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = Cluster()
    await cluster.miss(120.0)
    line = "the lag is not known, trying again: kafka:9092 takes no connection"
    assert caplog.messages == [line, line]
    assert cluster.asked == 12
    cluster.fault = 'kafka:9092 refuses "alice"'
    await cluster.miss(20.0)
    assert caplog.messages[2:] == ['the lag is not known, trying again: kafka:9092 refuses "alice"']
    cluster.contact.answered()
    cluster.contact.answered()
    assert caplog.messages[3:] == ["Kafka answers again"]


async def test_the_error_itself_is_told_when_the_brokers_are_well() -> None:
    cluster = Cluster()
    cluster.fault = ""
    assert await cluster.contact.why(TimeoutError()) == "no answer in time"
    assert await cluster.contact.why(KafkaConnectionError("no")) == "KafkaConnectionError('no')"
    assert await cluster.contact.why(ConfigurationError("the file is not there")) == "the file is not there"


def test_rights_are_told_when_they_are_new_and_then_once_a_minute_until_they_are_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    cluster, wanted = Cluster(), "Kafka does not allow it: give clients without a name"
    read, write = Right("Read", "topic", "a"), Right("Write", "topic", "a")
    for right in (read, read, write, read):
        cluster.contact.refused([right])
    lines = [f"{wanted} Read on the topic a", f"{wanted} Read on the topic a, Write on the topic a"]
    assert caplog.messages == lines
    assert cluster.contact.refusal == lines[1]
    cluster.now += 60.0
    cluster.contact.refused([read])
    assert caplog.messages[2:] == lines[1:]
    cluster.contact.allowed("Write", "b")
    cluster.contact.allowed("Write", "a")
    assert cluster.contact.refusal == lines[0]
    cluster.contact.allowed("Read")
    cluster.contact.allowed("Read")
    assert cluster.contact.refusal == ""
    assert caplog.messages[3:] == ["Kafka allows Write on the topic a", "Kafka allows Read on the topic a"]
