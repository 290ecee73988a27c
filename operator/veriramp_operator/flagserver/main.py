"""The process ``veriramp-flagserver``: settings, watch (of the cluster, or of a file), server, signals."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.flagserver.file import FileFollower
from veriramp_operator.flagserver.kube import connect
from veriramp_operator.flagserver.server import FlagServer
from veriramp_operator.flagserver.settings import Settings, read_settings
from veriramp_operator.flagserver.watch import Watcher

_log = logging.getLogger("veriramp.flagserver")


def main(arguments: list[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT; exit 1 when the settings, or the file at the start, are wrong."""
    parser = argparse.ArgumentParser(
        prog="veriramp-flagserver",
        description="Serve the flags of rollouts to search services and workers.",
        epilog="Configured by the variables VERIRAMP_*; a wrong one is named, and what to write.",
    )
    parser.add_argument(
        "--file", type=Path, metavar="FLAGS.yaml", help="serve one rollout from this file, without a cluster"
    )
    file: Path | None = parser.parse_args(arguments).file
    try:
        settings = read_settings(os.environ)
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)
        asyncio.run(_run(settings, file))
    except ConfigurationError as error:
        sys.exit(f"veriramp-flagserver: {error}")
    except KeyboardInterrupt:
        return


async def _run(settings: Settings, file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with _from_file(settings, file) if file else _from_cluster(settings) as (server, watching):
        _log.info("serving gRPC on %s:%s, HTTP on %s", settings.host, server.grpc_port, server.http_port)
        await _until(stop, watching)
        _log.info("stopping")


Watched = tuple[FlagServer, Coroutine[None, None, None]]


@asynccontextmanager
async def _from_file(settings: Settings, file: Path) -> AsyncIterator[Watched]:
    server = FlagServer(replace(settings, watch_namespaces=()))
    follower = FileFollower(file, server.store, server.hub, server.clock)
    follower.begin()
    async with server:
        yield server, follower.run()


@asynccontextmanager
async def _from_cluster(settings: Settings) -> AsyncIterator[Watched]:
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
            yield server, watcher.run()
    finally:
        await reader.close()


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    watching = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if watching.done():
        # The watch never ends by itself: what it raises is a fault that a restart must show.
        await watching
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


if __name__ == "__main__":
    main()
