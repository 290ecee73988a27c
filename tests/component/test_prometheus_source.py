"""The Prometheus source against the real program that scrapes a real exporter, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tests.support.evidence import alert_gate
from tests.support.pipeline import free_port
from tests.support.prometheus import scraping
from tests.support.rollouts import ROOT
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.cli.files import load_rollout
from veriramp_operator.evidence import judge, questions
from veriramp_operator.evidence.types import Failure, Matrix, Reading, Samples, Series
from veriramp_operator.sources.prometheus import MOST_BYTES, PrometheusEndpoint


@dataclass(frozen=True)
class Monitoring:
    url: str


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    registry = CollectorRegistry()
    Gauge("answer", "a number", ["part"], registry=registry).labels("a").set(42)
    Gauge("nothing", "no number", registry=registry).set(float("nan"))
    Counter("requests", "requests", registry=registry).inc(5)
    Histogram("latency", "a histogram", registry=registry).observe(0.1)
    # A scrape that takes longer than its interval is one that failed, and what it would have brought is gone.
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(folder, registry, ready="rate(requests_total[30s])", interval="5s") as url:
        yield Monitoring(url)


@asynccontextmanager
async def endpoint(url: str, patience: float = 10.0) -> AsyncIterator[PrometheusEndpoint]:
    source = PrometheusEndpoint(url, timeout=patience)
    try:
        yield source
    finally:
        await source.aclose()


@asynccontextmanager
async def answering(content: bytes) -> AsyncIterator[str]:
    """A server that sends the same bytes to everybody, and closes; no bytes: it never answers."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if not content:
                await done.wait()
            writer.write(content)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await server.wait_closed()


def response(status: str, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('answer{job="exporter"}', [42.0]),
        ("sum(answer)", [42.0]),
        ("nothing_of_that_name", []),
        ("answer > 100", []),
    ],
)
async def test_numbers(monitoring: Monitoring, query: str, expected: list[float]) -> None:
    async with endpoint(monitoring.url) as source:
        answer = await source.instant(query, time.time())
    assert isinstance(answer, Series)
    assert list(answer.values) == expected


async def test_labels_come_without_the_name(monitoring: Monitoring) -> None:
    async with endpoint(monitoring.url) as source:
        answer = await source.instant("answer", time.time())
    assert isinstance(answer, Series)
    assert answer.labels[0]["part"] == "a"
    assert "__name__" not in answer.labels[0]


async def test_not_a_number_arrives_as_such(monitoring: Monitoring) -> None:
    async with endpoint(monitoring.url) as source:
        answer = await source.instant("nothing", time.time())
    assert isinstance(answer, Series)
    assert str(answer.values) == "(nan,)"


async def test_the_raw_samples_of_a_range(monitoring: Monitoring) -> None:
    async with endpoint(monitoring.url) as source:
        now = time.time()
        matrix = await source.matrix("requests_total[90s]", now)
        wrong = await source.matrix("requests_total", now)
        refused = await source.matrix("requests_total[", now)
    assert isinstance(matrix, Matrix)
    (series,) = matrix.series
    assert (series.labels["__name__"], series.labels["job"]) == ("requests_total", "exporter")
    assert set(series.values) == {5.0}
    assert len(series.at) == len(series.values) >= 2
    assert list(series.at) == sorted(at for at in series.at if now - 90 <= at <= now)
    assert isinstance(wrong, Failure)
    assert wrong.reason is NoDataReason.WRONG_TYPE
    assert isinstance(refused, Failure)
    assert refused.reason is NoDataReason.BAD_QUERY


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("rate(", NoDataReason.BAD_QUERY),
        ("answer + on () group_left () latency_bucket", NoDataReason.BAD_QUERY),
        ("answer[5m]", NoDataReason.WRONG_TYPE),
        ("1", NoDataReason.WRONG_TYPE),
        ('"text"', NoDataReason.WRONG_TYPE),
    ],
)
async def test_what_prometheus_refuses_or_answers_in_another_type(
    monitoring: Monitoring, query: str, reason: NoDataReason
) -> None:
    async with endpoint(monitoring.url) as source:
        answer = await source.instant(query, time.time())
    assert isinstance(answer, Failure)
    assert answer.reason is reason


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "rollouts").glob("*.yaml")), ids=lambda path: path.stem)
async def test_the_queries_of_the_examples_are_understood(monitoring: Monitoring, path: Path) -> None:
    rollout = load_rollout(str(path))
    gates = rollout.spec.gates
    asked = [query for gate in gates for query in questions(gate, rollout.namespace, rollout.name).queries]
    async with endpoint(monitoring.url) as source:
        for query in asked:
            answer = await source.instant(query, time.time())
            assert isinstance(answer, Series), f"{query}: {answer}"


@pytest.mark.shows("S1-ROLL-07")
async def test_a_real_answer_becomes_a_verdict(monitoring: Monitoring) -> None:
    gate = alert_gate(expr="answer > 100", presence={"query": "sum(answer)", "min": 1}, selector="answer")
    asked, now = questions(gate, "ns", "demo"), time.time()
    async with endpoint(monitoring.url) as source:
        assert asked.query
        assert asked.presence
        assert asked.newest
        poll = Reading(
            now,
            await source.instant(asked.query, now),
            await source.instant(asked.presence, now),
            await source.instant(asked.newest, now),
        )
    assert judge(gate, Samples((poll,)), now).kind is VerdictKind.PASS
    assert judge(gate, Samples((poll,)), now + 60).kind is VerdictKind.NO_DATA


@pytest.mark.shows("S1-ROLL-07")
async def test_nobody_listens() -> None:
    async with endpoint(f"http://127.0.0.1:{free_port()}") as source:
        answer = await source.instant("up", 0.0)
    assert isinstance(answer, Failure)
    assert answer.reason is NoDataReason.REFUSED


@pytest.mark.shows("S1-ROLL-07")
async def test_a_server_that_never_answers() -> None:
    async with answering(b"") as url, endpoint(url, patience=0.2) as source:
        answers = await asyncio.gather(*(source.instant("up", 0.0) for _ in range(20)))
    assert {answer.reason for answer in answers if isinstance(answer, Failure)} == {NoDataReason.TIMEOUT}
    assert len(answers) == 20


SUCCESS = b'{"status":"success","data":{"resultType":"vector","result":[]}'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (response("500 Oops", b"broken"), NoDataReason.SERVER_ERROR),
        (response("503 Busy", b'{"status":"error","errorType":"timeout","error":"slow"}'), NoDataReason.TIMEOUT),
        (response("401 No", b"who are you"), NoDataReason.CLIENT_ERROR),
        (response("302 Found", b"", "Location: http://127.0.0.1:1/\r\n"), NoDataReason.CLIENT_ERROR),
        (response("200 OK", b"<html>a login page</html>"), NoDataReason.WRONG_TYPE),
        (response("200 OK", b"[1]"), NoDataReason.WRONG_TYPE),
        (response("200 OK", SUCCESS + b',"warnings":["half of the stores answered"]}'), NoDataReason.PARTIAL_RESPONSE),
        (response("200 OK", b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},'
                            b'"histogram":[1,{}]}]}}'), NoDataReason.WRONG_TYPE),
        (response("200 OK", b"x" * (MOST_BYTES + 1)), NoDataReason.TOO_LARGE),
        (b"not http at all\r\n\r\n", NoDataReason.REFUSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", NoDataReason.REFUSED),
    ],
)  # fmt: skip
async def test_a_server_that_misbehaves(content: bytes, reason: NoDataReason) -> None:
    async with answering(content) as url, endpoint(url) as source:
        answer = await source.instant("up", 0.0)
    assert isinstance(answer, Failure)
    assert answer.reason is reason


async def test_a_proxy_that_lets_only_get_through() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        allowed = head.startswith(b"GET /prefix/api/v1/query?query=up")
        writer.write(response("200 OK", SUCCESS + b"}") if allowed else response("405 No", b""))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, endpoint(f"http://127.0.0.1:{port}/prefix/") as source:
        assert await source.instant("up", 0.0) == Series(())
        assert await source.instant("up", 1.0) == Series(())


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://prometheus", "http://", "http://user:canary@prometheus:port"]
)
def test_a_url_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write for example") as caught:
        PrometheusEndpoint(url)
    assert "canary" not in str(caught.value)


@pytest.mark.shows("S1-SEC-01")
async def test_credentials_of_the_url_go_into_a_header_and_into_no_message() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response("403 No", b""))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, endpoint(f"http://user:canary@127.0.0.1:{port}") as source:
        answer = await source.instant("up", 0.0)
    assert b"authorization: Basic dXNlcjpjYW5hcnk=" in seen[0]
    assert b"canary" not in seen[0]
    assert isinstance(answer, Failure)
    assert "canary" not in answer.message
