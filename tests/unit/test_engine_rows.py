"""Pass B row by row: which row wins when several match, and which clocks run in it.

The first column of the table in words: whatever a row further up says goes before everything below it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, NamedTuple

import pytest

from tests.support.builders import World, a_rollout, inconclusive, no_data, regresses
from tests.support.engine_acts import ask, break_worker, leaning
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import ComparisonGate, GateSpec, OnRegression, Promotion, RampSpec, WindowSpec
from veriramp_operator.api.status import PropagationStatus, RollbackStatus, Severity, StageStatus
from veriramp_operator.engine.types import Direction, Observation, Problem
from veriramp_operator.evidence.types import Occupied, Samples
from veriramp_sdk.contract import Mode

WEDNESDAYS: Final = WindowSpec.model_validate({"days": ["Wed"], "from": "09:00", "to": "16:00"})
"""Closed: all of this happens on a Friday."""


@dataclass
class Arms(World):
    """A world in which users are counted by arm."""

    occupied: tuple[int, int] = (50, 950)
    counted_at: float | None = None

    def observe(self) -> Observation:
        """One snapshot, with the occupied buckets of the comparison gate."""
        at = self.now if self.counted_at is None else self.counted_at
        return replace(super().observe(), samples={"arms": Samples(occupied=Occupied(at, *self.occupied))})


def standing(ramp: RampSpec | None) -> Arms:
    """In the Live stage "here": with a ramp at its start, without one at its full vector; nothing is lower below."""
    builder = (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05, bake=10.0)
        .with_stage("below", canary=5, weight=0.1, bake=60.0)
        .with_stage("here", canary=10 if ramp else 5, bake=600.0, max_bake=1800.0, ramp=ramp)
        .with_stage("next", canary=50)
        .with_gate("errors", OnRegression.PREVIOUS_STAGE)
        .with_gate("blind")
        .with_gate("leaning")
        .with_worker("orchestrator")
    )
    comparison = ComparisonGate(events="errors_total", total="requests_total")
    arms = GateSpec(name="arms", comparison=comparison, window=60.0, on_regression=OnRegression.SHADOW)
    world = Arms(replace(builder, gates=(*builder.gates, arms)).build())
    world.run_to("here")
    world.run(60)
    return world


def on_the_ramp() -> Arms:
    return standing(RampSpec(duration=1200, interval=300))


def at_the_full_vector() -> Arms:
    return standing(None)


def latched(world: Arms) -> None:
    status = world.status
    assert status.parameters is not None
    rollback = RollbackStatus(
        gate="errors",
        severity=Severity.PREVIOUS_STAGE,
        at=world.now,
        from_stage="next",
        evidence="5 is above 1",
        generation=world.generation,
        target=status.parameters,
        detected_at=world.now,
    )
    world.status = status.model_copy(update={"rollback": rollback})


def stalled(world: Arms) -> None:
    world.problems = (Problem(Reason.UNKNOWN_ENDPOINT, "no such endpoint"),)


def regressing(world: Arms) -> None:
    world.says["errors"] = regresses


def paused(world: Arms) -> None:
    world.spec = world.spec.model_copy(update={"paused": True})


def unconfirmed(world: Arms) -> None:
    world.applied_revision = 1
    world.status = world.status.model_copy(update={"propagation": PropagationStatus(expected=3)})


def unheard(world: Arms) -> None:
    world.consumers = 0


def blind(world: Arms) -> None:
    world.says["blind"] = no_data


def mismatched(world: Arms) -> None:
    world.occupied = (500, 500)


def leaning_bad(world: Arms) -> None:
    world.says["leaning"] = leaning


def due_in_a_closed_window(world: Arms) -> None:
    assert world.status.stage is not None
    due = world.status.stage.model_copy(update={"ramp_seconds": 300.0, "bake_seconds": 600.0})
    world.status = world.status.model_copy(update={"stage": due})
    world.spec = world.spec.model_copy(update={"windows": (WEDNESDAYS,)})


class Row(NamedTuple):
    number: int
    reason: Reason
    cause: Callable[[Arms], None]
    ramp_runs: bool
    bake_runs: bool


ROWS: Final = (
    Row(1, Reason.ROLLED_BACK, latched, ramp_runs=False, bake_runs=False),
    Row(2, Reason.UNKNOWN_ENDPOINT, stalled, ramp_runs=False, bake_runs=False),
    Row(3, Reason.PRECONDITION_FAILING, regressing, ramp_runs=False, bake_runs=False),
    Row(4, Reason.PAUSED, paused, ramp_runs=False, bake_runs=False),
    Row(5, Reason.NOT_PROPAGATED, unconfirmed, ramp_runs=False, bake_runs=False),
    Row(5, Reason.NO_CONSUMERS, unheard, ramp_runs=False, bake_runs=False),
    Row(6, Reason.NO_DATA, blind, ramp_runs=False, bake_runs=False),
    Row(7, Reason.WORKERS_NOT_READY, break_worker, ramp_runs=False, bake_runs=False),
    Row(8, Reason.SAMPLE_RATIO_MISMATCH, mismatched, ramp_runs=False, bake_runs=False),
    Row(9, Reason.EVIDENCE_LEANS_BAD, leaning_bad, ramp_runs=False, bake_runs=True),
    Row(10, Reason.WINDOW_CLOSED, due_in_a_closed_window, ramp_runs=False, bake_runs=True),
)

PLACES: Final = {"on the ramp": on_the_ramp, "at the full vector": at_the_full_vector}


def stage(world: World) -> StageStatus:
    assert world.status.stage is not None
    return world.status.stage


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_the_clocks_of_a_row(row: Row, place: str) -> None:
    world = PLACES[place]()
    row.cause(world)
    world.tick(5)
    before = stage(world)

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.HOLD, row.reason), decision.message
    counted = (stage(world).ramp_seconds - before.ramp_seconds, stage(world).bake_seconds - before.bake_seconds)
    at_full = place == "at the full vector"
    assert counted == (5 if row.ramp_runs else 0, 5 if row.bake_runs and at_full else 0)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("upper", "lower"), list(combinations(ROWS, 2)), ids=lambda row: row.reason)
def test_the_first_matching_row_wins(upper: Row, lower: Row, place: str) -> None:
    world = PLACES[place]()
    lower.cause(world)
    upper.cause(world)

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.HOLD, upper.reason), decision.message


def test_the_ramp_clock_runs_between_two_steps_and_a_step_rises_when_it_is_due() -> None:
    world = on_the_ramp()
    before = stage(world)

    between = world.tick(5)
    while (decision := world.tick(5)).direction is Direction.HOLD:
        last = decision

    assert (between.reason, between.direction) == (Reason.RAMPING, Direction.HOLD)
    assert (last.reason, decision.reason, decision.direction) == (Reason.RAMPING, Reason.RAMP_STEP, Direction.RISE)
    assert stage(world).ramp_seconds > before.ramp_seconds + 5
    assert stage(world).bake_seconds == 0
    assert decision.status.clock is not None
    assert (decision.status.clock.ramp_runs, decision.status.clock.bake_runs) == (True, False)


def at_the_end_of_the_bake(promotion: Promotion = Promotion.AUTO) -> Arms:
    world = at_the_full_vector()
    stages = tuple(each.model_copy(update={"promotion": promotion}) for each in world.spec.stages)
    world.spec = world.spec.model_copy(update={"stages": stages})
    world.tick(5)
    world.status = world.status.model_copy(update={"stage": stage(world).model_copy(update={"bake_seconds": 599.0})})
    return world


@pytest.mark.parametrize(
    ("reason", "promotion", "unclear"),
    [
        (Reason.BAKING, Promotion.AUTO, False),
        (Reason.BAKING, Promotion.MANUAL, True),
        (Reason.APPROVAL_REQUIRED, Promotion.MANUAL, True),
        (Reason.APPROVAL_REQUIRED, Promotion.MANUAL, False),
        (Reason.INCONCLUSIVE, Promotion.AUTO, True),
    ],
)
def test_the_bake_clock_runs_in_the_rows_of_a_stage_that_waits(
    reason: Reason, promotion: Promotion, unclear: bool
) -> None:
    world = at_the_end_of_the_bake(promotion)
    if unclear:
        world.says["errors"] = inconclusive
    if reason is Reason.BAKING:
        world.status = world.status.model_copy(update={"stage": stage(world).model_copy(update={"bake_seconds": 0.0})})
    world.tick(5)
    before = stage(world)

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (Direction.HOLD, reason)
    assert stage(world).bake_seconds == before.bake_seconds + 5
    assert stage(world).ramp_seconds == before.ramp_seconds


def test_a_baked_stage_with_good_evidence_is_promoted_and_the_last_one_guards() -> None:
    world = at_the_end_of_the_bake()

    promoted = world.tick(5)
    world.occupied = (500, 500)
    world.run(300)
    ask(world, "skip-bake", "next")
    guarded = world.run(60)

    assert (promoted.reason, promoted.direction) == (Reason.PROMOTE, Direction.RISE)
    assert (guarded.reason, guarded.direction) == (Reason.GUARDING, Direction.HOLD)


# Row 8


def test_a_split_that_is_wrong_holds_and_says_what_to_look_for() -> None:
    world = at_the_full_vector()
    mismatched(world)

    decision = world.tick(5)

    assert decision.message == (
        "The arms cannot be compared: 50 % of 1000 occupied buckets are in the treatment, where 5 % are expected; "
        "chance does not explain it: look for lost, doubled or redirected requests of one arm."
    )
    assert world.run(3600).direction is Direction.HOLD


def test_users_counted_under_another_percent_say_nothing_about_this_one() -> None:
    world = at_the_full_vector()
    mismatched(world)
    confirmed = stage(world).full_at
    assert confirmed is not None
    for counted_at, reason in ((confirmed, Reason.BAKING), (confirmed + 1, Reason.SAMPLE_RATIO_MISMATCH)):
        world.counted_at = counted_at
        assert world.tick(5).reason is reason


@pytest.mark.parametrize(
    ("occupied", "age", "reason", "says"),
    [
        ((500, 500), 60.0, Reason.SAMPLE_RATIO_MISMATCH, "of one arm."),
        ((500, 500), 91.0, Reason.SAMPLE_RATIO_MISMATCH, "That was 1m31s ago; nobody has told"),
        ((500, 500), 500.0, Reason.SAMPLE_RATIO_MISMATCH, "That was 8m20s ago; nobody has told"),
        ((50, 950), 500.0, Reason.BAKING, "bakes"),
    ],
)
def test_nothing_rises_because_nobody_tells_the_split_any_more(
    occupied: tuple[int, int], age: float, reason: Reason, says: str
) -> None:
    world = at_the_full_vector()
    world.run(505)
    world.occupied, world.counted_at = occupied, world.now + 5 - age

    decision = world.tick(5)

    assert decision.reason is reason
    assert says in decision.message


def test_a_split_of_one_arm_alone_is_none() -> None:
    world = at_the_full_vector()
    mismatched(world)
    everybody = tuple(
        each.model_copy(update={"canary_percent": 100.0 if each.name == "next" else each.canary_percent})
        for each in world.spec.stages
    )
    world.spec = world.spec.model_copy(update={"stages": everybody})
    world.occupied = (50, 950)
    world.run_to("next")
    mismatched(world)

    assert world.run(60).reason is Reason.BAKING


def test_a_gate_that_only_reports_never_holds_by_its_split() -> None:
    world = at_the_full_vector()
    gates = tuple(
        gate.model_copy(update={"on_regression": OnRegression.REPORT}) if gate.name == "arms" else gate
        for gate in world.spec.gates
    )
    world.spec = world.spec.model_copy(update={"gates": gates})
    mismatched(world)

    assert world.tick(5).reason is Reason.BAKING
