"""Rollbacks that walk on by themselves, and a second fall of the same gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import World, a_rollout, a_running, passes, regresses
from tests.support.engine_acts import ask, four_stages, stage_of
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import RolloutStatus, Severity
from veriramp_operator.api.vector import OFF
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

HOUR = 3600.0
Line = tuple[object, str, str]


# stepDown


def walking(pace: float = 24 * HOUR, **changes: Any) -> World:
    """Fallen from "ten" by a PreviousStage gate with a stepDown; the evidence is good again."""
    builder = replace(four_stages(), gates=())
    world = a_running(builder.with_gate("errors", OnRegression.PREVIOUS_STAGE, step_down=pace), **changes)
    world.run_to("ten")
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()
    return world


def steps(world: World, seconds: float) -> list[Line]:
    began, known = world.now, len(world.status.history)
    world.run(seconds, 300.0)
    return [(line.at - began, line.reason, line.stage) for line in world.status.history[known:]]


def test_step_down_walks_on_by_itself_at_its_pace_until_off() -> None:
    world = walking()

    taken = steps(world, 100 * HOUR)

    day = 24 * HOUR
    assert taken == [
        (pytest.approx(day, abs=600), "StepDown", "shadow"),
        (pytest.approx(2 * day, abs=600), "StepDown", "shadow"),
    ]
    assert world.vector() == OFF
    assert stage_of(world) == ""
    assert world.status.history[-1].message == (
        'The stepDown of gate "errors" (24h) has passed since the last fall: one stage further down.'
    )
    assert world.status.rollback is not None
    assert (world.status.rollback.gate, world.status.rollback.severity) == ("errors", Severity.PREVIOUS_STAGE)
    assert world.status.rollback.evidence == "5 is above 1"


def test_the_latch_tells_when_the_next_step_comes() -> None:
    world = walking()

    decision = world.run(HOUR)

    assert decision.message == (
        'Rolled back from stage "ten" by errors: 5 is above 1. Ask for "retry" or "restart", or change the spec to '
        "go on. One stage further down in 23h (stepDown)."
    )


def test_a_restart_and_a_lost_status_keep_the_pace() -> None:
    world = walking()
    world.run(12 * HOUR, 300.0)
    world.status = RolloutStatus.model_validate(world.status.to_api())
    (by_status, *_) = steps(world, 13 * HOUR)
    lost = walking()
    lost.run(12 * HOUR, 300.0)
    lost.status = RolloutStatus()
    lost.tick(5)
    (by_document, *_) = [step for step in steps(lost, 13 * HOUR) if step[1] == "StepDown"]

    assert by_status[0] == pytest.approx(12 * HOUR, abs=600)
    assert by_document[0] == pytest.approx(12 * HOUR, abs=600)


@pytest.mark.parametrize("lift", ["generation", "retry", "restart"])
def test_a_lifted_latch_ends_the_walk(lift: str) -> None:
    world = walking()
    world.run(HOUR, 60.0)
    if lift == "generation":
        world.edit(world.spec.model_copy())
    else:
        ask(world, lift, "ten")

    assert "StepDown" not in [reason for _, reason, _ in steps(world, 30 * HOUR)]
    assert stage_of(world) == "all"


def test_without_step_down_it_stays_one_stage_down() -> None:
    world = a_running(four_stages(action=OnRegression.PREVIOUS_STAGE))
    world.run_to("ten")
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()

    assert steps(world, 100 * HOUR) == []
    assert stage_of(world) == "five"


def test_a_step_goes_past_stages_that_lower_nothing() -> None:
    builder = (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05, bake=60.0)
        .with_stage("one", canary=5, bake=60.0)
        .with_stage("two", canary=5, bake=60.0)
        .with_stage("ten", canary=10)
        .with_gate("errors", OnRegression.PREVIOUS_STAGE, step_down=HOUR)
    )
    world = a_running(builder)
    world.run_to("ten")
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()
    first = stage_of(world)

    assert [(reason, stage) for _, reason, stage in steps(world, 1.5 * HOUR)] == [("StepDown", "shadow")]
    assert first == "two"


# The same gate a second time


def test_a_second_fall_needs_evidence_taken_wholly_after_the_first_was_confirmed() -> None:
    world = a_running(four_stages(action=OnRegression.PREVIOUS_STAGE))
    world.run_to("ten")
    world.says["errors"] = regresses
    asked: list[float | None] = []

    def judge(gate: Any, samples: Any, now: float, since: float | None, trial: Any) -> Verdict:
        asked.append(since)
        return World.judge(world, gate, samples, now, since, trial)

    world.judge = judge  # type: ignore[method-assign, assignment]
    world.applied_revision = 1
    world.tick(5)
    fell_at = world.now
    world.run(100)
    unconfirmed, stayed = asked[-1], stage_of(world)
    world.applied_revision = None
    world.tick(5)
    confirmed_at = world.now
    world.run(55)
    waited = stage_of(world)
    world.run(10)

    assert stayed == "five"
    assert unconfirmed is not None
    assert unconfirmed > fell_at + 100 - 5
    assert asked[-2] == confirmed_at
    assert (waited, stage_of(world)) == ("five", "shadow")


def test_another_gate_walks_on_no_sooner() -> None:
    builder = four_stages(action=OnRegression.PREVIOUS_STAGE).with_gate("slow", OnRegression.PREVIOUS_STAGE)
    world = a_running(builder)
    world.run_to("ten")
    world.says["errors"] = regresses
    world.tick(5)
    world.says = {"errors": passes, "slow": regresses}

    world.run(30)

    assert stage_of(world) == "five"
