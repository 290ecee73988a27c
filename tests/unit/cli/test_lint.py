"""`veriramp lint`: what each code is for, by a plan that has just that; the examples are clean."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import GUIDE, first_column
from tests.support.rollouts import ROOT, bad_rollouts
from veriramp_operator.api.rollout import KIND, RolloutSpec
from veriramp_operator.cli.lint_rules import CODES, Site, findings
from veriramp_operator.cli.main import main

Spec = dict[str, Any]
Change = Callable[[Spec], object]


def a_spec() -> Spec:
    """A plan in which nothing is found."""
    return {
        "stages": [
            {"name": "shadow", "mode": "Shadow", "samplingRate": 0.05, "bake": "1h"},
            {"name": "a-a", "mode": "Live", "canaryPercent": 5, "bake": "1h"},
            {
                "name": "weight",
                "mode": "Live",
                "rankingWeight": 0.1,
                "ramp": {"duration": "1h", "interval": "10m"},
                "bake": "1h",
            },
        ],
        "gates": [
            {
                "name": "errors",
                "alert": {
                    "expr": 'sum(rate(search_errors_total{namespace="s"}[5m])) > 1',
                    "presence": {"query": 'sum(rate(search_requests_total{namespace="s"}[5m]))', "min": 1},
                },
                "selector": 'search_errors_total{namespace="s"}',
                "onRegression": "KillSwitch",
            }
        ],
    }


def a_gate(**fields: Any) -> Spec:
    return {"name": "second", "onRegression": "Shadow", **fields}


def add_gate(**fields: Any) -> Change:
    return lambda spec: spec["gates"].append(a_gate(**fields))


def set_gate(**fields: Any) -> Change:
    return lambda spec: spec["gates"][0].update(fields)


def set_stage(index: int, **fields: Any) -> Change:
    return lambda spec: spec["stages"][index].update(fields)


COMPARISON = {"events": "errors_total", "total": "requests_total"}
BURN = {"errors": "e_total", "total": "r_total", "objective": 0.99}
WINDOW = {"from": "09:00", "to": "10:00"}
TABLE: list[tuple[str, Change, str, str]] = [
    ("Admission", set_stage(2, canaryPercent=1), "spec.stages[2]", "stages may only widen"),
    ("Admission", set_gate(stages=["moon"]), "spec.gates[0]", 'names the stage "moon", which does not exist'),
    (
        "Admission",
        lambda spec: spec.update(windows=[{**WINDOW, "timezone": "Mars/Olympus"}]),
        "spec.windows[0]",
        '"Mars/Olympus" is not known',
    ),
    (
        "PromQL",
        add_gate(threshold={"query": "sum(rate(a_total[5m])", "max": 1}, selector="a_total"),
        "spec.gates[1].threshold.query",
        '1 "(" never closed',
    ),
    ("AboveCeiling", set_stage(2, rankingWeight=0.3), "spec.stages[2].rankingWeight", "above the ceiling 0.15"),
    ("NoActingGate", set_gate(stages=["shadow", "a-a"]), "spec.stages[2]", "has no gate that acts"),
    (
        "NoControl",
        lambda spec: spec.update(
            stages=[spec["stages"][0], {"name": "full", "mode": "Live", "canaryPercent": 100, "bake": "1h"}],
            gates=[{**spec["gates"][0], "stages": ["shadow"]}, a_gate(comparison=COMPARISON)],
        ),
        "spec.stages[1]",
        "only comparison gates",
    ),
    ("SeveralAtOnce", set_stage(2, canaryPercent=50), "spec.stages[2]", "canaryPercent and rankingWeight at once"),
    (
        "WindowLongerThanMaxBake",
        set_stage(1, bake="1m", maxBake="2m"),
        "spec.stages[1].maxBake",
        '"a-a" (maxBake 2m): "errors" 5m',
    ),
    ("WindowLongerThanBake", set_stage(1, bake="1m", maxBake="1h"), "spec.stages[1]", '"a-a" (bake 1m): "errors" 5m'),
    (
        "RampFasterThanGates",
        set_stage(2, ramp={"duration": "1h", "interval": "1m"}),
        "spec.stages[2].ramp.interval",
        "write interval: 5m or more",
    ),
    ("SelectorElsewhere", set_gate(selector="search_errors_total"), "spec.gates[0].selector", 'add namespace="s"'),
    (
        "SelectorElsewhere",
        set_gate(selector='up{namespace="s"}'),
        "spec.gates[0].selector",
        "names up, which the query does not use",
    ),
    (
        "PresenceElsewhere",
        lambda spec: spec["gates"][0]["alert"]["presence"].update(query="count(node_load1)"),
        "spec.gates[0].alert.presence",
        "presence watches node_load1",
    ),
    (
        "ShortWindowTooShort",
        add_gate(burnRate={**BURN, "windows": [{"long": "5m", "short": "30s", "rate": 10}]}),
        "spec.gates[1].burnRate.windows[0].short",
        "fewer than 4 scrapes of 15s; write at least 1m",
    ),
    ("MaxAgeTooShort", set_gate(maxAge="5s"), "spec.gates[0].maxAge", "write at least 30s"),
    (
        "NothingToBeginOn",
        lambda spec: spec.update(gates=[a_gate(firing={"alertnames": ["Down"], "source": "Push"})]),
        "spec.stages[1]",
        'no required gate can pass in stage "shadow"',
    ),
    ("NothingToBeginOn", set_gate(stages=["weight"]), "spec.stages[1]", 'no required gate can pass in stage "shadow"'),
    (
        "NothingToBeginOn",
        lambda spec: spec.update(gates=[a_gate(comparison=COMPARISON)]),
        "spec.stages[1]",
        'stage "a-a" never begins',
    ),
    (
        "BelowGrid",
        set_stage(1, canaryPercent=0.001),
        "spec.stages[1].canaryPercent",
        'stage "a-a": canaryPercent 0.001 is below half of the smallest step 0.01 and runs as 0; write 0.01 or more',
    ),
    (
        "StepDownTooQuick",
        set_gate(onRegression="PreviousStage", stepDown="1s"),
        "spec.gates[0]",
        'gate "errors": stepDown 1s is over before its window (5m) shows whether the last stage down was enough; write',
    ),
    ("BelowGrid", set_stage(0, samplingRate=0.00004), "spec.stages[0].samplingRate", "write 0.0001 or more, or 0"),
    ("BelowGrid", set_stage(2, rankingWeight=0.00004), "spec.stages[2].rankingWeight", "write 0.0001 or more, or 0"),
    (
        "NoDataTooSoon",
        lambda spec: spec.update(onNoData={"after": "0s", "action": "Shadow"}),
        "spec.onNoData.after",
        'onNoData.after 0s is shorter than 3 answers of gate "errors" (every 15s)',
    ),
    ("LeaseOff", lambda spec: spec.update(flags={"leaseSeconds": 0}), "spec.flags.leaseSeconds", "write 240"),
    ("NoKillSwitch", set_gate(onRegression="Shadow"), "spec.gates", "no gate has onRegression: KillSwitch"),
    (
        "PushNeedsReceiver",
        add_gate(firing={"alertnames": ["Down"], "source": "Push"}),
        "spec.gates[1].firing",
        "hears of Down only where Alertmanager",
    ),
]


def test_nothing_is_found_in_a_sound_plan() -> None:
    assert findings(RolloutSpec.model_validate(a_spec()), Site()) == []


@pytest.mark.parametrize(("code", "change", "field", "said"), TABLE, ids=lambda value: value if value in CODES else "")
def test_each_code(code: str, change: Change, field: str, said: str) -> None:
    spec = a_spec()
    change(spec)
    found = findings(RolloutSpec.model_validate(spec), Site())
    assert [one for one in found if one.code == code and one.field == field and said in one.message], found


@pytest.mark.parametrize(
    "change",
    [
        set_stage(0, samplingRate=0),
        set_stage(0, samplingRate=0.0001),
        set_stage(1, canaryPercent=0.01),
        add_gate(threshold={"query": "up", "max": 1}, onRegression="PreviousStage", stepDown="5m"),
        lambda spec: spec.update(onNoData={"after": "0s", "action": "Hold"}),
        lambda spec: spec.update(onNoData={"after": "45s", "action": "Shadow"}),
    ],
)
def test_what_is_just_enough_is_not_told(change: Change) -> None:
    spec = a_spec()
    change(spec)
    assert findings(RolloutSpec.model_validate(spec), Site()) == []


def test_what_is_short_in_many_stages_for_many_gates_is_one_sentence() -> None:
    spec = a_spec()
    for stage in spec["stages"][1:]:
        stage.update(bake="1m", maxBake="2m")
    spec["stages"].append({**spec["stages"][-1], "name": "long", "bake": "10m", "maxBake": "20m"})
    spec["gates"].append({**spec["gates"][0], "name": "slow", "window": "30m"})
    found = {one.code: one for one in findings(RolloutSpec.model_validate(spec), Site()) if one.code.startswith("Win")}
    gates = '"errors" 5m, "slow" 30m'
    assert found["WindowLongerThanMaxBake"].message == (
        f"maxBake is over before a gate has evidence of the stage alone: {_stages(spec, 'maxBake')}: {gates}; "
        'stage "long" (maxBake 20m): "slow" 30m; raise maxBake or shorten the gate\'s window'
    )
    assert found["WindowLongerThanBake"].message == (
        f"promotion waits for evidence of the stage alone where a gate looks back further: {_stages(spec, 'bake')}: "
        f'{gates}; stage "long" (bake 10m): "slow" 30m'
    )
    assert {one.field for one in found.values()} == {"spec.stages"}


def _stages(spec: Any, key: str) -> str:
    return "stages " + ", ".join(f'"{each["name"]}" ({key} {each[key]})' for each in spec["stages"][1:-1])


def test_every_code_has_a_case() -> None:
    elsewhere = {"Unreadable", "WindowsNeverOpen", "RampStretched"}
    assert {code for code, *_ in TABLE} | elsewhere == set(CODES)


@pytest.mark.parametrize("bad", bad_rollouts(), ids=lambda bad: bad.name)
def test_what_admission_refuses_is_an_error(bad: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(bad.manifest()))
    assert main(["lint", str(path)]) == 1


def test_what_is_told_of_the_site_counts() -> None:
    spec = a_spec()
    spec["stages"][2]["rankingWeight"] = 0.3
    spec["gates"][0]["maxAge"] = "20s"
    read = RolloutSpec.model_validate(spec)
    assert [one.code for one in findings(read, Site(max_ranking_weight=0.5))] == []
    assert [one.code for one in findings(read, Site(60.0, 0.5))] == ["MaxAgeTooShort"]


def manifest(spec: Spec) -> str:
    return yaml.safe_dump(
        {"apiVersion": "veriramp.dev/v1alpha1", "kind": KIND, "metadata": {"name": "demo"}, "spec": spec}
    )


def test_the_examples_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(ROOT / "examples" / "rollouts"), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_a_folder_an_error_and_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.yaml").write_text(manifest(a_spec()) + "---\nkind: ConfigMap\n")
    spec = a_spec()
    spec["stages"][2]["rankingWeight"] = 0.3
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "bad.yml").write_text(manifest(spec))
    (tmp_path / "sub" / "other.yaml").write_text("kind: ConfigMap\n")
    assert main(["lint", str(tmp_path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path}/sub/bad.yml: demo: error AboveCeiling at spec.stages[2].rankingWeight: stage")
    assert last == "2 rollouts: 1 error"


def test_warnings_alone_are_no_error_and_hints_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = a_spec() | {"flags": {"leaseSeconds": 0}}
    spec["gates"][0]["onRegression"] = "Shadow"
    for options, severities in (([], {"warning"}), (["--hints"], {"warning", "hint"})):
        monkeypatch.setattr(sys, "stdin", io.StringIO(manifest(spec)))
        assert main(["lint", "-", "-o", "json", *options]) == 0
        assert {one["severity"] for one in json.loads(capsys.readouterr().out)["findings"]} == severities


def test_a_field_that_does_not_exist_is_named_with_the_one_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = a_spec()
    spec["gates"][0]["alert"]["presence"]["minimum"] = 1
    spec["stages"][1]["canaryPercentage"] = 5
    (tmp_path / "bad.yaml").write_text(manifest(spec))
    assert main(["lint", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert 'unknown field "spec.gates[0].alert.presence.minimum"' in out
    assert 'unknown field "spec.stages[1].canaryPercentage"; write "canaryPercent"' in out


def test_a_field_of_a_wrong_kind_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = a_spec()
    spec["stages"][0]["bake"] = "a day"
    path = tmp_path / "bad.yaml"
    path.write_text(manifest(spec))
    assert main(["lint", str(path)]) == 1
    assert "error Unreadable at spec.stages[0].bake: 'a day' is not a duration; write for" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "name a readable YAML file"), ("a: [", "not YAML"), ("kind: ConfigMap", f"there is no {KIND} in it")],
)
def test_what_cannot_be_read(text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["lint", str(path)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.shows("S4-DEP-04")
def test_every_code_is_explained_in_the_guide() -> None:
    assert sorted(first_column(GUIDE / "lint.md", "Codes")) == sorted(CODES)
