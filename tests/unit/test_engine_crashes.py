"""What survives a crash between two writes, lost objects, and documents that somebody else wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.builders import (
    World,
    a_rollout,
    a_running,
    no_data,
    regresses,
)
from tests.support.engine_acts import (
    fallen,
    stage_of,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import (
    Direction,
    PublishFlags,
)
from veriramp_sdk.contract import Mode


def test_the_document_brings_the_latch_back_when_the_status_write_was_cut() -> None:
    world = a_running()
    world.run_to("half")
    world.says["errors"] = regresses
    world.tick(5, cut=1)
    world.says.clear()
    assert world.status.rollback is None

    world.run(1000)

    assert world.status.rollback is not None
    assert world.status.rollback.from_stage == "half"
    assert world.vector().mode is Mode.SHADOW


def test_a_finished_rise_is_recognised_after_a_crash() -> None:
    world = a_running()
    world.run_to("shadow")
    world.run(590)
    for _ in range(20):
        if world.tick(5, cut=2).direction is Direction.RISE:
            break
    assert world.status.pending is not None

    world.tick(1)

    assert world.status.pending is None
    assert stage_of(world) == "canary"
    assert world.status.flags is not None
    assert world.published is not None
    assert world.status.flags.revision == world.published.revision


def test_a_planned_rise_is_decided_again_and_takes_a_new_number() -> None:
    world = a_running()
    world.tick(1)
    world.tick(1, cut=1)
    assert world.status.pending is not None
    assert world.published is not None
    assert world.published.revision == 1

    again = world.tick(1)

    assert again.direction is Direction.RISE
    assert world.published.revision == 3


@pytest.mark.parametrize("lost", ["shadow", "canary", "half"])
def test_lost_flags_are_off_and_come_back_in_small_steps(lost: str) -> None:
    world = a_running()
    world.run_to(lost, full=True)
    assert world.status.flags is not None
    revision = world.status.flags.revision
    world.published = None

    decision = world.tick(1)

    assert (decision.direction, decision.reason) == (Direction.FALL, Reason.FLAGS_MISSING)
    assert world.published is not None
    assert (world.published.revision, world.published.vector) == (revision + 1, OFF)
    assert world.status.rollback is None
    assert world.status.stage is not None
    assert world.status.stage.reentry
    world.run_to(lost, full=True)


def test_lost_flags_of_a_latched_rollout_stay_off() -> None:
    world = fallen(OnRegression.SHADOW)
    world.published = None

    world.run(1000)

    assert world.vector() == OFF
    assert world.status.rollback is not None
    assert world.status.rollback.target == OFF


def test_lost_status_stays_at_the_published_vector() -> None:
    world = a_running()
    world.run_to("canary")
    world.run(200)
    before = world.vector()
    world.status = RolloutStatus()

    decision = world.tick(1)

    assert decision.direction is Direction.HOLD
    assert (stage_of(world), world.vector()) == ("canary", before)
    world.run_to("half")


def test_lost_status_finds_its_place_by_vector_when_the_stage_is_gone() -> None:
    world = a_running()
    world.run_to("half")
    world.status = RolloutStatus()
    stages = tuple(stage.model_copy(update={"name": f"new-{number}"}) for number, stage in enumerate(world.spec.stages))
    world.edit(world.spec.model_copy(update={"stages": stages}))

    world.tick(1)

    assert stage_of(world) == "new-2"


def test_a_document_that_somebody_raised_is_lowered_again() -> None:
    world = a_running()
    world.run_to("shadow")
    assert world.published is not None
    world.published = replace(world.published, vector=Vector(mode=Mode.LIVE, canary_percent=100), content_hash="x")

    decision = world.tick(1)

    assert (decision.direction, decision.reason) == (Direction.FALL, Reason.ABOVE_TARGET)
    assert world.vector().mode is Mode.SHADOW


def test_a_document_that_somebody_lowered_counts() -> None:
    world = a_running()
    world.run_to("half")
    assert world.published is not None
    world.published = replace(world.published, vector=OFF, content_hash="x")

    world.tick(1)

    assert world.status.parameters == OFF
    assert world.status.stage is not None
    assert world.status.stage.reentry
    world.run_to("half", full=True)


def test_a_document_ahead_of_status_is_never_taken_for_a_rise() -> None:
    world = a_running()
    world.run_to("shadow")
    assert world.published is not None
    ahead = Vector(mode=Mode.LIVE, canary_percent=100)
    world.published = replace(world.published, vector=ahead, content_hash="x", revision=99, stage="half")

    world.tick(1)

    assert world.vector().mode is Mode.SHADOW
    assert stage_of(world) == "shadow"
    assert world.published.revision == 100


def test_a_lower_document_ahead_of_status_counts() -> None:
    for stage in ("half", "shadow", "gone"):
        world = a_running()
        world.run_to("half")
        assert world.published is not None
        lower = Vector(mode=Mode.SHADOW, sampling_rate=0.05)
        world.published = replace(world.published, vector=lower, content_hash="x", revision=99, stage=stage)

        world.tick(1)

        assert world.status.parameters == lower
        assert stage_of(world) == ("half" if stage == "gone" else stage)


def test_an_older_document_is_published_again() -> None:
    world = a_running()
    world.run_to("half")
    assert world.published is not None
    number = world.published.revision
    world.published = replace(world.published, revision=2)

    world.tick(1)

    assert world.published.revision == number + 1
    assert world.vector().canary_percent == 50


def given_up(world: World) -> PublishFlags:
    """A rise whose status was written and whose document was not, and then evidence that allows no rise."""
    decision = world.tick(5, cut=1)
    while decision.direction is not Direction.RISE:
        decision = world.tick(5, cut=1)
    world.says["errors"] = no_data
    world.tick(5)
    return next(command for command in decision.commands if isinstance(command, PublishFlags))


def test_a_planned_rise_is_forgotten_when_the_next_pass_holds() -> None:
    world = a_running()
    world.run_to("shadow")

    given_up(world)

    assert world.status.pending is None
    assert world.vector().mode is Mode.SHADOW
    world.says.clear()
    world.run_to("half")


def test_a_write_that_arrives_after_its_rise_was_given_up_is_lowered_again() -> None:
    world = a_running()
    world.run_to("canary")
    before = world.vector()
    late = given_up(world)
    assert not late.vector.is_at_most(before)
    world._write(late)

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.FALL, Reason.ABOVE_TARGET)
    assert world.published is not None
    assert (world.vector(), world.published.revision) == (before, late.revision + 1)
    world.says.clear()
    world.run_to("half")


def test_a_status_without_parameters_takes_those_of_the_document() -> None:
    world = a_running()
    world.run_to("canary")
    before = world.vector()
    world.status = world.status.model_copy(update={"parameters": None})

    world.tick(1)

    assert world.status.parameters == world.vector() == before


def test_lost_status_of_a_latched_rollout_whose_stage_is_gone_stays_where_it_fell_to() -> None:
    world = fallen(OnRegression.SHADOW)
    before = world.vector()
    world.status = RolloutStatus()
    stages = tuple(stage.model_copy(update={"name": f"new-{number}"}) for number, stage in enumerate(world.spec.stages))
    world.spec = world.spec.model_copy(update={"stages": stages})

    world.run(1000)

    assert (world.vector(), stage_of(world)) == (before, "")
    assert world.status.rollback is not None


def test_lost_status_before_the_first_stage_starts_there() -> None:
    world = a_running(paused=True)
    world.run(20)
    world.status = RolloutStatus()

    world.run(20)

    assert (world.vector(), stage_of(world)) == (OFF, "")
    world.edit(world.spec.model_copy(update={"paused": False}))
    world.run_to("half")


def test_a_document_that_somebody_lowered_counts_in_no_stage_too() -> None:
    world = a_running(a_rollout().with_stage("canary", rate=0.2, canary=5).with_gate("errors"))
    world.run_to("canary")
    world.says["errors"] = regresses
    world.tick(5)
    assert world.status.stage is None
    assert world.published is not None
    world.published = replace(world.published, vector=OFF, content_hash="x")

    world.run(100)

    assert world.vector() == OFF
    assert world.status.rollback is not None
