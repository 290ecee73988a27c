"""What cache and budget export.

Public names: :class:`StoreMetrics`, :class:`Usage`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veriramp_workers.ports import Bound, Taken
from veriramp_workers.stores.day import Day

_log = logging.getLogger(__name__)

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
            "Price of the verifications granted, in cost units: those that the price is written in",
            registry=registry,
        )
        self.price = Gauge(
            "veriramp_verification_price", "Price of one verification in cost units, as configured", registry=registry
        )
        for outcome in ("hit", "miss", "expired", "corrupt", "error", "skipped"):
            self.reads.labels(outcome)
        for outcome in ("stored", "too_large", "error", "skipped"):
            self.writes.labels(outcome)
        for outcome in ("granted", "repeated", "pace", "day", "month", "unavailable"):
            self.takes.labels(outcome)


class Usage(Collector):
    """Budgets as the last answers told them, each until its day is over; ``clock`` gives seconds since the epoch.

    Tenants are many and a time series each would be without bound: the ones with the largest used share have their
    own, the rest is added up as ``_others``. From the share ``warning`` of a limit on, a gauge and a log line warn.
    """

    def __init__(
        self, registry: CollectorRegistry, *, per_month: int, warning: float, clock: Callable[[], float]
    ) -> None:
        self._per_month = per_month
        self._warning = warning
        self._clock = clock
        self._tenants: dict[str, Taken] = {}
        self._month: tuple[float, int] = (0.0, 0)
        self._warned: dict[Bound, str] = {}
        registry.register(self)

    def saw(self, tenant: str, taken: Taken, month_used: int, day: Day) -> None:
        """Remember the last answer about a tenant."""
        self._tenants.pop(tenant, None)
        while len(self._tenants) >= _REMEMBERED:
            del self._tenants[next(iter(self._tenants))]
        self._tenants[tenant] = taken
        self._month = (day.month_ends_at.timestamp(), month_used)
        if self._is_short(taken.used, taken.limit):
            self._warn(Bound.DAY, day.name, {"tenant": tenant, "used": taken.used, "limit": taken.limit})
        if self._is_short(month_used, self._per_month):
            self._warn(Bound.MONTH, day.month, {"used": month_used, "limit": self._per_month})

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
        month_used = month_used if month_ends_at > now else 0
        short = {
            Bound.DAY: any(self._is_short(taken.used, taken.limit) for _, taken in current),
            Bound.MONTH: self._is_short(month_used, self._per_month),
        }
        return used, left, limit, *self._of_month(month_used), _warnings(short)

    def _of_month(self, used: int) -> tuple[Metric, ...]:
        month = GaugeMetricFamily("veriramp_budget_month_used", "Verifications paid this month by all tenants", used)
        limit = GaugeMetricFamily(
            "veriramp_budget_month_limit", "Verifications a month for all; 0: no limit", self._per_month
        )
        if not self._per_month:
            return month, limit
        left = GaugeMetricFamily(
            "veriramp_budget_month_remaining",
            "Verifications left this month for all tenants; absent without a limit",
            max(0, self._per_month - used),
        )
        return month, limit, left

    def _is_short(self, used: int, limit: int) -> bool:
        return limit > 0 and used >= self._warning * limit

    def _warn(self, bound: Bound, period: str, fields: Mapping[str, object]) -> None:
        """Once for each period; of the tenants the first."""
        if self._warned.get(bound) == period:
            return
        self._warned[bound] = period
        _log.warning("the budget of the %s runs short", bound, extra={"bound": bound, "period": period, **fields})


def _warnings(short: Mapping[Bound, bool]) -> Metric:
    warning = GaugeMetricFamily(
        "veriramp_budget_warning",
        "1 while a bound is used up so far that a warning is due; of the day: for any tenant",
        labels=["bound"],
    )
    for bound, is_short in short.items():
        warning.add_metric([bound], float(is_short))
    return warning


_OTHERS: Final = "_others"
_REMEMBERED: Final = 1_000
