"""What the verifier's budget has left, told by its answers, and what a search may ask for then.

Public names: :class:`BudgetShares`, :func:`affordable`, :func:`budget_headers`, ``BUDGET_LEFT``, ``BUDGET_UNTIL``.

The orchestrator puts two headers on ``verification_complete``: no connection that search does not have already, and the
news comes as fast as the answers do. No news is no alarm: then all may be asked for, and the orchestrator pays for no
more than there is in any case.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from veriramp_sdk.bucket import bucket
from veriramp_sdk.contract import BUCKETS
from veriramp_sdk.selection import LATER_BELOW
from veriramp_sdk.trigger_queue import Ask

BUDGET_LEFT: Final = "veriramp-budget-left"
"""Header: the share (0..1) of what would be asked for without a budget that the tenant's budget leaves now."""

BUDGET_UNTIL: Final = "veriramp-budget-until"
"""Header: until when that holds without further news, in milliseconds since the epoch."""

NEWS_SECONDS: Final = 600.0
"""How long a share holds where nothing else is said."""

REMEMBERED: Final = 1_000
"""Tenants that are remembered; beyond it the one that was heard of longest ago is forgotten."""


def budget_headers(left: float, until_ms: int) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that tell a share (0..1) and until when it holds, in milliseconds since the epoch."""
    return ((BUDGET_LEFT, f"{left:.4f}".encode()), (BUDGET_UNTIL, str(until_ms).encode()))


class BudgetShares:
    """The shares of the tenants, bounded and safe for threads. Times are in seconds since the epoch."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._news: dict[str, _News] = {}
        self._lock = threading.Lock()

    def heard(self, tenant: str, headers: Iterable[tuple[str, bytes | None]], told_at: float) -> None:
        """Take in the headers of an answer made at ``told_at``; older news than known, and none, change nothing."""
        said = dict(headers)
        left = _share(said.get(BUDGET_LEFT))
        if left is None:
            return
        until = _seconds(said.get(BUDGET_UNTIL))
        until = told_at + NEWS_SECONDS if until is None else min(until, told_at + _LONGEST_SECONDS)
        news = _News(told_at, left, until, asked_at=told_at)
        with self._lock:
            known = self._news.pop(tenant, None)
            self._news[tenant] = known if known is not None and known.told_at > told_at else news
            while len(self._news) > self._remembered:
                del self._news[next(iter(self._news))]

    def of(self, tenant: str, now: float) -> float:
        """Return the share of one tenant: 1 without news that still holds.

        Where nothing is left it is 1 once an hour: who asks for nothing would not hear of a limit that is raised.
        """
        with self._lock:
            news = self._news.get(tenant)
            share = news.share(now) if news is not None else 1.0
            if news is None or share > 0.0 or now - news.asked_at < _ASKED_ANEW_SECONDS:
                return share
            self._news[tenant] = replace(news, asked_at=now)
            return 1.0

    def lowest(self, now: float) -> float:
        """Return the lowest share in force, 1 when there is none."""
        with self._lock:
            return min((news.share(now) for news in self._news.values()), default=1.0)


def affordable(wanted: Sequence[Ask], share_of: Callable[[str], float], query: str) -> list[Ask]:
    """Return those of the wanted requests that the shares of their tenants leave, in their order.

    Of each tenant ``count * share`` on average over the queries: a part of one chunk is one chunk for that part of the
    queries, by the bucket of ``query``. What matters less goes first: an old verdict in the lower part of the results
    before one in the upper part, and what was never verified last; then by place.
    """
    kept: set[int] = set()
    theirs: dict[str, list[int]] = {}
    for place, ask in enumerate(wanted):
        theirs.setdefault(ask.chunk.org_id, []).append(place)
    for tenant, places in theirs.items():
        share = share_of(tenant)
        if share < 1.0:
            places.sort(key=lambda place: _urgency(wanted[place]))
            most = len(places) * max(0.0, share)
            lucky = bucket(_SALT, query) < round((most - math.floor(most)) * BUCKETS)
            del places[math.floor(most) + lucky :]
        kept.update(places)
    return [ask for place, ask in enumerate(wanted) if place in kept]


@dataclass(frozen=True, slots=True)
class _News:
    told_at: float
    left: float
    until: float
    asked_at: float

    def share(self, now: float) -> float:
        return self.left if now < self.until else 1.0


def _urgency(ask: Ask) -> int:
    known, digest = ask.chunk.known, ask.digest or ask.chunk.content_hash
    if known is None or digest not in (None, known.content_hash) or ask.percentile > _HIGH_ABOVE:
        return 0
    return 2 if ask.percentile < LATER_BELOW else 1


def _share(said: bytes | None) -> float | None:
    value = float(said) if said and _DECIMAL.fullmatch(said) else math.inf
    return value if value <= 1.0 else None


def _seconds(said: bytes | None) -> float | None:
    return int(said) / 1000 if said and said.isdigit() and len(said) <= _MOST_DIGITS else None


# What other languages would read otherwise, such as 1_0 or 1e-1, is no share.
_DECIMAL: Final = re.compile(rb"[01](\.[0-9]{1,17})?")
_SALT: Final = "budget"
_HIGH_ABOVE: Final = 0.9
_LONGEST_SECONDS: Final = 32 * 86_400.0  # a month that is spent is the longest news
_ASKED_ANEW_SECONDS: Final = 3_600.0
_MOST_DIGITS: Final = 15
