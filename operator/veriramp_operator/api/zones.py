"""Time zones by their IANA names.

Public: :func:`zone_of`.
"""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The zone of this name, for example ``Europe/Berlin``; None where nobody knows it. Remembered per name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, or the name of a directory of zones
        return None
