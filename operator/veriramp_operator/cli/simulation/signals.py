"""Synthetic evidence: what monitoring would answer to one gate, healthy or with an injected regression.

Public: :class:`Signal`, one subclass per kind of evidence in the modules beside this one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.cli.simulation.traffic import Traffic
from veriramp_operator.evidence import every_of
from veriramp_operator.evidence.types import Samples

EDGE: Final = 1e-9


class Signal(ABC):
    """The evidence of one gate; its injection is in effect from ``onset`` (None = never) until ``ended``."""

    def __init__(self, gate: GateSpec, traffic: Traffic, factor: float = 1.0, onset: float | None = None) -> None:
        self.gate, self.traffic = gate, traffic
        self.factor, self.onset, self.ended = factor, onset, math.inf
        self.every = every_of(gate)
        """Seconds between two polls."""

    @abstractmethod
    def samples(self, now: float) -> Samples:
        """What the operator's cache would hold."""

    @abstractmethod
    def next_bad(self, after: float, until: float) -> float | None:
        """The first moment within (after, until] at which the evidence by itself is no longer plainly good."""

    def inject(self, factor: float, onset: float) -> None:
        """Worse by a factor from ``onset`` on."""
        self.factor, self.onset, self.ended = factor, onset, math.inf

    def end(self, at: float) -> None:
        """What a fall takes back no longer does harm."""
        self.ended = min(self.ended, at)

    def last_tick(self, now: float) -> float:
        """The newest poll at or before a moment."""
        return math.floor(now / self.every + EDGE) * self.every

    def ticks_back(self, now: float) -> Iterator[float]:
        """The polls from the newest back."""
        tick = self.last_tick(now)
        while True:
            yield tick
            tick -= self.every

    def scraped(self, tick: float) -> float:
        """When what a poll sees was scraped."""
        return math.floor(tick / self.traffic.scrape + EDGE) * self.traffic.scrape

    def share_in_effect(self, begin: float, end: float) -> float:
        """The share (0..1) of a span of time in which the injection is in effect."""
        if self.onset is None or end <= self.onset or begin >= self.ended:
            return 0.0
        if end <= begin:
            return 1.0
        return (min(end, self.ended) - max(self.onset, begin)) / (end - begin)
