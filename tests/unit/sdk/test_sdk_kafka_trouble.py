"""What is said of a server whose certificate is wrong, of one that is no Kafka, and of one that is silent."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_sdk.kafka_trouble import why_unreachable


@asynccontextmanager
async def a_server(store: Path | None, answer: bytes | None) -> AsyncIterator[str]:
    """Answers whatever it is asked, if at all, and closes the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(65_536)  # all of it: what is left unread would reset the connection
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        writer.close()

    context = None
    if store is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(store)
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "expired", "sentence"),
    [
        ("127.0.0.1", True, "has a certificate that has expired"),
        ("127.0.0.2", False, "has a certificate for another name (IP address mismatch, certificate is not valid for"),
        ("", False, "has a certificate for another name"),
    ],
)
async def test_a_certificate_that_does_not_fit(tmp_path: Path, host: str, expired: bool, sentence: str) -> None:
    authority = Authority(tmp_path)
    store = authority.issue("broker", host, expired=expired)
    async with a_server(store, b"") as address:
        why = await why_unreachable(KafkaSettings(address, "SSL", ca_file=str(authority.file)))
    assert why.startswith(f"{address} {sentence}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_that_is_no_kafka(answer: bytes) -> None:
    async with a_server(None, answer) as address:
        why = await why_unreachable(KafkaSettings(address))
    assert why == (
        f"{address} closes the connection; VERIRAMP_KAFKA_SECURITY_PROTOCOL is PLAINTEXT, does that port want another?"
    )


async def test_an_answer_that_looks_like_kafkas_and_makes_no_sense() -> None:
    no_versions = struct.pack(">iihi", 10, 1, 0, -1)  # length, correlation id, no error, no array
    async with a_server(None, no_versions) as address:
        why = await why_unreachable(KafkaSettings(address))
    assert why.startswith(f"{address} fails: ")


async def test_a_server_without_tls_where_tls_is_wanted() -> None:
    async with a_server(None, b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        why = await why_unreachable(KafkaSettings(address, "SSL"))
    assert why.startswith(f"{address} does not speak TLS there (")


async def test_a_server_that_is_silent_is_waited_for_no_longer_than_told() -> None:
    async with a_server(None, None) as address:
        why = await why_unreachable(KafkaSettings(f"{address},127.0.0.1:1"), seconds=0.2)
    assert sorted(why.split("; ")) == sorted([f"{address} does not answer in time", "127.0.0.1:1 takes no connection"])
