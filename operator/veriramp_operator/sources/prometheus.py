"""Ask one Prometheus-compatible HTTP API; every fault of it is a value.

Public: :class:`PrometheusEndpoint`, :func:`parse_answer`, :func:`parse_matrix`, :func:`parse_rules`. Of an answer only
the parsed numbers and labels go on; no redirect is followed, no body above 4 MiB is read, no query takes longer than
10 s. The API: prometheus.io/docs, "HTTP API".
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.types import Answer, Failure, Matrix, RawSeries, RuleSeen, Series

IN_FLIGHT: Final = 16
TIMEOUT_SECONDS: Final = 10.0
MOST_BYTES: Final = 4 * 1024 * 1024
MOST_LABELLED_SERIES: Final = 50
KEEPALIVE_SECONDS: Final = 60.0
_LONGEST_MESSAGE: Final = 300

Observe = Callable[[float, NoDataReason | None], None]
"""Told of each query: seconds it took, and the reason if it failed."""

_QUERY: Final = "/api/v1/query"
_RULES: Final = "/api/v1/rules"
_Parameters = Sequence[tuple[str, str]]
_T = TypeVar("_T")
_Parse = Callable[[int, bytes], _T | Failure]


class PrometheusEndpoint:
    """One HTTP API under a base URL such as ``http://prometheus:9090`` (a path prefix is kept).

    ``scrape_interval``: seconds, what the default ``maxAge`` of a gate follows. ``external_labels``: names of labels
    that this server adds to the alerts that it sends. At most 16 queries are in flight; more
    wait for their turn. Raises ConfigurationError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        scrape_interval: float = 15.0,
        external_labels: tuple[str, ...] = (),
        timeout: float = TIMEOUT_SECONDS,
        observe: Observe | None = None,
    ) -> None:
        self.scrape_interval, self.external_labels = scrape_interval, external_labels
        base = _base_url(url)
        self._urls = {path: base.copy_with(path=base.path.rstrip("/") + path) for path in (_QUERY, _RULES)}
        self._place = f"{base.host}:{base.port or (443 if base.scheme == 'https' else 80)}"
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
        self._headers = _headers(base)

    async def instant(self, query: str, at: float) -> Answer:
        """The value of a query at a moment (seconds since the epoch).

        Whatever goes wrong is a Failure with its reason; nothing is raised for a fault of the other side.
        """
        return await self._timed(_QUERY, (("query", query), ("time", f"{at:.3f}")), parse_answer)

    async def matrix(self, query: str, at: float) -> Matrix | Failure:
        """The raw samples that a range selector such as ``name{..}[15m]`` selects at a moment; faults as above."""
        return await self._timed(_QUERY, (("query", query), ("time", f"{at:.3f}")), parse_matrix)

    async def rules(self, alertnames: Sequence[str]) -> tuple[RuleSeen, ...] | Failure:
        """The alerting rules of these names as the server knows them now; faults as above."""

        def parse(status: int, body: bytes) -> tuple[RuleSeen, ...] | Failure:
            return parse_rules(status, body, alertnames)

        named = [("rule_name[]", name) for name in alertnames]
        return await self._timed(_RULES, (("type", "alert"), ("exclude_alerts", "true"), *named), parse)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _timed(self, path: str, parameters: _Parameters, parse: _Parse[_T]) -> _T | Failure:
        async with self._slots:
            started = asyncio.get_running_loop().time()
            answer = await self._ask(path, parameters, parse)
            if self._observe is not None:
                failed = answer.reason if isinstance(answer, Failure) else None
                self._observe(asyncio.get_running_loop().time() - started, failed)
        return answer

    async def _ask(self, path: str, parameters: _Parameters, parse: _Parse[_T]) -> _T | Failure:
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._send(path, parameters)
                if status == httpx.codes.METHOD_NOT_ALLOWED and self._post and path == _QUERY:
                    # Some read-only proxies let nothing but GET through.
                    self._post = False
                    status, body = await self._send(path, parameters)
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
        return parse(status, body)

    async def _send(self, path: str, parameters: _Parameters) -> tuple[int, bytes | None]:
        """Status and body; the body is None when it is too large to be read."""
        response = await self._transport.handle_async_request(self._request(path, parameters))
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

    def _request(self, path: str, parameters: _Parameters) -> httpx.Request:
        url, encoded = self._urls[path], urlencode(parameters).encode("ascii")
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        if self._post and path == _QUERY:
            return httpx.Request("POST", url, headers=self._headers, content=encoded, extensions={"timeout": timeouts})
        url = url.copy_with(query=encoded)
        return httpx.Request("GET", url, headers=self._headers, extensions={"timeout": timeouts})


def parse_answer(status: int, body: bytes) -> Answer:
    """Read an instant vector; total: any body makes an answer."""
    data = _data(status, body)
    if isinstance(data, Failure):
        return data
    if data.get("resultType") != "vector":
        return Failure(NoDataReason.WRONG_TYPE, f"the query returns a {data.get('resultType')}, not an instant vector")
    try:
        return _series(data["result"])
    except _UNREADABLE:
        return Failure(NoDataReason.WRONG_TYPE, "the query returns something else than numbers (a histogram?)")


def parse_matrix(status: int, body: bytes) -> Matrix | Failure:
    """Read a range vector; total: any body makes an answer."""
    data = _data(status, body)
    if isinstance(data, Failure):
        return data
    if data.get("resultType") != "matrix":
        return Failure(NoDataReason.WRONG_TYPE, f"the query returns a {data.get('resultType')}, not a range vector")
    try:
        return Matrix(tuple(_raw(item) for item in data["result"]))
    except _UNREADABLE:
        return Failure(NoDataReason.WRONG_TYPE, "the query returns something else than numbers (a histogram?)")


def parse_rules(status: int, body: bytes, alertnames: Sequence[str]) -> tuple[RuleSeen, ...] | Failure:
    """Read the alerting rules of these names from a list of rules; total: any body makes an answer.

    The names are looked for here too, because older servers list all rules whatever is asked.
    """
    data = _data(status, body)
    if isinstance(data, Failure):
        return data
    try:
        return tuple(
            _rule(rule, float(group["interval"]))
            for group in data["groups"]
            for rule in group["rules"]
            if rule.get("type") == "alerting" and rule["name"] in alertnames
        )
    except _UNREADABLE:
        return Failure(NoDataReason.WRONG_TYPE, "the list of rules is not one of a Prometheus API")


_UNREADABLE: Final = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def _data(status: int, body: bytes) -> Mapping[str, Any] | Failure:
    """What every good answer wraps, or why there is none."""
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
    return data if isinstance(data, dict) else Failure(NoDataReason.WRONG_TYPE, "the answer has no data")


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
        return Failure(NoDataReason.CLIENT_ERROR, f"refused with {said}")
    if status >= httpx.codes.MULTIPLE_CHOICES:
        return Failure(NoDataReason.CLIENT_ERROR, f"answered with a redirect (HTTP {status}), which is not followed")
    return Failure(NoDataReason.WRONG_TYPE, f"the answer (HTTP {status}) is not one of a Prometheus API")


def _series(result: list[dict[str, Any]]) -> Series:
    values = tuple(float(item["value"][1]) for item in result)
    labels = tuple(
        {str(name): str(value) for name, value in item["metric"].items() if name != "__name__"}
        for item in result[:MOST_LABELLED_SERIES]
    )
    return Series(values, labels)


def _raw(item: dict[str, Any]) -> RawSeries:
    labels = {str(name): str(value) for name, value in item["metric"].items()}
    samples = item["values"]
    return RawSeries(labels, tuple(float(at) for at, _ in samples), tuple(float(value) for _, value in samples))


def _rule(rule: dict[str, Any], interval: float) -> RuleSeen:
    evaluated = datetime.fromisoformat(str(rule["lastEvaluation"]))
    return RuleSeen(
        alertname=rule["name"],
        health=str(rule["health"]),
        # A rule that was never evaluated has a time in the year 1.
        evaluated_at=evaluated.timestamp() if evaluated.year > 1 and evaluated.tzinfo is not None else 0.0,
        interval=interval,
        last_error=_short(str(rule.get("lastError") or "")),
    )


async def _stream(response: httpx.Response) -> Any:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport answers with an asynchronous stream")
    async for chunk in stream:
        yield chunk


def _base_url(url: str) -> httpx.URL:
    shown = url.rpartition("@")[2]  # what stands before it is a credential
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigurationError(
            f"endpoint url {shown!r} is not a URL; write for example http://prometheus:9090"
        ) from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"endpoint url {shown!r} is not http(s); write for example http://prometheus:9090")
    return parsed.copy_with(query=None, fragment=None)


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
