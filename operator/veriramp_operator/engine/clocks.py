"""Healthy time: what the ramp and bake clocks read.

The time between two passes counts only when both found the rollout in a row where the clock runs, and at most twice the
interval that was expected. So an outage, a pause or a clock jump freezes the clocks and never skips a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.status import ClockStatus

MOST_INTERVALS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Healthy seconds to add if this pass, too, is in a row where the clock runs.

    ``moved``: time has passed since the pass before, so that two passes have seen the same good state.
    """

    ramp: float = 0.0
    bake: float = 0.0
    moved: bool = False


def elapsed(clock: ClockStatus | None, now: float) -> Elapsed:
    """Read the clocks. ``now`` in seconds since the epoch; a clock that went back or is not a number adds nothing."""
    if clock is None:
        return Elapsed()
    delta = now - clock.at
    if not delta > 0:
        return Elapsed()
    counted = min(delta, MOST_INTERVALS * clock.interval)
    return Elapsed(counted if clock.ramp_runs else 0.0, counted if clock.bake_runs else 0.0, moved=True)
