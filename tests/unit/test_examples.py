"""The example rollouts: sound, without unexplained warnings, and climbing as their headers say (in virtual time)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.support.builders import World, no_data, regresses
from tests.support.engine_acts import leaning
from tests.support.examples import (
    DAY,
    EXAMPLES,
    HOUR,
    PATTERNS,
    ask,
    at,
    climbing,
    declared,
    example,
    passes,
    path_of,
    run,
    run_to,
)
from veriramp_operator.api.gate_rules import KINDS
from veriramp_operator.api.problems import problems
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, Promotion
from veriramp_operator.api.status import Phase, RolloutStatus
from veriramp_operator.cli.outlook import outlook_of
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Direction
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

MONDAY: Final = datetime(2026, 11, 23, 7, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
each_pattern = pytest.mark.parametrize("name", PATTERNS)


def weight(world: World) -> float:
    return world.vector().ranking_weight


# As files


def test_the_patterns_are_the_files_that_are_not_for_learning() -> None:
    files = {file.stem for file in EXAMPLES.glob("*.yaml")}
    assert files - set(PATTERNS) == {"demo", "ladder", "quickstart"}


@each_pattern
def test_a_pattern_is_sound_and_gives_no_warning(name: str) -> None:
    spec = example(name)
    assert problems(spec) == ()
    assert outlook_of(spec, 40.0, 0.01).warnings == ()


@each_pattern
def test_the_header_says_what_for_what_to_adapt_and_where_the_metrics_come_from(name: str) -> None:
    lines = path_of(name).read_text(encoding="utf-8").splitlines(keepends=True)
    header = "".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert re.search(r"^# For: .*^# Adapt: .*^# Metrics: ", header, re.MULTILINE | re.DOTALL)


def test_every_kind_of_gate_and_every_reaction_is_shown_somewhere() -> None:
    gates = [gate for name in PATTERNS for gate in yaml.safe_load(path_of(name).read_text())["spec"]["gates"]]
    assert {kind for gate in gates for kind in KINDS if kind in gate} == set(KINDS)
    assert {gate["onRegression"] for gate in gates} == set(OnRegression)


@pytest.mark.shows("S1-FLAG-08", "S0-05")
@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("phase-0", "Off"),
        ("phase-1", "Shadow rate=0.01 topK=10"),
        ("phase-2", "Shadow rate=0.05 topK=10"),
        ("phase-3", "Shadow rate=0.1 topK=10"),
        ("phase-4", "Live rate=0.2 topK=10 canary=10% weight=0.15"),
        ("phase-5", "Live rate=0.3 topK=10 canary=100% weight=0.15"),
    ],
)
def test_the_phases_end_at_their_presets(stage: str, expected: str) -> None:
    (rung,) = [rung for rung in plan_of(example("phases")).rungs if rung.name == stage]
    assert str(rung.vector) == expected


# Up


@pytest.mark.shows("S1-CAN-01", "S2-CAN-01", "S4-DEP-03")
@pytest.mark.parametrize(
    ("name", "ladder"),
    [
        ("phases", [5, 10, 25, 50, 75, 100]),
        ("short-canary", [10, 30, 100]),
        ("three-steps", [10, 50, 100]),
        ("ab-test", [10, 100]),
        ("every-trigger", [10, 50, 100]),
    ],
)
def test_each_climbs_its_ladder_to_the_guard(name: str, ladder: list[float]) -> None:
    world = climbing(name, MONDAY)
    last = world.spec.stages[-1].name
    percents = [0.0]
    run_to(world, world.spec.stages[0].name)
    for stage in world.spec.stages:
        entered = world.now
        run_to(world, stage.name, full=True)
        percents.append(world.vector().canary_percent)
        run(world, stage.bake_seconds - 60)
        assert world.status.stage is not None
        assert world.status.stage.name == stage.name, f"left {stage.name} after {world.now - entered:g} s"
    run(world, 2 * DAY)
    assert world.status.phase is Phase.GUARDING
    assert world.status.stage is not None
    assert world.status.stage.name == last
    assert [percent for percent, _ in itertools.groupby(percents)][1:] == ladder


@pytest.mark.shows("S1-RAMP-01")
def test_the_weight_rises_by_one_step_a_day_and_is_full_after_fourteen() -> None:
    world = at("phases", "phase-4")
    began = world.now
    steps = {0: weight(world)}
    for moment, vector in run(world, 16 * DAY):
        day = round((moment - began) / DAY)
        assert moment - began == pytest.approx(day * DAY, abs=1 * HOUR)
        steps[day] = vector.ranking_weight
    assert steps == {day: pytest.approx(0.15 * day / 14, abs=1e-4) for day in range(15)}
    assert steps[14] == 0.15


@pytest.mark.shows("S1-RAMP-01")
def test_a_restart_in_the_ramp_goes_on_from_the_same_step() -> None:
    world = at("phases", "phase-4")
    run(world, 7.5 * DAY)
    assert weight(world) == 0.075
    # The new process knows what is stored, and was away for three days.
    world.status = RolloutStatus.model_validate(world.status.to_api())
    world.now += 3 * DAY
    assert run(world, 11 * HOUR) == []
    assert [vector.ranking_weight for _, vector in run(world, 2 * HOUR)] == [pytest.approx(0.15 * 8 / 14, abs=1e-4)]


@pytest.mark.shows("S1-RAMP-02")
@pytest.mark.parametrize("says", [no_data, leaning], ids=["no-data", "leans-bad"])
def test_the_ramp_stands_still_while_a_gate_is_blind_or_leans_bad(says: Callable[[float], Verdict]) -> None:
    world = at("phases", "phase-4")
    run(world, 3.5 * DAY)
    before = weight(world)
    world.says["search-latency"] = says
    assert run(world, 5 * DAY) == []
    assert (weight(world), world.status.rollback) == (before, None)
    world.says.clear()
    # What was left of the day is still to be waited for: half a day, not the five that nobody saw.
    assert run(world, 11 * HOUR) == []
    (after,) = [vector.ranking_weight for _, vector in run(world, 2 * HOUR)]
    assert after == pytest.approx(before + 0.15 / 14, abs=2e-4)


@pytest.mark.shows("S1-CAN-02", "S2-CAN-06")
def test_a_manual_stage_ends_when_a_person_says_so_and_not_before() -> None:
    world = climbing("phases")
    manual = [stage.name for stage in world.spec.stages if stage.promotion is Promotion.MANUAL]
    assert manual == ["phase-0", "phase-1", "phase-2", "phase-3", "phase-4"]
    run_to(world, "phase-1")
    run(world, 30 * DAY)
    assert world.status.reason == Reason.APPROVAL_REQUIRED
    ask(world, "promote", "phase-2")
    run(world, DAY)
    assert world.status.stage is not None
    assert world.status.stage.name == "phase-1", "that was another stage"
    ask(world, "promote")
    run(world, HOUR)
    assert world.status.stage.name == "phase-2"


@pytest.mark.shows("S2-CAN-03")
@pytest.mark.parametrize("gate", ["cost", "cache-hits", "errors-objective", "p95-objective", "coverage-objective"])
def test_nobody_is_promoted_outside_the_objective(gate: str) -> None:
    world = at("short-canary", "thirty-ranked")
    run(world, HOUR)
    world.says[gate] = leaning
    assert run(world, 10 * DAY) == []
    assert (world.vector().canary_percent, world.status.rollback) == (30, None)
    world.says.clear()
    run(world, HOUR)
    assert world.vector().canary_percent == 100


@pytest.mark.shows("S4-DEP-03")
def test_everything_that_rises_does_so_in_the_window_and_a_fall_at_any_time() -> None:
    world = climbing("three-steps", MONDAY)
    risen = []
    for seen in passes(world, 21 * DAY):
        if seen.reason == Reason.APPROVAL_REQUIRED:
            ask(world, "promote")
        if seen.direction is Direction.RISE:
            risen.append(datetime.fromtimestamp(world.now, ZoneInfo("Europe/Berlin")))
    assert world.status.phase is Phase.GUARDING
    assert len(risen) == len(world.spec.stages) + 3, "each stage, and the steps of the ramp"
    assert {moment.weekday() for moment in risen} <= {0, 1, 2, 3}
    assert all(9 <= moment.hour < 16 for moment in risen)
    saturday = datetime(2026, 12, 19, 3, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    run(world, saturday - world.now)
    world.says["p95-latency"] = regresses
    assert world.tick(1).direction is Direction.FALL
    assert world.vector().mode is Mode.SHADOW


# Down


@each_pattern
@pytest.mark.shows("S1-CAN-05", "S1-RBK-02")
def test_the_guard_still_rolls_back_after_the_last_stage(name: str) -> None:
    world = climbing(name, MONDAY)
    run_to(world, world.spec.stages[-1].name, full=True)
    run(world, 14 * DAY)
    assert (world.status.phase, world.vector().canary_percent) == (Phase.GUARDING, 100)
    (gate, *_) = [gate for gate in world.spec.gates if gate.comparison is None and not gate.stages]
    world.says[gate.name] = regresses
    world.tick(1)
    assert world.status.rollback is not None
    assert (world.status.rollback.gate, world.status.rollback.severity) == (gate.name, gate.on_regression.value)
    assert world.vector() == declared(world.spec, gate, world.spec.stages[-1].name)


@pytest.mark.shows("S1-RBK-02")
def test_the_way_down_of_three_steps_takes_one_stage_a_day() -> None:
    world = climbing("three-steps", MONDAY)
    run_to(world, "fifty", full=True)
    run(world, HOUR)
    world.says["errors-vs-control"] = regresses
    fallen = []
    for seen in passes(world, 6 * DAY):
        world.says.clear()
        if seen.direction is Direction.FALL:
            fallen.append((world.now, str(world.vector())))
    days = [(moment - fallen[0][0]) / DAY for moment, _ in fallen]
    assert days == pytest.approx([0, 1, 2, 3], abs=0.02), fallen
    assert [vector for _, vector in fallen] == [
        "Live rate=0.1 topK=10 canary=10% weight=0.15",
        "Live rate=0.1 topK=10 canary=10% weight=0",
        "Shadow rate=0.1 topK=10",
        "Off",
    ]
