"""Ask one Prometheus-compatible HTTP API instant queries; every fault of it is a value.

Public: :class:`PrometheusEndpoint`. Of an answer only the parsed floats and metric labels go on; no redirect is
followed, no body above 4 MiB is read, no query takes longer than 10 s.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.types import Answer, Failure, Series

IN_FLIGHT: Final = 16
TIMEOUT_SECONDS: Final = 10.0
MOST_BYTES: Final = 4 * 1024 * 1024
MOST_LABELLED_SERIES: Final = 10
KEEPALIVE_SECONDS: Final = 60.0
_LONGEST_MESSAGE: Final = 300

Observe = Callable[[float, NoDataReason | None], None]
"""Told of each query: seconds it took, and the reason if it failed."""


class PrometheusEndpoint:
    """One HTTP API under a base URL such as ``http://prometheus:9090`` (a path prefix is kept).

    ``scrape_interval``: seconds, what the default ``maxAge`` of a gate follows. At most 16 queries are in flight; more
    wait for their turn. Raises ConfigurationError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        scrape_interval: float = 15.0,
        timeout: float = TIMEOUT_SECONDS,
        observe: Observe | None = None,
    ) -> None:
        self.scrape_interval = scrape_interval
        self._url = _api_url(url)
        self._place = f"{self._url.host}:{self._url.port or (443 if self._url.scheme == 'https' else 80)}"
        self._timeout, self._observe = timeout, observe
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._post = True
        # The transport below httpx.AsyncClient: cookies, redirects, proxies are unwanted here, and cost half the CPU.
        self._transport = httpx.AsyncHTTPTransport(
            trust_env=False,
            limits=httpx.Limits(
                max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT, keepalive_expiry=KEEPALIVE_SECONDS
            ),
        )
        self._headers = _headers(self._url)

    async def instant(self, query: str, at: float) -> Answer:
        """The value of a query at a moment (seconds since the epoch).

        Whatever goes wrong is a Failure with its reason; nothing is raised for a fault of the other side.
        """
        async with self._slots:
            started = asyncio.get_running_loop().time()
            answer = await self._ask({"query": query, "time": f"{at:.3f}"})
            if self._observe is not None:
                failed = answer.reason if isinstance(answer, Failure) else None
                self._observe(asyncio.get_running_loop().time() - started, failed)
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _ask(self, parameters: dict[str, str]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._send(parameters)
                if status == httpx.codes.METHOD_NOT_ALLOWED and self._post:
                    # Some read-only proxies let nothing but GET through.
                    self._post = False
                    status, body = await self._send(parameters)
        except (TimeoutError, httpx.TimeoutException):
            return Failure(NoDataReason.TIMEOUT, f"{self._place} did not answer within {self._timeout:g} s")
        except httpx.ConnectError as error:
            return Failure(NoDataReason.REFUSED, f"no connection to {self._place}: {_short(str(error))}")
        except (httpx.TransportError, ssl.SSLError) as error:
            return Failure(NoDataReason.REFUSED, f"{self._place} broke the connection: {type(error).__name__}")
        if body is None:
            return Failure(
                NoDataReason.TOO_LARGE, f"the answer is larger than {MOST_BYTES >> 20} MiB; aggregate the query"
            )
        return parse_answer(status, body)

    async def _send(self, parameters: dict[str, str]) -> tuple[int, bytes | None]:
        """Status and body; the body is None when it is too large to be read."""
        response = await self._transport.handle_async_request(self._request(parameters))
        try:
            chunks, size = [], 0
            async for chunk in _stream(response):
                size += len(chunk)
                if size > MOST_BYTES:
                    return response.status_code, None
                chunks.append(chunk)
        finally:
            await response.aclose()
        return response.status_code, b"".join(chunks)

    def _request(self, parameters: dict[str, str]) -> httpx.Request:
        encoded = urlencode(parameters).encode("ascii")
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        if self._post:
            return httpx.Request(
                "POST", self._url, headers=self._headers, content=encoded, extensions={"timeout": timeouts}
            )
        url = self._url.copy_with(query=encoded)
        return httpx.Request("GET", url, headers=self._headers, extensions={"timeout": timeouts})


def parse_answer(status: int, body: bytes) -> Answer:
    """Read the answer of ``/api/v1/query`` (prometheus.io/docs, "HTTP API"); total: any body makes an answer."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        content = {}
    if status != httpx.codes.OK or content.get("status") != "success":
        return _refusal(status, content)
    warnings = content.get("warnings")
    if warnings:
        first = warnings[0] if isinstance(warnings, list) else warnings
        return Failure(NoDataReason.PARTIAL_RESPONSE, f"answered with a warning: {_short(str(first))}")
    data = content.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or kind != "vector":
        return Failure(NoDataReason.WRONG_TYPE, f"the query returns a {kind}, not an instant vector")
    try:
        return _series(data["result"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        return Failure(NoDataReason.WRONG_TYPE, "the query returns something else than numbers (a histogram?)")


def _refusal(status: int, content: dict[str, Any]) -> Failure:
    kind, text = str(content.get("errorType") or ""), _short(str(content.get("error") or ""))
    said = f"HTTP {status}" + (f" {kind}: {text}" if text else "")
    if kind in {"bad_data", "execution"}:
        return Failure(NoDataReason.BAD_QUERY, f"the query is refused: {said}")
    if kind in {"timeout", "canceled"}:
        return Failure(NoDataReason.TIMEOUT, f"the query was given up: {said}")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Failure(NoDataReason.SERVER_ERROR, f"answered with {said}")
    if status >= httpx.codes.BAD_REQUEST:
        return Failure(NoDataReason.REFUSED, f"refused with {said}")
    if status >= httpx.codes.MULTIPLE_CHOICES:
        return Failure(NoDataReason.REFUSED, f"answered with a redirect (HTTP {status}), which is not followed")
    return Failure(NoDataReason.WRONG_TYPE, f"the answer (HTTP {status}) is not one of a Prometheus API")


def _series(result: list[dict[str, Any]]) -> Series:
    values = tuple(float(item["value"][1]) for item in result)
    labels = tuple(
        {str(name): str(value) for name, value in item["metric"].items() if name != "__name__"}
        for item in result[:MOST_LABELLED_SERIES]
    )
    return Series(values, labels)


async def _stream(response: httpx.Response) -> Any:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport answers with an asynchronous stream")
    async for chunk in stream:
        yield chunk


def _api_url(url: str) -> httpx.URL:
    shown = url.rpartition("@")[2]  # what stands before it is a credential
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigurationError(
            f"endpoint url {shown!r} is not a URL; write for example http://prometheus:9090"
        ) from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"endpoint url {shown!r} is not http(s); write for example http://prometheus:9090")
    return parsed.copy_with(path=parsed.path.rstrip("/") + "/api/v1/query", query=None, fragment=None)


def _headers(url: httpx.URL) -> dict[str, str]:
    # Compressed answers are not asked for: their size would not be known before they are unpacked.
    headers = {
        "host": url.netloc.decode("ascii"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": "veriramp",
    }
    if url.userinfo:
        request = next(httpx.BasicAuth(url.username, url.password).auth_flow(httpx.Request("GET", url)))
        headers["authorization"] = request.headers["authorization"]
    return headers


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 4] + " ..."
