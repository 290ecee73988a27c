"""Engine and evidence together: the invariants that hang on verdicts, told by real readings."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from tests.support.builders import a_ladder, inconclusive, no_data, passes, regresses
from tests.support.monitored_machine import MonitoredWorld, real
from tests.support.walk.campaign import CASES, SOAK, Found, campaign
from tests.support.walk.invariants import INVARIANTS
from tests.support.walk.monitored import MonitoredWalk, asked
from tests.support.walk.walk import Judge, Tick, Walk
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_operator.evidence import Mark
from veriramp_sdk.contract import Mode


def rises(walk: Walk, tick: Tick) -> None:
    if not tick.raised or tick.published_before is None or not tick.whole:
        return
    for gate, mark, verdict in asked(walk, tick):
        if gate.is_required:
            assert mark is Mark.GOOD, f"rose although {gate.name} says {mark}"
            assert verdict in {VerdictKind.PASS, VerdictKind.INCONCLUSIVE}


def falls(walk: Walk, tick: Tick) -> None:
    status = tick.decision.status
    memory = tick.before.rollback or status.rollback or tick.before.anchors or status.anchors
    for gate, mark, verdict in asked(walk, tick) if tick.whole else []:
        bad = verdict is VerdictKind.REGRESSION
        if gate.name == "errors" and mark is Mark.BAD and not memory:
            assert bad, "a bad poll of a gate without `for` trips at once"
        if bad and gate.on_regression is OnRegression.KILL_SWITCH:
            assert tick.out.mode is Mode.OFF
        if bad and gate.on_regression is OnRegression.SHADOW:
            assert tick.out.mode is not Mode.LIVE


def blind(walk: Walk, tick: Tick) -> None:
    if tick.whole and any(gate.is_required and mark is Mark.UNKNOWN for gate, mark, _ in asked(walk, tick)):
        assert tick.decision.direction is not Direction.RISE
        assert not tick.raised or tick.published_before is None


TOLD_BY_EVIDENCE: Final[dict[str, Judge]] = {
    "I1_nothing_rises_without_good_evidence": rises,
    "I2_after_a_fall_finding_the_published_vector_is_at_or_below_its_target": falls,
    "I5_no_data_never_up": blind,
}
THE_SAME: Final = ("I4_", "I7_", "I8_", "I9_", "clocks_")
JUDGES: Final = TOLD_BY_EVIDENCE | {name: judge for name, judge in INVARIANTS.items() if name.startswith(THE_SAME)}


@pytest.fixture(scope="module")
def found() -> Found:
    """What the walks with real evidence have found."""
    return campaign(JUDGES, CASES // 10, MonitoredWalk)


@pytest.mark.timeout(36000 if SOAK else 300)
@pytest.mark.parametrize("name", JUDGES)
def test_invariant(found: Found, name: str) -> None:
    found.shows(name)


def ladder(gate: str, action: OnRegression = OnRegression.KILL_SWITCH) -> MonitoredWorld:
    """In the Live stage "half", watched by one gate."""
    builder = replace(a_ladder(), gates=()).with_gate(gate, action).with_(allow_unguarded=True)
    world = MonitoredWorld(real(builder.build()))
    world.run_to("half", full=True)
    return world


@pytest.mark.parametrize(
    ("gate", "until_it_trips"),
    [("errors", 5.0), ("latency", 25.0), ("quality", 5.0)],
)
def test_each_kind_of_gate_falls_when_it_is_due(gate: str, until_it_trips: float) -> None:
    world = ladder(gate)
    world.says[gate] = regresses
    began = world.now
    while world.vector() != OFF and world.now < began + 60:
        world.tick(5)

    assert world.now - began == until_it_trips
    assert world.status.rollback is not None
    assert world.status.rollback.gate == gate
    assert world.status.rollback.at == began + 5


@pytest.mark.shows("S1-ROLL-07")
@pytest.mark.parametrize("saying", [no_data, inconclusive])
@pytest.mark.parametrize("gate", ["errors", "latency"])
def test_evidence_that_stays_away_or_stale_holds_and_goes_on_afterwards(gate: str, saying: object) -> None:
    world = ladder(gate)
    before = world.vector()
    world.says[gate] = saying

    held = world.run(300)

    assert (held.reason, world.vector()) == (Reason.NO_DATA, before)
    world.says[gate] = passes
    assert world.run(1200).reason is Reason.GUARDING


def test_a_breach_shorter_than_its_for_leans_bad_and_falls_nowhere() -> None:
    world = ladder("latency")
    before = world.vector()
    world.says["latency"] = regresses

    held = world.run(15)
    world.says["latency"] = passes
    world.run(60)

    assert held.reason is Reason.EVIDENCE_LEANS_BAD
    assert world.vector() == before
    assert world.status.rollback is None


@pytest.mark.shows("S1-RBK-02")
def test_one_bad_window_walks_one_stage_down_and_no_further() -> None:
    world = ladder("errors", OnRegression.PREVIOUS_STAGE)
    world.says["errors"] = regresses
    world.tick(5)
    world.run(55)
    first = world.vector()
    world.says["errors"] = passes

    world.run(600)

    assert (first.canary_percent, world.vector()) == (5.0, first)
