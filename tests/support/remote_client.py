"""A client of a verifier over HTTP before a service that does what a test tells it, on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry

from tests.support.faulty_verifier import Act, FaultyVerifier, a_faulty_verifier
from veriramp_workers.breaker import CircuitBreaker
from veriramp_workers.orchestrator import GuardedVerifier, RateLimiter
from veriramp_workers.ports import Question
from veriramp_workers.verifier_http import RemoteMetrics, RemoteSettings, RemoteVerifier

RED = Question("The mill is red.")
SUNDAY = 1_000_000_000.0  # Sun, 09 Sep 2001 01:46:40 GMT


@dataclass
class Client:
    """A client on a clock that only its own waits move."""

    service: FaultyVerifier
    breaker: CircuitBreaker
    limiter: RateLimiter
    verifier: GuardedVerifier
    registry: CollectorRegistry
    pass_time: Callable[[float], None]
    waits: list[float] = field(default_factory=list)

    def errors(self, kind: str) -> float:
        return self.registry.get_sample_value("hupyy_api_errors_total", {"status_code": kind}) or 0.0


@asynccontextmanager
async def a_client(*acts: Act, settings: RemoteSettings | None = None) -> AsyncIterator[Client]:
    now, registry = 0.0, CollectorRegistry()
    waits: list[float] = []

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        pass_time(seconds)
        await asyncio.sleep(0)

    breaker = CircuitBreaker("hupyy_api", clock=lambda: now, chance=lambda: 0.0)
    limiter = RateLimiter(clock=lambda: now)
    async with a_faulty_verifier(*acts) as service:
        remote = RemoteVerifier(
            replace(settings or RemoteSettings(""), url=service.url),
            RemoteMetrics(registry),
            again=limiter.overdraw,
            clock=lambda: now,
            now=lambda: SUNDAY + now,
            chance=lambda: 0.5,
            sleep=sleep,
        )
        async with remote:
            verifier = GuardedVerifier(remote, breaker, limiter, sleep=sleep)
            yield Client(service, breaker, limiter, verifier, registry, pass_time, waits)
