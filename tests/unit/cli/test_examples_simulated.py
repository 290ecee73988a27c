"""Each example through simulated evidence: to the guard when all is well, and down by every gate that acts."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.examples import HOUR, PATTERNS, declared, example
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.runs import Options, Run
from veriramp_operator.cli.simulation.traffic import Traffic
from veriramp_operator.cli.simulation.world import simulate
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Direction

SCRAPE: Final = 300.0
MUCH: Final = 100.0
"""How much worse a number gets, so that every bound is passed."""
EVERYBODY: Final = 100.0
SHADOW: Final = "Shadow rate=0.1 topK=10"
HALF: Final = "Live rate=0.1 topK=10 canary=50% weight=0.15"

ACTING: Final = [
    pytest.param(name, gate, id=f"{name}-{gate.name}")
    for name in PATTERNS
    for gate in example(name).gates
    if gate.on_regression is not OnRegression.REPORT
]


def simulated(name: str, injection: Injection | None = None) -> Run:
    """The example as it stands, but that arms are scraped and compared every 5 minutes: weeks then take seconds.

    With an injection into a gate of another kind the comparisons are left out, for the same reason.
    """
    spec = example(name)
    worse = [gate for gate in spec.gates if injection is None or gate.name == injection.gate]
    rest = [gate for gate in spec.gates if gate not in worse and gate.comparison is None]
    gates = [gate.model_copy(update={"every": SCRAPE}) if gate.comparison else gate for gate in (*worse, *rest)]
    options = Options(injections=(injection,) if injection else (), traffic=Traffic(scrape=SCRAPE))
    return simulate(spec.model_copy(update={"gates": tuple(gates)}), options)


def stages_of(spec: RolloutSpec, gate: GateSpec) -> list[str]:
    """The stages in which a gate is asked; those with two arms for a comparison."""
    rungs = [rung for rung in plan_of(spec).rungs if not gate.stages or rung.name in gate.stages]
    if gate.comparison is not None:
        rungs = [rung for rung in rungs if 0 < rung.vector.canary_percent < EVERYBODY]
    return [rung.name for rung in rungs]


def fall_of(run: Run) -> str:
    """Where the run fell to first."""
    (fall, *_) = [moment for moment in run.timeline if moment.direction is Direction.FALL]
    return str(fall.vector)


@pytest.mark.shows("S1-CAN-01", "S2-CAN-01", "S2-CAN-03", "S4-DEP-03")
@pytest.mark.parametrize("name", PATTERNS)
def test_when_all_is_well_it_comes_to_its_end(name: str) -> None:
    run = simulated(name)
    assert run.completed, run.ending
    assert run.detected_at is None
    risen = [moment.stage for moment in run.timeline if moment.reason == "Promote"]
    assert list(dict.fromkeys(risen)) == [stage.name for stage in example(name).stages]


@pytest.mark.shows("S1-CAN-03", "S1-CAN-05", "S1-RBK-02", "S2-CAN-02")
@pytest.mark.parametrize(("name", "gate"), ACTING)
def test_each_gate_that_acts_leads_to_where_it_declares(name: str, gate: GateSpec) -> None:
    spec = example(name)
    stage = stages_of(spec, gate)[-1]
    (ramp,) = (each.ramp for each in spec.stages if each.name == stage)
    # Before the first step of a ramp there is nothing to lower yet.
    run = simulated(name, Injection(gate.name, MUCH, stage, HOUR + (ramp.duration if ramp else 0.0)))
    assert run.rollback_gate == gate.name, run.ending
    assert fall_of(run) == str(declared(spec, gate, stage))


@pytest.mark.parametrize(
    ("gate", "stage", "falls_to", "least_minutes"),
    [
        pytest.param("breaker-open", "phase-1", "Off", 10, marks=pytest.mark.shows("S1-ROLL-01")),
        pytest.param("few-successes", "phase-1", "Off", 5, marks=pytest.mark.shows("S1-ROLL-01")),
        pytest.param("slow-verifier", "phase-1", "Off", 5, marks=pytest.mark.shows("S1-ROLL-01")),
        pytest.param(
            "slow-vector-updates", "phase-2", "Shadow rate=0.01 topK=10", 10, marks=pytest.mark.shows("S1-ROLL-02")
        ),
        pytest.param("queue-lag", "phase-2", "Shadow rate=0.01 topK=10", 10, marks=pytest.mark.shows("S1-ROLL-02")),
        pytest.param("slower-search", "phase-2", "Shadow rate=0.01 topK=10", 5, marks=pytest.mark.shows("S1-ROLL-02")),
        pytest.param("long-pagerank", "phase-3", "Shadow rate=0.05 topK=10", 0, marks=pytest.mark.shows("S1-ROLL-03")),
        pytest.param("slow-graph", "phase-3", "Shadow rate=0.05 topK=10", 5, marks=pytest.mark.shows("S1-ROLL-03")),
        pytest.param("precision", "phase-4", SHADOW, 0, marks=pytest.mark.shows("S1-ROLL-04")),
        pytest.param("ndcg", "phase-4", SHADOW, 0, marks=pytest.mark.shows("S1-ROLL-04")),
        pytest.param("slow-ranking", "phase-4", SHADOW, 5, marks=pytest.mark.shows("S1-ROLL-04")),
        pytest.param("complaints", "phase-4", SHADOW, 0, marks=pytest.mark.shows("S1-ROLL-04")),
        pytest.param("precision", "phase-5", SHADOW, 0, marks=pytest.mark.shows("S1-ROLL-05")),
        pytest.param("failing-verifier", "phase-5", SHADOW, 5, marks=pytest.mark.shows("S1-ROLL-05")),
        pytest.param("breaker-open-phase-5", "phase-5", HALF, 15, marks=pytest.mark.shows("S1-ROLL-05")),
        pytest.param("precision-lost", "phase-5", "Off", 0, marks=pytest.mark.shows("S1-ROLL-06")),
        pytest.param("outage", "phase-5", "Off", 0, marks=pytest.mark.shows("S1-ROLL-06")),
        pytest.param("error-budget", "phase-5", "Off", 0, marks=pytest.mark.shows("S1-ROLL-06")),
    ],
)
def test_each_trigger_of_the_design(gate: str, stage: str, falls_to: str, least_minutes: float) -> None:
    run = simulated("every-trigger", Injection(gate, MUCH, stage, HOUR))
    assert (run.rollback_gate, fall_of(run)) == (gate, falls_to)
    assert run.detection_seconds is not None
    assert least_minutes * 60 <= run.detection_seconds <= (least_minutes + 20) * 60


@pytest.mark.parametrize("name", ["every-trigger", "phases"])
@pytest.mark.parametrize(
    ("gate", "stage", "minutes"),
    [
        pytest.param("breaker-open", "phase-1", 10, marks=pytest.mark.shows("S1-ROLL-01")),
        pytest.param("breaker-open-phase-5", "phase-5", 15, marks=pytest.mark.shows("S1-ROLL-05")),
    ],
)
def test_an_open_breaker_has_the_time_of_its_phase(name: str, gate: str, stage: str, minutes: float) -> None:
    run = simulated(name, Injection(gate, MUCH, stage, HOUR))
    assert run.rollback_gate == gate
    assert run.detection_seconds is not None
    assert minutes * 60 <= run.detection_seconds < (minutes + 5) * 60
