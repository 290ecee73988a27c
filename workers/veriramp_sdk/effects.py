"""What a verdict does to ranking: one table for the workers that write the signal and the ranker that reads it.

Public names: :class:`FailureMode`, :class:`Effect`, :class:`Effects`, :func:`bounded_signal`,
:func:`bounded_multiplier`, ``NOMINAL``.

Only two verdicts act: *entailed* favours, *contradicted* disfavours, everything else is exactly neutral. A text that is
merely consistent, cannot be formalised or is too hard says nothing about its truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from veriramp_sdk.events import Verdict


class FailureMode(StrEnum):
    """How a verification ended, in the eight names that dashboards and alerts use."""

    VERIFIED_SAT = "verified_sat"
    INVALID = "invalid"
    AMBIGUOUS = "ambiguous"
    INCOMPLETE = "incomplete"
    TIMEOUT = "timeout"
    THEORY_INCOMPLETE = "theory_incomplete"
    SERVICE_UNAVAILABLE = "service_unavailable"
    NEVER_VERIFIED = "never_verified"


NOMINAL: Final[Mapping[FailureMode, float]] = MappingProxyType(
    {
        FailureMode.VERIFIED_SAT: 1.8,
        FailureMode.INVALID: 0.3,
        FailureMode.AMBIGUOUS: 0.7,
        FailureMode.INCOMPLETE: 0.8,
        FailureMode.TIMEOUT: 0.85,
        FailureMode.THEORY_INCOMPLETE: 1.0,
        FailureMode.SERVICE_UNAVAILABLE: 1.0,
        FailureMode.NEVER_VERIFIED: 1.0,
    }
)
"""The multipliers that the modes had when a score was simply multiplied by them.

Applied like that they lost a quarter to a half of P@5 at partial coverage, so only the first two are used, and these
bounded (:func:`bounded_multiplier`); the others count as 1.
"""

SHARE: Final = 0.15
"""How much of a nominal multiplier's distance from 1 remains: ``1 + 0.15 (m - 1)``, which is 0.895 to 1.12."""


@dataclass(frozen=True)
class Effect:
    """What one verdict does: its mode, the bounded multiplier (1 is neutral) and the signal (-1..1, 0 is neutral)."""

    mode: FailureMode
    multiplier: float
    signal: float


@dataclass(frozen=True)
class Effects:
    """The table, with the nominal multipliers of the two modes that act.

    Raises ``ValueError`` for a multiplier that would not favour what is entailed, not disfavour what is contradicted,
    or go beyond the bounds 0.3 and 1.8.
    """

    verified_sat: float = NOMINAL[FailureMode.VERIFIED_SAT]
    invalid: float = NOMINAL[FailureMode.INVALID]

    def __post_init__(self) -> None:
        """Check the bounds; a number that is not finite is outside of them."""
        if not 1.0 < self.verified_sat <= NOMINAL[FailureMode.VERIFIED_SAT]:
            raise ValueError(f"the multiplier of verified_sat is {self.verified_sat:g}; write more than 1, at most 1.8")
        if not NOMINAL[FailureMode.INVALID] <= self.invalid < 1.0:
            raise ValueError(f"the multiplier of invalid is {self.invalid:g}; write at least 0.3, less than 1")

    def of(self, verdict: Verdict, *, beyond_theory: bool = False) -> Effect:
        """Return the effect of a verdict; ``beyond_theory`` says why one was too hard: not only for want of time."""
        mode = _MODES.get(verdict, FailureMode.NEVER_VERIFIED)
        if verdict is Verdict.TOO_HARD and beyond_theory:
            mode = FailureMode.THEORY_INCOMPLETE
        if verdict is Verdict.ENTAILED:
            signal = (self.verified_sat - 1.0) / _UP
        elif verdict is Verdict.CONTRADICTED:
            signal = (self.invalid - 1.0) / _DOWN
        else:
            signal = 0.0
        return Effect(mode, bounded_multiplier(signal), bounded_signal(signal))


def bounded_signal(signal: float | None) -> float:
    """Return a signal within -1..1; what is unknown or no number is neutral (0)."""
    if signal is None or not math.isfinite(signal):
        return 0.0
    return min(1.0, max(-1.0, signal))


def bounded_multiplier(signal: float | None) -> float:
    """Return the bounded multiplier of a signal: 1.12 at 1, 1 at 0, 0.895 at -1."""
    bounded = bounded_signal(signal)
    return 1.0 + SHARE * bounded * (_UP if bounded > 0 else _DOWN)


_MODES: Final[Mapping[Verdict, FailureMode]] = {
    Verdict.ENTAILED: FailureMode.VERIFIED_SAT,
    Verdict.CONTRADICTED: FailureMode.INVALID,
    # Contradictory premises prove a claim and its opposite.
    Verdict.INCONSISTENT: FailureMode.AMBIGUOUS,
    Verdict.UNDETERMINED: FailureMode.INCOMPLETE,
    Verdict.TOO_HARD: FailureMode.TIMEOUT,
    # No solver has seen it: nothing is known about the text.
    Verdict.NOT_FORMALISABLE: FailureMode.NEVER_VERIFIED,
    Verdict.ERROR: FailureMode.SERVICE_UNAVAILABLE,
}
_UP: Final = NOMINAL[FailureMode.VERIFIED_SAT] - 1.0
_DOWN: Final = 1.0 - NOMINAL[FailureMode.INVALID]
