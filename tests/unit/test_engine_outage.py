"""Hours without usable answers of monitoring: a healthy rollout neither rises nor falls, and loses no place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.builders import a_ladder
from tests.support.monitored_machine import EVERY, MonitoredWorld, Poll, real
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import Phase, VerdictKind
from veriramp_operator.evidence import Mark
from veriramp_operator.evidence.types import Answer, Failure, Reading, Series

HOURS: Final = 6 * 3600.0
EMPTY: Final = Series(())
NAN: Final = Series((math.nan,))
ANSWERS: Final[dict[str, Answer]] = {
    "refused": Failure(NoDataReason.REFUSED, "connection refused"),
    "hangs": Failure(NoDataReason.TIMEOUT, "no answer within 10 s"),
    "empty": EMPTY,
    "nan": NAN,
    "error-500": Failure(NoDataReason.SERVER_ERROR, "500"),
    "partial": Failure(NoDataReason.PARTIAL_RESPONSE, "half of the stores answered"),
}


@dataclass
class Outage(MonitoredWorld):
    """``answer``: what monitoring answers to every question since it broke; None: it is well."""

    answer: Answer | None = None

    def _poll(self, gate: GateSpec) -> None:
        if self.answer is None:
            return super()._poll(gate)
        reading = Reading(math.floor(self.now / EVERY) * EVERY, self.answer, self.answer, self.answer)
        self.polls[gate.name] = [*self.polls[gate.name][-1:], Poll(reading, Mark.UNKNOWN)]
        return None


def climbing() -> Outage:
    """With an alert gate, which takes an empty answer for good news if search is measured, and a threshold gate."""
    return Outage(real(a_ladder().with_gate("latency").build()))


@pytest.mark.shows("S1-ROLL-07", "S1-RAMP-02")
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_outage_of_hours_in_the_ramp_costs_only_its_time(answer: str) -> None:
    undisturbed, world = climbing(), climbing()
    for each in (undisturbed, world):
        each.run_to("canary")
        each.run(200)
    before, fraction = world.vector(), world.status.stage.ramp_fraction if world.status.stage else None
    world.answer = ANSWERS[answer]
    held = world.run(HOURS, step=60)
    assert (held.reason, world.vector(), world.status.rollback) == (Reason.NO_DATA, before, None)
    assert {gate.verdict for gate in world.status.gates} == {VerdictKind.NO_DATA}
    world.answer = None
    world.run(30)
    undisturbed.run(30)
    assert world.status.stage is not None
    assert fraction is not None
    assert 0 < fraction < 1
    assert world.vector().is_at_most(undisturbed.vector())
    assert world.run(3000).reason is Reason.GUARDING


@pytest.mark.shows("S1-ROLL-07")
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_outage_of_hours_after_the_last_stage_aborts_nothing(answer: str) -> None:
    world = climbing()
    world.run(4000)
    assert world.status.phase is Phase.GUARDING
    before = world.vector()
    world.answer = ANSWERS[answer]
    world.run(HOURS, step=60)
    assert (world.vector(), world.status.rollback, world.status.reason) == (before, None, Reason.NO_DATA)
    world.answer = None
    assert world.run(30).reason is Reason.GUARDING
