"""What becomes of a sender's former connection when its credentials have changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from veriramp_sdk import kafka as module
from veriramp_sdk import kafka_trouble
from veriramp_sdk.events import Topic
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.trigger import Message

MESSAGE = Message(Topic.INTERACTIVE, b"key", b"value", ())


class Producer:
    """Stores at once; it does not end before it is let go."""

    def __init__(self, **_: object) -> None:
        self.stored = 0
        self.let_go = asyncio.Event()
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        pass

    async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
        self.stored += 1
        stored = asyncio.get_running_loop().create_future()
        stored.set_result(None)
        return stored

    async def stop(self) -> None:
        self.stopping.set()
        await self.let_go.wait()


async def test_the_next_message_does_not_wait_until_the_former_connection_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Producer] = []

    def producer(**_: object) -> Producer:
        made.append(Producer())
        return made[-1]

    async def answered(*_: object) -> tuple[bool, str]:
        return True, ""

    monkeypatch.setattr(module, "AIOKafkaProducer", producer)
    monkeypatch.setattr(kafka_trouble, "_survey", answered)
    password = tmp_path / "password"
    password.write_text("first")
    sender = KafkaSender(KafkaSettings("a:1", "SASL_PLAINTEXT", "PLAIN", "alice", str(password)))
    await sender.send([MESSAGE])
    password.write_text("second one")
    async with asyncio.timeout(10.0):
        await sender.send([MESSAGE])
        await made[0].stopping.wait()
    assert [one.stored for one in made] == [1, 1]
    for one in made:
        one.let_go.set()
    async with asyncio.timeout(10.0):
        await sender.close()
    assert all(one.stopping.is_set() for one in made)
