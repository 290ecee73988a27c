"""The worker ``orchestrator``: put together from bus, stores, verifier and flags, and run until it is told to stop.

Public names: :func:`run_orchestrator`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from veriramp_sdk.contract import Role
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import Topic
from veriramp_sdk.flags import Flags
from veriramp_sdk.kafka_rights import GROUP
from veriramp_workers.breaker import CircuitBreaker, export_state
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.plan import wanted_topics
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.controls import Controls
from veriramp_workers.health import admin_routes, health_app, serving
from veriramp_workers.orchestrator import Backlog, GuardedVerifier, Orchestrator, OrchestratorMetrics, RateLimiter
from veriramp_workers.ports import Budget, VerdictCache, Verifier
from veriramp_workers.settings import WorkerSettings
from veriramp_workers.stores import BudgetSettings, open_stores
from veriramp_workers.verifier import FORMALISER_VERSION, VerifierPool
from veriramp_workers.verifier_http import RemoteMetrics, RemoteSettings, RemoteVerifier

_log = logging.getLogger("veriramp_workers")


async def run_orchestrator(settings: WorkerSettings, registry: CollectorRegistry, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set, then drain.

    Raises ``StoreError`` for a store of no use, ``OSError`` for a port that cannot be had, and what made going on
    impossible.
    """
    loop = asyncio.get_running_loop()
    breaker = CircuitBreaker("hupyy_api" if settings.verifier_url else "embedded")
    export_state(breaker, registry)
    limiter = RateLimiter()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(_stores(settings, registry))
        verifier = await stack.enter_async_context(_verifier(settings, registry, limiter))
        guarded = GuardedVerifier(verifier, breaker, limiter, deadline=settings.verifier_deadline_seconds)
        metrics = BusMetrics(registry)
        orchestrator = Orchestrator(
            guarded,
            OrchestratorMetrics(registry),
            # A remote verifier formalises by itself: its version stands for both.
            formaliser_version="remote" if settings.verifier_url else FORMALISER_VERSION,
            cache=stores.cache,
            budget=stores.budget,
            backlog=Backlog(_waiting(metrics.lag)),
        )
        worker = KafkaWorker(_bus(settings), orchestrator, metrics, paused=True)
        controls = Controls(worker, orchestrator, breaker, limiter, metrics)
        routes = admin_routes(settings.admin_token, controls.stats, controls.reset_breaker)
        app = health_app(registry, lambda: _missing(worker, stop), routes)
        await stack.enter_async_context(serving(app, settings.host, settings.port))
        flags = Flags(
            settings.flags_url, settings.rollout, key=settings.flag_key or None, role=Role.WORKER, registry=registry
        )
        await stack.enter_async_context(flags)

        def changed(_: FlagState) -> None:
            # The flags call back in a thread of their own.
            loop.call_soon_threadsafe(lambda: controls.follow(flags.settings(settings.profile)))

        flags.on_change(changed)
        _log.info("%s obeys %s", settings.profile, settings.rollout)
        if settings.kafka.warning:
            _log.warning("%s", settings.kafka.warning)
        ticking = asyncio.create_task(_ticking(orchestrator))
        stack.callback(ticking.cancel)
        await worker.run(stop)


async def _ticking(orchestrator: Orchestrator) -> None:
    while True:
        orchestrator.tick()
        await asyncio.sleep(_TICK_SECONDS)


def budget_of(settings: WorkerSettings) -> BudgetSettings | None:
    """Return what verification may cost; None when neither a day nor the month is bounded."""
    day, month = settings.budget_per_day, settings.budget_per_month
    if day is None and not month:
        return None
    return BudgetSettings(
        # Of a month alone one tenant may use up all on one day.
        per_day=month if day is None else day,
        per_month=month,
        zone=settings.time_zone,
        at_once=1.0 if day is None else settings.budget_at_once,
        warning=settings.budget_warning,
        price=settings.price,
    )


@dataclass(frozen=True)
class _Stores:
    cache: VerdictCache | None = None
    budget: Budget | None = None


@asynccontextmanager
async def _stores(settings: WorkerSettings, registry: CollectorRegistry) -> AsyncIterator[_Stores]:
    if not settings.store_url:
        yield _Stores()
        return
    limits = budget_of(settings)
    async with open_stores(settings.store_url, registry, limits or BudgetSettings()) as stores:
        yield _Stores(stores.cache, stores.budget if limits else None)


@asynccontextmanager
async def _verifier(
    settings: WorkerSettings, registry: CollectorRegistry, limiter: RateLimiter
) -> AsyncIterator[Verifier]:
    if not settings.verifier_url:
        async with VerifierPool(settings.solvers, beforehand=limiter.check_open) as pool:
            yield pool
        return
    remote = RemoteSettings(
        settings.verifier_url,
        version=settings.verifier_version,
        read=settings.verifier_read_seconds,
        deadline=settings.verifier_deadline_seconds,
    )
    async with RemoteVerifier(remote, RemoteMetrics(registry), again=limiter.overdraw) as verifier:
        yield verifier


def _bus(settings: WorkerSettings) -> BusSettings:
    return BusSettings(
        kafka=settings.kafka,
        group=GROUP,
        topics=(Topic.INTERACTIVE, Topic.BACKFILL),
        retries=tuple(map(RetryTopic, _RETRY_TOPICS, settings.retry_seconds)),
        deferred=RetryTopic(Topic.DEFERRED, settings.retry_seconds[1]),
        dead_letters=Topic.DEAD_LETTERS,
        commit_seconds=settings.commit_seconds,
        session_seconds=settings.session_seconds,
        plans=wanted_topics(settings.topics.replication, settings.topics.min_insync),
    )


def _missing(worker: KafkaWorker, stop: asyncio.Event) -> str:
    if stop.is_set():
        return "the worker is being stopped"
    return worker.missing


def _waiting(lag: Gauge) -> Callable[[], float]:
    """Tell the number of requests of searches that wait in this worker's partitions, at most a second old.

    Each message asks, to look at a metric takes as long as half of its other work, and the bus measures no oftener.
    """
    known, until = 0.0, 0.0

    def waiting() -> float:
        nonlocal known, until
        if time.monotonic() >= until:
            (metric,) = lag.collect()
            known = sum(sample.value for sample in metric.samples if sample.labels["topic"] == Topic.INTERACTIVE)
            until = time.monotonic() + 1.0
        return known

    return waiting


_TICK_SECONDS: Final = 1.0
_RETRY_TOPICS: Final = (Topic.RETRY_SOON, Topic.RETRY_LATE)
