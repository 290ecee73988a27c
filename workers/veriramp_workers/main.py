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
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette

from veriramp_sdk.contract import Mode, Role
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import Topic
from veriramp_sdk.flags import Flags
from veriramp_workers.breaker import CircuitBreaker, export_state
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import DEFAULT_CONCURRENCY, BusMetrics, BusSettings
from veriramp_workers.health import Server, health_app
from veriramp_workers.logs import configure_logging
from veriramp_workers.orchestrator import GuardedVerifier, Orchestrator, OrchestratorMetrics, RateLimiter
from veriramp_workers.ports import Verifier
from veriramp_workers.settings import (
    ConfigurationError,
    ServiceSettings,
    WorkerSettings,
    service_settings_from,
    settings_from,
)
from veriramp_workers.topics import topics_command
from veriramp_workers.verifier import FORMALISER_VERSION, VerifierPool
from veriramp_workers.verifier_http import (
    RemoteMetrics,
    RemoteSettings,
    RemoteVerifier,
    ServiceMetrics,
    VerifierService,
)

_log = logging.getLogger("veriramp_workers")


def main(arguments: list[str] | None = None) -> int:
    """Run the worker that is named; exit code 0 after SIGTERM, 1 after a failure, 2 for a wrong configuration."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == [_TOPICS]:
        return topics_command(words[1:], os.environ)
    parser = argparse.ArgumentParser(prog="veriramp-worker", description="Run one worker of the verification pipeline.")
    parser.add_argument("worker", choices=sorted([*_WORKERS, _SERVICE, _TOPICS]))
    name = parser.parse_args(words).worker
    try:
        if name == _SERVICE:
            service = service_settings_from(os.environ)
            configure_logging(service.log_level)
            return asyncio.run(_serve(service, REGISTRY))
        settings = settings_from(os.environ, profile=name)
    except ConfigurationError as error:
        parser.exit(2, f"veriramp-worker: {error}\n")
    configure_logging(settings.log_level)
    return asyncio.run(_run(settings, _WORKERS[name], REGISTRY))


def _orchestrator(settings: WorkerSettings, verifier: Verifier, registry: CollectorRegistry) -> KafkaWorker:
    # A remote verifier formalises by itself: its version stands for both.
    formaliser = "remote" if settings.verifier_url else FORMALISER_VERSION
    orchestrator = Orchestrator(verifier, OrchestratorMetrics(registry), formaliser_version=formaliser)
    bus = BusSettings(
        brokers=settings.brokers,
        group="verification-orchestrator-group",
        topics=(Topic.INTERACTIVE, Topic.BACKFILL),
        retries=tuple(map(RetryTopic, _RETRY_TOPICS, settings.retry_seconds)),
        dead_letters=Topic.DEAD_LETTERS,
        commit_seconds=settings.commit_seconds,
        session_seconds=settings.session_seconds,
    )
    return KafkaWorker(bus, orchestrator, BusMetrics(registry), paused=True)


@asynccontextmanager
async def _verifier(settings: WorkerSettings, registry: CollectorRegistry) -> AsyncIterator[Verifier]:
    breaker, limiter = CircuitBreaker("hupyy_api" if settings.verifier_url else "embedded"), RateLimiter()
    export_state(breaker, registry)
    async with AsyncExitStack() as stack:
        verifier: Verifier
        if settings.verifier_url:
            remote = RemoteSettings(
                settings.verifier_url,
                version=settings.verifier_version,
                read=settings.verifier_read_seconds,
                deadline=settings.verifier_deadline_seconds,
            )
            verifier = await stack.enter_async_context(
                RemoteVerifier(remote, RemoteMetrics(registry), again=limiter.overdraw)
            )
        else:
            verifier = await stack.enter_async_context(VerifierPool(settings.solvers))
        yield GuardedVerifier(verifier, breaker, limiter, deadline=settings.verifier_deadline_seconds)


_Build = Callable[[WorkerSettings, Verifier, CollectorRegistry], KafkaWorker]
_WORKERS: Final[dict[str, _Build]] = {"orchestrator": _orchestrator}
_SERVICE: Final = "verifier"
_TOPICS: Final = "topics"


async def _run(settings: WorkerSettings, build: _Build, registry: CollectorRegistry) -> int:
    stop = _told_to_stop()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(_verifier(settings, registry))
        flags = Flags(
            settings.flags_url, settings.rollout, key=settings.flag_key or None, role=Role.WORKER, registry=registry
        )
        await stack.enter_async_context(flags)
        worker = build(settings, verifier, registry)
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


async def _serve(settings: ServiceSettings, registry: CollectorRegistry) -> int:
    """Run the embedded verifier as a service of its own."""
    stop = _told_to_stop()
    async with VerifierPool(settings.solvers) as pool:
        service = VerifierService(pool, ServiceMetrics(registry), capacity=_QUEUE * settings.solvers)
        app = health_app(registry, lambda: "the service is being stopped" if stop.is_set() else "", service.routes())
        server = Server(_listening(app, settings.host, settings.port, timeout_graceful_shutdown=_DRAIN_SECONDS))
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        await serving
    return 0 if server.started else 1


def _told_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


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
    return Server(_listening(app, settings.host, settings.port))


def _listening(app: Starlette, host: str, port: int, *, timeout_graceful_shutdown: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=timeout_graceful_shutdown,
    )


_RETRY_TOPICS: Final = (Topic.RETRY_SOON, Topic.RETRY_LATE)
_DRAIN_SECONDS: Final = 25
# Questions in work or waiting for each solver process: with some milliseconds each, nobody waits for long.
_QUEUE: Final = 8


if __name__ == "__main__":
    sys.exit(main())
