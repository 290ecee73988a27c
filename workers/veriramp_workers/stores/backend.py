"""What a product must do to hold cache and budget; all rules are above it, in ``shared``.

Public names: :class:`Backend`, :class:`Payment`, :class:`Paid`, :class:`Outcome`, :class:`StoreError`,
:class:`StoreTroubleError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class StoreError(Exception):
    """The store cannot be used until a person acts; the text says what is wrong and what to do."""


class StoreTroubleError(Exception):
    """A call failed; the same one may succeed later. The text holds no credentials."""


@dataclass(frozen=True)
class Payment:
    """Pay for one verification unless the budget is spent.

    Granted while fewer than ``free`` are used by ``tenant`` on ``day`` (ISO date) and, if ``month_limit`` is above 0,
    fewer than that in ``month`` (YYYY-MM) by all; ``digest`` (16 bytes) is paid once. Nothing of the day needs to be
    kept for longer than ``keep_seconds``, nor anything of days before ``oldest``.
    """

    tenant: str
    day: str
    month: str
    digest: bytes
    free: int
    month_limit: int
    keep_seconds: int
    oldest: str


class Outcome(StrEnum):
    """How a payment ended."""

    GRANTED = "granted"
    REPEATED = "repeated"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class Paid:
    """``used`` by the tenant on the day and ``month_used`` by all in the month, this payment included."""

    outcome: Outcome
    used: int
    month_used: int


class Backend(Protocol):
    """One store, used by many tasks of one event loop and by many processes at the same time.

    Every method may be cancelled at any point and raises :class:`StoreTroubleError`; ``open`` also
    :class:`StoreError`. ``pay`` is atomic over all processes: it happened completely or not at all.
    """

    async def open(self) -> None:
        """Make the tables where they are missing; raises :class:`StoreTroubleError` if that has to wait."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...

    async def read(self, key: str) -> bytes | None:
        """Return what was written and not removed; it may have expired."""
        ...

    async def write(self, key: str, value: bytes, now: float, expires_at: float) -> None:
        """Write or overwrite; both times in seconds since the epoch."""
        ...

    async def remove(self, key: str) -> None:
        """Remove what may be there."""
        ...

    async def pay(self, payment: Payment) -> Paid:
        """Pay, or say why not."""
        ...
