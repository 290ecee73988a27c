"""Both tables, check by check, and who wins when several match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.builders import (
    World,
    a_ladder,
    a_rollout,
    a_running,
    no_data,
    regresses,
)
from tests.support.engine_acts import (
    asking,
    baking,
    break_worker,
    kill,
    lag,
    leaning,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import Promotion, RampSpec
from veriramp_operator.api.status import Phase
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import (
    Direction,
    Problem,
    Requests,
)
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

Change = Callable[[World], None]


def says(saying: Callable[[float], Verdict], gate: str = "errors") -> Change:
    return lambda world: world.says.update({gate: saying})


def pause(world: World) -> None:
    world.edit(world.spec.model_copy(update={"paused": True}))
    world.tick(1)


def problem(world: World) -> None:
    world.problems = (Problem(Reason.UNKNOWN_ENDPOINT, "no such endpoint"),)


def abort(world: World) -> None:
    world.requests = Requests(abort="now")


def delete(world: World) -> None:
    world.deleting = True


def nobody(world: World) -> None:
    world.consumers = 0


@dataclass(frozen=True)
class Case:
    name: str
    changes: tuple[Change, ...]
    reason: Reason
    direction: Direction = Direction.HOLD
    mode: Mode = Mode.LIVE
    ramp_runs: bool = False
    bake_runs: bool = False
    phase: Phase = Phase.WAITING


FALLS = (
    Case("deleting", (delete,), Reason.DELETING, Direction.FALL, Mode.OFF, phase=Phase.DELETING),
    Case("spec.killSwitch", (kill,), Reason.KILL_SWITCH, Direction.FALL, Mode.OFF),
    Case("abort request", (abort,), Reason.KILL_SWITCH, Direction.FALL, Mode.OFF, phase=Phase.ROLLED_BACK),
    Case(
        "shadow request",
        (asking("shadow", "half"),),
        Reason.SHADOW_REQUESTED,
        Direction.FALL,
        Mode.SHADOW,
        phase=Phase.ROLLED_BACK,
    ),
    Case(
        "regression wins over a pause",
        (pause, says(regresses)),
        Reason.REGRESSION,
        Direction.FALL,
        Mode.SHADOW,
        phase=Phase.ROLLED_BACK,
    ),
    Case(
        "regression wins over a stall",
        (problem, says(regresses)),
        Reason.REGRESSION,
        Direction.FALL,
        Mode.SHADOW,
        phase=Phase.ROLLED_BACK,
    ),
    Case(
        "the lowest of two falls wins",
        (says(regresses), abort),
        Reason.KILL_SWITCH,
        Direction.FALL,
        Mode.OFF,
        phase=Phase.ROLLED_BACK,
    ),
)


HOLDS = (
    Case("stalled", (problem,), Reason.UNKNOWN_ENDPOINT, phase=Phase.STALLED),
    Case("a stall goes before a pause", (pause, problem), Reason.UNKNOWN_ENDPOINT, phase=Phase.STALLED),
    Case("paused", (pause,), Reason.PAUSED),
    Case("a pause goes before missing data", (pause, says(no_data)), Reason.PAUSED),
    Case("not propagated", (lag,), Reason.NOT_PROPAGATED, phase=Phase.PROGRESSING),
    Case("no consumers", (nobody,), Reason.NO_CONSUMERS),
    Case("no data holds, it does not abort", (says(no_data),), Reason.NO_DATA),
    Case("propagation goes before data", (lag, says(no_data)), Reason.NOT_PROPAGATED, phase=Phase.PROGRESSING),
    Case("workers are not there", (break_worker,), Reason.WORKERS_NOT_READY, phase=Phase.PROGRESSING),
    Case("data goes before workers", (break_worker, says(no_data)), Reason.NO_DATA),
    Case("evidence leans bad, the bake goes on", (says(leaning),), Reason.EVIDENCE_LEANS_BAD, bake_runs=True),
    Case("baking", (), Reason.BAKING, bake_runs=True, phase=Phase.PROGRESSING),
)


@pytest.mark.parametrize("case", [*FALLS, *HOLDS], ids=lambda case: case.name)
def test_precedence(case: Case) -> None:
    world = baking()
    for change in case.changes:
        change(world)

    decision = world.tick(5)

    assert (decision.direction, decision.reason) == (case.direction, case.reason), decision.message
    assert world.vector().mode is case.mode
    assert decision.status.phase is case.phase
    assert decision.status.clock is not None
    assert (decision.status.clock.ramp_runs, decision.status.clock.bake_runs) == (case.ramp_runs, case.bake_runs)
    assert decision.message.endswith((".", "endpoint"))
    assert decision.next_decision_at is not None
    assert decision.next_decision_at > world.now


@pytest.mark.shows("S1-RAMP-02")
def test_ramp_clock_runs_only_while_ramping() -> None:
    world = a_running()
    world.run_to("canary")
    world.tick(5)
    assert world.status.stage is not None
    before = world.status.stage.ramp_seconds
    world.says["errors"] = leaning

    world.run(100)

    assert world.status.stage.ramp_seconds <= before + 5
    assert world.status.stage.bake_seconds == 0


def test_late_propagation_names_the_laggards() -> None:
    world = baking()
    lag(world)

    decision = world.tick(130)

    assert decision.message == (
        "3 of 3 processes run revision 14; waiting for 95% of each role. Longer than 2m; late: search-1."
    )


@pytest.mark.shows("S1-CAN-02")
def test_a_manual_stage_waits_for_a_person() -> None:
    builder = (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, promotion=Promotion.MANUAL)
        .with_stage("canary", canary=5, weight=0.05)
        .with_gate("errors")
    )
    world = a_running(builder)

    assert world.run(3000).reason is Reason.APPROVAL_REQUIRED
    assert world.vector().mode is Mode.SHADOW
    asking("promote", "shadow")(world)
    world.run(10)

    assert world.vector().canary_percent == 5


def test_a_ramp_below_the_grid_moves_on_without_publishing() -> None:
    builder = a_rollout().with_stage("a", rate=0.0002, ramp=RampSpec(duration=100, interval=10)).with_gate("errors")
    world = a_running(builder)
    world.run_to("a")
    assert world.published is not None
    revision = world.published.revision

    world.run(40)

    assert world.published.revision <= revision + 1


@pytest.mark.shows("S1-FLAG-07")
def test_problems_of_the_spec_stall_and_name_what_to_write() -> None:
    builder = a_ladder().with_stage("too-much", weight=0.9)
    world = a_running(builder)

    decision = world.run(20)

    assert decision.reason is Reason.ABOVE_CEILING
    assert decision.status.phase is Phase.STALLED
    assert decision.problems[0] == (
        'spec.stages[3] "too-much": rankingWeight 0.9 is above the operator\'s ceiling limits.maxRankingWeight; '
        "write at most 0.15"
    )
    assert world.vector() == OFF
