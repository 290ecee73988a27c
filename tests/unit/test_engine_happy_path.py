from __future__ import annotations

import pytest

from tests.support.builders import START, a_running, regresses
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import Phase
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode


@pytest.mark.shows("S1-FLAG-01")
def test_the_first_document_is_off_so_that_processes_can_connect() -> None:
    world = a_running()

    decision = world.tick()

    assert decision.reason is Reason.PENDING
    assert world.published is not None
    assert (world.published.revision, world.published.vector) == (1, OFF)
    assert OFF.model_dump(mode="json", by_alias=True) == {
        "mode": "Off",
        "samplingRate": 0,
        "canaryPercent": 0,
        "rankingWeight": 0,
        "topK": 10,
    }
    assert (world.published.salt, world.published.sample_salt) == ("5a", "a5")
    assert world.status.phase is Phase.PENDING


def test_a_healthy_rollout_climbs_every_stage_then_guards() -> None:
    world = a_running()

    world.run(3000)

    assert world.status.phase is Phase.GUARDING
    assert world.vector().canary_percent == 50
    assert [line.stage for line in world.status.history] == ["shadow", "canary", "half"]
    assert world.status.stage is not None
    assert world.status.stage.bake_seconds >= 600


@pytest.mark.shows("S1-RAMP-01")
def test_the_ramp_rises_in_steps_of_its_interval() -> None:
    world = a_running()
    world.run_to("canary")
    weights = []
    while world.status.stage is not None and world.status.stage.ramp_fraction < 1:
        if world.tick(5).direction is Direction.RISE:
            weights.append(world.vector().ranking_weight)

    assert weights == pytest.approx([0.01 * step for step in range(1, 11)])


def test_a_regression_falls_at_once_with_a_latch() -> None:
    world = a_running()
    world.run_to("half")
    world.says["errors"] = regresses

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.FALL, Reason.REGRESSION)
    assert world.published is not None
    assert world.published.vector.mode is Mode.SHADOW
    assert world.published.latch is not None
    assert world.published.latch.from_stage == "half"
    world.says.clear()
    assert world.run(4000).reason is Reason.ROLLED_BACK
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.now > START
