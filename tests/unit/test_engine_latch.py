"""Rollbacks: how far, what they leave behind, what lifts them, and what survives a crash between two writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.builders import (
    RolloutBuilder,
    World,
    a_ladder,
    a_rollout,
    a_running,
    inconclusive,
    regresses,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, RampSpec
from veriramp_operator.api.status import Phase, RolloutStatus, Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.types import Announce, Decision, Direction, Problem, ReleaseFinalizer, Requests
from veriramp_sdk.contract import Mode


def ask(world: World, verb: str, stage: str, token: str = "t1") -> Decision:  # noqa: S107 no password
    world.requests = replace(world.requests, request=f"{verb}:{stage}@{token}")
    return world.tick(1)


def stage_of(world: World) -> str:
    return world.status.stage.name if world.status.stage else ""


def outcome(world: World) -> str:
    handled = world.status.last_handled_request
    return (handled.outcome if handled else None) or ""


def fallen(action: OnRegression, stage: str = "half") -> World:
    """Rolled back from a stage, the gate healthy again."""
    world = a_running(a_rollout_of(action))
    world.run_to(stage, full=True)
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()
    return world


def a_rollout_of(action: OnRegression) -> RolloutBuilder:
    return replace(a_ladder(), gates=()).with_gate("errors", action)


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
@pytest.mark.shows("S1-RBK-07")
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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("promote:canary@t", "the rollout is in stage 'half'"),
        ("promote:half@t", "this is the last stage"),
        ("retry:half@t", "nothing is rolled back"),
        ("explode:half@t", "'explode' is none of promote, skip-bake, shadow, retry, restart"),
        ("promote", 'write "<verb>:<stage>@<token>"'),
    ],
)
def test_requests_that_are_refused(text: str, why: str) -> None:
    world = a_running()
    world.run_to("half")
    world.events.clear()
    world.requests = Requests(request=text)

    world.tick(1)
    world.tick(1)

    assert why in outcome(world)
    assert [(event.type, event.reason) for event in world.events] == [("Warning", "RequestRefused")]


def test_more_requests_that_are_refused() -> None:
    world = a_running()
    world.requests = Requests(request="promote:shadow@old")
    world.tick(1)
    assert "no memory" in outcome(world)
    ask(world, "promote", "shadow", "old2")
    assert "has not entered its first stage" in outcome(world)
    world.run_to("shadow")
    ask(world, "shadow", "shadow", "t2")
    assert "nothing to lower: the mode is Shadow" in outcome(world)
    ask(world, "promote", "shadow", "t2")
    assert "was used before" in outcome(world)
    world.deleting = True
    ask(world, "promote", "shadow", "t3")
    assert "being deleted" in outcome(world)
    rolled_back = fallen(OnRegression.SHADOW)
    ask(rolled_back, "promote", "shadow")
    assert "rolled back" in outcome(rolled_back)


def test_skip_bake_skips_time_and_no_gates() -> None:
    world = a_running()
    world.run_to("shadow")
    world.says["errors"] = inconclusive
    ask(world, "skip-bake", "shadow")

    assert world.run(120).reason is Reason.INCONCLUSIVE
    world.says.clear()
    world.run(120)

    assert stage_of(world) == "canary"


def test_shadow_by_request_latches_and_may_be_asked_twice() -> None:
    world = a_running()
    world.run_to("half")

    ask(world, "shadow", "half")
    ask(world, "shadow", "half", "t2")

    assert outcome(world) == "shadow:half@t2: done"
    assert world.status.rollback is not None
    assert world.status.rollback.gate == "request/shadow"


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

    world.says["errors"] = regresses
    held = world.tick(1)
    world.says.clear()
    world.tick(1)

    assert held.direction is Direction.HOLD
    assert world.published is not None
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


def released(decision: Decision) -> bool:
    return any(isinstance(command, ReleaseFinalizer) for command in decision.commands)


def test_deletion_goes_off_first_and_lets_go_when_it_is_applied() -> None:
    world = a_running()
    world.run_to("half")
    world.deleting = True

    falls, then = world.tick(1), world.tick(1)

    assert (falls.direction, released(falls), released(then)) == (Direction.FALL, False, True)
    assert world.vector() == OFF
    assert then.status.phase is Phase.DELETING


@pytest.mark.parametrize(("lease", "after"), [(240, 240), (0, 360)])
def test_deletion_does_not_wait_for_ever(lease: int, after: int) -> None:
    world = a_running()
    world.spec = world.spec.model_copy(update={"flags": world.spec.flags.model_copy(update={"lease_seconds": lease})})
    world.run_to("half")
    world.applied_revision = 3
    world.deleting = True
    world.tick(1)

    assert not released(world.tick(after - 1))
    last = world.tick(1)

    assert released(last)
    assert [command.reason for command in last.commands if isinstance(command, Announce)] == ["SafeOff"]


def test_deletion_of_what_was_never_published() -> None:
    world = a_running()
    world.deleting = True

    assert released(world.tick(1))
    assert world.published is None


def test_deletion_together_with_the_document_brings_nothing_back() -> None:
    world = a_running()
    world.run_to("half")
    assert world.status.flags is not None
    revision = world.status.flags.revision
    world.published = None
    world.deleting = True
    world.applied_revision = revision

    falls, waits = world.tick(1), world.tick(1)
    world.applied_revision = revision + 1
    then = world.tick(1)

    assert (world.published, released(falls), released(waits), released(then)) == (None, False, False, True)


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
