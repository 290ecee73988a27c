"""An edited stage list under a rollout that is on its way."""

from __future__ import annotations

import pytest

from tests.support.builders import RolloutBuilder, World, a_ladder, a_rollout, a_running
from tests.support.engine_acts import stage_of
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import RampSpec, StageSpec
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode


def ramping() -> World:
    """Half way up the ramp of "canary"."""
    world = a_running(a_ladder().with_stage("full", canary=100))
    world.run_to("canary")
    world.run(300)
    return world


def restage(world: World, *stages: StageSpec) -> None:
    world.edit(world.spec.model_copy(update={"stages": stages}))


def test_a_ramp_edit_does_not_jump() -> None:
    world = ramping()
    before = world.vector()
    shadow, canary, *rest = world.spec.stages
    restage(world, shadow, canary.model_copy(update={"ramp": RampSpec(duration=60, interval=60)}), *rest)

    world.tick(5)

    assert world.vector() == before
    assert world.status.stage is not None
    assert (world.status.stage.start, world.status.stage.ramp_seconds) == (before, 0)


@pytest.mark.parametrize(
    ("edited", "stands_in"),
    [
        # A name that is gone: the first stage of this very vector, else the last whose whole vector had been reached.
        (("shadow", "canary>renamed", "half", "full"), "shadow"),
        (("shadow", "half", "full"), "shadow"),
        # Stages further on do not matter yet.
        (("shadow", "canary", "full"), "canary"),
        (("shadow", "canary", "half>renamed", "full"), "canary"),
        # The stages behind do not matter any more.
        (("canary", "half", "full"), "canary"),
        (("shadow>renamed", "canary", "half", "full"), "canary"),
    ],
)
def test_an_edited_list_raises_nothing_and_comes_to_its_end(edited: tuple[str, ...], stands_in: str) -> None:
    world = ramping()
    before = world.vector()
    known = {stage.name: stage for stage in world.spec.stages}
    stages = [
        known[old].model_copy(update={"name": new or old}) for old, _, new in (name.partition(">") for name in edited)
    ]
    restage(world, *stages)

    world.tick(5)

    assert stage_of(world) == stands_in
    assert world.vector().is_at_most(before)
    assert world.vector().is_at_most(next(r.vector for r in plan_of(world.spec).rungs if r.name == stands_in))
    world.run_to("full", full=True)


def test_stages_in_another_order_hold_until_they_climb_again() -> None:
    world = ramping()
    before = world.vector()
    shadow, canary, half, full = world.spec.stages
    restage(world, shadow, half, canary, full)

    held = world.run(1000)

    assert held.reason is Reason.INVALID_SPEC
    assert world.vector().is_at_most(before)
    restage(world, shadow, canary, half, full)
    world.run_to("full", full=True)


def test_the_pass_that_first_sees_an_edit_raises_nothing() -> None:
    world = a_running(a_ladder())
    world.run_to("shadow")
    for _ in range(2000):
        if world.decide_from(world.observe(), world.now + 1).direction is Direction.RISE:
            break
        world.tick(1)
    world.edit(world.spec)

    assert world.tick(1).direction is Direction.HOLD
    assert world.tick(1).direction is Direction.RISE


def holding() -> RolloutBuilder:
    """Two stages of the same vector, one after the other."""
    plan = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).with_stage("five", canary=5)
    return plan.with_stage("hold", canary=5).with_stage("ten", canary=10).with_gate("errors")


@pytest.mark.parametrize(("stage", "stands_in"), [("five", "x"), ("hold", "five")])
def test_a_stage_that_is_renamed_is_not_taken_for_a_later_one_of_its_vector(stage: str, stands_in: str) -> None:
    """It went on in the last of them, and its own bake was never over."""
    world = a_running(holding())
    world.run_to(stage)
    world.run(60)
    stages = [each if each.name != stage else each.model_copy(update={"name": "x"}) for each in world.spec.stages]
    restage(world, *stages)

    world.tick(5)
    assert stage_of(world) == stands_in
    world.run(595)

    assert stage_of(world) == stands_in
    world.run_to("ten")
