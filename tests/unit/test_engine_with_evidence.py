"""Engine and evidence together: the invariants again, with real readings and counters behind every verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.builders import a_ladder, inconclusive, no_data, passes, regresses
from tests.support.monitored_machine import MonitoredWorld, real
from tests.support.walk.campaign import CASES, SOAK, Found, campaign
from tests.support.walk.monitored import MONITORED, MonitoredWalk
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.vector import OFF


@pytest.fixture(scope="module")
def found() -> Found:
    """What the walks with real evidence have found."""
    return campaign(MONITORED, CASES // 10, MonitoredWalk)


@pytest.mark.timeout(36000 if SOAK else 300)
@pytest.mark.parametrize("name", MONITORED)
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
