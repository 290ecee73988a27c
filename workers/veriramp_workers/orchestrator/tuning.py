"""What the rollout says about this worker, read from its settings flag.

Public names: :class:`Tuning`, :func:`tuning_from`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from veriramp_sdk.document import Setting
from veriramp_sdk.effects import Effects


@dataclass(frozen=True)
class Tuning:
    """Settings that change while the worker runs; each may be left out of the flag.

    ``requests_per_minute`` is for a verifier over HTTP, 0 for no limit; ``backfill_share`` (0..1) is how much of what
    is free in the budget backfill may use up; when requests of searches wait longer than ``backlog_seconds``, backfill
    stops.
    """

    concurrency: int = 10
    breaker_failures: int = 5
    breaker_seconds: float = 60.0
    requests_per_minute: float = 0.0
    backfill_share: float = 0.5
    backlog_seconds: float = 60.0
    effects: Effects = field(default_factory=Effects)


def tuning_from(values: Mapping[str, Setting]) -> tuple[Tuning, tuple[str, ...]]:
    """Return the settings, and a sentence for each one that is wrong or unknown; its default is used."""
    read: dict[str, float] = {}
    complaints = [
        f'the setting "{name}" is not known; known are {", ".join(sorted(_SETTINGS))}'
        for name in sorted(values.keys() - _SETTINGS.keys())
    ]
    for name, (target, whole, low, high) in _SETTINGS.items():
        value = values.get(name)
        if value is None:
            continue
        kind = "a whole number" if whole else "a number"
        if isinstance(value, bool | str) or not low <= value <= high or (whole and value != math.floor(value)):
            complaints.append(f"the setting {name} is {value!r}; write {kind} from {low:g} to {high:g}")
        else:
            read[target] = int(value) if whole else float(value)
    effects = Effects()
    try:
        effects = Effects(**{name: read.pop(name) for name in _MULTIPLIERS if name in read})
    except ValueError as error:
        complaints.append(str(error))
    return dataclasses.replace(Tuning(effects=effects), **read), tuple(complaints)  # type: ignore[arg-type]


_SETTINGS: Final[Mapping[str, tuple[str, bool, float, float]]] = {
    "maxConcurrentVerifications": ("concurrency", True, 1, 1_000),
    "circuitBreakerFailureThreshold": ("breaker_failures", True, 1, 1_000),
    "circuitBreakerTimeoutSeconds": ("breaker_seconds", False, 1, 86_400),
    "requestsPerMinute": ("requests_per_minute", False, 0, 1_000_000),
    "backfillShare": ("backfill_share", False, 0, 1),
    "backlogSeconds": ("backlog_seconds", False, 1, 86_400),
    "multiplierVerifiedSat": ("verified_sat", False, -math.inf, math.inf),
    "multiplierInvalid": ("invalid", False, -math.inf, math.inf),
}
"""By the name in the flag: the field, whether it is whole, and its bounds."""
_MULTIPLIERS: Final = ("verified_sat", "invalid")
