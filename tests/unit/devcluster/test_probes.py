from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tools.devcluster.agent import probes
from tools.devcluster.agent.probes import Target

PATIENT: dict[str, Any] = {"timeoutSeconds": 60}
"""A probe that says nothing else gives up after a second."""


@asynccontextmanager
async def server(answer: Callable[[str], str]) -> AsyncIterator[Target]:
    """Serve status lines: `answer` gets the request line and the headers."""

    served: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        request = (await reader.read(4096)).decode()
        writer.write(answer(request).encode())
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    async def execute(argv: list[str]) -> int:
        return int(argv[-1])

    async with listening:
        yield Target("127.0.0.1", {"http": port}, execute)
    await asyncio.gather(*served)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("HTTP/1.1 200 OK", None),
        ("HTTP/1.1 302 Found", None),
        ("HTTP/1.1 399 ?", None),
        ("HTTP/1.1 400 Bad Request", "HTTP probe failed: HTTP/1.1 400 Bad Request"),
        ("HTTP/1.1 503 Service Unavailable", "HTTP probe failed: HTTP/1.1 503 Service Unavailable"),
        ("nonsense", "HTTP probe failed: nonsense"),
    ],
)
async def test_statuses_from_200_to_399_are_good(status: str, says: str | None) -> None:
    async with server(lambda _request: f"{status}\r\n\r\n") as target:
        assert await probes.check({"httpGet": {"port": "http"}, **PATIENT}, target) == says


async def test_path_and_headers_are_sent() -> None:
    seen: list[str] = []

    def answer(request: str) -> str:
        seen.append(request)
        return "HTTP/1.1 200 OK\r\n\r\n"

    async with server(answer) as target:
        headers = [{"name": "X-Ready", "value": "please"}, {"name": "Host", "value": "shop"}]
        asked = {"port": "http", "path": "/x?y=1", "httpHeaders": headers}
        await probes.check({"httpGet": asked, **PATIENT}, target)

    assert seen[0].startswith("GET /x?y=1 HTTP/1.1\r\n")
    assert "X-Ready: please\r\n" in seen[0]
    assert "Host: shop\r\n" in seen[0]


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        ({"tcpSocket": {"port": "http"}, **PATIENT}, None),
        ({"tcpSocket": {"port": "none"}}, "no container port is named 'none'"),
        ({"exec": {"command": ["exit", "0"]}}, None),
        ({"exec": {"command": ["exit", "4"]}}, "command ended with 4"),
        ({"grpc": {"port": 1}}, "probe grpc is not supported by the dev cluster; use httpGet, tcpSocket or exec"),
    ],
)
async def test_other_kinds(probe: dict[str, Any], says: str | None) -> None:
    async with server(lambda _request: "") as target:
        assert await probes.check(probe, target) == says


async def test_nobody_there_is_an_answer_too() -> None:
    async with server(lambda _request: "") as target:
        pass
    answer = await probes.check({"httpGet": {"port": "http"}, **PATIENT}, target)
    assert answer is not None
    assert "Connect call failed" in answer


async def test_silence_times_out() -> None:
    waiting = asyncio.Event()

    async def hang(_argv: list[str]) -> int:
        await waiting.wait()
        return 0

    target = Target("127.0.0.1", {}, hang)
    assert await probes.check({"exec": {"command": ["x"]}, "timeoutSeconds": 0.01}, target) == "timed out"


@pytest.mark.parametrize(
    ("period", "codes", "expected"),
    [
        (3600, [1, 1, 1, 0], [True]),  # failures before the first success count once per period
        (0.01, [0, 1, 1, 0], [True, False, True]),
        (0.01, [0, 1, 0, 1, 0], [True, True, True]),
    ],
    ids=["early", "threshold", "interrupted"],
)
async def test_thresholds(
    monkeypatch: pytest.MonkeyPatch, period: float, codes: list[int], expected: list[bool]
) -> None:
    monkeypatch.setattr(probes, "EAGER_SECONDS", 0.001)
    answers = iter(codes)
    reports: list[bool] = []

    async def execute(_argv: list[str]) -> int:
        return next(answers, 0)

    async def enough() -> bool:
        return len(reports) >= len(expected)

    probe = {"exec": {"command": ["x"]}, "periodSeconds": period, "failureThreshold": 2, "timeoutSeconds": 60}
    watching = asyncio.create_task(probes.watch(probe, Target("", {}, execute), lambda ok, _why: reports.append(ok)))
    await wait_until(enough, 10, "the reports")
    watching.cancel()

    assert reports[: len(expected)] == expected
