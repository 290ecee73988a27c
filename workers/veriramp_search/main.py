"""``veriramp-search``: put the service together and serve it until SIGTERM.

Public names: :func:`main`, :class:`SearchSettings`, :class:`ConfigurationError`, :func:`settings_from`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette

from veriramp_sdk.contract import Role
from veriramp_sdk.environment import ConfigurationError, flags_url_from
from veriramp_sdk.events import VerificationComplete
from veriramp_sdk.flags import Flags
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.kafka_settings import KafkaSettings, kafka_settings_from
from veriramp_sdk.trigger import VerificationTrigger
from veriramp_search.app import search_app
from veriramp_search.broker import Answer, Headers, follow_verdicts
from veriramp_search.corpus import shipped
from veriramp_search.faults import RegressionSwitch
from veriramp_search.logs import configure_logging
from veriramp_search.metrics import watch
from veriramp_search.quality import QualityBoard
from veriramp_search.service import SearchService

__all__ = ["ConfigurationError", "SearchSettings", "main", "settings_from"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchSettings:
    """``VERIRAMP_FLAGS_URL``, ``_ROLLOUT``, ``_FLAG_KEY``, ``_BROKERS``, ``_HOST``, ``_PORT``, ``_DEBUG``, ``_FEWEST``.

    For Kafka also ``VERIRAMP_KAFKA_*``. The host is ``VERIRAMP_HOST``, else the pod's address, else loopback. Without
    brokers nothing is verified. An empty flag key means the rollout's name.
    """

    flags_url: str
    rollout: str
    flag_key: str
    kafka: KafkaSettings | None
    host: str
    port: int
    debug: bool
    fewest: int | None = None
    """Clear queries ask for so many verifications at least, and for fewer than topK; None: always for topK."""


def main() -> int:
    """Serve; exit code 0 after SIGTERM, 2 for a wrong configuration."""
    try:
        settings = settings_from(os.environ)
    except ConfigurationError as error:
        sys.stderr.write(f"veriramp-search: {error}\n")
        return 2
    configure_logging("INFO")
    asyncio.run(_serve(settings, REGISTRY))
    return 0


def settings_from(environment: Mapping[str, str]) -> SearchSettings:
    """Read the environment; raises :class:`ConfigurationError`."""
    port = environment.get("VERIRAMP_PORT", "8080")
    if not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigurationError(f'VERIRAMP_PORT is "{port}"; write a whole number from 0 to {_LAST_PORT}')
    fewest = environment.get("VERIRAMP_FEWEST", "")
    if fewest and not fewest.isdecimal():
        raise ConfigurationError(f'VERIRAMP_FEWEST is "{fewest}"; write a whole number, or leave it out')
    return SearchSettings(
        flags_url=flags_url_from(environment),
        rollout=_matching(environment, "VERIRAMP_ROLLOUT", _ROLLOUT, "the rollout to obey, namespace/name"),
        flag_key=environment.get("VERIRAMP_FLAG_KEY", ""),
        kafka=kafka_settings_from(environment) if environment.get("VERIRAMP_BROKERS") else None,
        host=environment.get("VERIRAMP_HOST") or environment.get("POD_IP") or "127.0.0.1",
        port=int(port),
        debug=environment.get("VERIRAMP_DEBUG", "") == "1",
        fewest=int(fewest) if fewest else None,
    )


async def _serve(settings: SearchSettings, registry: CollectorRegistry) -> None:
    corpus, board, switch = shipped(), QualityBoard(), RegressionSwitch()
    flags = Flags(
        settings.flags_url, settings.rollout, key=settings.flag_key or None, role=Role.SEARCH, registry=registry
    )
    trigger = VerificationTrigger(
        KafkaSender(settings.kafka or ""),
        rollout=settings.rollout,
        in_force=flags.state,
        fewest=settings.fewest,
        # Without brokers nothing leaves: then nothing is in progress either.
        share=None if settings.kafka else lambda: 0.0,
        registry=registry,
    )
    service = SearchService(corpus, flags, trigger, board, switch)
    watch(registry, board)

    @asynccontextmanager
    async def background(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(flags)
            if settings.kafka is not None:
                if settings.kafka.warning:
                    _log.warning("%s", settings.kafka.warning)
                await stack.enter_async_context(trigger)
                await stack.enter_async_context(_following(trigger, board, settings.kafka))
            yield

    app = search_app(service, registry, debug_switch=switch if settings.debug else None, lifespan=background)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_level="warning", access_log=False, timeout_graceful_shutdown=20
    )
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.leave)
    await server.serve()


class _Server(uvicorn.Server):
    """uvicorn raises a signal again once it has stopped, and the exit code would tell of a failure: not here."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no handler."""
        yield

    def leave(self) -> None:
        """Answer what was asked, then stop."""
        self.should_exit = True


@asynccontextmanager
async def _following(trigger: VerificationTrigger, board: QualityBoard, kafka: KafkaSettings) -> AsyncIterator[None]:
    def take(event: Answer, headers: Headers) -> None:
        trigger.answered(event, headers)
        if isinstance(event, VerificationComplete):
            board.apply(event)

    task = asyncio.create_task(follow_verdicts(kafka, take))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _matching(environment: Mapping[str, str], name: str, form: re.Pattern[str], what: str) -> str:
    value = environment.get(name, "")
    if not form.fullmatch(value):
        said = f'is "{value}"' if value else "is not set"
        raise ConfigurationError(f"{name} {said}; write {what}")
    return value


_LAST_PORT: Final = 65_535
_ROLLOUT: Final = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")

if __name__ == "__main__":
    sys.exit(main())
