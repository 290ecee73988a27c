"""Evidence from before a fall or a retry neither passes nor trips again a gate that fell, whoever holds the latch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tests.support.builders import World, a_rollout, a_running, passes, regresses
from tests.support.engine_acts import ask, stage_of
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import EvidenceAnchor, RolloutStatus
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode

KILL, SHADOW, PREVIOUS = OnRegression.KILL_SWITCH, OnRegression.SHADOW, OnRegression.PREVIOUS_STAGE
SHORT: Final = 60.0
LONG: Final = 600.0
LADDER: Final = (
    a_rollout()
    .with_stage("low", canary=1, weight=0.1, bake=60.0)
    .with_stage("canary", canary=5, bake=60.0)
    .with_stage("half", canary=50)
)


def two_gates(one: OnRegression, other: OnRegression) -> World:
    """In the third of three Live stages, watched by "one" (window of a minute) and "other" (ten minutes)."""
    world = a_running(LADDER.with_gate("one", one, window=SHORT).with_gate("other", other, window=LONG))
    world.run_to("half")
    return world


def together(world: World) -> None:
    world.says |= {"one": regresses, "other": regresses}
    world.tick(5)


def one_after_the_other(world: World) -> None:
    world.says["one"] = regresses
    world.tick(5)
    world.says["other"] = regresses
    world.tick(5)


def cut_after_the_document(world: World) -> None:
    world.says |= {"one": regresses, "other": regresses}
    world.tick(5, cut=1)
    assert world.status.rollback is None
    world.tick(1)


def retry(world: World) -> None:
    assert world.status.rollback is not None
    ask(world, "retry", world.status.rollback.from_stage)


def restart(world: World) -> None:
    assert world.status.rollback is not None
    ask(world, "restart", world.status.rollback.from_stage)


def new_generation(world: World) -> None:
    world.edit(world.spec.model_copy())
    world.tick(1)


Act = Callable[[World], None]


@pytest.mark.parametrize("falls", [together, one_after_the_other, cut_after_the_document])
@pytest.mark.parametrize(
    ("actions", "lifts"),
    [
        ((PREVIOUS, PREVIOUS), retry),
        ((PREVIOUS, PREVIOUS), new_generation),
        ((SHADOW, PREVIOUS), retry),
        ((PREVIOUS, SHADOW), restart),
        ((SHADOW, SHADOW), new_generation),
        ((SHADOW, KILL), restart),
        ((KILL, SHADOW), retry),
        ((KILL, KILL), retry),
    ],
)
def test_the_old_window_of_no_gate_that_fell_trips_again(
    falls: Act, actions: tuple[OnRegression, OnRegression], lifts: Act
) -> None:
    world = two_gates(*actions)
    falls(world)
    lifts(world)
    lifted_at, held = world.now, world.vector()
    assert world.status.rollback is None

    reasons = set()
    while world.now < lifted_at + SHORT - 5:
        reasons.add(world.tick(5).reason)
    world.says["one"] = passes
    while world.now < lifted_at + LONG - 15:
        reasons.add(world.tick(5).reason)

    assert not reasons & {Reason.REGRESSION, Reason.PRECONDITION_FAILING}
    assert world.vector().is_at_most(held) or stage_of(world) == "low"
    assert world.run(SHORT).reason in {Reason.ROLLED_BACK, Reason.PRECONDITION_FAILING}, "now it counts"


def test_who_fell_is_in_status_and_document_and_survives_both() -> None:
    world = two_gates(SHADOW, PREVIOUS)
    together(world)
    rollback = world.status.rollback
    assert rollback is not None
    assert world.published is not None
    assert world.published.latch is not None
    assert (rollback.gate, rollback.also_fell, world.published.latch.also_fell) == ("one", ("other",), ("other",))
    world.status = RolloutStatus.model_validate(json.loads(json.dumps(world.status.to_api())))

    world.says["other"] = passes
    world.run(30)
    retry(world)

    assert world.status.anchors == tuple(EvidenceAnchor(gate=name, at=world.now) for name in ("one", "other"))
    assert world.status.to_api()["anchors"][1]["gate"] == "other"


def test_a_gate_that_falls_while_another_holds_the_latch_is_remembered_beside_it() -> None:
    world = two_gates(SHADOW, KILL)
    one_after_the_other(world)

    assert world.status.rollback is not None
    assert (world.status.rollback.gate, world.status.rollback.also_fell) == ("other", ("one",))


def test_a_person_who_aborts_after_a_fall_forgets_nobody() -> None:
    world = two_gates(SHADOW, SHADOW)
    together(world)
    world.requests = replace(world.requests, abort="now")
    world.tick(5)

    assert world.status.rollback is not None
    assert (world.status.rollback.gate, world.status.rollback.also_fell) == ("request/abort", ("one", "other"))


def test_an_anchor_outlasts_the_fall_and_the_retry_of_another_gate() -> None:
    world = two_gates(SHADOW, KILL)
    known = EvidenceAnchor(gate="other", at=world.now - 100)
    world.status = world.status.model_copy(update={"anchors": (known, EvidenceAnchor(gate="removed", at=1.0))})
    world.says |= {"one": regresses, "other": regresses}
    world.tick(5)
    assert world.vector().mode is Mode.SHADOW, "other still speaks about the time before its own fall"

    retry(world)

    assert world.status.anchors == (EvidenceAnchor(gate="one", at=world.now), known)


def test_a_gate_that_did_not_fall_trips_at_once_after_a_retry() -> None:
    world = two_gates(PREVIOUS, KILL)
    world.says["one"] = regresses
    world.tick(5)
    retry(world)

    world.says["other"] = regresses
    decision = world.tick(1)

    assert (decision.direction, decision.reason, world.vector()) == (Direction.FALL, Reason.REGRESSION, OFF)


def test_a_gate_that_regresses_with_nothing_to_lower_counts_anew_from_the_retry() -> None:
    world = two_gates(KILL, SHADOW)
    world.says["one"] = regresses
    world.tick(5)
    world.says |= {"one": passes, "other": regresses}
    world.tick(5)
    assert world.status.rollback is not None
    assert world.status.rollback.also_fell == ()

    retry(world)

    assert [anchor.gate for anchor in world.status.anchors] == ["one", "other"]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_gate_that_walks_down_stays_held_until_the_fall_was_confirmed_for_its_window(confirmed: bool) -> None:
    world = two_gates(SHADOW, PREVIOUS)
    world.says["one"] = regresses
    world.applied_revision = None if confirmed else 1
    fell_at = world.now + 5
    world.tick(5)
    world.run(30)

    retry(world)

    at = {anchor.gate: anchor.at for anchor in world.status.anchors}
    assert at == {"one": world.now, "other": fell_at + 5 if confirmed else world.now}


def test_the_way_back_waits_until_every_gate_passes_on_evidence_from_after_the_retry() -> None:
    world = two_gates(SHADOW, SHADOW)
    world.says["one"] = regresses
    world.tick(5)
    world.says.clear()
    retry(world)
    retried_at = world.now

    decision = world.run(LONG - 5)
    assert (decision.reason, world.vector().mode) == (Reason.RAMPING, Mode.SHADOW)
    assert decision.message == (
        'On the way back into "canary" every gate must pass first; "other" passes, but not yet on evidence from after '
        "the way back began alone: 5s to go."
    )
    assert decision.next_decision_at == world.now + 5
    world.tick(5)

    assert world.now >= retried_at + LONG
    assert "next step" in world.tick(5).message


def test_a_second_fall_of_the_same_gate_needs_a_window_after_the_fall_before_was_confirmed() -> None:
    world = two_gates(PREVIOUS, SHADOW)
    world.applied_revision = 1
    world.says["one"] = regresses
    world.tick(5)
    world.run(200)
    assert stage_of(world) == "canary", "nobody has confirmed the first fall"
    world.applied_revision = None
    world.tick(5)
    confirmed_at = world.now

    while stage_of(world) == "canary":
        world.tick(5)

    assert world.now == confirmed_at + SHORT
    assert stage_of(world) == "low"


# an older version


def test_a_status_with_one_anchor_is_understood() -> None:
    world = two_gates(SHADOW, KILL)
    at = world.now - 100
    raw = world.status.to_api()
    del raw["anchors"]
    world.status = RolloutStatus.model_validate({**raw, "anchor": EvidenceAnchor(gate="other", at=at).to_api()})
    world.says |= {"one": regresses, "other": regresses}
    world.tick(5)
    assert world.vector().mode is Mode.SHADOW

    retry(world)

    assert world.status.anchor is None
    assert world.status.anchors == (EvidenceAnchor(gate="one", at=world.now), EvidenceAnchor(gate="other", at=at))


def test_a_latch_that_does_not_tell_who_else_fell_is_understood() -> None:
    world = two_gates(SHADOW, PREVIOUS)
    together(world)
    raw = world.status.to_api()
    del raw["rollback"]["alsoFell"]
    world.status = RolloutStatus.model_validate(raw)
    retry(world)

    reasons = {world.tick(5).reason for _ in range(11)}

    assert not reasons & {Reason.REGRESSION, Reason.PRECONDITION_FAILING}
    assert world.status.anchors[0].gate == "one"
