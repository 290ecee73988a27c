"""Gates that hold one number against a bound: ``alert``, ``threshold``, ``baseline``.

Public: :class:`NumberSignal`. The number is healthy until the onset of its injection and ``healthy x factor`` from then
on (divided by it where less is worse); a query over a range sees the new value grow in as scrapes fill its range.
Healthy is 60 % of the bound, the given base rate where an alert expression ends with a bound of its own (``> 0.01``),
and the baseline itself for a baseline gate. With interval queries the baseline's interval is as wide as ``maxDrop``.
"""

from __future__ import annotations

import math
import re
from typing import Final

from veriramp_operator.api.rollout import BaselineGate, GateSpec
from veriramp_operator.cli.simulation.polled import Chances, PolledSignal
from veriramp_operator.cli.simulation.traffic import BURST_DEVIATION, DEFAULT_BASE_RATE, HEALTHY_SHARE, Noise, Traffic
from veriramp_operator.evidence.promql import largest_range
from veriramp_operator.evidence.types import Reading, Series

BASELINE: Final = 1.0
_BOUND: Final = re.compile(r">=?\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*\Z")


class NumberSignal(PolledSignal):
    """A polled number held against a bound."""

    def __init__(self, gate: GateSpec, traffic: Traffic, factor: float = 1.0, onset: float | None = None) -> None:
        super().__init__(gate, traffic, factor, onset)
        self._chances = Chances(self)
        self._range, self._half_width = 0.0, 0.0
        self._less_is_worse, self._bound, self._healthy = False, 1.0, HEALTHY_SHARE
        # The relative error of a count is 1 / sqrt(events): of bad requests for a rate, of all for a level.
        self._error = 1 / math.sqrt(traffic.rps * traffic.scrape)
        if gate.threshold is not None:
            self._range = largest_range(gate.threshold.query) or 0.0
            self._threshold(gate.threshold.max, gate.threshold.min)
        elif gate.baseline is not None:
            self._baseline(gate.baseline)
        elif gate.alert is not None:
            self._range = largest_range(gate.alert.expr) or 0.0
            self._expression(gate.alert.expr)
            is_share = traffic.base_rate is not None or self._bound < 1
            self._error /= math.sqrt(min(1.0, self._healthy) if is_share else DEFAULT_BASE_RATE)

    def is_bad(self, tick: float) -> bool:
        """True when a poll at this moment is not plainly within the bound."""
        level = self._level(self.scraped(tick)) - self._half_width
        return level < self._bound if self._less_is_worse else level > self._bound

    def reading(self, tick: float) -> Reading:
        """The poll at this moment."""
        scraped = self.scraped(tick)
        level, newest, presence = self._level(scraped), Series((scraped,)), None
        kind = self.gate.alert or self.gate.threshold
        if kind is not None and kind.presence is not None:
            presence = Series((max(10 * kind.presence.min, self.traffic.rps),))
        if self.gate.alert is not None and not self.is_bad(tick):
            return Reading(tick, Series(()), presence, newest)
        if self.gate.baseline is None:
            return Reading(tick, Series((level,)), presence, newest)
        baseline, ends = Series((BASELINE,)), (level - self._half_width, level + self._half_width)
        if not self._half_width:
            return Reading(tick, Series((level,)), None, newest, baseline)
        return Reading(tick, Series((level,)), None, newest, baseline, Series(ends[:1]), Series(ends[1:]))

    def _threshold(self, most: float | None, least: float | None) -> None:
        self._less_is_worse = most is None
        bound = least if most is None else most
        self._bound = 1.0 if bound is None else bound
        self._healthy = self._bound / HEALTHY_SHARE if self._less_is_worse else self._bound * HEALTHY_SHARE

    def _baseline(self, gate: BaselineGate) -> None:
        self._range = largest_range(gate.query) or 0.0
        self._less_is_worse = True
        self._bound, self._healthy = BASELINE * (1 - gate.max_drop), BASELINE
        self._error = gate.max_drop / 4
        if gate.lower_query is not None:
            self._half_width = BASELINE * gate.max_drop / 2

    def _expression(self, expr: str) -> None:
        written, base_rate = _BOUND.search(expr), self.traffic.base_rate
        if written is None:
            return
        self._bound = float(written[1])
        self._healthy = self._bound * HEALTHY_SHARE if base_rate is None else base_rate

    def _level(self, scraped: float) -> float:
        factor = 1 + (self.factor - 1) * self.share_in_effect(scraped - self._range, scraped)
        level = self._healthy / factor if self._less_is_worse else self._healthy * factor
        return level if self.traffic.noise is Noise.NONE else level * max(0.0, self._chance(scraped))

    def _chance(self, scraped: float) -> float:
        """What chance makes of the number, as a multiple: the mean over the scrapes of its range."""
        scrape = self.traffic.scrape
        count = max(1, round(self._range / scrape))
        last = round(scraped / scrape)
        mean = sum(self._chances[last - back] for back in range(count)) / count
        if self.gate.baseline is not None:
            return 1.0 + mean * self._error
        bursts = BURST_DEVIATION if self.traffic.noise is Noise.BURSTY else 0.0
        return self.traffic.level(scraped) + mean * math.hypot(self._error, bursts)
