"""Both tables, check by check, and who wins when several match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.support.builders import (
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
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, Promotion, RampSpec, ReplicasSpec, Scaling
from veriramp_operator.api.status import Phase, Severity, VerdictKind
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction, Problem, Requests, ScaleWorkers, WorkerSeen
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

Change = Callable[[World], None]


def leaning(at: float) -> Verdict:
    return inconclusive(at, leans_bad=True)


def unclear(at: float) -> Verdict:
    return inconclusive(at)


def says(saying: Callable[[float], Verdict], gate: str = "errors") -> Change:
    return lambda world: world.says.update({gate: saying})


def pause(world: World) -> None:
    world.edit(world.spec.model_copy(update={"paused": True}))
    world.tick(1)


def problem(world: World) -> None:
    world.problems = (Problem(Reason.UNKNOWN_ENDPOINT, "no such endpoint"),)


def kill(world: World) -> None:
    world.edit(world.spec.model_copy(update={"kill_switch": True}))


def abort(world: World) -> None:
    world.requests = Requests(abort="now")


def ask(verb: str, stage: str) -> Change:
    def change(world: World) -> None:
        world.requests = replace(world.requests, request=f"{verb}:{stage}@t1")

    return change


def delete(world: World) -> None:
    world.deleting = True


def lag(world: World) -> None:
    world.applied_revision = 0
    assert world.status.propagation is not None
    unconfirmed = world.status.propagation.model_copy(update={"confirmed_at": None, "laggards": ("search-1",)})
    world.status = world.status.model_copy(update={"propagation": unconfirmed})


def nobody(world: World) -> None:
    world.consumers = 0


def breaks_worker(world: World) -> None:
    world.workers["orchestrator"] = WorkerSeen("orchestrator", 1, 0, since=world.now)


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
        (ask("shadow", "half"),),
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
    Case("workers are not there", (breaks_worker,), Reason.WORKERS_NOT_READY, phase=Phase.PROGRESSING),
    Case("data goes before workers", (breaks_worker, says(no_data)), Reason.NO_DATA),
    Case("evidence leans bad, the bake goes on", (says(leaning),), Reason.EVIDENCE_LEANS_BAD, bake_runs=True),
    Case("baking", (), Reason.BAKING, bake_runs=True, phase=Phase.PROGRESSING),
)


def baking() -> World:
    """In the Live stage "half", at its full vector."""
    world = a_running(a_ladder().with_stage("full", canary=100).with_worker("orchestrator"))
    world.run_to("half")
    world.run(60)
    return world


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


@pytest.mark.shows("S1-ROLL-07")
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


def test_workers_that_never_come_stall_after_ten_minutes() -> None:
    world = baking()
    breaks_worker(world)
    assert world.tick(599).status.phase is Phase.PROGRESSING

    assert world.tick(2).status.phase is Phase.STALLED


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (ReplicasSpec(), 1),
        (ReplicasSpec(min=3), 3),
        (ReplicasSpec(min=1, max=8, scaling=Scaling.SAMPLING_RATE), 4),
        (ReplicasSpec(min=5, max=8, scaling=Scaling.SAMPLING_RATE), 5),
        (ReplicasSpec(scaling=Scaling.EXTERNAL), None),
    ],
)
def test_workers_follow_the_vector(replicas: ReplicasSpec, expected: int | None) -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.5).with_worker("orchestrator", replicas)
    world = a_running(builder)
    world.tick(1)

    decision = world.tick(1)

    assert decision.direction is Direction.RISE
    assert [each for each in decision.commands if isinstance(each, ScaleWorkers)] == [
        ScaleWorkers("orchestrator", expected)
    ]
    world.tick(1)
    assert not [each for each in world.tick(1).commands if isinstance(each, ScaleWorkers)]


def test_workers_stop_only_after_off_is_applied() -> None:
    world = baking()
    kill(world)

    falls = world.tick(1)
    then = world.tick(1)

    assert not [each for each in falls.commands if isinstance(each, ScaleWorkers)]
    assert [each for each in then.commands if isinstance(each, ScaleWorkers)] == [ScaleWorkers("orchestrator", 0)]


def test_an_external_worker_needs_its_first_replica() -> None:
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.5)
    world = a_running(builder.with_worker("hpa", ReplicasSpec(scaling=Scaling.EXTERNAL)))
    world.run(3, 1)
    world.workers.clear()

    decision = world.tick(1)

    assert decision.reason is Reason.WORKERS_NOT_READY
    assert "its first replica" in decision.message


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
    ask("promote", "shadow")(world)
    world.run(10)

    assert world.vector().canary_percent == 5


def test_unclear_evidence_holds_past_max_bake_until_a_person_promotes() -> None:
    world = a_running()
    world.run_to("canary", full=True)
    world.says["errors"] = unclear

    decision = world.run(3000)

    assert decision.reason is Reason.INCONCLUSIVE
    assert "maxBake (20m) is over" in decision.message
    ask("promote", "canary")(world)
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


def test_a_ramp_below_the_grid_moves_on_without_publishing() -> None:
    builder = a_rollout().with_stage("a", rate=0.0002, ramp=RampSpec(duration=100, interval=10)).with_gate("errors")
    world = a_running(builder)
    world.run_to("a")
    assert world.published is not None
    revision = world.published.revision

    world.run(40)

    assert world.published.revision <= revision + 1


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


def test_unsupported_fields_stall() -> None:
    slow = a_ladder().with_gate("slow", OnRegression.PREVIOUS_STAGE, step_down=3600.0)
    world = a_running(slow, on_inconclusive="Promote")

    decision = world.run(20)

    assert decision.reason is Reason.NOT_YET_SUPPORTED
    assert "more)" in decision.message or len(decision.problems) == 1


def test_healthy_gates_pass_by_default() -> None:
    assert passes(1.0).kind is VerdictKind.PASS
