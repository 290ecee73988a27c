"""Faults that the walks of ``test_engine_invariants.py`` have found, each pinned by a case of its own."""

from __future__ import annotations

from tests.support.builders import World, a_rollout
from veriramp_operator.api.rollout import RampSpec
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode


def test_nothing_rises_on_a_missing_document_though_it_said_off() -> None:
    """The flag servers make Off of it at the next revision: that number must not be used for a rise."""
    world = World(a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).build())
    world.tick(5)
    world.tick(0)
    assert world.vector() == OFF
    world.published = None

    decision = world.tick(5)

    assert decision.direction is not Direction.RISE
    assert world.published is not None
    assert (world.published.vector, world.published.revision) == (OFF, 2)
    world.run(30)
    assert world.vector().mode is Mode.SHADOW


def ramping() -> World:
    """At the start of a Live stage with a ramp of ten steps, one each 10 s."""
    ramp = RampSpec(duration=100, interval=10)
    world = World(a_rollout().with_stage("canary", canary=10, ramp=ramp).with_(allow_unguarded=True).build())
    world.run_to("canary")
    while world.vector() == OFF:
        world.tick(1)
    return world


def test_a_late_pass_takes_one_step_of_a_ramp_and_not_two() -> None:
    world = ramping()
    assert world.vector().canary_percent == 1
    world.tick(1)
    world.tick(9)
    world.tick(2)

    world.tick(30)

    assert world.vector().canary_percent == 3


def test_a_step_that_a_crash_kept_from_being_published_is_taken_again_and_not_skipped() -> None:
    world = ramping()
    world.tick(1)
    world.tick(9, cut=0)
    world.tick(2, cut=1)
    assert world.vector().canary_percent == 1

    world.tick(10)

    assert world.vector().canary_percent == 2
