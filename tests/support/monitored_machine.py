"""The state machine of the engine with real readings and the real judge of evidence between.

Monitoring polls each gate on its own clock. ``errors`` is an alert gate with presence that trips at once, ``latency`` a
threshold gate that trips after 20 s, ``quality`` waits for alerts that Alertmanager pushes; ``versus`` compares arms
(see :mod:`.monitored_arms`). On request ``errors`` is a burn rate, and ``latency`` a baseline with or without interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.support.builders import World, inconclusive, no_data, passes, regresses
from tests.support.walk.world import Saying, leans_bad
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import (
    AlertGate,
    AlertSource,
    BaselineGate,
    BurnRateGate,
    BurnWindow,
    ComparisonGate,
    Direction,
    FiringGate,
    GateSpec,
    PresenceSpec,
    RolloutSpec,
    ThresholdGate,
)
from veriramp_operator.engine import decide
from veriramp_operator.engine.types import Decision, Observation
from veriramp_operator.evidence import Mark
from veriramp_operator.evidence.burn_rate import NUMBER
from veriramp_operator.evidence.types import Answer, Failure, PushedAlert, Reading, Samples, Series

EVERY: Final = 5.0
KEPT: Final = 40
LONG_AGO: Final = 1000.0
_TIMEOUT: Final = Failure(NoDataReason.TIMEOUT, "no answer within 10 s")
_PRESENT: Final = Series((40.0,))


class Poll(NamedTuple):
    """One poll, and what it says as everybody can see.

    ``leans_bad``: only when unsure. ``share``: of errors since the poll before, where a burn rate is asked.
    """

    reading: Reading
    mark: Mark
    leans_bad: bool = False
    share: float = 0.0


_PRESENCE: Final = PresenceSpec(query="requests", min=0.1)
_BASELINE: Final = BaselineGate(query="precision", baseline_query="baseline", max_drop=0.1)
_INTERVAL: Final = {"lower_query": "lower", "upper_query": "upper"}
_FAST, _SLOW = BurnWindow(long=20.0, short=5.0, rate=2.0), BurnWindow(long=60.0, short=10.0, rate=10.0)
_KINDS: Final[Mapping[str, Sequence[Mapping[str, object]]]] = {
    "errors": (
        {"alert": AlertGate(expr="errors > 1", presence=_PRESENCE)},
        {"burn_rate": BurnRateGate(errors="errors", total="requests", objective=0.99, windows=(_FAST, _SLOW))},
    ),
    "latency": (
        {"threshold": ThresholdGate(query="sum(latency)", max=2.0, for_=20.0)},
        {"baseline": _BASELINE.model_copy(update=_INTERVAL), "max_age": 30.0},
        {"baseline": _BASELINE, "max_age": 30.0},
    ),
    "quality": ({"firing": FiringGate(alertnames=("Quality",), source=AlertSource.PUSH)},),
    "versus": tuple(
        {"comparison": ComparisonGate(events="bad", total="all", min_users=users, direction=direction)}
        for users, direction in product((0, 100), Direction)
    ),
}


def real(spec: RolloutSpec, kinds: Mapping[str, int] = MappingProxyType({})) -> RolloutSpec:
    """The same plan with gates that ask monitoring; ``kinds``: which of its kinds a gate is, by name."""
    return spec.model_copy(update={"gates": tuple(_real(gate, kinds.get(gate.name, 0)) for gate in spec.gates)})


def _real(gate: GateSpec, kind: int) -> GateSpec:
    known = _KINDS[gate.name]
    same = {"alert": None, "comparison": None, "selector": "requests", "every": EVERY}
    return gate.model_copy(update={**same, **known[kind % len(known)]})


@dataclass
class MonitoredWorld(World):
    """A world in which ``says`` moves what monitoring answers, and verdicts come from the real judge."""

    polls: dict[str, list[Poll]] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)

    def decide_from(self, seen: Observation, now: float) -> Decision:
        """Decide as the operator does."""
        return decide(self.spec, self.status, seen, now)

    def observe(self) -> Observation:
        """One snapshot, with the polls that were due by now; asking twice at the same moment changes nothing."""
        return replace(super().observe(), samples=self.samples())

    def samples(self) -> dict[str, Samples]:
        """What is known of each polled gate."""
        polled = [gate for gate in self.spec.gates if gate.comparison is None]
        for gate in polled:
            self._poll(gate)
        return {gate.name: self._samples(gate) for gate in polled}

    def mark(self, gate: GateSpec) -> Mark:
        """What the newest poll (or push) says by itself."""
        if gate.firing is not None:
            return Mark.BAD if self.is_firing(gate) else Mark.UNKNOWN
        return self.polls[gate.name][-1].mark

    def is_firing(self, gate: GateSpec) -> bool:
        """True while Alertmanager says so."""
        return self.says.get(gate.name) is regresses

    def _poll(self, gate: GateSpec) -> None:
        known = [poll for poll in self.polls.get(gate.name, []) if poll.reading.at <= self.now]
        at = known[-1].reading.at + EVERY if known else self.now
        at = max(at, self.now - KEPT * EVERY)
        while at <= self.now:
            known.append(_poll_of(gate, self.says.get(gate.name, passes), at, known))
            at += EVERY
        self.polls[gate.name] = known[-KEPT:]

    def _samples(self, gate: GateSpec) -> Samples:
        if gate.firing is None:
            return Samples(tuple(poll.reading for poll in self.polls[gate.name]))
        if not self.is_firing(gate):
            self.began.pop(gate.name, None)
            return Samples()
        began = self.began.setdefault(gate.name, self.now)
        return Samples(pushes=(PushedAlert("Quality", True, self.now, began, math.inf),))


def _poll_of(gate: GateSpec, saying: Saying, at: float, before: Sequence[Poll]) -> Poll:
    newest = Series((at - LONG_AGO if saying is inconclusive else at - 1.0,))
    if gate.burn_rate is not None:
        return _burn_poll(gate.burn_rate, saying, newest.values[0], at, before)
    if gate.baseline is not None:
        return _baseline_poll(gate.baseline, saying, newest, at)
    good = Series(()) if gate.alert else Series((0.5,))
    answers: Mapping[Saying, tuple[Answer, Mark]] = {
        passes: (good, Mark.GOOD),
        regresses: (Series((5.0,)), Mark.BAD),
        no_data: (_TIMEOUT, Mark.UNKNOWN),
        inconclusive: (good, Mark.UNKNOWN),
        leans_bad: (Series((math.nan,)), Mark.UNKNOWN),
    }
    answer, mark = answers[saying]
    return Poll(Reading(at, answer, _PRESENT, newest), mark)


def _burn_poll(burn: BurnRateGate, saying: Saying, newest: float, at: float, before: Sequence[Poll]) -> Poll:
    """Rates over windows, as far as the polls before know the past; before them all was well."""
    share = 0.5 if saying is regresses else 0.001
    shares = [share, *(poll.share for poll in reversed(before))]
    numbers, bad = {"newest": newest, "exposed": 1.0}, False
    for window in burn.windows:
        spent = {}
        for seconds in (window.long, window.short):
            polls = round(seconds / EVERY)
            late = shares[:polls]
            spent[seconds] = (sum(late) + 0.001 * (polls - len(late))) / polls
            numbers[f"errors {seconds:g}"] = math.nan if saying is leans_bad else 40 * spent[seconds]
            numbers[f"total {seconds:g}"] = 40.0
        bad = bad or min(spent.values()) > window.rate * (1 - burn.objective)
    answer = Series(tuple(numbers.values()), tuple({NUMBER: name} for name in numbers))
    known = saying in (passes, regresses)
    mark = (Mark.BAD if bad else Mark.GOOD) if known else Mark.UNKNOWN
    return Poll(Reading(at, _TIMEOUT if saying is no_data else answer), mark, share=share)


def _baseline_poll(baseline: BaselineGate, saying: Saying, newest: Series, at: float) -> Poll:
    """Against 1, of which 0.9 is enough."""
    with_interval = baseline.lower_query is not None
    answers: Mapping[Saying, tuple[float, float, float, Mark]] = {
        passes: (0.98, 1.0, 1.02, Mark.GOOD),
        regresses: (0.48, 0.5, 0.52, Mark.BAD),
        no_data: (0.98, 1.0, math.nan if with_interval else 1.02, Mark.UNKNOWN),
        inconclusive: (0.98, 1.0, 1.02, Mark.UNKNOWN),
        leans_bad: (0.7, 0.85 if with_interval else math.nan, 1.0, Mark.UNSURE if with_interval else Mark.UNKNOWN),
    }
    lower, value, upper, mark = answers[saying]
    stored = Series(()) if saying is no_data and not with_interval else Series((1.0,))
    reading = Reading(at, Series((value,)), newest=newest, baseline=stored)
    if with_interval:
        reading = replace(reading, lower=Series((lower,)), upper=Series((upper,)))
    return Poll(reading, mark, leans_bad=mark is Mark.UNSURE)
