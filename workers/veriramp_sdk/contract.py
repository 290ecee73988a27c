"""Words that the control plane and every client of the flags share: modes, arms, roles and names on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

BUCKETS: Final = 10_000
"""Number of buckets; a user's bucket is 0..9999, one per 0.01 % of the users."""


SALT_BITS: Final = 128
"""Random bits of a salt: made once per rollout, never changed."""

BUCKET_ATTRIBUTE: Final = "bucket"
"""The context attribute that carries the user's bucket into an evaluation."""

LEASE_VARIABLE: Final = "$flagd.timestamp"
"""The evaluator's own clock (seconds since 1970, whole), which the lease rule compares."""

UNSTAMPED: Final = 0
"""``leaseUntil`` of a document that no flag server has stamped: always over, so the document is off."""

SYNC_SERVICE: Final = "flagd.sync.v1.FlagSyncService"
REPORT_SERVICE: Final = "veriramp.flags.v1.Propagation"
REPORT_METHOD: Final = "Report"
REPORT_INTERVAL_SECONDS: Final = 10.0
"""A process reports what it has applied at once on a change, and this often."""


def settings_key(key: str) -> str:
    """The flag of a rollout's worker settings, beside the flag that search evaluates."""
    return f"{key}-settings"


def selector(namespace: str, rollout: str) -> str:
    """The flagd selector of a rollout's document."""
    return f"{namespace}/{rollout}"


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
