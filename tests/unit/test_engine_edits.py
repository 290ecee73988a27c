"""An edited stage list under a rollout that is on its way."""

from __future__ import annotations

from tests.support.builders import (
    a_running,
)
from veriramp_operator.api.rollout import RampSpec


def test_a_ramp_edit_does_not_jump() -> None:
    world = a_running()
    world.run_to("canary")
    world.run(300)
    before = world.vector()
    stages = list(world.spec.stages)
    stages[1] = stages[1].model_copy(update={"ramp": RampSpec(duration=60, interval=60)})
    world.edit(world.spec.model_copy(update={"stages": tuple(stages)}))

    world.tick(5)

    assert world.vector() == before
    assert world.status.stage is not None
    assert (world.status.stage.start, world.status.stage.ramp_seconds) == (before, 0)
