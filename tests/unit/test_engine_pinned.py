"""Small facts of the engine that mutation testing found unpinned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import START, World, a_ladder, a_rollout, a_running, no_data, regresses
from tests.support.engine_acts import fallen, outcome, stage_of
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, ReplicasSpec, Scaling, WindowSpec, WorkerSpec
from veriramp_operator.api.status import (
    Condition,
    GateStatus,
    PropagationStatus,
    RolloutStatus,
    Severity,
    StageStatus,
    VerdictKind,
)
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine import memory, rollback
from veriramp_operator.engine.force import catch_up
from veriramp_operator.engine.gates import Bench, Judged, judge_all
from veriramp_operator.engine.ramp import Pace
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Announce, Direction, Latch, PublishFlags
from veriramp_operator.engine.workers import wanted
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

LIVE = Vector(mode=Mode.LIVE, sampling_rate=0.1, canary_percent=5, ranking_weight=0.1)
LATCH = Latch("errors", Severity.SHADOW, START - 9, "half", 3, LIVE.shadowed(), "5 is above 1", START - 5)


def test_a_latch_is_the_same_in_status_and_in_the_document() -> None:
    noted = rollback.to_status(LATCH, START)

    assert noted.published_at == START
    assert rollback.from_status(noted) == LATCH


def test_a_document_written_again_while_latched_carries_the_whole_latch() -> None:
    world = fallen(OnRegression.SHADOW)
    assert world.published is not None
    latch = world.published.latch
    world.published = replace(world.published, vector=LIVE, content_hash="other")

    world.tick(1)

    assert latch is not None
    assert latch.from_stage == "half"
    assert world.published.latch == latch


def test_a_latch_in_status_outlives_a_newer_document_without_one() -> None:
    world = fallen(OnRegression.SHADOW)
    held = world.status.rollback
    assert world.published is not None
    world.published = replace(world.published, latch=None, revision=world.published.revision + 5)

    world.tick(1)

    assert held is not None
    assert world.status.rollback is not None
    assert rollback.from_status(world.status.rollback) == rollback.from_status(held)


def test_a_latch_adopted_from_the_document_knows_when_it_was_published() -> None:
    world = fallen(OnRegression.SHADOW)
    assert world.published is not None
    published_at = world.published.published_at
    world.status = RolloutStatus()

    world.tick(1)

    assert world.status.rollback is not None
    assert (world.status.rollback.gate, world.status.rollback.published_at) == ("errors", published_at)


@pytest.mark.parametrize(
    ("held", "new", "expected"),
    [
        (Severity.KILL_SWITCH, Severity.PREVIOUS_STAGE, Severity.KILL_SWITCH),
        (Severity.SHADOW, Severity.PREVIOUS_STAGE, Severity.SHADOW),
        (Severity.PREVIOUS_STAGE, Severity.KILL_SWITCH, Severity.KILL_SWITCH),
    ],
)
def test_a_further_fall_never_makes_a_latch_milder(held: Severity, new: Severity, expected: Severity) -> None:
    status = RolloutStatus(rollback=rollback.to_status(replace(LATCH, severity=held)))

    latch = rollback.latch(status, "latency", new, "slow", START + 5, 4, START)

    assert (latch.severity, latch.from_stage, latch.at, latch.target) == (expected, "half", START, OFF)


def test_the_worst_of_two_latches_is_the_more_severe_and_the_first_of_equals() -> None:
    milder = replace(LATCH, severity=Severity.PREVIOUS_STAGE)

    assert rollback.is_worse(LATCH, milder)
    assert not rollback.is_worse(milder, LATCH)
    assert not rollback.is_worse(LATCH, LATCH)


@pytest.mark.parametrize(
    ("confirmed_at", "applied_at", "since"),
    [(None, None, None), (START - 20, None, -20), (None, START - 15, -15), (START - 20, START - 15, -20)],
)
def test_evidence_for_a_further_fall_counts_from_the_confirmation_of_the_last(
    confirmed_at: float | None, applied_at: float | None, since: float | None
) -> None:
    spec = a_rollout().with_stage("a").with_stage("b").with_gate("errors", OnRegression.PREVIOUS_STAGE).build()
    held = rollback.to_status(LATCH).model_copy(update={"applied_at": applied_at})
    status = RolloutStatus(rollback=held, propagation=PropagationStatus(confirmed_at=confirmed_at))
    asked_since: list[float | None] = []

    def judge(_gate: Any, _samples: Any, _now: float, since: float | None, _trial: Any) -> Verdict:
        asked_since.append(since)
        return Verdict(VerdictKind.PASS, "Healthy", "good")

    judge_all(judge, plan_of(spec), status, World(spec).observe(), START, "a")

    if since is None:
        assert asked_since[0] is not None
        assert asked_since[0] > START, "a fall that nobody has applied lets no evidence count yet"
    else:
        assert asked_since == [START + since]


def test_evidence_of_this_revision_begins_a_window_after_its_confirmation() -> None:
    asking = replace(plan_of(a_ladder().build()).gates[0], window=60.0)

    def bench(observed_at: float | None) -> Bench:
        verdict = Verdict(VerdictKind.PASS, "Healthy", "good", observed_at=observed_at)
        told = GateStatus(name=asking.name, verdict=verdict.kind, reason=verdict.reason, since=START)
        return Bench(required=(Judged(asking, verdict, told),))

    assert bench(START + 60).not_of(START) is None
    assert bench(START + 59).not_of(START) is not None
    assert bench(None).not_of(0.0) is not None


STAGE = StageStatus(name="a", index=0, hash="1", entered_at=START)
STEADY = RolloutStatus(
    stage=STAGE,
    propagation=PropagationStatus(expected=3, applied=3, confirmed_at=START),
    gates=(GateStatus(name="errors", verdict=VerdictKind.PASS, reason="Healthy"),),
    conditions=(Condition(type="Ready", status="True", reason="Guarding", last_transition_time=START),),
)


@pytest.mark.parametrize(
    "change",
    [
        {"stage": STAGE.model_copy(update={"name": "b"})},
        {"stage": None},
        {"propagation": PropagationStatus(expected=3, applied=3)},
        {"gates": (GateStatus(name="errors", verdict=VerdictKind.NO_DATA, reason="Healthy"),)},
        {"conditions": (STEADY.conditions[0].model_copy(update={"status": "False"}),)},
    ],
)
def test_a_transition_is_written_at_once(change: dict[str, Any]) -> None:
    assert memory.needs_write(STEADY, STEADY.model_copy(update=change), START, START, 3600)


@pytest.mark.parametrize(
    "change",
    [
        {"stage": STAGE.model_copy(update={"bake_seconds": 9.0, "ramp_seconds": 9.0, "ramp_fraction": 0.5})},
        {"propagation": PropagationStatus(expected=4, applied=3, unmeasured=1, p99_seconds=2.0, confirmed_at=START)},
        {"gates": (STEADY.gates[0].model_copy(update={"value": 1.0, "observed_at": START, "message": "m"}),)},
        {"conditions": (STEADY.conditions[0].model_copy(update={"message": "m"}),)},
    ],
)
def test_what_changes_all_the_time_is_written_now_and_then(change: dict[str, Any]) -> None:
    new = STEADY.model_copy(update=change)

    assert not memory.needs_write(STEADY, new, START + 9.9, START, 200)
    assert memory.needs_write(STEADY, new, START + 10, START, 200)
    assert not memory.needs_write(STEADY, new, START + 599, START, 0)
    assert memory.needs_write(STEADY, new, START + 600, START, 0)
    assert not memory.needs_write(STEADY, STEADY.model_copy(), START + 1e6, START, 1)
    assert memory.needs_write(STEADY, new, START + 0.1, START, 1)


@pytest.mark.parametrize(
    ("pace", "seconds", "left"),
    [
        (Pace(100, 10), 0, 10),
        (Pace(100, 10), 4, 6),
        (Pace(100, 10), 10, 10),
        (Pace(100, 10), 9.9999999, 10.0000001),
        (Pace(25, 10), 21, 4),
        (Pace(25, 10), 30, 0),
        (Pace(100, 0), 50, 1),
        (Pace(100, 0), 99.5, 0.5),
        (Pace(100, 0), 120, 0),
        (Pace(1, 1e-3), 0, 1e-3),
    ],
)
def test_the_next_step_of_a_ramp_is_due_in(pace: Pace, seconds: float, left: float) -> None:
    assert pace.next_step_in(seconds) == pytest.approx(left, abs=1e-9)


def test_an_abort_is_obeyed_together_with_any_other_request() -> None:
    for verb in ("promote", "nonsense"):
        world = a_running()
        world.run_to("canary")
        world.requests = replace(world.requests, abort="t1", request=f"{verb}:canary@t2")

        decision = world.tick(1)

        assert (decision.reason, world.vector()) == (Reason.KILL_SWITCH, OFF)
        assert world.status.last_handled_request is not None
        assert world.status.last_handled_request.at == world.now
        told = [command for command in decision.commands if isinstance(command, Announce)]
        assert any(outcome(world) == event.message and event.reason.startswith("Request") for event in told)


def test_a_token_may_not_hold_for_two_requests_even_where_stage_and_verb_differ() -> None:
    world = a_running()
    world.run_to("canary")
    world.requests = replace(world.requests, request="promote:canary@a@b")
    world.tick(1)
    world.requests = replace(world.requests, request="skip-bake:canary@a@b")

    world.tick(1)

    assert "used before" in outcome(world) or "done" in outcome(world)
    assert stage_of(world) == "canary"


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (ReplicasSpec(min=2, max=9, scaling=Scaling.FIXED), 2),
        (ReplicasSpec(min=2, scaling=Scaling.SAMPLING_RATE), 2),
        (ReplicasSpec(max=8, scaling=Scaling.SAMPLING_RATE), 4),
    ],
)
def test_replicas_follow_the_sampling_rate_only_where_they_are_told_to(replicas: ReplicasSpec, expected: int) -> None:
    half = Vector(mode=Mode.SHADOW, sampling_rate=0.5)
    assert wanted(WorkerSpec(profile="orchestrator", replicas=replicas), half) == expected


def test_the_last_shadow_stage_at_or_below_is_where_a_fall_to_shadow_lands() -> None:
    builder = a_rollout().with_stage("off", Mode.OFF).with_stage("one", Mode.SHADOW).with_stage("two", Mode.SHADOW)
    plan = plan_of(builder.with_stage("live", canary=5).build())

    found = [plan.shadow_below(index) for index in range(4)]

    assert [rung.name if rung else None for rung in found] == [None, "one", "two", "two"]


def test_a_finished_rise_whose_status_was_cut_knows_its_stage() -> None:
    world = a_running()
    world.run_to("canary", full=True)
    for _ in range(1000):
        cut = replace(world)
        if cut.tick(5, cut=2).direction is Direction.RISE:
            break
        world.tick(5)
    world = cut
    standing = catch_up(plan_of(world.spec), world.status, world.observe(), world.now)

    assert standing.status.stage is not None
    assert (standing.status.stage.name, standing.status.history[-1].stage) == ("half", "half")


def test_a_gate_without_data_is_told_with_its_time() -> None:
    world = a_running(a_ladder(), on_no_data={"after": 30.0, "action": "Shadow"})
    world.run_to("half", full=True)
    world.says["errors"] = no_data

    world.run(40)

    assert world.status.rollback is not None
    assert "has had no data for 30s" in world.status.rollback.evidence
    assert world.status.rollback.gate == "errors"


def test_the_more_severe_of_two_regressions_makes_the_latch() -> None:
    builder = replace(a_ladder(), gates=()).with_gate("one", OnRegression.KILL_SWITCH).with_gate("two")
    world = a_running(builder)
    world.run_to("half", full=True)
    world.says |= {"one": regresses, "two": regresses}

    decision = world.tick(5)

    publish = next(command for command in decision.commands if isinstance(command, PublishFlags))
    assert decision.direction is Direction.FALL
    assert publish.latch is not None
    assert (publish.latch.gate, publish.latch.severity) == ("one", Severity.KILL_SWITCH)


def test_a_clock_beyond_any_calendar_finds_every_window_closed() -> None:
    window = WindowSpec(days=(), from_="00:00", to="23:59")
    world = a_running(a_rollout().with_stage("shadow", Mode.SHADOW), windows=(window,))
    world.now = 1e12
    world.tick(1)

    decision = world.tick(5)

    assert decision.reason is Reason.WINDOW_CLOSED
    assert decision.message.startswith("No window opens.")
