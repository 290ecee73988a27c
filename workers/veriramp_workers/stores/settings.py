"""How much verification may cost, and how long a store may take.

Public names: :class:`BudgetSettings`, :class:`Deadlines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True)
class BudgetSettings:
    """The same for every worker on one store.

    ``per_day`` verifications for each tenant on each local day of ``zone``; ``per_month`` for all tenants together, 0
    for no such bound. ``at_once`` (0..1) is the share of a day's limit that is free at midnight; the rest is released
    evenly over the day (1: no pacing). From the share ``warning`` (0..1) of a limit on a warning is given. ``price`` of
    one call, in whatever cost units; it is only shown.
    """

    per_day: int = 10_000
    per_month: int = 0
    zone: str = "UTC"
    at_once: float = 0.25
    warning: float = 0.8
    price: float = 0.0

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError(f'zone is "{self.zone}"; write an IANA time zone, such as Europe/Berlin') from error
        if not 0 <= self.per_day <= _MOST or not 0 <= self.per_month <= _MOST:
            raise ValueError(f"per_day is {self.per_day}, per_month {self.per_month}; write 0 to {_MOST}")
        if not 0.0 <= self.at_once <= 1.0:
            raise ValueError(f"at_once is {self.at_once}; write a share from 0 to 1")
        if not 0.0 < self.warning <= 1.0:
            raise ValueError(f"warning is {self.warning}; write a share above 0, at most 1")
        if not 0.0 <= self.price < float("inf"):
            raise ValueError(f"price is {self.price}; write 0 or more")


@dataclass(frozen=True)
class Deadlines:
    """Longest waits for a store, in seconds: after ``cache`` it is a miss, after ``budget`` nothing may be spent."""

    cache: float = 0.5
    budget: float = 2.0


_MOST = 10**12
