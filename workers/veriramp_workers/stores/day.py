"""Local days of a budget and how much of a limit is free at a time of the day: pure arithmetic on instants.

Public names: :class:`Day`, :func:`day_of`, :func:`free`, :func:`free_at`, :func:`left_of_day`,
:func:`left_of_month`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Day:
    """One local day: ``name`` is its ISO date, ``starts_at`` and ``ends_at`` are UTC, the end does not belong to it.

    It may have 23 or 25 hours, or whatever the zone did. ``month_starts_at`` is the first instant of its month,
    ``month_ends_at`` that of the next one.
    """

    name: str
    starts_at: datetime
    ends_at: datetime
    month_starts_at: datetime
    month_ends_at: datetime

    @property
    def month(self) -> str:
        """The month as ``YYYY-MM``."""
        return self.name[:7]


def day_of(now: datetime, zone: ZoneInfo) -> Day:
    """Return the day that ``now`` (aware) is in.

    Days are cut at instants, so each instant is in exactly one, also where a clock is set back over midnight and the
    date on the wall is yesterday's for an hour.
    """
    instant = now.astimezone(UTC)
    on = instant.astimezone(zone).date()
    if instant < _midnight(on, zone):
        on -= _DAY
    elif instant >= _midnight(on + _DAY, zone):
        on += _DAY
    first = on.replace(day=1)
    following = (first + 31 * _DAY).replace(day=1)
    ends = (_midnight(one, zone) for one in (on, on + _DAY, first, following))
    return Day(on.isoformat(), *ends)


def free(limit: int, at_once: float, day: Day, now: datetime) -> int:
    """Return how many of ``limit`` may be used by ``now``: the share ``at_once`` from midnight on, the rest evenly."""
    burst = _burst(limit, at_once)
    elapsed = min(max(timedelta(0), now - day.starts_at), day.ends_at - day.starts_at)
    released = -(-(limit - burst) * (elapsed // _TICK) // _ticks(day))
    return burst + released


def free_at(count: int, limit: int, at_once: float, day: Day) -> datetime:
    """Return when :func:`free` reaches ``count``: within the day, or its end if that is above the limit."""
    burst = _burst(limit, at_once)
    if count <= burst:
        return day.starts_at
    if count > limit:
        return day.ends_at
    return day.starts_at + _TICK * ((count - burst - 1) * _ticks(day) // (limit - burst) + 1)


def left_of_day(used: int, limit: int, at_once: float, day: Day, now: datetime) -> float:
    """Return what share (0..1) of the demand a tenant's day can bear now; 0 only when it is spent.

    The level of the bucket that :func:`free` fills, as a share of half of what it holds at midnight (of an hour's
    worth, if that is more), or of what the rest of the day, an hour at least, would take, if that is less. That is
    proportional control: demand ``d`` times the rate of release settles at a share of ``1 / d``, where as much is asked
    for as is released and nobody is refused; and at the end of the day little is held back.
    """
    if used >= limit:
        return 0.0
    rest = (day.ends_at - now) / (day.ends_at - day.starts_at)
    full = max(1.0, min(max(_burst(limit, at_once), limit / _HOURS) / 2.0, limit * max(rest, 1.0 / _HOURS)))
    return min(1.0, max(_LEAST, (free(limit, at_once, day, now) - used) / full))


def left_of_month(used: int, limit: int, day: Day, now: datetime) -> float:
    """Return the same for the month, which nothing paces: what is left as a share of what the rest of it would take.

    1 without a limit (0).
    """
    if limit <= 0:
        return 1.0
    if used >= limit:
        return 0.0
    rest = (day.month_ends_at - now) / (day.month_ends_at - day.month_starts_at)
    return min(1.0, max(_LEAST, (limit - used) / (limit * rest))) if rest > 0 else 1.0


def _burst(limit: int, at_once: float) -> int:
    return min(limit, round(limit * at_once))


def _ticks(day: Day) -> int:
    return (day.ends_at - day.starts_at) // _TICK


def _midnight(on: date, zone: ZoneInfo) -> datetime:
    # Of two midnights the first; a midnight that is skipped counts from the offset before, as PEP 495 has it.
    return datetime.combine(on, time(), zone).astimezone(UTC)


_DAY: Final = timedelta(days=1)
_HOURS: Final = 24.0
# So that some news still comes, and with it the end of the shortage.
_LEAST: Final = 0.01
_TICK: Final = timedelta(microseconds=1)
