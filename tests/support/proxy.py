"""A recording proxy between the operator and a real server (API server, Prometheus) that can do harm on demand.

    with Proxy(cluster.api_url, cluster.client) as proxy:          # plain HTTP in, the cluster's TLS and identity out
        proxy.kubeconfig(path)                                     # what the operator is given
        proxy.fail(lambda r: r.kind == "configmaps" and r.mutates, Answer(409), times=3)
        proxy.at(7, operator.kill, after=True)                     # once the server has done mutating request 7
        proxy.stall_watches() / cut_watches() / resume_watches()
        proxy.documents()                                          # every flag document that the server took

Every mutating request but those on Leases has a number, from 1.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import yaml
from aiohttp import web

from veriramp_operator.engine.types import Published
from veriramp_operator.resources.published import published_from

T = TypeVar("T")
_HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "content-encoding", "host"})
LINGER_SECONDS: Final = 0.1
_READS: Final = frozenset({"GET", "HEAD"})


@dataclass(slots=True)
class Request:
    """One request as it passed; ``number`` counts mutating ones, ``status`` is 0 until it is answered.

    ``sender``: whose kubeconfig it came with.
    """

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    at: float
    number: int = 0
    status: int = 0
    answer: bytes = b""
    sender: str = ""

    @property
    def mutates(self) -> bool:
        return self.method not in _READS

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in {"true", "1"}

    @property
    def kind(self) -> str:
        """Plural of the resource, with its subresource: ``configmaps``, ``verificationrollouts/status``."""
        parts = self.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            rest = rest[2:]
        return "/".join([rest[0], *rest[2:3]]) if rest else ""

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.path} -> {self.status}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in the server's place; with ``after`` only once the server has done it (the answer is lost)."""

    status: int
    after: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer; with ``after`` once the server has done it."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Let it pass after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Answer what this makes of the server's answer."""

    of: Callable[[bytes], bytes]


Harm = Answer | Drop | Delay | Rewrite
Match = Callable[[Request], bool]


@dataclass(slots=True)
class _Rule:
    matches: Match
    harm: Harm
    times: float


@dataclass(frozen=True, slots=True)
class _Hook:
    matches: Match
    call: Callable[[], None]
    after: bool
    answer: bool


class Proxy:
    """Serves in a thread of its own; every public method may be called from the test's thread."""

    def __init__(self, api_url: str, tls: ssl.SSLContext | None) -> None:
        self._api_url, self._tls = api_url, tls
        self.requests: list[Request] = []
        self._rules: list[_Rule] = []
        self._hooks: list[_Hook] = []
        self._numbers = 0
        self._watches: set[asyncio.Task[Any]] = set()
        self._flowing = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def kubeconfig(self, path: Path, sender: str = "somebody") -> Path:
        """Write a kubeconfig that leads here; ``sender`` is noted at every request that comes with it."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "proxy", "user": {"token": sender}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def fail(self, matches: Match, harm: Harm, times: float = float("inf")) -> None:
        """Do harm to the next so many requests that match."""
        self._rules.append(_Rule(matches, harm, times))

    def heal(self) -> None:
        """Do no harm any more."""
        self._rules.clear()

    def once(self, matches: Match, call: Callable[[], None], *, after: bool, answer: bool = False) -> None:
        """Call before the next matching request reaches the server, or after; ``answer``: and then go on with it."""
        self._hooks.append(_Hook(matches, call, after, answer))

    def at(self, number: int, call: Callable[[], None], *, after: bool) -> None:
        """Call round one mutating request."""
        self.once(lambda request: request.number == number, call, after=after)

    def stall_watches(self) -> None:
        """Let no event through from now on, and keep the connections open."""

        async def stall() -> None:
            self._flowing.clear()

        self._call(stall())

    def resume_watches(self) -> None:
        """Let events flow again."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def cut_watches(self) -> None:
        """Break every watch connection."""

        async def cut() -> None:
            for task in tuple(self._watches):
                task.cancel()

        self._call(cut())

    @property
    def count(self) -> int:
        """Number of the last mutating request."""
        return self._numbers

    def writes(self, kind: str = "") -> list[Request]:
        """The mutating requests, in order; of one kind, or of all."""
        return [request for request in tuple(self.requests) if request.number and kind in {"", request.kind}]

    def documents(self, rollout: str = "") -> list[Published]:
        """The flag documents that the server took, in order; of one rollout, or of all."""
        taken = [request for request in self.writes("configmaps") if 0 < request.status < 300]
        raws = [json.loads(request.answer) for request in taken]
        ours = [raw for raw in raws if rollout in {"", raw["metadata"]["name"].removesuffix("-flags")}]
        return [published for raw in ours if (published := published_from(raw)) is not None]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._flowing.set()
        timeout = aiohttp.ClientTimeout(total=None, connect=5)
        self._client = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that was killed must not take the request that it sent along.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        self._stopping.set()
        watches = tuple(self._watches)
        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await self._runner.cleanup()
        await self._client.close()
        # The last transports close in a later turn of the loop; nothing tells when.
        await asyncio.sleep(LINGER_SECONDS)

    async def _handle(self, raw: web.Request) -> web.StreamResponse:
        sender = raw.headers.get("Authorization", "").removeprefix("Bearer ")
        request = Request(raw.method, raw.path, dict(raw.query), await raw.read(), time.time(), sender=sender)
        if request.mutates and request.kind != "leases":
            self._numbers += 1
            request.number = self._numbers
        self.requests.append(request)
        if await self._hooked(request, after=False):
            return self._dropped(raw)
        harm = self._harm(request)
        if isinstance(harm, Delay):
            if await self._stops_within(harm.seconds):
                return self._dropped(raw)
        elif isinstance(harm, (Answer, Drop)) and not harm.after:
            return self._harmed(raw, request, harm)
        if request.is_watch:
            return await self._watch(raw, request)
        response = await self._pass_on(raw, request)
        if await self._hooked(request, after=True):
            return self._dropped(raw)
        if isinstance(harm, Rewrite) and isinstance(response.body, bytes):
            response.body = harm.of(response.body)
        return self._harmed(raw, request, harm) if isinstance(harm, (Answer, Drop)) else response

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _hooked(self, request: Request, *, after: bool) -> bool:
        hook = next((hook for hook in self._hooks if hook.after is after and hook.matches(request)), None)
        if hook is None:
            return False
        self._hooks.remove(hook)
        await asyncio.to_thread(hook.call)
        return not hook.answer

    def _harm(self, request: Request) -> Harm | None:
        for rule in self._rules:
            if rule.times > 0 and rule.matches(request):
                rule.times -= 1
                return rule.harm
        return None

    def _harmed(self, raw: web.Request, request: Request, harm: Answer | Drop) -> web.Response:
        if isinstance(harm, Drop):
            return self._dropped(raw)
        request.status = request.status or harm.status
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": harm.status, "message": "injected"}
        return web.json_response(body, status=harm.status)

    def _dropped(self, raw: web.Request) -> web.Response:
        if raw.transport is not None:
            raw.transport.abort()
        return web.Response(status=500)

    async def _pass_on(self, raw: web.Request, request: Request) -> web.Response:
        try:
            async with self._send(raw, request) as answer:
                request.answer = await answer.read()
                request.status = answer.status
                return web.Response(body=request.answer, status=answer.status, headers=_headers(answer))
        except aiohttp.ClientError:
            return self._dropped(raw)

    async def _watch(self, raw: web.Request, request: Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            async with self._send(raw, request) as answer:
                request.status = answer.status
                response = web.StreamResponse(status=answer.status, headers=_headers(answer))
                await response.prepare(raw)
                await self._stream(answer, response)
                return response
        except (asyncio.CancelledError, ConnectionError, aiohttp.ClientError):
            return self._dropped(raw)
        finally:
            self._watches.discard(task)

    async def _stream(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for chunk in answer.content.iter_any():
            await self._flowing.wait()
            await response.write(chunk)

    def _send(self, raw: web.Request, request: Request) -> aiohttp.client._RequestContextManager:
        headers = {name: value for name, value in raw.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers.pop("Authorization", None)
        return self._client.request(
            raw.method,
            self._api_url + request.path,
            params=request.query,
            data=request.body or None,
            headers=headers,
            ssl=self._tls if self._tls is not None else True,
        )


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
