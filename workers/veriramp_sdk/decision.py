"""What a search service or a worker is told to do.

Public: :class:`VerificationDecision`, :func:`off`, :class:`WorkerSettings`, :class:`FlagState`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.document import Setting


@dataclass(frozen=True, slots=True)
class VerificationDecision:
    """The decision for one query of one user."""

    mode: Mode
    arm: Arm
    verify: bool
    """Ask for verification of this query's results."""
    weight: float
    """Influence of verification on the ranking, 0..1; 0 unless the mode is Live and the arm treatment or forced."""
    top_k: int
    """Results to verify at most, when ``verify``."""
    revision: int
    """Revision of the document that decided; 0 when there was none."""


@dataclass(frozen=True, slots=True)
class FlagState:
    """What is in force in this process; the mode is Off when the lease is over or nothing was heard."""

    uid: str = ""
    revision: int = 0
    mode: Mode = Mode.OFF
    sampling_rate: float = 0.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of one worker profile, with the mode that they are meant for."""

    mode: Mode = Mode.OFF
    sampling_rate: float = 0.0
    top_k: int = 0
    revision: int = 0
    values: Mapping[str, Setting] = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """A whole number, or the default when the setting is absent or of another type."""
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def number(self, name: str, default: float) -> float:
        """A number, or the default when the setting is absent or of another type."""
        value = self.values.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

    def text(self, name: str, default: str) -> str:
        """A text, or the default when the setting is absent or of another type."""
        value = self.values.get(name)
        return value if isinstance(value, str) else default

    def truth(self, name: str, default: bool) -> bool:
        """A switch, or the default when the setting is absent or of another type."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default


def off(revision: int = 0) -> VerificationDecision:
    """The decision in any doubt: verify nothing, leave the ranking alone."""
    return VerificationDecision(Mode.OFF, Arm.OFF, False, 0.0, 0, revision)
