"""The pipeline for tests: a real broker, a flag server, and workers as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from tests.support.waiting import wait_until
from tools.toolchain import binary
from veriramp_sdk.events import Topic, VerifyChunk
from veriramp_sdk.message import request_of
from veriramp_sdk.selection import Chunk

BOTH_BROKERS = pytest.mark.parametrize("brokers", ["kfake", "kafka"], indirect=True)
"""Marks a test, or a module, that is run on kfake and on a real Kafka."""

START_SECONDS = 60.0
WORK_SECONDS = 45.0
STOP_SECONDS = 60.0
STOP_ALONE_SECONDS = 35.0
"""For a program that may not wait for a broker: the client would wait for 40 s."""
ANSWER_SECONDS = 30.0
"""For one answer over HTTP on loopback, from a process that may have to wait for its turn."""


@contextmanager
def a_broker(folder: Path) -> Iterator[str]:
    """A broker of its own; yields host:port."""
    log = (folder / "broker.log").open("wb")
    arguments = [str(binary("broker")), "--default-partitions", "3"]
    with log, subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)


def a_client(base_url: str = "", **headers: str) -> httpx.AsyncClient:
    """A client for loopback, without any certificates: to read them takes longer than an answer."""
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=ANSWER_SECONDS, verify=_NO_CERTIFICATES)


async def fresh_topics(brokers: str, replicas: int = 1) -> None:
    """Delete every topic of a broker that several tests share, with the offsets of its groups, and make ours anew."""
    async with admin_of(brokers) as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if not name.startswith("__")])

        async def created() -> bool:
            # A topic that is being deleted still has its name for a moment.
            topics = [NewTopic(str(name), num_partitions=3, replication_factor=replicas) for name in Topic]
            answer = await admin.create_topics(topics)
            return all(error[1] in {0, TopicAlreadyExistsError.errno} for error in answer.topic_errors)

        await wait_until(created, WORK_SECONDS, "our topics")
    async with AIOKafkaConsumer(bootstrap_servers=brokers) as consumer:
        # Answers only when every partition has its leader.
        await consumer.end_offsets([TopicPartition(name, partition) for name in Topic for partition in range(3)])


def make_fresh_topics(brokers: str, replicas: int = 1) -> None:
    """The same for a fixture that is no coroutine: in a thread, for the test's event loop is not ours to touch."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fresh_topics(brokers, replicas)).result()


@asynccontextmanager
async def admin_of(brokers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """What makes and deletes topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@dataclass
class Program:
    """A worker or search service that runs as its own process; its log is a file."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    async def ready(self) -> bool:
        """Whether ``/readyz`` says so; fails when the process has ended."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log.read_text()}"
        try:
            async with a_client() as client:
                return (await client.get(f"{self.url}/readyz")).is_success
        except httpx.TransportError:
            return False

    async def alive(self) -> bool:
        """Whether ``/livez`` answers."""
        try:
            async with a_client() as client:
                return (await client.get(f"{self.url}/livez")).is_success
        except httpx.TransportError:
            return False

    async def metric(self, name: str, **labels: str) -> float:
        """One sample of ``/metrics``; 0 when it is absent."""
        async with a_client() as client:
            text = (await client.get(f"{self.url}/metrics")).text
        for line in text.splitlines():
            if line.startswith(name) and all(f'{label}="{value}"' in line for label, value in labels.items()):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait, STOP_SECONDS)

    async def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, seconds)


@asynccontextmanager
async def a_program(
    module: str,
    *arguments: str,
    folder: Path,
    env: Mapping[str, str],
    wait: bool = True,
    before: Sequence[str] = (),
) -> AsyncIterator[Program]:
    """Start ``python -m module`` on a free port of loopback and, with ``wait``, wait until it is ready.

    ``before``: a command that becomes the one behind it.
    """
    port = free_port()
    log = folder / f"{module}-{port}.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VERIRAMP_")},
        "VERIRAMP_HOST": "127.0.0.1",
        "VERIRAMP_PORT": str(port),
        **env,
    }
    command = [*before, sys.executable, "-m", module, *arguments]
    process = _started(command, environment, log)
    program = Program(process, f"http://127.0.0.1:{port}", log)
    try:
        if wait:
            await wait_until(program.ready, START_SECONDS, f"{module} to be ready; see {log}")
        yield program
    finally:
        if process.poll() is None:
            try:
                await program.stop()
            finally:
                process.kill()


def _started(command: list[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def an_orchestrator(
    folder: Path, env: Mapping[str, str], *, wait: bool = True, before: Sequence[str] = ()
) -> AbstractAsyncContextManager[Program]:
    """An orchestrator as a process of its own."""
    return a_program("veriramp_workers.main", "orchestrator", folder=folder, env=env, wait=wait, before=before)


def peak_megabytes(program: Program) -> float:
    """The most memory that the process itself has held so far; 0 when it is gone."""
    try:
        status = Path(f"/proc/{program.process.pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def free_port() -> int:
    """A port of loopback that nobody else is given.

    It stays bound here, without listening: whoever connects is refused, and a server may bind it too, as often as it
    starts anew, because all of them set SO_REUSEADDR.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    _HELD.append(held.detach())
    if len(_HELD) > _MOST_HELD:
        os.close(_HELD.popleft())
    return port


_HELD: Final[deque[int]] = deque()
_MOST_HELD: Final = 64
_NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def a_request(content: str, *premises: str, document: str = "document", org: str = "org") -> VerifyChunk:
    """A request for the verification of a text."""
    return request_of(Chunk(org, document, "0", content, premises), int(time.time() * 1000))


def numbered(count: int, first: int = 0) -> list[VerifyChunk]:
    """Requests with different texts."""
    return [
        a_request(f"The tower {number} is {number} metres tall.", document=str(number))
        for number in range(first, first + count)
    ]


class Topics:
    """Sends to topics and reads them from their beginning."""

    def __init__(self, brokers: str, producer: AIOKafkaProducer) -> None:
        self._brokers = brokers
        self._producer = producer

    async def send(self, topic: str, *messages: VerifyChunk) -> None:
        """Send requests and wait for their acknowledgement."""
        for message in messages:
            await self._producer.send(topic, value=message.to_bytes(), key=message.key())
        await self._producer.flush()

    async def send_all(self, messages: Iterable[tuple[str, bytes, bytes | None]]) -> None:
        """Send (topic, value, key) as fast as it goes, and wait for every acknowledgement."""
        sent = [await self._producer.send(topic, value=value, key=key) for topic, value, key in messages]
        await asyncio.gather(*sent)

    async def send_raw(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Send bytes."""
        await self._producer.send_and_wait(topic, value=value, key=key)

    async def read(self, topic: str, enough: Callable[[list[ConsumerRecord]], bool], what: str) -> list[ConsumerRecord]:
        """Read a topic from its beginning until there is enough."""
        found: list[ConsumerRecord] = []
        async with AIOKafkaConsumer(topic, bootstrap_servers=self._brokers, auto_offset_reset="earliest") as consumer:

            async def more() -> bool:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found.extend(records)
                return enough(found)

            await wait_until(more, WORK_SECONDS, f"{what} in {topic}")
        return found

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """The committed offset of each partition that has one."""
        async with AIOKafkaConsumer(bootstrap_servers=self._brokers, group_id=group) as consumer:
            offsets: dict[int, int] = {}
            for partition in range(3):
                offset = await consumer.committed(TopicPartition(topic, partition))
                if offset is not None:
                    offsets[partition] = offset
            return offsets

    async def all_committed(self, group: str, topic: str, count: int) -> None:
        """Wait until a group has committed so many records of a topic: a worker that is stopped leaves the rest."""

        async def committed() -> bool:
            return sum((await self.committed(group, topic)).values()) == count

        await wait_until(committed, WORK_SECONDS, f"{count} records of {topic} to be committed")


@asynccontextmanager
async def followed(
    brokers: str, topics: Iterable[str], note: Callable[[ConsumerRecord], None]
) -> AsyncIterator[AIOKafkaConsumer]:
    """Hand every record of some topics, from their beginning, to ``note`` while inside."""
    async with AIOKafkaConsumer(*topics, bootstrap_servers=brokers, auto_offset_reset="earliest") as consumer:

        async def follow() -> None:
            async for record in consumer:
                note(record)

        following = asyncio.create_task(follow())
        try:
            yield consumer
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@asynccontextmanager
async def topics_of(brokers: str) -> AsyncIterator[Topics]:
    """Topics of a broker, to send and to read."""
    async with AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        yield Topics(brokers, producer)
