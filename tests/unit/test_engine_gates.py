"""What each verdict does: several at once, without data, unclear, of an earlier revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import (
    START,
    RolloutBuilder,
    World,
    a_ladder,
    a_no_data_policy,
    a_rollout,
    a_running,
    inconclusive,
    no_data,
    passes,
    regresses,
)
from tests.support.engine_acts import (
    ask,
    asking,
    stage_of,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import Severity, VerdictKind
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import (
    Decision,
    Direction,
)
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode


@pytest.mark.shows("S0-10")
def test_a_regression_with_nothing_to_lower_only_holds() -> None:
    world = a_running()
    world.run_to("shadow")
    world.says["errors"] = regresses

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.HOLD, Reason.PRECONDITION_FAILING)
    assert world.status.rollback is None


def test_several_regressing_gates_take_the_lowest_vector_and_the_worst_latch() -> None:
    builder = a_ladder().with_gate("latency", OnRegression.PREVIOUS_STAGE).with_gate("fatal", OnRegression.KILL_SWITCH)
    world = a_running(builder)
    world.run_to("half")
    world.says.update({"errors": regresses, "latency": regresses, "fatal": regresses})

    world.tick(5)

    assert world.vector() == OFF
    assert world.status.rollback is not None
    assert (world.status.rollback.severity, world.status.rollback.gate) == (Severity.KILL_SWITCH, "fatal")


@pytest.mark.shows("S2-CAN-02")
def test_a_report_gate_tells_and_never_acts() -> None:
    world = a_running(a_ladder().with_gate("cost", OnRegression.REPORT))
    world.run_to("half")
    world.events.clear()
    world.says["cost"] = regresses

    world.run(30)

    assert [event.message for event in world.events if "cost" in event.message] == [
        'Gate "cost" regresses and only reports: 5 is above 1.'
    ]
    assert world.vector().mode is Mode.LIVE


@pytest.mark.shows("S0-10", "S2-CAN-03")
def test_a_gate_is_not_asked_outside_its_stages() -> None:
    world = a_running(a_ladder().with_gate("late", OnRegression.KILL_SWITCH, stages=("half",)))
    world.says["late"] = regresses
    world.run_to("canary")

    verdicts = {gate.name: gate.verdict for gate in world.status.gates}

    assert verdicts == {"errors": VerdictKind.PASS, "late": VerdictKind.NOT_APPLICABLE}


def test_no_data_too_long_takes_its_action_and_no_further_step() -> None:
    world = a_running(on_no_data=a_no_data_policy(60, "PreviousStage"))
    world.run_to("half")
    world.says["errors"] = no_data

    held = world.run(50)
    fell = world.run(30)

    assert held.reason is Reason.NO_DATA
    assert fell.reason is Reason.ROLLED_BACK
    assert world.status.stage is not None
    assert world.status.stage.name == "canary"
    world.run(1000)
    assert world.status.stage.name == "canary"


def test_no_data_too_long_may_go_to_shadow() -> None:
    world = a_running(on_no_data=a_no_data_policy(60, "Shadow"))
    world.run_to("half")
    world.says["errors"] = no_data

    world.run(100)

    assert world.vector().mode is Mode.SHADOW


def a_rollout_to(gate: str, **more: Any) -> RolloutBuilder:
    """Shadow, then a canary; "errors" turns everything off, and another gate is asked as ``more`` says."""
    plan = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).with_stage("canary", canary=5)
    return plan.with_gate("errors", OnRegression.KILL_SWITCH).with_gate(gate, **more)


def asked_every(seconds: float) -> Callable[[float], Verdict]:
    """Passes, as of its last answer: it is asked from the start on every so many seconds."""
    return lambda now: passes(START + (now - START) // seconds * seconds)


def looks(world: World, seconds: float) -> list[Decision]:
    """Passes as the decisions wish them, no sooner and no later."""
    end, made = world.now + seconds, []
    while world.now < end:
        next_at = world.last.next_decision_at if world.last else None
        made.append(world.tick(max(1e-4, (next_at or 0.0) - world.now)))
    return made


def test_a_gate_that_is_asked_seldom_is_waited_for_in_no_hurry() -> None:
    """Once its window was over, a pass came every tenth of a second until the next poll, each with "1s to go"."""
    world = a_running(a_rollout_to("slow", every=3600.0))
    world.says["slow"] = asked_every(3600.0)
    world.run(700)

    made = looks(world, 600)

    assert len(made) < 100
    assert made[-1].message.startswith(
        '"canary" cannot begin: gate "slow" has not been asked since its evidence can be of this revision alone: its '
        "next answer counts."
    )
    looks(world, 3600)
    assert stage_of(world) == "canary"


def test_on_the_way_back_a_gate_that_is_asked_seldom_is_waited_for_in_no_hurry() -> None:
    world = a_running(a_rollout_to("slow", every=3600.0))
    world.run_to("canary")
    world.says["errors"] = regresses
    world.tick(5)
    world.says |= {"errors": passes, "slow": asked_every(3600.0)}
    ask(world, "retry", "canary")
    world.run(100)

    made = looks(world, 600)

    assert len(made) < 100
    assert made[-1].message == (
        'On the way back into "shadow" every gate must pass first; "slow" passes, but has not been asked since its '
        "evidence can be from after the way back began: its next answer counts."
    )
    looks(world, 7200)
    assert stage_of(world) == "canary"


@pytest.mark.parametrize(("every", "patience"), [(5.0, 30.0), (15.0, 45.0), (60.0, 180.0)])
@pytest.mark.parametrize("after", [0.0, 20.0])
def test_a_new_leader_that_has_not_asked_yet_is_no_time_without_data(
    after: float, every: float, patience: float
) -> None:
    """``after: 0s`` made each change of the leader a rollback."""
    plan = replace(a_ladder(), gates=()).with_gate("errors", every=every)
    world = a_running(plan.with_(on_no_data=a_no_data_policy(after, "PreviousStage")))
    world.run_to("half")
    world.says["errors"] = lambda _: Verdict(VerdictKind.NO_DATA, "NeverAsked", "monitoring has not been asked yet")

    held = world.run(patience)
    assert (held.reason, world.status.rollback) == (Reason.NO_DATA, None)
    world.run(10)
    assert world.status.rollback is not None


@pytest.mark.shows("S1-ROLL-07", "S0-03", "S1-RAMP-02")
def test_missing_metrics_hold_for_as_long_as_they_are_missing_then_it_goes_on() -> None:
    world = a_running()
    world.run_to("canary")
    world.says["errors"] = no_data
    before = world.tick(5).vector

    decision = world.run(1800)

    assert (decision.reason, decision.vector) == (Reason.NO_DATA, before)
    available = {each.type: each.status for each in world.status.conditions}["EvidenceAvailable"]
    assert available == "False"
    world.says.clear()
    world.run_to("half")


def test_unclear_evidence_holds_past_max_bake_until_a_person_promotes() -> None:
    world = a_running()
    world.run_to("canary", full=True)
    world.says["errors"] = inconclusive

    decision = world.run(3000)

    assert decision.reason is Reason.INCONCLUSIVE
    assert "maxBake (20m) is over" in decision.message
    asking("promote", "canary")(world)
    world.run(10)
    assert world.status.stage is not None
    assert world.status.stage.name == "half"


def test_promotion_needs_evidence_of_this_revision_alone() -> None:
    builder = (
        a_rollout().with_stage("a", Mode.SHADOW, bake=10).with_stage("b", canary=5).with_gate("errors", window=300)
    )
    world = a_running(builder)
    world.run_to("a")

    decision = world.run(100)

    assert decision.reason is Reason.INCONCLUSIVE
    assert "no evidence of this revision alone yet" in decision.message
    world.run(250)
    assert world.vector().mode is Mode.LIVE


def test_a_live_stage_needs_a_gate_that_applies() -> None:
    builder = a_rollout().with_stage("a", Mode.SHADOW, bake=10).with_stage("b", canary=5)
    builder = builder.with_gate("errors", stages=("b",))
    world = a_running(builder)

    assert "no required gate applies" in world.run(100).message

    world.edit(builder.with_(allow_unguarded=True).build())
    world.run(100)
    assert world.vector().mode is Mode.LIVE


def test_healthy_gates_pass_by_default() -> None:
    assert passes(1.0).kind is VerdictKind.PASS
