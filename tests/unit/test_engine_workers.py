"""Workers: how many, when they stop, and what happens when they do not come."""

from __future__ import annotations

import pytest

from tests.support.builders import (
    a_rollout,
    a_running,
)
from tests.support.engine_acts import (
    baking,
    break_worker,
    kill,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import ReplicasSpec, Scaling
from veriramp_operator.api.status import Phase
from veriramp_operator.engine.types import (
    Direction,
    ScaleWorkers,
)
from veriramp_sdk.contract import Mode


def test_workers_that_never_come_stall_after_ten_minutes() -> None:
    world = baking()
    break_worker(world)
    assert world.tick(599).status.phase is Phase.PROGRESSING

    assert world.tick(2).status.phase is Phase.STALLED


@pytest.mark.shows("S2-OPS-01")
@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (ReplicasSpec(), 1),
        (ReplicasSpec(min=3), 3),
        (ReplicasSpec(min=1, max=8, scaling=Scaling.SAMPLING_RATE), 4),
        (ReplicasSpec(min=5, max=8, scaling=Scaling.SAMPLING_RATE), 5),
        (ReplicasSpec(scaling=Scaling.EXTERNAL), None),
    ],
)
def test_workers_follow_the_vector(replicas: ReplicasSpec, expected: int | None) -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.5).with_worker("orchestrator", replicas)
    world = a_running(builder)
    world.tick(1)

    decision = world.tick(1)

    assert decision.direction is Direction.RISE
    assert [each for each in decision.commands if isinstance(each, ScaleWorkers)] == [
        ScaleWorkers("orchestrator", expected)
    ]
    world.tick(1)
    assert not [each for each in world.tick(1).commands if isinstance(each, ScaleWorkers)]


def test_workers_stop_only_after_off_is_applied() -> None:
    world = baking()
    kill(world)

    falls = world.tick(1)
    then = world.tick(1)

    assert not [each for each in falls.commands if isinstance(each, ScaleWorkers)]
    assert [each for each in then.commands if isinstance(each, ScaleWorkers)] == [ScaleWorkers("orchestrator", 0)]


@pytest.mark.shows("S2-OPS-01")
def test_an_external_worker_needs_its_first_replica() -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.5)
    world = a_running(builder.with_worker("hpa", ReplicasSpec(scaling=Scaling.EXTERNAL)))
    world.run(3, 1)
    world.workers.clear()

    decision = world.tick(1)

    assert decision.reason is Reason.WORKERS_NOT_READY
    assert "its first replica" in decision.message
