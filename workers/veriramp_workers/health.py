"""``/livez``, ``/readyz`` and ``/metrics`` of a worker, on one port.

Public names: :func:`health_app`, :class:`Server`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
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


class Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the worker, which has to drain before it goes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no handler."""
        yield
