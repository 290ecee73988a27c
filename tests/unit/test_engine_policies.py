"""What ends an unclear stage, what a person's word may do about it, and rollbacks that walk on by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.builders import (
    World,
    a_rollout,
    a_running,
    inconclusive,
    no_data,
    regresses,
)
from tests.support.engine_acts import ask, four_stages, outcome, stage_of
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnInconclusive, OnRegression, Promotion, RampSpec
from veriramp_operator.api.status import Severity, Transition, VerdictKind
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

HOUR = 3600.0


def unclear(policy: str, promotion: Promotion = Promotion.AUTO, **changes: Any) -> World:
    """In "ten" (bake 10 min, maxBake 20 min), with evidence that says nothing."""
    world = a_running(four_stages(promotion), on_inconclusive=policy, **changes)
    world.run_to("ten")
    world.says["errors"] = inconclusive
    return world


def last_line(world: World) -> Transition:
    return world.status.history[-1]


Line = tuple[object, str, str]


def transitions(world: World, seconds: float) -> list[Line]:
    """When, why and where to, from now."""
    began, known = world.now, len(world.status.history)
    world.run(seconds)
    return [(line.at - began, line.reason, line.stage) for line in world.status.history[known:]]


# onInconclusive


def test_hold_waits_for_a_person() -> None:
    world = unclear("Hold")

    assert transitions(world, 5 * HOUR) == []
    assert world.status.reason == Reason.INCONCLUSIVE
    assert world.status.message == (
        '"all" cannot begin: gate "errors" does not pass: too few requests. '
        "maxBake (20m) is over: decide with "
        "promote or abort."
    )


def test_rollback_goes_one_stage_down_at_max_bake_and_latches() -> None:
    world = unclear("Rollback")

    (fall,) = transitions(world, 5 * HOUR)

    assert fall == (pytest.approx(1205, abs=15), "InconclusiveTooLong", "five")
    assert last_line(world).message == 'Gate "errors" is still unclear at maxBake (20m): too few requests.'
    assert world.status.rollback is not None
    assert (world.status.rollback.severity, world.status.rollback.from_stage) == (Severity.PREVIOUS_STAGE, "ten")
    assert world.status.rollback.target == world.vector()
    assert world.vector().canary_percent == 5


def test_promote_goes_on_at_max_bake_and_says_so_in_status_and_history() -> None:
    world = unclear("Promote")
    world.events.clear()

    (rise,) = transitions(world, 1300)

    assert rise == (pytest.approx(1205, abs=15), "Promote", "all")
    assert last_line(world).message == (
        'Stage "all" begins by onInconclusive: Promote, although gate "errors" does not pass: too few requests: Live '
        "rate=0.05 topK=10 canary=100% weight=0.1."
    )
    assert world.status.stage is not None
    assert world.status.stage.exception == "onInconclusive: Promote"
    assert [(event.type, event.message) for event in world.events if event.reason == "Promote"] == [
        ("Warning", last_line(world).message)
    ]


def test_clear_evidence_needs_no_exception() -> None:
    world = unclear("Promote")
    world.says.clear()

    world.run_to("all")

    assert world.status.stage is not None
    assert world.status.stage.exception is None
    assert last_line(world).message.startswith('Stage "all" begins: ')


@pytest.mark.parametrize("says", [no_data, regresses, lambda at: inconclusive(at, leans_bad=True)])
def test_promote_never_overrides_no_data_a_regression_or_what_leans_bad(says: Any) -> None:
    builder = replace(four_stages(), gates=()).with_gate("errors", OnRegression.PREVIOUS_STAGE)
    world = a_running(builder, on_inconclusive="Promote")
    world.run_to("ten")
    world.says["errors"] = inconclusive
    world.run(1150)
    world.says["errors"] = says

    world.run(5 * HOUR)

    assert world.vector().canary_percent <= 10


def test_max_bake_is_healthy_time() -> None:
    world = unclear("Rollback")
    world.run(900)
    world.edit(world.spec.model_copy(update={"paused": True}))

    paused = transitions(world, 5 * HOUR)
    world.edit(world.spec.model_copy(update={"paused": False}))
    (fall,) = transitions(world, 1000)

    assert paused == []
    assert fall == (pytest.approx(305, abs=20), "InconclusiveTooLong", "five")


def test_a_pause_and_a_missing_approval_mask_no_fall() -> None:
    manual = unclear("Rollback", Promotion.MANUAL)
    ((_, why, _),) = transitions(manual, 1300)
    assert why == "InconclusiveTooLong"

    paused = unclear("Hold")
    paused.run(2000)
    paused.edit(paused.spec.model_copy(update={"paused": True, "on_inconclusive": OnInconclusive.ROLLBACK}))
    ((_, why, _),) = transitions(paused, 60)
    assert why == "InconclusiveTooLong"


def test_a_gate_that_has_only_just_become_unclear_decides_nothing() -> None:
    world = a_running(four_stages(Promotion.MANUAL), on_inconclusive="Rollback")
    world.run_to("ten")
    world.run(3 * HOUR)
    world.says["errors"] = inconclusive
    world.run(30)
    world.says.clear()

    assert transitions(world, HOUR) == []
    assert world.status.reason == Reason.APPROVAL_REQUIRED


def test_after_the_last_stage_nothing_is_left_to_decide() -> None:
    world = a_running(four_stages(), on_inconclusive="Rollback")
    world.run_to("all")
    world.says["errors"] = inconclusive

    assert transitions(world, 5 * HOUR) == []


def test_a_stage_without_a_bake_has_no_max_bake() -> None:
    builder = a_rollout().with_stage("now", canary=5, bake=0.0).with_stage("all", canary=100).with_gate("errors")
    world = a_running(builder, on_inconclusive="Rollback")
    world.says["errors"] = inconclusive
    world.run_to("now")

    assert transitions(world, HOUR) == []


def test_a_rollback_at_max_bake_walks_no_further_by_itself() -> None:
    world = unclear("Rollback")
    world.run(24 * HOUR)

    assert stage_of(world) == "five"


# A person's promote


def test_promote_after_the_bake_ends_unclear_evidence_and_says_so() -> None:
    world = unclear("Hold")
    world.run(700)

    ask(world, "promote", "ten")
    world.run(10)

    assert outcome(world) == "promote:ten@t1: done"
    assert stage_of(world) == "all"
    assert world.status.stage is not None
    assert world.status.stage.exception == "a person's promote"
    assert last_line(world).message.startswith(
        'Stage "all" begins by a person\'s promote, although gate "errors" does not pass: too few requests: Live'
    )


@pytest.mark.parametrize("promotion", [Promotion.MANUAL, Promotion.AUTO])
def test_promote_before_the_bake_is_over_is_an_approval_and_no_more(promotion: Promotion) -> None:
    world = unclear("Hold", promotion)
    world.run(300)
    ask(world, "promote", "ten")
    assert outcome(world) == (
        "promote:ten@t1: done (approved; the bake is not over, and unclear evidence will still hold the stage)"
    )

    held = world.run(HOUR)

    assert held.reason is Reason.INCONCLUSIVE
    world.says.clear()
    world.run(10)
    assert stage_of(world) == "all"
    ask_again = unclear("Hold", promotion)
    ask_again.run(300)
    ask(ask_again, "promote", "ten", "t1")
    ask_again.run(HOUR)
    ask(ask_again, "promote", "ten", "t2")
    ask_again.run(10)
    assert stage_of(ask_again) == "all"


def test_a_skipped_bake_was_not_observed() -> None:
    world = unclear("Hold")
    world.run(60)
    ask(world, "skip-bake", "ten", "t1")
    ask(world, "promote", "ten", "t2")

    held = world.run(60)

    assert held.reason is Reason.INCONCLUSIVE
    assert stage_of(world) == "ten"


@pytest.mark.parametrize("says", [no_data, regresses])
def test_promote_overrides_neither_no_data_nor_a_regression(says: Any) -> None:
    builder = replace(four_stages(), gates=()).with_gate("errors", OnRegression.PREVIOUS_STAGE)
    world = a_running(builder)
    world.run_to("ten")
    world.says["errors"] = inconclusive
    world.run(700)
    world.says["errors"] = says
    ask(world, "promote", "ten")

    world.run(HOUR)

    assert world.vector().canary_percent <= 10


def test_promote_puts_no_gate_where_none_applies() -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, bake=10.0).with_stage("live", canary=5, bake=10.0)
    world = a_running(builder.with_gate("errors", stages=("live",)))
    world.run_to("shadow")
    world.run(60)

    ask(world, "promote", "shadow")
    held = world.run(60)

    why = "no required gate applies in this stage; add one that asks Prometheus, or write allowUnguarded: true"
    assert held.message == f'"live" cannot begin: {why}.'
    assert outcome(world) == f"promote:shadow@t1: refused: {why}"
    assert stage_of(world) == "shadow"


def test_promote_is_refused_where_the_required_gates_do_not_apply_and_taken_where_one_may() -> None:
    """It was answered "done", and the stage held for ever."""
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, bake=10.0).with_stage("live", canary=5, bake=10.0)
    world = a_running(builder.with_gate("pushed").with_gate("cost", OnRegression.REPORT))
    world.says["pushed"] = lambda at: Verdict(VerdictKind.NOT_APPLICABLE, "NotFiring", "not pushed", observed_at=at)
    world.run_to("shadow")
    world.run(60)

    ask(world, "promote", "shadow")
    assert "refused: no required gate applies" in outcome(world)
    world.says["pushed"] = inconclusive
    world.run(30)
    ask(world, "promote", "shadow", "t2")
    world.run(60)

    assert outcome(world) == "promote:shadow@t2: done"
    assert stage_of(world) == "live"


@pytest.mark.parametrize("stage", ["two", "three"])
def test_promote_is_not_refused_for_what_gates_said_in_the_stage_before(stage: str) -> None:
    builder = a_rollout().with_stage("one", Mode.SHADOW, bake=10.0).with_stage("two", canary=5, bake=10.0)
    ramp = RampSpec(duration=600, interval=60)
    builder = builder.with_stage("three", canary=10, bake=10.0, ramp=ramp).with_stage("four", canary=50)
    gates = builder.with_gate("first", stages=("one",)).with_gate("second", stages=("two",))
    world = a_running(gates.with_gate("third", stages=("three",)))
    world.run_to(stage)

    ask(world, "promote", stage)

    assert "done" in outcome(world)


def test_promote_needs_no_gate_where_that_is_allowed() -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, bake=10.0).with_stage("live", canary=5, bake=10.0)
    gates = builder.with_gate("errors", stages=("live",)).with_(allow_unguarded=True)
    world = a_running(gates)
    world.run_to("shadow")

    ask(world, "promote", "shadow")

    assert "done" in outcome(world)
