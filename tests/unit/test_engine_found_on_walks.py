"""Faults that the walks of ``test_engine_invariants.py`` have found, each pinned by a case of its own."""

from __future__ import annotations

from tests.support.builders import World, a_rollout
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
