"""``veriramp-worker <name>``: run one worker until SIGTERM, or one of its commands.

Public names: :func:`main`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from veriramp_workers.health import health_app, serving
from veriramp_workers.logs import configure_logging
from veriramp_workers.settings import (
    ConfigurationError,
    ServiceSettings,
    service_settings_from,
    settings_from,
)
from veriramp_workers.stores import StoreError
from veriramp_workers.topics import topics_command
from veriramp_workers.verifier import VerifierPool
from veriramp_workers.verifier_http import ServiceMetrics, VerifierService
from veriramp_workers.worker import run_orchestrator

_log = logging.getLogger("veriramp_workers")


def main(arguments: list[str] | None = None) -> int:
    """Run what is named; exit code 0 after SIGTERM, 1 after a failure, 2 for a wrong configuration."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == [_TOPICS]:
        return topics_command(words[1:], os.environ)
    parser = argparse.ArgumentParser(prog="veriramp-worker", description="Run one worker of the verification pipeline.")
    parser.add_argument(
        "worker",
        choices=sorted([_ORCHESTRATOR, _SERVICE, _TOPICS]),
        help="orchestrator: answer requests for verification; topics: list and create the topics; "
        "verifier: serve the embedded verifier over HTTP",
    )
    parser.epilog = "Configured by the variables VERIRAMP_*; a wrong one is named, and what to write."
    name = parser.parse_args(words).worker
    try:
        if name == _SERVICE:
            service = service_settings_from(os.environ)
            configure_logging(service.log_level, service.log_format)
            return asyncio.run(_until_told(lambda stop: _serve(service, REGISTRY, stop)))
        settings = settings_from(os.environ, profile=name)
        configure_logging(settings.log_level, settings.log_format)
        return asyncio.run(_until_told(lambda stop: run_orchestrator(settings, REGISTRY, stop)))
    except (ConfigurationError, StoreError) as error:
        parser.exit(2, f"veriramp-worker: {error}\n")


async def _until_told(run: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run until SIGTERM or SIGINT; a failure is one line in the log."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await run(stop)
    except (ConfigurationError, StoreError):
        raise
    except OSError as error:
        _log.error("the worker cannot work: %s", error.strerror or error)
        return 1
    except Exception:  # noqa: BLE001 - whatever it is, the log has it and the exit code says so
        _log.exception("the worker cannot go on")
        return 1
    return 0


async def _serve(settings: ServiceSettings, registry: CollectorRegistry, stop: asyncio.Event) -> None:
    """Run the embedded verifier as a service of its own."""
    async with VerifierPool(settings.solvers) as pool:
        service = VerifierService(pool, ServiceMetrics(registry), capacity=_QUEUE * settings.solvers)
        app = health_app(registry, lambda: "the service is being stopped" if stop.is_set() else "", service.routes())
        async with serving(app, settings.host, settings.port, drain_seconds=_DRAIN_SECONDS):
            await stop.wait()


_ORCHESTRATOR: Final = "orchestrator"
_SERVICE: Final = "verifier"
_TOPICS: Final = "topics"
_DRAIN_SECONDS: Final = 22  # of the 25 that a worker has, the rest is for the solver processes
# Questions in work or waiting for each solver process: with some milliseconds each, nobody waits for long.
_QUEUE: Final = 8


if __name__ == "__main__":
    sys.exit(main())
