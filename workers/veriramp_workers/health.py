"""The one port of a worker: ``/livez``, ``/readyz``, ``/metrics``, and ``/admin`` for who has the token.

Public names: :func:`health_app`, :func:`admin_routes`, :func:`serving`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import os
import socket
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


def health_app(registry: CollectorRegistry, ready: Callable[[], str], more: Sequence[Route] = ()) -> Starlette:
    """Return the app; ``ready`` says what is missing, or nothing when the worker is ready; ``more`` it serves too."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        missing = ready()
        return PlainTextResponse(f"{missing}\n", 503) if missing else PlainTextResponse("ok\n")

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    own = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=[*own, *more])


def admin_routes(
    token: str, stats: Callable[[], Mapping[str, object]], reset_breaker: Callable[[], None]
) -> list[Route]:
    """Return ``GET /admin/stats`` and ``POST /admin/breaker/reset`` for who sends ``Authorization: Bearer <token>``.

    Without a token there are none: 404 for everybody.
    """
    if not token:
        return []

    def refusal(request: Request) -> Response | None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return None
        return PlainTextResponse("a bearer token is needed\n", 401, {"www-authenticate": "Bearer"})

    async def show(request: Request) -> Response:
        return refusal(request) or JSONResponse(stats())

    async def reset(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        reset_breaker()
        return JSONResponse(stats())

    return [
        Route("/admin/stats", show, methods=["GET"]),
        Route("/admin/breaker/reset", reset, methods=["POST"]),
    ]


@asynccontextmanager
async def serving(app: Starlette, host: str, port: int, *, drain_seconds: int = 2) -> AsyncIterator[uvicorn.Server]:
    """Serve an app while inside; raises ``OSError`` when the port cannot be had.

    At the end requests in work get ``drain_seconds``.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=drain_seconds,
    )
    server = _Server(config)
    # Bound here: uvicorn would end the process when the port is taken.
    with _listening(host, port) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield server
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the worker, which has to drain before it goes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no handler."""
        yield


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        number = errno.EADDRNOTAVAIL if isinstance(error, UnicodeError) else error.errno or 0
        # What does not resolve has a number below 0.
        elsewhere = number < 0 or number == errno.EADDRNOTAVAIL
        why = f"{host} is no address of this machine; set VERIRAMP_HOST" if elsewhere else os.strerror(number)
        raise OSError(number, f"port {port} of {host} cannot be had: {why}") from error
