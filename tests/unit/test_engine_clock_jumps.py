"""A clock that jumps: nothing is skipped, nothing rises by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.builders import World, a_ladder, a_rollout, a_running, no_data, regresses
from tests.support.engine_acts import ask, fallen, stage_of
from veriramp_operator.api.reasons import Reason
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


def test_after_a_clock_that_went_back_the_way_up_waits_for_a_whole_window_from_then_on() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half")
    before = world.vector()

    world.tick(-HOUR)
    held = world.run(55)

    assert (held.reason, world.vector()) == (Reason.RAMPING, before)
    assert "every gate must pass first" in held.message
    assert world.run(15).message.startswith('Stage "canary" ramps')


def retried() -> World:
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half")
    return world


@pytest.mark.parametrize("back", [60.0, HOUR])
@pytest.mark.parametrize("after", [5, 620, 640, 900, 1250])
@pytest.mark.parametrize("begun", [a_running, retried])
def test_a_clock_that_goes_back_for_a_moment_takes_no_step_sooner(
    begun: Callable[[], World], after: float, back: float
) -> None:
    """But for the two intervals that a jump ahead may count, and a pass."""
    undisturbed, world = begun(), begun()
    undisturbed.run(after + 10 + 2 * undisturbed.spec.gates[0].every)

    world.run(after)
    for seconds in (-back, 5, back):
        world.tick(seconds)
        assert world.vector().is_at_most(undisturbed.vector())

    for _ in range(400):
        undisturbed.tick(5)
        world.tick(5)
        assert world.vector().is_at_most(undisturbed.vector())


def ahead(days: float = 30.0) -> World:
    """In stage "a", which began while the clock was ahead by so many days; that has just been put right."""
    plan = (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05)
        .with_stage("a", canary=5)
        .with_stage("b", canary=10)
        .with_gate("errors")
    )
    world = a_running(plan)
    world.run_to("shadow")
    world.run(590)
    world.tick(days * DAY)
    world.run_to("a", at_most=60)
    world.run(10)
    world.now -= days * DAY
    return world


def test_a_stage_that_began_while_the_clock_was_ahead_ends_after_its_bake() -> None:
    """It stood for as long as the clock had been ahead."""
    world = ahead()
    put_right_at = world.now

    world.run_to("b", at_most=1000)

    assert world.now - put_right_at >= 585


def test_evidence_after_a_clock_that_was_ahead_counts_a_whole_window_later() -> None:
    world = ahead()
    ask(world, "skip-bake", "a")

    held = world.run(58)

    assert (held.reason, stage_of(world)) == (Reason.INCONCLUSIVE, "a")
    assert "no evidence of this revision alone yet" in held.message
    world.run(10)
    assert stage_of(world) == "b"


def test_an_object_whose_off_went_out_while_the_clock_was_ahead_may_go_after_its_lease() -> None:
    world = a_running()
    world.run_to("half")
    world.tick(30 * DAY)
    world.deleting = True
    world.tick(1)
    world.applied_revision = 1
    world.now -= 30 * DAY

    world.run(235)
    assert not world.gone
    world.run(15)
    assert world.gone


def test_when_the_flags_were_published_stays_while_somebody_has_to_confirm_them() -> None:
    """By an earlier instant, fewer processes would count as those that were there."""
    world = a_running()
    world.run_to("canary")
    assert world.status.flags is not None
    published_at = world.status.flags.published_at
    world.applied_revision = 0

    world.tick(-HOUR)

    assert world.status.flags.published_at == published_at


def test_a_clock_that_goes_back_for_a_moment_makes_no_evidence_that_of_this_revision() -> None:
    """No bake stands in between where a person skips it."""
    world = a_running()
    world.run_to("shadow")
    ask(world, "skip-bake", "shadow")

    for seconds in (-HOUR, 5, HOUR):
        world.tick(seconds)
    held = world.run(30)

    assert (held.reason, stage_of(world)) == (Reason.INCONCLUSIVE, "shadow")
    world.run(40)
    assert stage_of(world) == "canary"
