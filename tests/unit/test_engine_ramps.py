"""Ramps of whole vectors: even ones, and stepped ones."""

from __future__ import annotations

import pytest

from tests.support.builders import World, a_rollout, a_running
from veriramp_operator.api.rollout import OnRegression, RampSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.ramp import pace_of
from veriramp_operator.engine.stages import enter, plan_of
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode


def stepped(*steps: float, duration: float = 600.0) -> World:
    ramp = RampSpec.model_validate({"duration": duration, "shape": "Steps", "steps": steps})
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.1, bake=10.0)
    builder = builder.with_stage("canary", rate=0.5, canary=20, weight=0.1, top_k=50, ramp=ramp)
    return a_running(builder.with_gate("errors", OnRegression.KILL_SWITCH))


def rises(world: World, seconds: float = 1500.0) -> list[tuple[float, Vector]]:
    """Vectors by the time at which they were published, from now."""
    began, seen = world.now, []
    while world.now < began + seconds:
        if world.tick(5).direction is Direction.RISE:
            seen.append((world.now - began, world.vector()))
    return seen


def live(rate: float, canary: float, weight: float, top_k: int) -> Vector:
    return Vector(mode=Mode.LIVE, sampling_rate=rate, canary_percent=canary, ranking_weight=weight, top_k=top_k)


def test_steps_are_spread_evenly_over_the_duration_and_move_whole_vectors() -> None:
    world = stepped(0.1, 0.5, 1)
    world.run_to("canary")

    taken = rises(world)

    assert [vector for _, vector in taken] == [live(0.14, 2, 0.01, 14), live(0.3, 10, 0.05, 30), live(0.5, 20, 0.1, 50)]
    waits = [after - before for (before, _), (after, _) in zip([(0.0, None), *taken], taken, strict=False)]
    assert all(200 <= wait <= 215 for wait in waits), waits


def test_the_target_is_the_last_step_even_where_1_is_not_written() -> None:
    world = stepped(0.25, 0.5)
    world.run_to("canary")

    taken = rises(world)

    assert [vector.canary_percent for _, vector in taken] == [5, 10, 20]
    assert world.status.stage is not None
    assert world.status.stage.ramp_fraction == 1.0


def test_a_restart_repeats_and_skips_no_step() -> None:
    undisturbed, world = stepped(0.1, 0.5, 1), stepped(0.1, 0.5, 1)
    undisturbed.run_to("canary")
    world.run_to("canary")
    world.run(300)
    world.status = RolloutStatus.model_validate(world.status.to_api())

    undisturbed.run(300)

    assert rises(world) == rises(undisturbed)


@pytest.mark.parametrize(
    ("steps", "percents"),
    [
        ((1,), [6.66, 13.33, 20]),
        ((0.5, 1), [6.66, 13.33, 20]),
        ((0.1, 0.5, 1), [2, 10, 20]),
        ((0.1, 0.2, 0.5, 1), [2, 4, 10, 20]),
    ],
)
def test_the_way_back_takes_at_least_three_steps(steps: tuple[float, ...], percents: list[float]) -> None:
    plan = plan_of(stepped(*steps).spec)
    again = enter(plan.rungs[1], plan.first.vector, 0.0, reentry=True)
    pace = pace_of(plan, plan.rungs[1], again)
    seconds, seen = 0.0, []
    while seconds < pace.duration:
        seconds += pace.next_step_in(seconds)
        seen.append(again.start.toward(plan.rungs[1].vector, pace.fraction(seconds)).canary_percent)

    assert seen == percents


def test_an_interval_left_out_is_ten_minutes() -> None:
    plan = plan_of(a_rollout().with_stage("a", canary=6, ramp=RampSpec(duration=3600)).build())

    pace = pace_of(plan, plan.first, enter(plan.first, Vector(), 0.0))

    assert [pace.fraction(seconds) for seconds in (599, 600, 1200, 3600)] == [0, 1 / 6, 1 / 3, 1]
