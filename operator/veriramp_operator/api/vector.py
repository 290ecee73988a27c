"""The vector of parameters that a rollout moves, and the only arithmetic on it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Self

from veriramp_operator.api.base import Frozen
from veriramp_sdk.contract import Mode

WEIGHT_QUANTUM: Final = 1e-4
RATE_QUANTUM: Final = 1e-4
PERCENT_QUANTUM: Final = 0.01
DEFAULT_TOP_K: Final = 10


class Vector(Frozen):
    """Mode, sampling rate (0..1), canary percent (0..100), ranking weight (0..1) and top-k, published as one value."""

    mode: Mode = Mode.OFF
    sampling_rate: float = 0.0
    canary_percent: float = 0.0
    ranking_weight: float = 0.0
    top_k: int = DEFAULT_TOP_K

    def is_at_most(self, other: Vector) -> bool:
        """True when no parameter is above the other's; Off is below everything, whatever its other numbers say."""
        return self.mode is Mode.OFF or (
            (self.mode is other.mode or self.mode.rank <= other.mode.rank)
            and self.sampling_rate <= other.sampling_rate
            and self.canary_percent <= other.canary_percent
            and self.ranking_weight <= other.ranking_weight
            and self.top_k <= other.top_k
        )

    def meet(self, other: Vector) -> Vector:
        """The highest vector that is at most both: the lower of each parameter."""
        if self.is_at_most(other):
            return self
        if other.is_at_most(self):
            return other
        return Vector.typed(
            {
                "mode": min(self.mode, other.mode, key=lambda mode: mode.rank),
                "sampling_rate": min(self.sampling_rate, other.sampling_rate),
                "canary_percent": min(self.canary_percent, other.canary_percent),
                "ranking_weight": min(self.ranking_weight, other.ranking_weight),
                "top_k": min(self.top_k, other.top_k),
            }
        ).settled()

    def toward(self, target: Vector, fraction: float) -> Vector:
        """The vector at a fraction (0..1) of the way to the target, quantised; at 1 exactly the target.

        The mode and the numbers that fall switch at once (fraction > 0): a path never exceeds both of its ends.
        """
        if fraction <= 0:
            return self
        if fraction >= 1:
            return target
        return Vector.typed(
            {
                "mode": target.mode,
                "sampling_rate": _between(self.sampling_rate, target.sampling_rate, fraction, RATE_QUANTUM),
                "canary_percent": _between(self.canary_percent, target.canary_percent, fraction, PERCENT_QUANTUM),
                "ranking_weight": _between(self.ranking_weight, target.ranking_weight, fraction, WEIGHT_QUANTUM),
                "top_k": target.top_k
                if target.top_k < self.top_k
                else self.top_k + int((target.top_k - self.top_k) * fraction),
            }
        ).settled()

    def settled(self) -> Vector:
        """The same vector with percent and weight 0 unless Live, and everything but top-k 0 when Off."""
        if self.mode is Mode.LIVE:
            return self
        lower = {"canary_percent": 0.0, "ranking_weight": 0.0}
        if self.mode is Mode.OFF:
            lower["sampling_rate"] = 0.0
        return self.model_copy(update=lower)

    def shadowed(self) -> Vector:
        """The same sampling without any influence on ranking (Off stays Off)."""
        return self.meet(Vector(mode=Mode.SHADOW, sampling_rate=1.0, top_k=self.top_k))

    def quantised(self) -> Self:
        """The same vector with each parameter on its grid."""
        return self.model_copy(
            update={
                "sampling_rate": on_grid(self.sampling_rate, RATE_QUANTUM),
                "canary_percent": on_grid(self.canary_percent, PERCENT_QUANTUM),
                "ranking_weight": on_grid(self.ranking_weight, WEIGHT_QUANTUM),
            }
        )

    def __str__(self) -> str:
        """One line for people."""
        return _text(self.mode, self.sampling_rate, self.canary_percent, self.ranking_weight, self.top_k)


OFF: Final = Vector()
"""Everything off: no verification requested, no influence on ranking."""


@lru_cache(maxsize=1024)
def _text(mode: Mode, rate: float, percent: float, weight: float, top_k: int) -> str:
    """Remembered, because each pass of a rollout tells the same few vectors."""
    if mode is Mode.OFF:
        return "Off"
    text = f"{mode} rate={rate:g} topK={top_k}"
    if mode is Mode.LIVE:
        text += f" canary={percent:g}% weight={weight:g}"
    return text


def _between(start: float, end: float, fraction: float, quantum: float) -> float:
    if end <= start:
        return end
    # Rounding down keeps a step from reaching the target before its time.
    steps = int((start + (end - start) * fraction) / quantum + 1e-9)
    return max(start, round(steps * quantum, 10))


def on_grid(value: float, quantum: float) -> float:
    """The multiple of ``quantum`` nearest to a value; what is less than half of it is 0."""
    return round(round(value / quantum) * quantum, 10)
