"""The comparison of two arms that each stage makes: when it began, when the full vector was reached."""

from __future__ import annotations

from dataclasses import replace

from tests.support.builders import World, a_ladder, a_running, regresses
from tests.support.engine_acts import stage_of
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import RolloutStatus, StageStatus
from veriramp_operator.engine import trial_of
from veriramp_operator.evidence.types import NO_TRIAL, Trial


def stage(world: World) -> StageStatus:
    assert world.status.stage is not None
    return world.status.stage


def test_nothing_is_compared_before_a_live_stage() -> None:
    world = a_running()
    assert trial_of(RolloutStatus()) == NO_TRIAL

    world.run_to("shadow")
    world.run(60)

    assert trial_of(world.status) == NO_TRIAL
    assert stage(world).full_at is not None


def test_a_trial_begins_with_the_first_confirmation_and_is_full_with_that_of_the_full_vector() -> None:
    world = a_running()
    world.run_to("canary")
    assert trial_of(world.status) == Trial(0.0, None, None)
    entered_at = world.now
    world.applied_revision = 1
    world.run(20)
    assert stage(world).began_at is None

    world.applied_revision = None
    world.tick(5)
    began_at = world.now
    world.run(300)
    on_the_ramp = trial_of(world.status)
    world.run_to("canary", full=True)
    world.tick(5)
    full = trial_of(world.status)
    world.run(100)

    assert began_at == entered_at + 25
    assert (on_the_ramp.began_at, on_the_ramp.full_at) == (began_at, None)
    assert 0 < on_the_ramp.percent < 5
    assert (full.percent, full.began_at) == (5, began_at)
    assert full.full_at is not None
    assert trial_of(world.status) == full


def test_a_restart_keeps_the_trial_and_a_new_stage_begins_another() -> None:
    world = a_running()
    world.run_to("canary", full=True)
    world.run(100)
    before = trial_of(world.status)

    world.status = RolloutStatus.model_validate(world.status.to_api())
    world.tick(5)
    same = trial_of(world.status)
    world.run_to("half")

    assert same == before
    assert trial_of(world.status) == Trial(50, None, None)


def test_a_fall_begins_another_trial() -> None:
    world = a_running(a_ladder().with_gate("slow", OnRegression.PREVIOUS_STAGE))
    world.run_to("half")
    world.run(100)
    half = trial_of(world.status)
    world.says["slow"] = regresses

    world.tick(5)

    assert stage_of(world) == "canary"
    assert half.began_at is not None
    assert trial_of(world.status) == Trial(5, None, None)
    world.tick(5)
    assert trial_of(world.status) == Trial(5, world.now, world.now)


def test_a_published_vector_that_somebody_lowered_is_full_no_longer() -> None:
    world = a_running()
    world.run_to("half")
    world.run(100)
    assert world.published is not None
    assert stage(world).full_at is not None
    lower = world.published.vector.model_copy(update={"canary_percent": 20.0})
    world.published = replace(world.published, vector=lower, content_hash="?")

    world.tick(5)

    assert stage_of(world) == "half"
    assert stage(world).full_at is None
