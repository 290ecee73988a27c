"""What gates that poll a number have in common: a row of polls, of which those of the present breach matter."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from veriramp_operator.cli.simulation.signals import EDGE, Signal
from veriramp_operator.cli.simulation.traffic import Noise
from veriramp_operator.evidence import for_of
from veriramp_operator.evidence.types import Reading, Samples

POLLS_BEYOND_FOR: Final = 8
_CHUNK: Final = 1024


class PolledSignal(Signal):
    """Evidence in polls, each of which is plainly good or not by itself.

    Every poll in (``_good_from``, ``_good_until``] is known to be plainly good, so nobody looks at it again.
    """

    _good_from = _good_until = math.inf

    @abstractmethod
    def is_bad(self, tick: float) -> bool:
        """True when a poll at this moment is not plainly within the bound."""

    @abstractmethod
    def reading(self, tick: float) -> Reading:
        """The poll at this moment."""

    def samples(self, now: float) -> Samples:
        """The polls of the present breach, or just the newest one."""
        readings = []
        for tick in self.ticks_back(now):
            readings.append(self.reading(tick))
            if not self.is_bad(tick) or now - tick > for_of(self.gate) + POLLS_BEYOND_FOR * self.every:
                break
        return Samples(tuple(reversed(readings)), scrape_interval=self.traffic.scrape)

    def next_bad(self, after: float, until: float) -> float | None:
        """The first poll within (after, until] that is not plainly good."""
        begin = after
        if self.traffic.noise is Noise.NONE:
            if self.onset is None:
                return None
            begin = max(after, self.onset - self.every)
        if self._good_from <= begin:
            begin = max(begin, self._good_until)
        else:
            self._good_from = begin
        self._good_until = begin
        tick = (math.floor(begin / self.every + EDGE) + 1) * self.every
        while tick <= until:
            if self.is_bad(tick):
                return tick
            self._good_until = tick
            tick += self.every
        return None

    def inject(self, factor: float, onset: float) -> None:
        """Worse by a factor from ``onset`` on."""
        super().inject(factor, onset)
        self._good_from = self._good_until = math.inf

    def end(self, at: float) -> None:
        """What a fall takes back no longer does harm."""
        super().end(at)
        self._good_from = self._good_until = math.inf


class Chances:
    """Standard normal numbers by index, the same whatever is asked first."""

    def __init__(self, signal: Signal, name: str = "") -> None:
        self._signal, self._name = signal, name
        self._chunks: dict[int, Sequence[float]] = {}

    def __getitem__(self, index: int) -> float:
        number, offset = divmod(index, _CHUNK)
        if number not in self._chunks:
            source = self._signal.traffic.stream(self._signal.gate.name, self._name, number)
            self._chunks[number] = [source.gauss(0.0, 1.0) for _ in range(_CHUNK)]
        return self._chunks[number][offset]
