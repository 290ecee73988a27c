"""What cache and budget export.

Public names: :class:`StoreMetrics`, :class:`Usage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veriramp_workers.ports import Taken

MAX_TENANTS: Final = 20
"""Tenants with a time series of their own; the others are one, ``_others``."""


class StoreMetrics:
    """Counters of one process; the gauges of :class:`Usage` show what is shared by all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reads = Counter(
            "veriramp_cache_reads", "Reads of the verdict cache, by outcome", ("outcome",), registry=registry
        )
        self.writes = Counter(
            "veriramp_cache_writes", "Writes to the verdict cache, by outcome", ("outcome",), registry=registry
        )
        self.takes = Counter(
            "veriramp_budget_takes", "Verifications asked of the budget, by outcome", ("outcome",), registry=registry
        )
        self.cost = Counter(
            "veriramp_verification_cost",
            "Price of the verifications granted, in the price's currency",
            registry=registry,
        )
        self.price = Gauge("veriramp_verification_price", "Price of one verification, as configured", registry=registry)
        for outcome in ("hit", "miss", "expired", "corrupt", "error", "skipped"):
            self.reads.labels(outcome)
        for outcome in ("stored", "too_large", "error", "skipped"):
            self.writes.labels(outcome)
        for outcome in ("granted", "repeated", "pace", "day", "month", "unavailable"):
            self.takes.labels(outcome)


class Usage(Collector):
    """Budgets as the last answers told them, each until its day is over; ``clock`` gives seconds since the epoch.

    Tenants are many and a time series each would be without bound: the ones with the largest used share have their
    own, the rest is added up as ``_others``.
    """

    def __init__(self, registry: CollectorRegistry, *, per_month: int, clock: Callable[[], float]) -> None:
        self._per_month = per_month
        self._clock = clock
        self._tenants: dict[str, Taken] = {}
        self._month: tuple[float, int] = (0.0, 0)
        registry.register(self)

    def saw(self, tenant: str, taken: Taken, month_used: int, month_ends_at: float) -> None:
        """Remember the last answer about a tenant."""
        self._tenants.pop(tenant, None)
        while len(self._tenants) >= _REMEMBERED:
            del self._tenants[next(iter(self._tenants))]
        self._tenants[tenant] = taken
        self._month = (month_ends_at, month_used)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges for one scrape; of a day that is over nothing is left."""
        now = self._clock()
        current = [(name, taken) for name, taken in list(self._tenants.items()) if taken.resets_at.timestamp() > now]
        current.sort(key=lambda pair: pair[1].used, reverse=True)
        used = GaugeMetricFamily("veriramp_budget_used", "Verifications paid today", labels=["tenant"])
        left = GaugeMetricFamily("veriramp_budget_remaining", "Verifications left today", labels=["tenant"])
        limit = GaugeMetricFamily("veriramp_budget_limit", "Verifications a day", labels=["tenant"])
        for name, taken in current[:MAX_TENANTS]:
            used.add_metric([name], taken.used)
            left.add_metric([name], max(0, taken.limit - taken.used))
            limit.add_metric([name], taken.limit)
        if others := [taken for _, taken in current[MAX_TENANTS:]]:
            used.add_metric([_OTHERS], sum(taken.used for taken in others))
            left.add_metric([_OTHERS], sum(max(0, taken.limit - taken.used) for taken in others))
            limit.add_metric([_OTHERS], sum(taken.limit for taken in others))
        month_ends_at, month_used = self._month
        month = GaugeMetricFamily("veriramp_budget_month_used", "Verifications paid this month by all tenants")
        month.add_metric([], month_used if month_ends_at > now else 0)
        month_limit = GaugeMetricFamily("veriramp_budget_month_limit", "Verifications a month for all; 0: no limit")
        month_limit.add_metric([], self._per_month)
        return used, left, limit, month, month_limit


_OTHERS: Final = "_others"
_REMEMBERED: Final = 1_000
