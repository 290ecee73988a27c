"""Synthetic evidence: what monitoring would answer, healthy or with an injected regression.

Public: :class:`Injection`, :class:`Traffic`, :class:`Signal`. The model: a gate's number is ``healthy`` until the onset
of its injection and ``healthy x factor`` from then on (divided by it where less is worse). A query over a range sees
the new value grow in as scrapes fill its range. Healthy is 60 % of the bound, or the given base rate where an alert
expression ends with a bound of its own (``> 0.01``).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from veriramp_operator.api.base import parse_duration
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.evidence import every_of, for_of, questions
from veriramp_operator.evidence.promql import largest_range
from veriramp_operator.evidence.types import PushedAlert, Reading, Samples, Series

HEALTHY_SHARE: Final = 0.6
DEFAULT_BASE_RATE: Final = 0.01
POLLS_BEYOND_FOR: Final = 8
_INJECTION: Final = re.compile(
    r"(?P<gate>[-a-z0-9]+)\s+x(?P<factor>[0-9]+(?:\.[0-9]+)?)\s+at\s+(?P<stage>[-a-z0-9]+?)(?:\+(?P<after>[0-9.a-z]+))?\Z"
)
_BOUND: Final = re.compile(r">=?\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*\Z")
_CHUNK: Final = 1024
_EDGE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Injection:
    """``<gate> x<factor> at <stage>[+<duration>]``: from so long after a stage began, a gate's number is worse."""

    gate: str
    factor: float
    stage: str
    after: float

    @classmethod
    def parse(cls, text: str, spec: RolloutSpec) -> Injection:
        """Raises ConfigurationError for another form, or a gate or stage that the rollout does not have."""
        match = _INJECTION.match(text.strip())
        if match is None:
            raise ConfigurationError(f"--inject {text!r}: write for example 'p95-latency x2 at canary+1h'")
        gates, stages = [gate.name for gate in spec.gates], [stage.name for stage in spec.stages]
        if match["gate"] not in gates:
            raise ConfigurationError(f"--inject: there is no gate {match['gate']!r}; write one of {', '.join(gates)}")
        if match["stage"] not in stages:
            raise ConfigurationError(
                f"--inject: there is no stage {match['stage']!r}; write one of {', '.join(stages)}"
            )
        try:
            after = parse_duration(match["after"]) if match["after"] else 0.0
        except ValueError as error:
            raise ConfigurationError(f"--inject {text!r}: {error}") from error
        return cls(match["gate"], float(match["factor"]), match["stage"], after)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the numbers are made from.

    ``rps``: requests per second. ``base_rate``: healthy share of bad events, None = 60 % of each bound. ``noisy``:
    independent sampling noise of that many events per scrape. ``scrape``: seconds between two scrapes.
    """

    rps: float = 40.0
    base_rate: float | None = None
    noisy: bool = False
    seed: int = 1
    scrape: float = 15.0


@dataclass(slots=True)
class Signal:
    """The evidence of one gate; its injection is in effect from ``onset`` (None = never) until ``ended``."""

    gate: GateSpec
    traffic: Traffic
    factor: float = 1.0
    onset: float | None = None
    ended: float = math.inf
    _noise: dict[int, list[float]] = field(default_factory=dict)
    _less_is_worse: bool = False
    _bound: float = 1.0
    _healthy: float = HEALTHY_SHARE
    _range: float = 0.0

    def __post_init__(self) -> None:
        """Work the gate's numbers out once."""
        self._range = largest_range(questions(self.gate, "", "").query or "") or 0.0
        threshold, base_rate = self.gate.threshold, self.traffic.base_rate
        written = _BOUND.search(self.gate.alert.expr) if self.gate.alert is not None else None
        if threshold is not None:
            self._less_is_worse = threshold.max is None
            bound = threshold.min if threshold.max is None else threshold.max
            self._bound = 1.0 if bound is None else bound
        elif written is not None:
            self._bound = float(written[1])
        self._healthy = self._bound / HEALTHY_SHARE if self._less_is_worse else self._bound * HEALTHY_SHARE
        if written is not None and base_rate is not None:
            self._healthy = base_rate

    def samples(self, now: float) -> Samples:
        """What the operator's cache would hold: the polls of the present breach, or just the newest one."""
        if self.gate.firing is not None:
            return Samples(pushes=self._pushes(now))
        every = every_of(self.gate)
        readings = []
        for tick in self._ticks_back(now):
            readings.append(self._reading(tick))
            if not self.is_bad(tick) or now - tick > for_of(self.gate) + POLLS_BEYOND_FOR * every:
                break
        return Samples(tuple(reversed(readings)), scrape_interval=self.traffic.scrape)

    def next_bad(self, after: float, until: float) -> float | None:
        """The first poll within (after, until] that is bad by itself."""
        if self.gate.firing is not None:
            onset = self.onset
            return onset if onset is not None and after < onset <= until else None
        if self.gate.alert is None and self.gate.threshold is None:
            return None
        every = every_of(self.gate)
        begin = after
        if not self.traffic.noisy:
            if self.onset is None:
                return None
            begin = max(after, self.onset - every)
        tick = (math.floor(begin / every + _EDGE) + 1) * every
        while tick <= until:
            if self.is_bad(tick):
                return tick
            tick += every
        return None

    def is_bad(self, tick: float) -> bool:
        """True when a poll at this moment is beyond the bound."""
        level, bound = self._level(tick), self._bound
        return level < bound if self._less_is_worse else level > bound

    def _level(self, tick: float) -> float:
        scraped = math.floor(tick / self.traffic.scrape + _EDGE) * self.traffic.scrape
        factor = 1 + (self.factor - 1) * self._grown_in(scraped)
        level = self._healthy / factor if self._less_is_worse else self._healthy * factor
        return level * max(0.0, 1 + self._noise_at(scraped))

    def _grown_in(self, scraped: float) -> float:
        """The share of the query's range in which the injection is in effect."""
        range_ = self._range
        if self.onset is None or scraped <= self.onset or scraped - range_ >= self.ended:
            return 0.0
        if range_ == 0.0:
            return 1.0
        return (min(scraped, self.ended) - max(self.onset, scraped - range_)) / range_

    def _noise_at(self, scraped: float) -> float:
        if not self.traffic.noisy:
            return 0.0
        scrape = self.traffic.scrape
        count = max(1, round(self._range / scrape))
        last = round(scraped / scrape)
        mean = sum(self._normal(last - back) for back in range(count)) / count
        # The relative error of a count is 1 / sqrt(events): of bad requests for a rate, of all for a level.
        share = (self.traffic.base_rate or DEFAULT_BASE_RATE) if self.gate.alert is not None else 1.0
        return mean / math.sqrt(self.traffic.rps * scrape * share)

    def _normal(self, index: int) -> float:
        number, offset = divmod(index, _CHUNK)
        if number not in self._noise:
            source = random.Random(f"{self.traffic.seed}:{self.gate.name}:{number}")  # noqa: S311 no secret: a simulation
            self._noise[number] = [source.gauss(0.0, 1.0) for _ in range(_CHUNK)]
        return self._noise[number][offset]

    def _ticks_back(self, now: float) -> Iterator[float]:
        every = every_of(self.gate)
        tick = math.floor(now / every + _EDGE) * every
        while True:
            yield tick
            tick -= every

    def _reading(self, tick: float) -> Reading:
        level, presence = self._level(tick), None
        kind = self.gate.alert or self.gate.threshold
        if kind is not None and kind.presence is not None:
            presence = Series((max(10 * kind.presence.min, self.traffic.rps),))
        scraped = math.floor(tick / self.traffic.scrape + _EDGE) * self.traffic.scrape
        silent = self.gate.alert is not None and not self.is_bad(tick)
        return Reading(tick, Series(() if silent else (level,)), presence, Series((scraped,)))

    def _pushes(self, now: float) -> tuple[PushedAlert, ...]:
        if self.onset is None or not self.onset <= now < self.ended or self.gate.firing is None:
            return ()
        return (PushedAlert(self.gate.firing.alertnames[0], True, self.onset, self.onset, math.inf),)
