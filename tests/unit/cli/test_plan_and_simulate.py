"""The commands as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from veriramp_operator.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
QUICKSTART = str(ROOT / "examples/rollouts/quickstart.yaml")


HEAD = "apiVersion: veriramp.dev/v1alpha1\nkind: VerificationRollout\nmetadata: {name: mine}\n"
RAISES_TWO = f"""{HEAD}spec:
  stages:
    - {{name: shadow, mode: Shadow, samplingRate: 0.1, bake: 1h}}
    - {{name: both, mode: Live, canaryPercent: 1, rankingWeight: 0.1, bake: 1m}}
    - {{name: full, mode: Live, canaryPercent: 100, bake: 1h}}
  gates:
    - {{name: latency, stages: [both], threshold: {{query: lat, max: 1}}, onRegression: Shadow}}
    - {{name: arms, stages: [full], comparison: {{events: e, total: t}}, onRegression: Shadow}}
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    return err if code else out


@pytest.mark.shows("S4-DEP-02")
def test_a_plan_shows_stages_times_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "plan", QUICKSTART, "--start", "2026-12-01")
    assert "3 stages, 1 gate, 2d 12h at the earliest" in text
    assert "+1d 6h  Wed 2026-12-02 06:00Z" in text
    assert "12 steps, one per 30m: ranking weight 0 > 0.0041" in text


def test_a_plan_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads(said(capsys, "plan", QUICKSTART, "-o", "json"))
    assert [stage["name"] for stage in plan["stages"]] == ["shadow", "canary", "weight"]
    assert plan["stages"][2]["startsAfter"] == "30h"
    assert plan["stages"][2]["duration"] == "30h"
    assert plan["stages"][2]["vector"]["rankingWeight"] == 0.05
    assert plan["stages"][0]["detectableEffect"] is None
    assert 0.1 < plan["stages"][2]["detectableEffect"] < 0.3


def test_a_plan_for_machines_has_dates_and_steps_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    bare = json.loads(said(capsys, "plan", QUICKSTART, "-o", "json"))["stages"][2]
    assert not {"begins", "steps"} & set(bare)
    full = json.loads(said(capsys, "plan", QUICKSTART, "-o", "json", "--start", "2026-12-01", "--steps"))["stages"]
    assert [stage["begins"][:16] for stage in full] == ["2026-12-01T00:00", "2026-12-02T00:00", "2026-12-02T06:00"]
    steps = full[2]["steps"]
    assert len(steps) == 13
    assert (steps[0]["after"], steps[0]["vector"]["rankingWeight"]) == ("30h", 0)
    assert (steps[-1]["after"], steps[-1]["vector"]) == ("36h", full[2]["vector"])


@pytest.mark.shows("S2-CAN-04")
def test_a_plan_warns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(RAISES_TWO)
    warnings = json.loads(said(capsys, "plan", str(path), "-o", "json"))["warnings"]
    for part in (
        "raises canaryPercent and rankingWeight at once",
        "evidence of the stage alone where a gate looks back further: stage",
        '"full" has 100 % treatment and only comparison gates',
    ):
        assert any(part in warning for warning in warnings), part


ABOVE = 'stage "both": rankingWeight 0.2 is above 0.15, the ceiling of an operator with default settings'


def test_a_weight_above_the_ceiling_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(RAISES_TWO.replace("rankingWeight: 0.1", "rankingWeight: 0.2"))
    assert f"  warning: {ABOVE}" in said(capsys, "plan", str(path))
    assert main(["simulate", str(path)]) == 0
    assert f"warning: {ABOVE}" in capsys.readouterr().err
    path.write_text(RAISES_TWO.replace("rankingWeight: 0.1", "rankingWeight: 0.15"))
    assert "ceiling" not in said(capsys, "plan", str(path))


@pytest.mark.parametrize(
    ("ramp", "says"),
    [
        ("{duration: 2s, shape: Steps, steps: [1]}", " 1 step, one per 2s: "),
        ("{duration: 2160h, interval: 1s}", "  90d  "),
        ("{duration: 700h, interval: 1s}", "  29d 4h  "),
    ],
)
def test_a_ramp_is_told_as_it_was_written(
    ramp: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(RAISES_TWO.replace("canaryPercent: 100, bake: 1h", f"canaryPercent: 100, bake: 1h, ramp: {ramp}"))
    assert says in said(capsys, "plan", str(path))


def test_an_assumed_approval_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(Path(QUICKSTART).read_text().replace("mode: Shadow", "mode: Shadow, promotion: Manual", 1))
    text = said(capsys, "simulate", str(path))
    assert text.count("approval assumed, as if a person promoted it at once") == 1


@pytest.mark.shows("S2-CAN-05", "S4-DEP-02")
def test_a_simulated_rollback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plot = tmp_path / "out.png"
    text = said(capsys, "simulate", QUICKSTART, "--inject", "p95-latency x4 at weight+1h", "--plot", str(plot))
    assert "FALL after 2 ramp steps to Shadow" in text
    assert 'rolled back by gate "p95-latency"' in text
    assert "from regression to safe" in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_simulation_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(said(capsys, "simulate", QUICKSTART, "--inject", "p95-latency x4 at weight+1h", "-o", "json"))
    assert (result["runs"], result["rolledBackShare"], result["completedShare"]) == (1, 1.0, 0.0)
    assert 0 < result["detectionSeconds"]["p50"] < 300
    assert result["usersExposed"]["p50"] > 0
    assert {"at", "stage", "vector", "direction", "reason"} == set(result["timeline"][0])


def test_an_injection_that_is_never_reached_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    injections = ("--inject", "p95-latency x4 at shadow", "--inject", "pager x2 at half")
    text = said(capsys, "simulate", str(ROOT / "examples/rollouts/demo.yaml"), *injections)
    assert "pager x2: never injected, stage half was not reached" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", "nowhere.yaml"), "nowhere.yaml: No such file"),
        (("plan", "README.md"), "README.md: "),
        (("simulate", QUICKSTART, "--inject", "odd"), "write for example"),
        (("simulate", QUICKSTART, "--plot", "/nowhere/out.png"), "there is no folder /nowhere; name a writable PNG"),
        (("simulate", QUICKSTART, "--plot", "docs"), "--plot docs: name a writable PNG"),
        (("simulate", QUICKSTART, "--plot", "run.pdf"), "--plot run.pdf: name a writable PNG"),
    ],
)
def test_wrong_use_says_what_to_write(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert says in said(capsys, *arguments, code=2)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--start", "9999-12-31", "'9999-12-31' is not between 1970 and 9000; write for example 2026-12-01"),
        ("--start", "0001-01-01", "is not between 1970 and 9000"),
        ("--start", "soon", "'soon' is no date"),
        ("--rps", "inf", "'inf' is no number of requests per second (0.000001 or more); write for example 40"),
        ("--rps", "nan", "is no number of requests per second"),
        ("--rps", "1e-300", "is no number of requests per second"),
        ("--rps", "many", "'many' is not a number"),
        ("--base-rate", "nan", "'nan' is no share between 0 and 1"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "simulate"])
def test_a_value_that_means_nothing_is_refused(
    command: str, option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, QUICKSTART, option, value])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("start", ["1970-01-01", "9000-12-31"])
def test_a_start_may_be_early_or_late(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f" {start} 00:00Z" in said(capsys, "plan", QUICKSTART, "--start", start, "--rps", "0.000001")


def test_a_wrong_field_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(f"{HEAD}spec: {{stages: [{{name: a, mode: Live, bake: soon}}]}}\n")
    text = said(capsys, "plan", str(path), code=2)
    assert "spec.stages[0].bake" in text
    assert "'soon'" in text


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("canaryPercent: 1,", "canaryPercentage: 1,", 'unknown field "spec.stages[1].canaryPercentage"; write "canary'),
        ("bake: 1m", "bake: 1", 'spec.stages[1].bake: 1 has no unit; write "1s", "1m" or "1h"'),
        ("rankingWeight: 0.1", 'rankingWeight: "0.1"', "spec.stages[1].rankingWeight: '0.1' is no number; write one"),
        ("query: lat, max: 1", "query: lat, max: .nan", "spec.gates[0].threshold.max: nan is no number to hold"),
        ("query: lat, max: 1", "query: lat, min: .inf", "spec.gates[0].threshold.min: inf is no number to hold"),
        ("query: lat, max: 1", "query: lat, max: 1, presence: {query: r, min: .nan}", "presence.min: nan is no number"),
        ("samplingRate: 0.1", "samplingRate: .nan", "spec.stages[0].samplingRate: nan is no number"),
        ("bake: 1m", "bake: .nan", "spec.stages[1].bake: "),
        (
            "  gates:",
            "  workers: [{profile: a, settings: {k: .nan}}]\n  gates:",
            "settings.k: nan is no setting; write a text",
        ),
        ("  stages:", "  stges:", "spec.stages: this field is missing"),
        ("  gates:", "  stages: []\n  gates:", 'the key "stages" stands twice; keep one\n  line 9, column 3'),
        ("v1alpha1", "v1", "apiVersion 'veriramp.dev/v1' is not known; write \"veriramp.dev/v1alpha1\""),
    ],
)
def test_a_plan_refuses_what_the_api_server_would_refuse(
    old: str, new: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "rollout.yaml"
    assert RAISES_TWO.count(old) == 1
    path.write_text(RAISES_TWO.replace(old, new))
    assert says in said(capsys, "plan", str(path), code=2)


def test_a_file_with_two_rollouts_is_about_the_first_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(f"{RAISES_TWO}---\n{RAISES_TWO}")
    assert main(("plan", str(path))) == 0
    assert "holds 2 rollouts; this is about the first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("injection", "says"),
    [
        ("pager x2 at a-a+5s", "a-a     injected: pager x2\n"),
        ("p95-latency x1.1 at a-a", "p95-latency x1.1: its gate never regressed"),
    ],
)
def test_what_an_injection_came_to(injection: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "simulate", str(ROOT / "examples/rollouts/demo.yaml"), "--inject", injection)
    assert says in text
    assert "FALL" not in text or text.index("injected") < text.index("FALL")


def test_a_gate_that_only_reports_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ladder = str(ROOT / "examples/rollouts/ladder.yaml")
    text = said(capsys, "simulate", ladder, "--inject", "slow-verdicts x5 at canary-25+2h")
    assert 'canary-25  gate "slow-verdicts" regresses' in text
    assert "all stages done" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "version").startswith("veriramp ")
