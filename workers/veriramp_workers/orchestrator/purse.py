"""Pays for requests, or says who has to wait for a budget, and where.

Public names: :class:`Purse`, :class:`NoBudgetError`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NoReturn, TypeVar

from veriramp_sdk.budget import NEWS_SECONDS, budget_headers
from veriramp_sdk.events import Topic
from veriramp_workers.orchestrator.flow import Defer, after_payment, has_expired
from veriramp_workers.orchestrator.limiter import RateLimiter
from veriramp_workers.orchestrator.metrics import OrchestratorMetrics
from veriramp_workers.ports import (
    Bound,
    Budget,
    BudgetUnavailableError,
    DeferError,
    PauseError,
    Record,
    Taken,
)

_log = logging.getLogger(__name__)
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class NoBudgetError(Exception):
    """For as long as a request is kept its tenant's budget had nothing left for it."""

    def __init__(self) -> None:
        super().__init__("the budget of the tenant had nothing left for this request for seven days")


class Purse:
    """A budget as the orchestrator uses it. ``clock`` gives seconds since the epoch.

    A bound of all pauses everything; a tenant's own one lets its request wait elsewhere, so that others are served.
    ``again_per_second`` is how many requests that waited there may be sent back to it: a backlog of any length costs
    that much and no more, it only goes round more slowly.
    """

    def __init__(
        self,
        budget: Budget,
        metrics: OrchestratorMetrics,
        clock: Callable[[], float],
        *,
        again_per_second: float = 50.0,
    ) -> None:
        self._budget = budget
        self._metrics = metrics
        self._clock = clock
        self._again = RateLimiter(60.0 * again_per_second)
        self._away = False
        self._granted_at = clock()
        self._blocked_until = -math.inf
        self._told_until: dict[str, float] = {}
        self._known: dict[str, tuple[float, Taken]] = {}
        self._turns: dict[tuple[str, float], float] = {}

    @property
    def blocked(self) -> bool:
        """Whether nobody gets anything: no answer, a bound of all, or for a minute refusals only."""
        return self._clock() < self._blocked_until

    def news(self, tenant: str) -> tuple[tuple[str, bytes], ...]:
        """Return the headers that tell those who ask what the tenant's budget has left; none if that is not known."""
        now, (at, known) = self._clock(), self._known.get(tenant, (-math.inf, None))
        if known is not None and known.spent_until is not None and now < known.spent_until.timestamp():
            return budget_headers(0.0, int(known.spent_until.timestamp() * 1000))
        if known is None or now - at > _NEWS_AGE_SECONDS or now >= known.resets_at.timestamp():
            return ()
        return budget_headers(known.left, int((now + NEWS_SECONDS) * 1000))

    async def pay(self, tenant: str, key: str, record: Record, *, share: float) -> None:
        """Return when the verification may be made.

        Raises ``PauseError``, ``DeferError``, or :class:`NoBudgetError` for a request that was deferred for too long.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        taken = await self._taken(tenant, key, now, share)
        if taken is not None:
            self._remember(tenant, taken)
        step = after_payment(taken, now)
        if step is None:
            if taken is not None and not taken.repeated:
                self._granted_at, self._blocked_until = self._clock(), -math.inf
            return
        if taken is not None:
            self._explain(tenant, taken, step.reason, now)
        if isinstance(step, Defer):
            seconds = step.seconds if taken is None else self._turn((tenant, share), taken, step.seconds)
            self._defer(Defer(seconds, step.reason), record, now)
        self._blocked_until = self._clock() + step.seconds
        self._metrics.waits.labels(step.reason).inc()
        raise PauseError(step.seconds, step.reason)

    async def _taken(self, tenant: str, key: str, now: datetime, share: float) -> Taken | None:
        try:
            taken = await self._budget.take(tenant, key, now, share=share)
        except BudgetUnavailableError as error:
            if not self._away:
                _log.warning("%s", error)
            self._away = True
            return None
        if self._away:
            _log.info("the budget can be asked again")
        self._away = False
        return taken

    def _remember(self, tenant: str, taken: Taken) -> None:
        _keep(self._known, tenant, (self._clock(), taken))

    def _turn(self, who: tuple[str, float], refused: Taken, seconds: float) -> float:
        """Return how long a request waits for what the tenant's pace frees, behind those that wait for it already.

        To wake all of them with each bit would cost as much as a backlog is long.
        """
        if refused.refused_by is not Bound.PACE:
            return seconds
        now = self._clock()
        # What is left of the day is released evenly, the first of it at ``next_at`` and the last at its end.
        apart = (refused.resets_at - refused.next_at).total_seconds() / max(1, refused.limit - refused.used)
        turn = max(now + seconds, self._turns.get(who, -math.inf) + apart)
        turn = min(turn, now + _FURTHEST_TURN_SECONDS)
        _keep(self._turns, who, turn)
        return turn - now

    def _defer(self, step: Defer, record: Record, now: datetime) -> NoReturn:
        if has_expired(record.deferred_since_ms, now):
            raise NoBudgetError
        if record.topic == Topic.DEFERRED and (wait := self._again.take()):
            self._metrics.waits.labels(_DEFERRED).inc()
            raise PauseError(max(wait, _ROUND_SECONDS), _DEFERRED, topics=(Topic.DEFERRED,))
        if self._clock() - self._granted_at >= _NOBODY_SECONDS:
            self._blocked_until = self._clock() + _NOBODY_SECONDS
        self._metrics.waits.labels(step.reason).inc()
        raise DeferError(step.seconds, step.reason)

    def _explain(self, tenant: str, refused: Taken, reason: str, now: datetime) -> None:
        """Say in the log what the budget ran into, once in five minutes and anew when its day or month has changed."""
        if now.timestamp() < self._told_until.get(reason, 0.0):
            return
        over = refused.next_at if refused.refused_by is Bound.MONTH else refused.resets_at
        self._told_until[reason] = min(over.timestamp(), now.timestamp() + _TOLD_EVERY_SECONDS)
        fields = {
            "tenant": tenant[:_SHOWN],
            "bound": refused.refused_by,
            "used": refused.used,
            "limit": refused.limit,
            "goes_on_at": refused.next_at.isoformat(timespec="seconds"),
        }
        _log.info("no budget is free", extra=fields)


def _keep(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put a value in; what was put in longest ago makes room for it."""
    known.pop(key, None)
    while len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


_DEFERRED: Final = "deferred"
_NOBODY_SECONDS: Final = 60.0
_ROUND_SECONDS: Final = 1.0
_TOLD_EVERY_SECONDS: Final = 300.0
_NEWS_AGE_SECONDS: Final = 60.0
_REMEMBERED: Final = 1_000
_FURTHEST_TURN_SECONDS: Final = 600.0  # beyond it all come again together, and the topic lets nobody wait for longer
_SHOWN: Final = 100
