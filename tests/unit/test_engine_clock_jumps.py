"""A clock that jumps: nothing is skipped, nothing rises by it."""

from __future__ import annotations

import pytest

from tests.support.builders import World, a_ladder, a_running, no_data, regresses
from tests.support.engine_acts import ask, fallen, stage_of
from veriramp_operator.api.rollout import NoDataAction, OnNoData, OnRegression
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode

HOUR, DAY = 3600.0, 86_400.0


def steps(world: World, *seconds: float) -> list[float]:
    """The percents that are published, pass by pass; each of ``seconds`` is a pass."""
    return [world.vector().canary_percent for each in seconds if world.tick(each).direction is Direction.RISE]


def every_5_s(seconds: float) -> list[float]:
    return [5.0] * int(seconds / 5)


@pytest.mark.parametrize("jump", [-HOUR, DAY])
@pytest.mark.parametrize("after", [5, 300, 620, 700, 900, 1250, 1500])
def test_a_jump_skips_no_step_and_adds_none(after: float, jump: float) -> None:
    undisturbed = steps(a_running(), *every_5_s(4000))
    world = a_running()

    assert steps(world, *every_5_s(after), jump, *every_5_s(8000)) == undisturbed
    assert len(undisturbed) == 13


@pytest.mark.parametrize("jump", [-HOUR, DAY])
def test_a_jump_in_the_bake_adds_next_to_nothing(jump: float) -> None:
    world = a_running()
    world.run_to("shadow")
    world.run(100)
    assert world.status.stage is not None
    before = world.status.stage.bake_seconds

    world.tick(jump)

    assert world.status.stage.bake_seconds <= before + 30


@pytest.mark.parametrize("jump", [-HOUR, DAY])
def test_a_jump_while_blind_raises_nothing(jump: float) -> None:
    world = a_running(a_ladder())
    world.run_to("canary")
    world.says["errors"] = no_data
    world.run(60)
    before = world.vector()

    world.tick(jump)
    world.run(600)

    assert world.vector().is_at_most(before)


def test_a_clock_that_goes_back_does_not_put_off_what_is_due_without_data() -> None:
    """Found on walks: an hour back made ``onNoData`` wait for an hour more."""
    world = a_running(a_ladder().with_(on_no_data=OnNoData(after=120, action=NoDataAction.SHADOW)))
    world.run_to("half")
    world.says["errors"] = no_data
    world.run(60)

    world.tick(-HOUR)

    world.run(130)
    assert world.status.rollback is not None


def test_a_clock_that_goes_back_after_a_retry_masks_no_fall_of_the_gate_that_fell() -> None:
    """The gate counted only from the retry on, and by the clock of then that was an hour away."""
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half")
    world.run(1200)
    assert world.vector().mode is Mode.LIVE

    world.tick(-HOUR)
    world.run(60)
    world.says["errors"] = regresses
    world.tick(5)

    assert world.vector() == OFF


def test_a_clock_that_goes_back_while_rolled_back_does_not_stop_the_way_down() -> None:
    world = fallen(OnRegression.PREVIOUS_STAGE)
    world.run(30)
    assert stage_of(world) == "canary"

    world.tick(-HOUR)
    world.run(60)
    world.says["errors"] = regresses
    world.tick(5)

    assert stage_of(world) == "shadow"


def test_after_a_clock_that_went_back_the_way_up_waits_for_the_time_of_the_retry() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half")
    before = world.vector()

    world.tick(-HOUR)
    world.run(HOUR)

    assert world.vector() == before
