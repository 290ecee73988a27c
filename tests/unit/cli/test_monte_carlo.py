"""Many runs: the same from the same seed whoever does the work, with shares that know how sure they are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support.rollouts import ROOT
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.cli.main import main
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.monte_carlo import Outcomes, quantile, simulate_many, wilson
from veriramp_operator.cli.simulation.runs import Options, Run
from veriramp_operator.cli.simulation.traffic import Noise, Traffic, poisson
from veriramp_operator.cli.simulation.world import simulate

RUNS: Final = 16
FOUR_QUARTERS: Final = """
stages:
  - {name: a, mode: Live, samplingRate: 0.1, canaryPercent: 50, rankingWeight: 0.02, bake: 15m, maxBake: 15m}
  - {name: b, mode: Live, rankingWeight: 0.05, bake: 15m, maxBake: 15m}
  - {name: c, mode: Live, rankingWeight: 0.1, bake: 15m, maxBake: 15m}
  - {name: d, mode: Live, rankingWeight: 0.15, bake: 15m, maxBake: 15m}
gates:
  - {name: arms, comparison: {events: errors_total, total: requests_total}, onRegression: Shadow}
onInconclusive: Promote
allowUnguarded: true
"""


def four_quarters() -> RolloutSpec:
    return RolloutSpec.model_validate(yaml.safe_load(FOUR_QUARTERS))


def ran(*injections: str, runs: int = RUNS, processes: int = 1, noise: Noise = Noise.IID, seed: int = 1) -> Outcomes:
    spec = four_quarters()
    parsed = tuple(Injection.parse(text, spec) for text in injections)
    return simulate_many(spec, Options(parsed, Traffic(noise=noise, seed=seed)), runs, processes)


def test_one_process_and_two_come_to_the_same() -> None:
    alone, shared = (ran("arms x3 at b+2m", processes=processes) for processes in (1, 2))
    assert alone.each == shared.each
    assert alone.first.timeline == shared.first.timeline


def test_each_run_has_a_chance_of_its_own() -> None:
    delays = [outcome.detected_after for outcome in ran("arms x3 at b+2m").each]
    assert len(set(delays)) > 3
    assert delays != [outcome.detected_after for outcome in ran("arms x3 at b+2m", seed=2).each]


def test_the_first_run_is_the_one_that_a_single_simulation_shows() -> None:
    options = Options(traffic=Traffic(noise=Noise.IID))
    assert ran(runs=1).first.timeline == simulate(four_quarters(), options).timeline


@pytest.mark.parametrize("noise", list(Noise))
def test_a_regression_of_the_treatment_is_found_in_any_noise(noise: Noise) -> None:
    outcomes = ran("arms x5 at b+2m", runs=6, noise=noise)
    assert outcomes.detected.value == 1.0
    assert {outcome.stage for outcome in outcomes.each} == {"b"}
    assert all(users > 0 for users in outcomes.users_exposed)


def test_harmless_changes_are_let_through() -> None:
    outcomes = ran(runs=40)
    assert outcomes.rolled_back.having <= 3
    assert outcomes.completed.having + outcomes.rolled_back.having == 40
    assert outcomes.detection_seconds == ()


@pytest.mark.parametrize(
    ("gate", "detected_at", "delay"),
    [("arms", 150.0, 50.0), ("arms", 50.0, None), ("another", 150.0, None)],
)
def test_only_a_fall_by_the_injected_gate_after_the_onset_is_a_detection(
    gate: str, detected_at: float, delay: float | None
) -> None:
    run = Run(Options(), injected_at={"arms": 100.0}, rollback_gate=gate, detected_at=detected_at)
    assert run.detection_seconds == delay


@pytest.mark.parametrize(
    ("having", "runs", "low", "high"),
    [
        # Wilson's interval at 95 %, worked out by hand: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
        (0, 100, 0.0, 0.03699),
        (5, 100, 0.02154, 0.11175),
        (50, 100, 0.40383, 0.59617),
        (100, 100, 0.96301, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_of_a_share(having: int, runs: int, low: float, high: float) -> None:
    assert wilson(having, runs) == pytest.approx((low, high), abs=1e-4)


def test_quantiles() -> None:
    assert quantile((1.0, 2.0, 3.0, 4.0), 0.5) == 2.0
    assert quantile((1.0, 2.0, 3.0, 4.0), 0.9) == 4.0
    assert quantile((), 0.5) is None


@pytest.mark.parametrize("mean", [0.3, 6.0, 30.0, 600.0])
def test_poisson_numbers_have_their_mean_and_variance(mean: float) -> None:
    chance = Traffic(seed=3).stream("test")
    numbers = [poisson(chance, mean) for _ in range(4000)]
    average = sum(numbers) / len(numbers)
    assert average == pytest.approx(mean, rel=0.05)
    assert sum((number - average) ** 2 for number in numbers) / len(numbers) == pytest.approx(mean, rel=0.1)


def test_streams_differ_by_run_and_name_and_repeat() -> None:
    firsts = [Traffic(run=run).stream(name).random() for run, name in itertools.product((0, 1), ("a", "b"))]
    assert len(set(firsts)) == 4
    assert Traffic(run=1).stream("b").random() == firsts[-1]


def test_ctrl_c_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> Outcomes:
        raise KeyboardInterrupt

    monkeypatch.setattr("veriramp_operator.cli.simulate.simulate_many", interrupted)
    assert main(["simulate", str(ROOT / "examples/rollouts/quickstart.yaml"), "--runs", "5"]) == 130
    assert "interrupted after 0 of 5 runs" in capsys.readouterr().err


def test_a_factor_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be above 0"):
        Injection.parse("arms x0 at b", four_quarters())


def test_many_runs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rollout = tmp_path / "rollout.yaml"
    head = "apiVersion: veriramp.dev/v1alpha1\nkind: VerificationRollout\nmetadata: {name: quarters}\n"
    rollout.write_text(head + yaml.safe_dump({"spec": yaml.safe_load(FOUR_QUARTERS)}))
    for number, injection in enumerate(([], ["--inject", "arms x5 at b+2m"])):
        plot = tmp_path / f"{number}.png"
        assert main(["simulate", str(rollout), "--runs", "3", "--plot", str(plot), *injection]) == 0
        assert plot.read_bytes().startswith(b"\x89PNG")
    assert "by the injected 3 of 3" in capsys.readouterr().out
