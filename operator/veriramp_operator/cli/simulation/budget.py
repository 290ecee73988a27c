"""The ``burnRate`` gate: errors and requests per second over each of its windows.

Public: :class:`BudgetSignal`. The healthy share of errors is the given base rate, else 60 % of what the slowest pair
allows. Each window sees a regression grow in; the service has run for longer than the longest window.
"""

from __future__ import annotations

import math
from typing import Final

from veriramp_operator.api.rollout import BurnRateGate, GateSpec
from veriramp_operator.cli.simulation.polled import Chances, PolledSignal
from veriramp_operator.cli.simulation.traffic import BURST_DEVIATION, HEALTHY_SHARE, Noise, Traffic
from veriramp_operator.evidence.types import Reading, Series

NUMBER: Final = "veriramp_number"
"""The label that tells the numbers of a burn rate's answer apart."""


class BudgetSignal(PolledSignal):
    """The error budget of a service."""

    def __init__(self, gate: GateSpec, traffic: Traffic, burn: BurnRateGate) -> None:
        super().__init__(gate, traffic)
        self._budget = 1 - burn.objective
        self._pairs = burn.windows
        self._windows = sorted({seconds for pair in burn.windows for seconds in (pair.long, pair.short)})
        self._chances = {seconds: Chances(self, f"{seconds:g}") for seconds in self._windows}
        least = min(pair.rate for pair in burn.windows) * self._budget
        self._healthy = HEALTHY_SHARE * min(1.0, least) if traffic.base_rate is None else traffic.base_rate

    def is_bad(self, tick: float) -> bool:
        """True when a pair is above its rate in both windows."""
        scraped = self.scraped(tick)
        return any(
            self._share(pair.long, scraped) > pair.rate * self._budget
            and self._share(pair.short, scraped) > pair.rate * self._budget
            for pair in self._pairs
        )

    def reading(self, tick: float) -> Reading:
        """The poll at this moment: one labelled number for each window's errors and requests."""
        scraped, rps = self.scraped(tick), self.traffic.rps
        numbers = {"newest": scraped, "exposed": 1.0}
        for seconds in self._windows:
            numbers[f"errors {seconds:g}"] = rps * self._share(seconds, scraped)
            numbers[f"total {seconds:g}"] = rps
        return Reading(tick, Series(tuple(numbers.values()), tuple({NUMBER: name} for name in numbers)))

    def _share(self, seconds: float, scraped: float) -> float:
        factor = 1 + (self.factor - 1) * self.share_in_effect(scraped - seconds, scraped)
        share = self._healthy * factor
        if self.traffic.noise is not Noise.NONE:
            share *= max(0.0, self._chance(seconds, scraped))
        return min(1.0, share)

    def _chance(self, seconds: float, scraped: float) -> float:
        """What chance makes of the share, as a multiple; it changes as slowly as the window moves on."""
        block = max(seconds, self.traffic.scrape)
        index, part = divmod(scraped / block, 1.0)
        chances = self._chances[seconds]
        draw = (1 - part) * chances[int(index)] + part * chances[int(index) + 1]
        deviation = 1 / math.sqrt(self.traffic.rps * block * max(self._healthy, 1e-9))
        bursts = BURST_DEVIATION / math.sqrt(block / self.traffic.scrape)
        if self.traffic.noise is Noise.BURSTY:
            deviation = math.hypot(deviation, bursts)
        return self.traffic.level(scraped) + draw * deviation
