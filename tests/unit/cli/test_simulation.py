"""Virtual time: the whole ladder, injected regressions, determinism, and a fortnight in no time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.cli.files import load_rollout
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.numbers import NumberSignal
from veriramp_operator.cli.simulation.traffic import Noise, Traffic
from veriramp_operator.cli.simulation.world import Options, Run, simulate
from veriramp_operator.engine.types import Direction
from veriramp_operator.evidence import judge
from veriramp_sdk.contract import Mode

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "rollouts"
FORTNIGHT = """
stages:
  - {name: shadow, mode: Shadow, samplingRate: 0.05, bake: 48h}
  - {name: aa, mode: Live, canaryPercent: 5, bake: 48h}
  - {name: weight, mode: Live, rankingWeight: 0.05, ramp: {duration: 24h, interval: 1h}, bake: 48h}
  - {name: quarter, mode: Live, canaryPercent: 25, bake: 48h, promotion: Manual}
  - {name: half, mode: Live, canaryPercent: 50, bake: 48h}
  - {name: full, mode: Live, canaryPercent: 100, bake: 72h}
gates:
  - name: errors
    alert: {expr: 'rate(e_total[1m]) > 0.01', for: 30s, presence: {query: 'rate(r_total[1m])', min: 0.1}}
    selector: r_total
    every: 5s
    onRegression: KillSwitch
  - {name: latency, threshold: {query: lat, max: 2}, onRegression: Shadow}
  - {name: quality, threshold: {query: 'rate(good[5m])', min: 2}, selector: good, onRegression: PreviousStage}
  - {name: cost, threshold: {query: cost, max: 2}, onRegression: Report}
  - {name: pager, firing: {alertnames: [Pager], source: Push}, onRegression: KillSwitch}
"""


def fortnight() -> RolloutSpec:
    return RolloutSpec.model_validate(yaml.safe_load(FORTNIGHT))


def ran(spec: RolloutSpec, *injections: str, **traffic: Any) -> Run:
    parsed = tuple(Injection.parse(text, spec) for text in injections)
    return simulate(spec, Options(parsed, Traffic(**traffic)))


def rises(run: Run) -> list[str]:
    entered = [
        moment.stage for moment in run.timeline if moment.reason == "Promote" and moment.direction.value == "Rise"
    ]
    return list(dict.fromkeys(entered))


@pytest.mark.shows("S1-CAN-01")
@pytest.mark.parametrize("name", ["quickstart", "demo"])
def test_the_examples_come_to_their_end_on_good_evidence(name: str) -> None:
    spec = load_rollout(str(EXAMPLES / f"{name}.yaml")).spec
    run = ran(spec, scrape=min(15.0, *(gate.every for gate in spec.gates)))
    assert run.completed
    assert run.detected_at is None
    assert rises(run) == [stage.name for stage in spec.stages]


def test_a_fortnight_of_six_stages_takes_few_passes() -> None:
    run = ran(fortnight())
    assert run.completed
    assert run.ended_at - run.options.start > 14 * 86400 - 48 * 3600
    assert run.passes < 500


def test_a_run_takes_as_long_as_the_plan_says() -> None:
    run = ran(fortnight())
    guarding = next(moment.at for moment in run.timeline if moment.reason == "Guarding")
    assert guarding - run.options.start == pytest.approx(336 * 3600, abs=120)


@pytest.mark.shows("S1-RAMP-02")
@pytest.mark.parametrize(
    ("injection", "mode", "least", "most"),
    [
        ("errors x3 at half+5h", Mode.OFF, 30, 120),
        ("latency x3 at half+5h", Mode.SHADOW, 0, 31),
        ("quality x3 at half+5h", Mode.LIVE, 0, 330),
        ("pager x2 at half+5h", Mode.OFF, 0, 1),
        ("errors x2 at weight+90m", Mode.OFF, 30, 120),
    ],
)
def test_an_injected_regression_is_found_and_undone(injection: str, mode: Mode, least: float, most: float) -> None:
    run = ran(fortnight(), injection)
    assert run.detection_seconds is not None
    assert least <= run.detection_seconds <= most
    falls = [moment for moment in run.timeline if moment.direction is Direction.FALL]
    assert [fall.vector.mode for fall in falls] == [mode]
    assert run.applied_at is not None
    assert run.users_exposed() is not None
    assert not run.completed


def test_a_report_gate_falls_nowhere() -> None:
    run = ran(fortnight(), "cost x9 at half+5h")
    assert run.detected_at is None


def test_a_regression_too_small_for_its_gate_is_let_through() -> None:
    run = ran(fortnight(), "latency x1.5 at full+90h")
    assert run.completed
    assert run.detected_at is None


@pytest.mark.shows("S1-CAN-05")
def test_a_regression_after_the_last_stage_is_caught_by_the_guard() -> None:
    run = ran(fortnight(), "latency x3 at full+90h")
    assert run.rollback_gate == "latency"
    assert not run.completed


def test_after_the_fall_the_evidence_recovers() -> None:
    run = ran(fortnight(), "latency x3 at half+5h")
    assert [kind for _, kind in run.verdicts["latency"]][:3] == [
        VerdictKind.PASS,
        VerdictKind.REGRESSION,
        VerdictKind.PASS,
    ]


def test_the_same_inputs_give_the_same_run() -> None:
    first, second = (ran(fortnight(), "errors x3 at half+5h", noise=Noise.IID, seed=7) for _ in range(2))
    assert first.timeline == second.timeline
    assert first.verdicts == second.verdicts


def test_a_standstill_is_told() -> None:
    spec = RolloutSpec.model_validate({**yaml.safe_load(FORTNIGHT), "paused": True})
    run = ran(spec)
    assert "stands still, Paused" in run.ending


def test_time_never_goes_back() -> None:
    run = ran(fortnight(), "errors x3 at half+5h", noise=Noise.IID)
    assert all(before.at <= after.at for before, after in pairwise(run.timeline))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("errors twice at half", "write for example"),
        ("nobody x2 at half", "there is no gate 'nobody'"),
        ("errors x2 at nowhere", "there is no stage 'nowhere'"),
        ("errors x2 at half+soon", "not a duration"),
    ],
)
def test_an_injection_that_cannot_be_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Injection.parse(text, fortnight())


def test_a_base_rate_is_held_against_the_bound_of_the_expression() -> None:
    gate = fortnight().gates[0]
    calm, loud = NumberSignal(gate, Traffic(base_rate=0.005)), NumberSignal(gate, Traffic(base_rate=0.02))
    assert not calm.is_bad(1e6)
    assert loud.is_bad(1e6)


def test_a_regression_grows_in_over_the_range_of_the_query() -> None:
    gate = fortnight().gates[0]
    onset = 15.0 * 66_666
    signal = NumberSignal(gate, Traffic(), factor=2.0, onset=onset)
    # Healthy is 60 % of the bound, so x2 passes it when two thirds of the minute are bad.
    assert [signal.is_bad(onset + seconds) for seconds in (15, 30, 45, 60)] == [False, False, True, True]
    assert judge(gate, signal.samples(onset + 60), onset + 60).kind is VerdictKind.INCONCLUSIVE
    assert judge(gate, signal.samples(onset + 75), onset + 75).kind is VerdictKind.REGRESSION


def long_ramp(ramp: str, every: str) -> RolloutSpec:
    """A ramp of long steps, watched by a comparison that leans bad by chance now and then."""
    plan = f"""
stages:
  - {{name: shadow, mode: Shadow, samplingRate: 0.05, bake: 30m}}
  - {{name: canary, mode: Live, canaryPercent: 20, bake: 1h, maxBake: 2h}}
  - {{name: weight, mode: Live, rankingWeight: 0.05, ramp: {ramp}, bake: 1h}}
gates:
  - {{name: up, threshold: {{query: up, min: 1}}, onRegression: Shadow}}
  - name: errors
    every: {every}
    comparison: {{events: e_total, total: r_total}}
    required: false
    onRegression: Shadow
"""
    return RolloutSpec.model_validate(yaml.safe_load(plan))


def test_a_lean_after_quiet_hours_is_no_standstill() -> None:
    """The passes of the ramp's quiet hours are skipped, so a bad sign by chance comes long after the last one."""
    run = ran(long_ramp("{duration: 48h, interval: 24h}", every="10m"), scrape=600.0, rps=0.4, seed=1)
    assert run.completed, run.ending
    assert any(moment.reason == "EvidenceLeansBad" for moment in run.timeline)


def test_a_lean_takes_back_no_quiet_hours_of_the_ramp() -> None:
    """A bad sign by chance stops the ramp's clock while it lasts, and not from the last pass that was made."""
    run = ran(long_ramp("{duration: 12h, interval: 6h}", every="1m"), scrape=60.0, rps=4.0, seed=1)
    rows = [(moment.at, moment.reason) for moment in run.timeline if moment.stage == "weight"]
    leaning = sum(after - at for (at, reason), (after, _) in pairwise(rows) if reason == "EvidenceLeansBad")
    assert run.completed
    assert leaning > 0
    began_at = next(at for at, _ in rows)
    done_at = next(at for at, reason in rows if reason == "Baking")
    assert done_at - began_at <= 12 * 3600 + leaning + 600
