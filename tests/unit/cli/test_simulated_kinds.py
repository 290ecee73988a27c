"""Every kind of gate in virtual time: it lets a healthy rollout through, and an injection into it brings it down."""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.cli.outlook import outlook_of
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.runs import FINE_ESTIMATES, MOST_ESTIMATES, Estimate, Options, Run, Trace
from veriramp_operator.cli.simulation.traffic import Noise, Traffic
from veriramp_operator.cli.simulation.world import simulate
from veriramp_operator.engine.types import Direction

STAGES: Final = """
stages:
  - {name: shadow, mode: Shadow, samplingRate: 0.1, bake: 30m}
  - {name: half, mode: Live, canaryPercent: 50, rankingWeight: 0.05, bake: 1h, maxBake: 6h}
gates:
  - {name: steady, threshold: {query: steady, max: 1}, onRegression: Report}
"""
KINDS: Final = {
    "alert": "alert: {expr: 'rate(e_total[1m]) > 0.01', for: 30s, presence: {query: r, min: 1}}, selector: r",
    "threshold-max": "threshold: {query: lat, max: 2}",
    "threshold-min": "threshold: {query: good, min: 2}",
    "baseline": "baseline: {query: p, baselineQuery: b, maxDrop: 0.05}, maxAge: 26h",
    "baseline-interval": (
        "baseline: {query: p, baselineQuery: b, maxDrop: 0.05, lowerQuery: l, upperQuery: u}, maxAge: 26h"
    ),
    "burn-rate": (
        "burnRate: {errors: e_total, total: r_total, objective: 0.9,"
        " windows: [{long: 20m, short: 5m, rate: 4}, {long: 40m, short: 10m, rate: 2}]}"
    ),
    "firing-push": "firing: {alertnames: [A, B], source: Push}",
    "firing-pull": "firing: {alertnames: [A, B], source: Pull}",
    "firing-both": "firing: {alertnames: [A, B], source: Both}",
    "comparison": "comparison: {events: e_total, total: r_total, tolerance: 0.3}",
    "comparison-higher": "comparison: {events: c_total, total: r_total, tolerance: 0.3, direction: HigherIsBetter}",
}


def spec_of(kind: str, **more: Any) -> RolloutSpec:
    content = yaml.safe_load(STAGES) | more
    content["gates"].append({"name": "watch", "onRegression": "Shadow", **yaml.safe_load("{" + KINDS[kind] + "}")})
    return RolloutSpec.model_validate(content)


def ran(spec: RolloutSpec, *injections: str, traced: bool = False, **traffic: Any) -> Run:
    parsed = tuple(Injection.parse(text, spec) for text in injections)
    return simulate(spec, Options(parsed, Traffic(**traffic), traced=traced))


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_rollout_comes_to_its_end(kind: str) -> None:
    run = ran(spec_of(kind, allowUnguarded=True))
    assert run.completed, run.ending
    assert run.detected_at is None


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.DIURNAL])
@pytest.mark.parametrize("kind", KINDS)
def test_an_injection_brings_it_down(kind: str, noise: Noise) -> None:
    run = ran(spec_of(kind, allowUnguarded=True), "watch x3 at half+10m", noise=noise)
    assert run.rollback_gate == "watch"
    assert run.detection_seconds is not None
    assert 0 <= run.detection_seconds <= 1800
    assert (run.safe_seconds or 0.0) > run.detection_seconds
    assert run.users_exposed() is not None


def test_a_stage_that_proves_nothing_stands_still_and_says_why() -> None:
    run = ran(spec_of_three("Hold"), rps=0.1)
    assert not run.completed
    assert "stands still, Inconclusive" in run.ending
    assert "maxBake (6h) is over" in run.ending


@pytest.mark.parametrize(("policy", "completed"), [("Promote", True), ("Rollback", False)])
def test_on_inconclusive_decides_at_max_bake(policy: str, completed: bool) -> None:
    run = ran(spec_of_three(policy), rps=0.1)
    assert run.completed is completed
    falls = [moment for moment in run.timeline if moment.direction is Direction.FALL]
    assert [fall.reason for fall in falls] == ([] if completed else ["InconclusiveTooLong"])


def spec_of_three(policy: str) -> RolloutSpec:
    content = yaml.safe_load(STAGES)
    content["stages"].append({"name": "more", "mode": "Live", "rankingWeight": 0.1, "bake": "10m"})
    content["gates"].append(
        {"name": "watch", "onRegression": "Shadow", **yaml.safe_load("{" + KINDS["comparison"] + "}")}
    )
    content["gates"][-1]["stages"] = ["half"]
    return RolloutSpec.model_validate(content | {"onInconclusive": policy, "allowUnguarded": True})


def test_a_step_down_is_followed_to_the_bottom() -> None:
    spec = spec_of("threshold-max", allowUnguarded=True)
    gate = spec.gates[1].model_validate(spec.gates[1].to_api() | {"onRegression": "PreviousStage", "stepDown": "24h"})
    run = ran(spec.model_copy(update={"gates": (gate,)}), "watch x3 at half+10m")
    falls = [moment for moment in run.timeline if moment.direction is Direction.FALL]
    assert [str(fall.vector.mode) for fall in falls] == ["Shadow", "Off"]
    assert falls[1].at - falls[0].at == pytest.approx(86400, abs=60)


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
def test_windows_are_waited_for_as_the_plan_says(timezone: str) -> None:
    windows = [{"days": ["Mon", "Wed"], "from": "09:00", "to": "10:00", "timezone": timezone}]
    spec = spec_of("threshold-max", windows=windows)
    run = ran(spec)
    outlook = outlook_of(spec, 40.0, None, run.options.start)
    begun = [
        moment.at - run.options.start
        for moment in run.timeline
        if moment.direction is Direction.RISE and moment.reason == "Promote"
    ]
    assert run.completed
    assert begun == pytest.approx([stage.starts_after for stage in outlook.stages], abs=60)


def test_windows_that_never_open_end_the_simulation() -> None:
    spec = spec_of("threshold-max", windows=[{"from": "09:00", "to": "10:00", "timezone": "Nowhere/Atlantis"}])
    run = ran(spec)
    assert not run.completed
    assert run.ending.startswith("stands still")


def test_what_a_comparison_estimates_is_kept_for_a_picture() -> None:
    run = ran(spec_of("comparison", allowUnguarded=True), "watch x3 at half+10m", traced=True)
    estimates = list(run.estimates["watch"])
    assert all(each.lower <= each.difference <= each.upper for each in estimates)
    assert estimates[-1].late > 0.01
    assert estimates[-1].limit == pytest.approx(0.003, rel=0.3)


def test_a_long_trace_keeps_its_ends_and_thins_its_middle() -> None:
    trace = Trace()
    for number in range(10 * MOST_ESTIMATES):
        trace.add(Estimate(float(number), 0.0, -1.0, 1.0, 0.1, 0.0))
    times = [each.at for each in trace]
    assert times == sorted(times)
    assert times[0] == 0.0
    assert times[-1] == 10 * MOST_ESTIMATES - 1
    assert len(times) <= MOST_ESTIMATES + FINE_ESTIMATES
    assert times[-FINE_ESTIMATES:] == list(range(int(times[-FINE_ESTIMATES]), 10 * MOST_ESTIMATES))
