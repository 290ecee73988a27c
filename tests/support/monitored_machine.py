"""The state machine of the engine with real readings and the real judge of evidence between.

Monitoring polls each gate on its own clock. ``errors`` is an alert gate with presence that trips at once, ``latency`` a
threshold gate that trips after 20 s, ``quality`` waits for alerts that Alertmanager pushes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tests.support.builders import World, inconclusive, no_data, passes, regresses
from tests.support.walk.world import leans_bad
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import AlertGate, FiringGate, GateSpec, PresenceSpec, RolloutSpec, ThresholdGate
from veriramp_operator.engine import decide
from veriramp_operator.engine.types import Decision, Observation
from veriramp_operator.evidence import Mark
from veriramp_operator.evidence.types import Answer, Failure, PushedAlert, Reading, Samples, Series, Verdict

EVERY: Final = 5.0
KEPT: Final = 40
LONG_AGO: Final = 1000.0
_TIMEOUT: Final = Failure(NoDataReason.TIMEOUT, "no answer within 10 s")
_PRESENT: Final = Series((40.0,))

Saying = Callable[[float], Verdict]


class Poll(NamedTuple):
    """One poll, and what it says as everybody can see."""

    reading: Reading
    mark: Mark


def real(spec: RolloutSpec) -> RolloutSpec:
    """The same plan with gates that ask monitoring."""
    return spec.model_copy(update={"gates": tuple(_real(gate) for gate in spec.gates)})


def _real(gate: GateSpec) -> GateSpec:
    kinds: Mapping[str, Mapping[str, object]] = {
        "errors": {"alert": AlertGate(expr="errors > 1", presence=PresenceSpec(query="requests", min=0.1))},
        "latency": {"threshold": ThresholdGate(query="sum(latency)", max=2.0, for_=20.0)},
        "quality": {"firing": FiringGate(alertnames=("Quality",), source="Push")},
    }
    same = gate.model_dump(exclude={"alert", "threshold", "firing", "selector", "every"}, by_alias=False)
    return GateSpec.model_validate({**same, **kinds[gate.name], "selector": "requests", "every": EVERY})


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
        for gate in self.spec.gates:
            self._poll(gate)
        return replace(super().observe(), samples={gate.name: self._samples(gate) for gate in self.spec.gates})

    def mark(self, gate: GateSpec) -> Mark:
        """What the newest poll (or push) says by itself."""
        if gate.firing is not None:
            return Mark.BAD if self._firing(gate) else Mark.UNKNOWN
        return self.polls[gate.name][-1].mark

    def _firing(self, gate: GateSpec) -> bool:
        return self.says.get(gate.name) is regresses

    def _poll(self, gate: GateSpec) -> None:
        known = [poll for poll in self.polls.get(gate.name, []) if poll.reading.at <= self.now]
        at = known[-1].reading.at + EVERY if known else self.now
        at = max(at, self.now - KEPT * EVERY)
        while at <= self.now:
            known.append(_poll_of(gate, self.says.get(gate.name, passes), at))
            at += EVERY
        self.polls[gate.name] = known[-KEPT:]

    def _samples(self, gate: GateSpec) -> Samples:
        if gate.firing is None:
            return Samples(tuple(poll.reading for poll in self.polls[gate.name]))
        if not self._firing(gate):
            self.began.pop(gate.name, None)
            return Samples()
        began = self.began.setdefault(gate.name, self.now)
        return Samples(pushes=(PushedAlert("Quality", True, self.now, began, math.inf),))


def _poll_of(gate: GateSpec, saying: Saying, at: float) -> Poll:
    good = Series(()) if gate.alert else Series((0.5,))
    answers: Mapping[Saying, tuple[Answer, float, Mark]] = {
        passes: (good, at - 1.0, Mark.GOOD),
        regresses: (Series((5.0,)), at - 1.0, Mark.BAD),
        no_data: (_TIMEOUT, at - 1.0, Mark.UNKNOWN),
        inconclusive: (good, at - LONG_AGO, Mark.UNKNOWN),
        leans_bad: (Series((math.nan,)), at - 1.0, Mark.UNKNOWN),
    }
    answer, newest, mark = answers[saying]
    return Poll(Reading(at, answer, _PRESENT, Series((newest,))), mark)
