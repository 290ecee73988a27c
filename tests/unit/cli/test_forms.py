"""What plan and simulate print: golden texts for people, JSON as docs/schemas says for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.rollouts import ROOT
from tests.support.schema import faults
from veriramp_operator.cli.main import main

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "cli"
QUICKSTART: Final = str(ROOT / "examples/rollouts/quickstart.yaml")
INJECTION: Final = ("--inject", "p95-latency x4 at weight+1h")
COMPLETE: Final = str(ROOT / "tests/data/rollouts/complete.yaml")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plan", ("plan", QUICKSTART, "--start", "2026-12-01")),
        ("plan-windows", ("plan", COMPLETE, "--start", "2026-12-01")),
        ("simulate-completed", ("simulate", QUICKSTART)),
        ("simulate-rolled-back", ("simulate", QUICKSTART, *INJECTION)),
        ("simulate-many", ("simulate", QUICKSTART, *INJECTION, "--runs", "4", "--noise", "bursty")),
    ],
)
def test_texts_are_as_they_were(capsys: pytest.CaptureFixture[str], name: str, arguments: tuple[str, ...]) -> None:
    assert said(capsys, *arguments) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ("plan", ("plan", QUICKSTART)),
        ("plan", ("plan", COMPLETE, "--start", "2026-12-01")),
        ("plan", ("plan", COMPLETE, "--start", "2026-12-01", "--steps")),
        ("simulate", ("simulate", QUICKSTART)),
        ("simulate", ("simulate", QUICKSTART, *INJECTION)),
        ("simulate", ("simulate", QUICKSTART, *INJECTION, "--runs", "3", "--noise", "diurnal")),
    ],
)
def test_json_is_as_the_schema_says(
    capsys: pytest.CaptureFixture[str], schema: str, arguments: tuple[str, ...]
) -> None:
    value = json.loads(said(capsys, *arguments, "-o", "json"))
    assert list(faults(value, schema_of(schema))) == []


def test_what_is_not_in_the_schema_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(said(capsys, "simulate", QUICKSTART, "-o", "json"))
    value["timeline"][0]["vector"]["mode"] = "live"
    broken = {**value, "runs": 0, "seed": "1", "more": True}
    del broken["completedShare"]
    told = " ".join(faults(broken, schema_of("simulate")))
    for part in ("$.runs: 0 is out of range", "$.seed: '1' is no", "more is unknown", "completedShare is missing"):
        assert part in told
    assert "$.timeline[0].vector.mode: 'live' is none of" in told


def schema_of(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "docs/schemas" / f"{name}.json").read_text(encoding="utf-8")))
