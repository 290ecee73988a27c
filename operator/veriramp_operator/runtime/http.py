"""The operator's HTTP doors: health and metrics on one port, Alertmanager's pushes on another."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from veriramp_operator.api.errors import ConfigurationError, Unavailable
from veriramp_operator.runtime.metrics import Metrics
from veriramp_operator.sources.alertmanager import BadPayload

MAX_BODY: Final = 1024 * 1024
ANSWER_SECONDS: Final = 8.0
FORWARDED: Final = "X-Veriramp-Forwarded"

_log = logging.getLogger("veriramp.http")


@dataclass(frozen=True, slots=True)
class Health:
    """Why the process is not alive, or not ready; empty = all is well."""

    alive: Callable[[], str]
    ready: Callable[[], str]


@dataclass(frozen=True, slots=True)
class AlertDoor:
    """What the receiver needs from the process round it.

    ``leader_address``: base URL of the leader's receiver, empty = this process leads. ``accept``: takes the body, and
    returns when all that follows from it is written; raises BadPayload, or Unavailable when it could not be.
    """

    token: str
    leads: Callable[[], bool]
    leader_address: Callable[[], str]
    accept: Callable[[bytes], Awaitable[Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class JournalDoor:
    """What ``GET /journal/{namespace}/{name}`` needs.

    ``leader_url``: base URL of the leader's health port, empty = nobody is known to lead. ``lines``: the last recorded
    decisions of a rollout, oldest first.
    """

    leads: Callable[[], bool]
    leader_url: Callable[[], str]
    lines: Callable[[tuple[str, str]], Sequence[str]]


def health_app(health: Health, metrics: Metrics, journal: JournalDoor) -> web.Application:
    """/livez, /readyz, /metrics and, on the leader, /journal/{namespace}/{name}."""

    def answer(problem: str) -> web.Response:
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    async def livez(_: web.Request) -> web.Response:
        return answer(health.alive())

    async def readyz(_: web.Request) -> web.Response:
        return answer(health.ready())

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def decisions(request: web.Request) -> web.Response:
        return _decisions(journal, request.match_info["namespace"], request.match_info["name"])

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    app.add_routes([web.get("/journal/{namespace}/{name}", decisions)])
    return app


def alerts_app(door: AlertDoor, metrics: Metrics) -> web.Application:
    """``POST /alerts/v1``: 200 only when the safe state is written; 503 lets Alertmanager try again."""

    async def receive(request: web.Request) -> web.Response:
        response = await _receive(door, request)
        metrics.pushes.labels(str(response.status)).inc()
        return response

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes([web.post("/alerts/v1", receive)])
    return app


def _decisions(door: JournalDoor, namespace: str, name: str) -> web.Response:
    if not door.leads():
        url = door.leader_url()
        if not url:
            return web.Response(status=503, text="nobody leads at the moment, so nobody decides; ask again\n")
        text = f"this replica does not lead; ask the one that does: {url}/journal/{namespace}/{name}\n"
        return web.Response(status=421, text=text)
    lines = door.lines((namespace, name))
    if not lines:
        text = (
            f"no decision about {namespace}/{name} is in memory: is there a rollout of this name, in a namespace that "
            "this operator watches?\n"
        )
        return web.Response(status=404, text=text)
    return web.Response(text="".join(f"{line}\n" for line in lines), content_type="application/x-ndjson")


async def _receive(door: AlertDoor, request: web.Request) -> web.Response:
    refused = _unauthorised(door.token, request)
    if refused is not None:
        return refused
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return web.Response(status=413, text=f"more than {MAX_BODY} bytes; lower max_alerts of the webhook_config")
    return await (_act(door, body) if door.leads() else _forward(door, request, body))


def _unauthorised(token: str, request: web.Request) -> web.Response | None:
    if not token:
        return web.Response(status=503, text="no token configured: set VERIRAMP_ALERT_TOKEN_FILE")
    given = request.headers.get("Authorization", "")
    if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return None
    return web.Response(status=401, text="send Authorization: Bearer <token of the operator's alerts secret>")


async def _act(door: AlertDoor, body: bytes) -> web.Response:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return web.json_response(await door.accept(body))
    except BadPayload as error:
        return web.Response(status=413 if error.too_large else 400, text=str(error))
    except Unavailable as error:
        return web.Response(status=503, text=f"{error}; send it again")
    except TimeoutError:
        _log.warning("a push could not be acted on within %.0f s", ANSWER_SECONDS)
        return web.Response(status=503, text="not written yet; send it again")


async def _forward(door: AlertDoor, request: web.Request, body: bytes) -> web.Response:
    address = door.leader_address()
    if not address or FORWARDED in request.headers:
        return web.Response(status=503, text="no leader at the moment; send it again")
    headers = {"Authorization": request.headers["Authorization"], FORWARDED: "1"}
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            answer = await client.post(f"{address}/alerts/v1", content=body, headers=headers)
    except httpx.HTTPError as error:
        return web.Response(status=503, text=f"the leader does not answer: {type(error).__name__}")
    return web.Response(status=answer.status_code, text=answer.text)


async def serve(apps: Sequence[tuple[web.Application, str, int]]) -> list[web.AppRunner]:
    """Start one server per (app, host, port); stop each with ``runner.cleanup()``.

    Raises ConfigurationError where an address is taken or not this machine's.
    """
    runners = []
    for app, host, port in apps:
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            for started in runners:
                await started.cleanup()
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; "
                "set VERIRAMP_HOST, VERIRAMP_HEALTH_PORT and VERIRAMP_ALERTS_PORT to addresses that are free here"
            ) from error
    return runners
