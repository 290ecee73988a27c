"""The programs of the dev cluster, as `make demo` gets them: each says its true version, and the broker serves."""

from __future__ import annotations

import asyncio
import json
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tools.gobuild import cache_folder
from tools.kafka.cluster import brokers_of
from tools.programs import GROUPS, PROGRAMS, version_fits, version_of
from tools.toolchain import binary, printed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE = 100.0


@pytest.mark.parametrize("name", GROUPS["demo"])
def test_program_tells_its_true_version(name: str) -> None:
    path = binary(name)
    text = printed(PROGRAMS[name], path)
    assert version_fits(version_of(PROGRAMS[name]), text)
    if path.is_relative_to(cache_folder()):  # built here, and not another patch found on PATH
        assert version_of(PROGRAMS[name]) in text


def test_prometheus_finds_pods_and_no_clouds(tmp_path: Path) -> None:
    pods = "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]"
    clouds = "scrape_configs: [{job_name: a, ec2_sd_configs: [{}]}]"
    answers = {}
    for name, text in {"pods": pods, "clouds": clouds}.items():
        config = tmp_path / f"{name}.yml"
        config.write_text(text, encoding="utf-8")
        answers[name] = _complaint(config, tmp_path)
    assert "ec2_sd_configs not found" in answers["clouds"]
    assert "not found" not in answers["pods"]


def test_helm_renders_charts_that_ask_for_a_kubernetes_of_today(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: a, version: 1.0.0, kubeVersion: '>=1.29'}")
    (tmp_path / "templates" / "a.yaml").write_text("asked: {{ .Capabilities.KubeVersion.Minor }}")
    helm = subprocess.run(
        [binary("helm"), "template", tmp_path], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert helm.returncode == 0, helm.stderr


def test_broker_serves_until_sigterm_and_creates_topics_on_first_use(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    with _broker("--topic", "chunks:3", "--ready-file", str(ready_file)) as (process, address):
        assert json.loads(ready_file.read_text()) == {"address": address}
        assert asyncio.run(_partitions(address, "chunks")) == {0, 1, 2}
        assert asyncio.run(_round_trip(address, "verdicts", b"proved")) == b"proved"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0


def test_broker_keeps_its_topics_over_a_restart_on_the_same_port(tmp_path: Path) -> None:
    with _broker("--data-dir", str(tmp_path / "data")) as (process, address):
        asyncio.run(_send(address, "verdicts", b"proved"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0
    port = address.rsplit(":", 1)[1]
    with _broker("--data-dir", str(tmp_path / "data"), "--port", port) as (_, again):
        assert again == address
        assert asyncio.run(_receive(again, "verdicts")) == b"proved"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--topic", "chunks"], "write name:partitions"),
        (["--topic", "chunks:0"], "write name:partitions"),
        (["--topic", "a b:1"], "write name:partitions"),
        (["--port", "70000"], "write a port from 0"),
        (["--default-partitions", "0"], "write 1 or more"),
        (["chunks:3"], "everything is a flag"),
    ],
)
def test_broker_refuses_bad_flags_with_a_sentence(flags: list[str], sentence: str) -> None:
    ended = subprocess.run([binary("broker"), *flags], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr


def test_broker_says_which_port_is_taken() -> None:
    with _broker() as (_, address):
        port = address.rsplit(":", 1)[1]
        ended = subprocess.run(
            [binary("broker"), "--port", port], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    assert ended.returncode == 1
    assert f"cannot serve on {address}" in ended.stderr


def test_kafka_serves_until_sigterm() -> None:
    with subprocess.Popen([sys.executable, "-m", "tools.kafka", "run"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert asyncio.run(_round_trip(address, "verdicts", b"proved")) == b"proved"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=DEADLINE) == 143
        finally:
            process.kill()
    assert brokers_of(address) == set()


@contextmanager
def _broker(*flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen([binary("broker"), *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], DEADLINE)
            assert readable, "the broker printed no ready line"
            yield process, json.loads(process.stdout.readline())["address"]
        finally:
            process.kill()


async def _partitions(address: str, topic: str) -> set[int]:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        return set(await producer.partitions_for(topic))


async def _send(address: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(topic, value, partition=0)


async def _receive(address: str, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        record = await asyncio.wait_for(consumer.getone(), DEADLINE)
        value: bytes | None = record.value
        return value


async def _round_trip(address: str, topic: str, value: bytes) -> bytes | None:
    await _send(address, topic, value)
    return await _receive(address, topic)


def _complaint(config: Path, folder: Path) -> str:
    """What Prometheus says about `config`, up to the word that it serves or that it gives up."""
    flags = [f"--config.file={config}", f"--storage.tsdb.path={folder / config.stem}"]
    with subprocess.Popen(
        [binary("prometheus"), *flags, "--web.listen-address=127.0.0.1:0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said, until = "", time.monotonic() + DEADLINE
            while process.poll() is None and time.monotonic() < until and "Completed loading" not in said:
                said += process.stderr.readline()
            return said + (process.stderr.read() if process.poll() is not None else "")
        finally:
            process.kill()
