"""The process ``veriramp-flagserver``: settings, watch, server, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.flagserver.kube import connect
from veriramp_operator.flagserver.server import FlagServer
from veriramp_operator.flagserver.settings import Settings, read_settings
from veriramp_operator.flagserver.watch import Watcher

_log = logging.getLogger("veriramp.flagserver")


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 1 when the settings are wrong."""
    try:
        settings = read_settings(os.environ)
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)
        asyncio.run(_run(settings))
    except ConfigurationError as error:
        sys.exit(f"veriramp-flagserver: {error}")
    except KeyboardInterrupt:
        return


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    reader = connect()
    try:
        async with FlagServer(settings) as server:
            watcher = Watcher(
                reader,
                server.store,
                server.hub,
                server.clock,
                namespaces=settings.watch_namespaces,
                lease_namespace=settings.lease_namespace,
                lease_name=settings.lease_name,
            )
            _log.info("serving gRPC on %s:%s, HTTP on %s", settings.host, server.grpc_port, server.http_port)
            await _until(stop, watcher)
            _log.info("stopping")
    finally:
        await reader.close()


async def _until(stop: asyncio.Event, watcher: Watcher) -> None:
    watching = asyncio.create_task(watcher.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if watching.done():
        # The watch never ends by itself: what it raises is a fault that a restart must show.
        await watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
