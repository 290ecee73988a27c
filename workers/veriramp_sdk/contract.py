"""Words that the control plane and every client of the flags share: modes, arms, roles and names on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

BUCKETS: Final = 10_000
"""Number of buckets; a user's bucket is 0..9999, one per 0.01 % of the users."""


class Mode(StrEnum):
    """How far verification may reach; ordered Off < Shadow < Live by :attr:`rank`."""

    OFF = "Off"
    SHADOW = "Shadow"
    LIVE = "Live"

    @property
    def rank(self) -> int:
        """0 for Off, 1 for Shadow, 2 for Live."""
        return _MODE_RANK[self]


class Arm(StrEnum):
    """The group that a request belongs to."""

    OFF = "off"
    CONTROL = "control"
    TREATMENT = "treatment"
    FORCED = "forced"
    EXCLUDED = "excluded"


class Role(StrEnum):
    """What a process that evaluates the flags does."""

    SEARCH = "search"
    WORKER = "worker"


_MODE_RANK: Final = {Mode.OFF: 0, Mode.SHADOW: 1, Mode.LIVE: 2}
