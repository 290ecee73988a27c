"""The flag server put together: store, hub, gRPC and HTTP on their ports.

Public: :class:`FlagServer`. It runs with or without a Kubernetes watch: whoever owns the store feeds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import grpc.aio
import uvicorn

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.flagserver.http import Parts, http_app
from veriramp_operator.flagserver.hub import Hub
from veriramp_operator.flagserver.reports import Reports
from veriramp_operator.flagserver.settings import Settings
from veriramp_operator.flagserver.store import EVERYWHERE, Store
from veriramp_operator.flagserver.sync import SyncService, grpc_server


class FlagServer:
    """Serves a store; an async context manager."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.store = Store(settings.watch_namespaces or (EVERYWHERE,))
        self.hub = Hub(self.store)
        self.reports = Reports()
        self.service = SyncService(self.store, self.hub, self.reports, clock, settings.token)
        self.grpc_port = 0
        self.http_port = 0
        self._grpc: grpc.aio.Server | None = None
        parts = Parts(self.store, self.hub, self.reports, self.service, clock, settings.token)
        self._http = _Uvicorn(
            uvicorn.Config(
                http_app(parts), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
            )
        )
        self._serving: asyncio.Task[None] | None = None

    def push(self, selectors: Iterable[str]) -> None:
        """Send the current documents of these rollouts to their streams."""
        self.hub.push(selectors)

    async def __aenter__(self) -> Self:
        """Listen on both ports; raise ConfigurationError when one is taken."""
        listener = _listen(self.settings.host, self.settings.http_port)
        self._grpc = grpc_server(self.service)
        address = f"{self.settings.host}:{self.settings.grpc_port}"
        try:
            self.grpc_port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            listener.close()
            await self._grpc.stop(None)
            raise ConfigurationError(
                f"cannot listen on {address} (VERIRAMP_HOST, VERIRAMP_GRPC_PORT): {error}"
            ) from error
        self.http_port = listener.getsockname()[1]
        await self._grpc.start()
        self._serving = asyncio.create_task(self._http.serve([listener]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the streams, then the ports."""
        self.hub.close_all("the flag server stops; another one takes over")
        if self._grpc:
            await self._grpc.stop(grace=1.0)
        self._http.should_exit = True
        if self._serving:
            await self._serving


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} (VERIRAMP_HOST, VERIRAMP_HTTP_PORT): {error}"
        ) from error
