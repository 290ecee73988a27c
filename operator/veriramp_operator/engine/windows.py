"""When rises may happen: the windows of a rollout, on the wall clocks of their time zones.

Public: :func:`is_open`, :func:`next_opening`. A window opens on each of its days at ``from`` and closes at the next
``to`` (the same time: a day later). Where a clock is put back, a time that is there twice means the first; where it is
put forward, a time that is not there means as much later. A zone that nobody knows opens never.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from typing import Final

from veriramp_operator.api.rollout import WindowSpec
from veriramp_operator.api.zones import zone_of

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAYS_AHEAD: Final = 15
"""A window of one day a week may lose one opening to a clock that is put forward."""


def is_open(windows: Iterable[WindowSpec], now: float) -> bool:
    """True when some window is open at ``now`` (seconds since the epoch), or there are no windows at all."""
    windows = tuple(windows)
    return not windows or any(_open(window, now) for window in windows)


def next_opening(windows: Iterable[WindowSpec], now: float) -> float | None:
    """When the first window opens after ``now``, in seconds since the epoch; None when none does."""
    openings = [opens for window in windows if (opens := _opening(window, now)) is not None]
    return min(openings, default=None)


def _open(window: WindowSpec, now: float) -> bool:
    return any(opens <= now < closes for opens, closes in _spans(window, now, (-1, 0)))


def _opening(window: WindowSpec, now: float) -> float | None:
    spans = _spans(window, now, range(_DAYS_AHEAD))
    return next((opens for opens, closes in spans if now < opens < closes), None)


def _spans(window: WindowSpec, now: float, days: Iterable[int]) -> Iterator[tuple[float, float]]:
    """When the window opens and closes, by days counted from today where the window is."""
    zone = zone_of(window.timezone)
    if zone is None:
        return
    try:
        today = datetime.fromtimestamp(now, zone).date()
    except (ValueError, OverflowError, OSError):  # not a moment of any calendar: closed
        return
    if not MINYEAR < today.year < MAXYEAR:
        return
    from_, to = time.fromisoformat(window.from_), time.fromisoformat(window.to)
    for offset in days:
        day = today + timedelta(days=offset)
        if not window.days or WEEKDAYS[day.weekday()] in window.days:
            last = day if from_ < to else day + timedelta(days=1)
            yield _instant(day, from_, window), _instant(last, to, window)


def _instant(day: date, at: time, window: WindowSpec) -> float:
    return datetime.combine(day, at, zone_of(window.timezone)).astimezone(UTC).timestamp()
