"""Rollbacks: how far, what they leave behind, and what lifts them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.builders import (
    a_rollout,
    a_running,
    inconclusive,
    regresses,
)
from tests.support.engine_acts import (
    a_rollout_of,
    ask,
    fallen,
    outcome,
    stage_of,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import Phase, RolloutStatus, Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import (
    Direction,
    Problem,
    Requests,
)
from veriramp_sdk.contract import Mode


@pytest.mark.parametrize(
    ("action", "vector", "stage"),
    [
        (OnRegression.KILL_SWITCH, OFF, ""),
        (OnRegression.SHADOW, Vector(mode=Mode.SHADOW, sampling_rate=0.05), "shadow"),
        (
            OnRegression.PREVIOUS_STAGE,
            Vector(mode=Mode.LIVE, sampling_rate=0.05, canary_percent=5, ranking_weight=0.1),
            "canary",
        ),
    ],
)
@pytest.mark.shows("S1-RBK-07", "S1-RBK-02")
def test_where_a_fall_lands(action: OnRegression, vector: Vector, stage: str) -> None:
    world = fallen(action)

    assert world.vector() == vector
    assert stage_of(world) == stage
    assert world.status.rollback is not None
    assert world.status.rollback.target == vector
    assert world.status.rollback.from_stage == "half"
    assert world.status.rollback.severity == Severity(action.value)


def test_below_the_first_stage_is_off() -> None:
    world = fallen(OnRegression.PREVIOUS_STAGE, "shadow")

    assert world.vector() == OFF


def test_shadow_of_a_ladder_without_shadow_stage_keeps_the_sampling() -> None:
    world = a_running(a_rollout().with_stage("canary", rate=0.2, canary=5, bake=10).with_gate("errors"))
    world.run_to("canary")
    world.says["errors"] = regresses

    world.tick(5)

    assert world.vector() == Vector(mode=Mode.SHADOW, sampling_rate=0.2)
    assert world.status.stage is None


@pytest.mark.shows("S1-RBK-02")
def test_the_same_gate_walks_on_only_on_evidence_from_after_the_fall() -> None:
    world = a_running(a_rollout_of(OnRegression.PREVIOUS_STAGE))
    world.run_to("half")
    world.says["errors"] = regresses

    world.tick(5)
    one_down = stage_of(world)
    world.run(55)
    still = stage_of(world)
    world.run(30)

    assert (one_down, still, stage_of(world)) == ("canary", "canary", "shadow")


def test_a_fall_is_applied_when_everybody_has_it() -> None:
    world = a_running()
    world.run_to("half")
    world.says["errors"] = regresses
    world.applied_revision = 3
    world.tick(5)
    assert world.status.rollback is not None
    assert (world.status.rollback.published_at, world.status.rollback.applied_at) == (world.now, None)

    world.applied_revision = None
    world.tick(2)

    assert world.status.rollback.applied_at == world.now


def test_a_fall_that_nobody_confirms_is_applied_when_the_lease_is_over() -> None:
    world = a_running()
    world.run_to("half")
    world.says["errors"] = regresses
    world.applied_revision = 3
    world.tick(5)
    published_at = world.now

    world.run(300)

    assert world.status.rollback is not None
    assert world.status.rollback.applied_at == published_at + 240


@pytest.mark.shows("S1-RBK-08")
@pytest.mark.parametrize("action", [OnRegression.KILL_SWITCH, OnRegression.SHADOW, OnRegression.PREVIOUS_STAGE])
def test_a_latch_holds_until_somebody_acts(action: OnRegression) -> None:
    world = fallen(action)
    vector = world.vector()

    world.run(3000)
    world.status = RolloutStatus.model_validate(world.status.to_api())
    world.run(3000)

    assert world.vector() == vector
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_new_generation_lifts_a_shadow_latch_and_starts_at_the_first_stage() -> None:
    world = fallen(OnRegression.PREVIOUS_STAGE)

    world.edit(world.spec.model_copy())
    first = world.tick(1)

    assert (first.direction, first.reason) == (Direction.FALL, Reason.ABOVE_TARGET)
    assert stage_of(world) == "shadow"
    assert world.status.rollback is None
    assert [line.reason for line in world.status.history[-2:]] == ["NotRolledBack", "AboveTarget"]
    world.run_to("half")


def test_a_new_generation_does_not_lift_a_kill_switch() -> None:
    world = fallen(OnRegression.KILL_SWITCH)

    world.edit(world.spec.model_copy())
    world.run(2000)

    assert world.vector() == OFF


def test_an_unreadable_spec_lifts_nothing() -> None:
    world = fallen(OnRegression.SHADOW)
    world.edit(world.spec.model_copy())
    world.problems = (Problem(Reason.INVALID_SPEC, "stages: missing"),)

    world.tick(1)

    assert world.status.rollback is not None
    ask(world, "retry", "half")
    assert "cannot be read" in outcome(world)


def test_retry_comes_back_below_the_fall_in_three_steps_with_every_gate_passing() -> None:
    world = a_running(a_rollout_of(OnRegression.KILL_SWITCH))
    world.run_to("half")
    world.says["errors"] = regresses
    world.tick(5)
    world.says["errors"] = inconclusive

    ask(world, "retry", "half")
    waits = world.run(600)
    waits_in = stage_of(world)
    world.says.clear()
    ticks = [(world.tick(5).direction, stage_of(world), world.vector().canary_percent) for _ in range(300)]
    vectors = [percent for direction, name, percent in ticks if (direction, name) == (Direction.RISE, "canary")]

    assert outcome(world) == "retry:half@t1: done"
    assert (waits.reason, waits_in) == (Reason.RAMPING, "canary")
    assert "every gate must pass first" in waits.message
    assert len(vectors) >= 3
    assert vectors == sorted(vectors)
    assert vectors[-1] == 5


def test_retry_without_a_ramp_still_takes_three_steps() -> None:
    builder = a_rollout().with_stage("a", canary=9, weight=0.09).with_gate("errors", OnRegression.KILL_SWITCH)
    world = a_running(builder)
    world.run_to("a")
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()
    ask(world, "retry", "a")
    rises = [world.vector().canary_percent for _ in range(200) if world.tick(5).direction is Direction.RISE]

    assert rises == [3, 6, 9]


def test_evidence_from_before_a_retry_cannot_trip_the_same_gate() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    world.says["errors"] = regresses

    ask(world, "retry", "half")
    early = world.run(55)
    world.run(20)

    assert early.reason is not Reason.PRECONDITION_FAILING
    assert world.status.reason == Reason.PRECONDITION_FAILING
    assert world.vector() == OFF


def test_restart_starts_over_with_the_same_salt() -> None:
    world = a_running()
    world.run_to("half")
    assert world.status.flags is not None
    salt = world.status.flags.salt

    decision = ask(world, "restart", "half")

    assert (decision.direction, decision.reason) == (Direction.FALL, Reason.ABOVE_TARGET)
    assert world.status.rollback is None
    assert stage_of(world) == "shadow"
    assert world.status.flags.salt == salt


def test_an_abort_latches_even_before_the_first_stage() -> None:
    world = a_running()
    world.tick(1)
    world.requests = Requests(abort="x")

    world.run(100)

    assert world.vector() == OFF
    assert world.status.phase is Phase.ROLLED_BACK
    assert outcome(world) == "abort: done"
    world.requests = replace(world.requests, abort="y")
    world.tick(1)
    assert "already" in outcome(world)
    ask(world, "restart", "shadow")
    world.run_to("shadow")


def test_spec_kill_switch_makes_no_latch_and_comes_back_at_the_first_stage() -> None:
    world = a_running()
    world.run_to("half")

    world.edit(world.spec.model_copy(update={"kill_switch": True}))
    world.run(100)
    off, held = world.vector(), world.status.reason
    world.edit(world.spec.model_copy(update={"kill_switch": False}))
    world.run(20)

    assert (off, held) == (OFF, Reason.KILL_SWITCH)
    assert world.status.rollback is None
    assert stage_of(world) == "shadow"
