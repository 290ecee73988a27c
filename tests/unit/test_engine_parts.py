"""The small parts of the engine by themselves: clocks, ramps, the ladder, conditions, memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import START, a_ladder, a_rollout, a_running, regresses
from veriramp_operator.api.rollout import RampSpec
from veriramp_operator.api.status import ClockStatus, Phase, RolloutStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine import needs_write
from veriramp_operator.engine.clocks import Elapsed, elapsed
from veriramp_operator.engine.ramp import Pace
from veriramp_operator.engine.stages import plan_of, reanchor
from veriramp_sdk.contract import Mode

DAY = 86_400.0


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (10.0, Elapsed(10.0, 0.0, moved=True)),
        (1000.0, Elapsed(30.0, 0.0, moved=True)),
        (0.0, Elapsed()),
        (-5.0, Elapsed()),
        (math.nan, Elapsed()),
    ],
)
def test_healthy_time_counts_at_most_twice_the_expected_interval(after: float, expected: Elapsed) -> None:
    clock = ClockStatus(at=START, ramp_runs=True, bake_runs=False, interval=15.0)

    assert elapsed(clock, START + after) == expected
    assert elapsed(None, START) == Elapsed()


@pytest.mark.shows("S1-RAMP-01")
@given(duration=st.floats(0, 1e6), interval=st.floats(0, 1e5), seconds=st.floats(0, 2e6), more=st.floats(0, 1e5))
def test_a_ramp_never_goes_back_or_beyond_its_end(
    duration: float, interval: float, seconds: float, more: float
) -> None:
    pace = Pace(duration, interval)

    assert 0 <= pace.fraction(seconds) <= pace.fraction(seconds + more) <= 1
    assert pace.fraction(duration) == 1
    assert pace.next_step_in(seconds) >= 0


def fourteen_days() -> RampSpec:
    return RampSpec(duration=14 * DAY, interval=DAY)


@pytest.mark.shows("S1-RAMP-01")
def test_fourteen_days_to_full_weight_in_a_step_a_day_through_a_restart() -> None:
    builder = a_rollout().with_stage("full", canary=100, bake=0.0, top_k=5)
    builder = builder.with_stage("weight", weight=0.15, canary=100, ramp=fourteen_days())
    world = a_running(builder.with_gate("errors", every=3600.0), on_inconclusive="Hold")
    world.run_to("weight")
    begin, weights = world.now, {}
    for day in range(16):
        weights[day] = world.vector().ranking_weight
        while world.now < begin + (day + 1) * DAY + 3600:
            world.tick(120)
        if day == 6:
            world.status = RolloutStatus.model_validate(world.status.to_api())

    assert (weights[0], weights[14], weights[15]) == (0, 0.15, 0.15)
    assert weights[1] == pytest.approx(0.15 / 14, abs=1e-4)
    assert weights[7] == pytest.approx(0.075, abs=1e-4)
    assert sorted(weights.values()) == list(weights.values())


@pytest.mark.shows("S0-01")
def test_a_stage_inherits_what_it_leaves_out() -> None:
    builder = a_ladder().with_stage("last", weight=0.15)

    vectors = [rung.vector for rung in plan_of(builder.build()).rungs]

    assert vectors[0] == Vector(mode=Mode.SHADOW, sampling_rate=0.05)
    assert vectors[2] == Vector(mode=Mode.LIVE, sampling_rate=0.05, canary_percent=50, ranking_weight=0.1)
    assert vectors[3] == vectors[2].model_copy(update={"ranking_weight": 0.15})


def test_an_appended_stage_changes_nothing_where_the_rollout_stands() -> None:
    world = a_running()
    world.run_to("half")
    world.run(60)
    assert world.status.stage is not None
    stage = world.status.stage

    moved = reanchor(plan_of(a_ladder().with_stage("more", canary=60).build()), stage, world.vector(), world.now)

    assert moved is not None
    assert (moved.name, moved.bake_seconds) == ("half", stage.bake_seconds)


def test_a_stage_put_in_before_is_gone_through_first() -> None:
    world = a_running()
    world.run_to("canary")
    world.run(200)
    longer = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).with_stage("new", canary=4, weight=0.1)
    longer = longer.with_stage("canary", canary=5, weight=0.1).with_gate("errors")
    world.edit(longer.build())

    world.tick(5)

    assert world.status.stage is not None
    assert world.status.stage.name == "new"


def test_a_removed_stage_falls_back_to_the_highest_one_reached() -> None:
    world = a_running()
    world.run_to("half")
    shorter = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).with_stage("canary", canary=5, weight=0.1)
    world.edit(shorter.with_stage("full", canary=100).with_gate("errors").build())

    world.tick(5)

    assert world.status.stage is not None
    assert world.status.stage.name == "canary"
    assert world.vector().canary_percent == 5


def conditions(status: RolloutStatus) -> dict[str, str]:
    return {each.type: each.status for each in status.conditions}


def test_conditions_read_as_kstatus_wants_them() -> None:
    world = a_running()
    world.run_to("canary")
    in_progress = conditions(world.status)
    world.run(3000)
    current = conditions(world.status)
    world.says["errors"] = regresses
    world.tick(5)
    failed = conditions(world.status)

    keys = ("Ready", "Reconciling", "Stalled", "RolledBack")
    assert [in_progress[key] for key in keys] == ["False", "True", "False", "False"]
    assert [current[key] for key in keys] == ["True", "False", "False", "False"]
    assert [failed[key] for key in keys] == ["False", "False", "True", "True"]
    assert world.status.observed_generation == 1


def test_a_transition_time_moves_only_with_its_status() -> None:
    world = a_running()
    world.run_to("canary")
    first = {each.type: each.last_transition_time for each in world.status.conditions}

    world.run(300)

    assert {each.type: each.last_transition_time for each in world.status.conditions} == first


@pytest.mark.shows("S1-CAN-05")
def test_after_the_last_stage_the_gates_still_roll_back() -> None:
    world = a_running()
    world.run(20_000, 15)
    assert world.status.reason == Phase.GUARDING.value
    world.says["errors"] = regresses

    world.tick(5)

    assert world.status.phase is Phase.ROLLED_BACK


def test_volatile_differences_wait_and_transitions_do_not() -> None:
    world = a_running()
    world.run_to("half")
    world.tick(5)
    old = world.status
    world.tick(5)

    assert not needs_write(old, old, world.now, 0.0, 600)
    assert not needs_write(old, world.status, world.now, world.now - 29, 600)
    assert needs_write(old, world.status, world.now, world.now - 30, 600)
    assert not needs_write(old, world.status, world.now, world.now - 599, 0)
    world.edit(world.spec.model_copy(update={"paused": True}))
    world.tick(5)
    assert needs_write(old, world.status, world.now, world.now, 600)


def test_a_first_pass_writes_its_status() -> None:
    world = a_running()
    world.tick(1)

    assert needs_write(RolloutStatus(), world.status, world.now, world.now, 0)
    assert world.vector() == OFF
