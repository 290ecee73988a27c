"""When to try again: the wait before the next attempt, and what a server says about it.

Public names: :func:`backoff`, :func:`retry_after`, ``RETRIED``.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRIED: Final = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed."""


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds to wait after that attempt (from 1): 1 s up to 2, 4, 8, at most 10 s; ``chance`` in [0, 1)."""
    longest = min(10.0, 2.0 ** min(attempt, 4))
    return 1.0 + (longest - 1.0) * chance


def retry_after(value: str | None, now: float) -> float | None:
    """Read the header ``Retry-After``, seconds or a date; return seconds from ``now`` (epoch), None if it says nothing.

    RFC 9110, 10.2.3.
    """
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:12])
    try:
        when = parsedate_to_datetime(value)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        wait = when.timestamp() - now
    except (ValueError, OverflowError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None
