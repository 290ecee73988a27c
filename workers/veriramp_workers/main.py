"""``veriramp-worker <name>``: put one worker together from its parts and run it until SIGTERM.

Public names: :func:`main`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry

from veriramp_sdk.contract import Mode, Role
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import Topic
from veriramp_sdk.flags import Flags
from veriramp_workers.bus.kafka import DEFAULT_CONCURRENCY, BusMetrics, BusSettings, KafkaWorker
from veriramp_workers.health import Server, health_app
from veriramp_workers.logs import configure_logging
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics
from veriramp_workers.settings import ConfigurationError, WorkerSettings, settings_from
from veriramp_workers.verifier import FORMALISER_VERSION, VerifierPool

_log = logging.getLogger("veriramp_workers")


def main(arguments: list[str] | None = None) -> int:
    """Run the worker that is named; exit code 0 after SIGTERM, 1 after a failure, 2 for a wrong configuration."""
    parser = argparse.ArgumentParser(prog="veriramp-worker", description="Run one worker of the verification pipeline.")
    parser.add_argument("worker", choices=sorted(_WORKERS))
    name = parser.parse_args(arguments).worker
    try:
        settings = settings_from(os.environ, profile=name)
    except ConfigurationError as error:
        parser.exit(2, f"veriramp-worker: {error}\n")
    configure_logging(settings.log_level)
    return asyncio.run(_run(settings, _WORKERS[name], REGISTRY))


def _orchestrator(settings: WorkerSettings, pool: VerifierPool, registry: CollectorRegistry) -> KafkaWorker:
    orchestrator = Orchestrator(pool, OrchestratorMetrics(registry), formaliser_version=FORMALISER_VERSION)
    bus = BusSettings(
        brokers=settings.brokers,
        group="verification-orchestrator-group",
        topics=(Topic.INTERACTIVE,),
        dead_letters=Topic.DEAD_LETTERS,
        commit_seconds=settings.commit_seconds,
        session_seconds=settings.session_seconds,
    )
    return KafkaWorker(bus, orchestrator, BusMetrics(registry), paused=True)


_Build = Callable[[WorkerSettings, VerifierPool, CollectorRegistry], KafkaWorker]
_WORKERS: Final[dict[str, _Build]] = {"orchestrator": _orchestrator}


async def _run(settings: WorkerSettings, build: _Build, registry: CollectorRegistry) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(VerifierPool(settings.solvers))
        flags = Flags(
            settings.flags_url, settings.rollout, key=settings.flag_key or None, role=Role.WORKER, registry=registry
        )
        await stack.enter_async_context(flags)
        worker = build(settings, pool, registry)
        _obey(flags, worker, settings.profile, loop)
        server = _server(settings, registry, worker)
        serving = asyncio.create_task(server.serve())
        _log.info("%s obeys %s", settings.profile, settings.rollout)
        try:
            await worker.run(stop)
        finally:
            server.should_exit = True
            await serving
    return 0


def _obey(flags: Flags, worker: KafkaWorker, profile: str, loop: asyncio.AbstractEventLoop) -> None:
    """Pause the worker while the mode is Off; the flags call back in a thread of their own."""

    def follow(mode: Mode) -> None:
        concurrency = flags.settings(profile).integer("maxConcurrentVerifications", DEFAULT_CONCURRENCY)
        _log.info("mode is %s, at most %d verifications at once", mode, concurrency)
        worker.resize(max(1, concurrency))
        if mode is Mode.OFF:
            worker.pause()
        else:
            worker.resume()

    def changed(state: FlagState) -> None:
        loop.call_soon_threadsafe(follow, state.mode)

    flags.on_change(changed)


def _server(settings: WorkerSettings, registry: CollectorRegistry, worker: KafkaWorker) -> Server:
    app = health_app(registry, lambda: "" if worker.ready else "the broker's group is not joined")
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_level="warning", access_log=False, lifespan="off"
    )
    return Server(config)


if __name__ == "__main__":
    sys.exit(main())
