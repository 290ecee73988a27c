"""A value that cannot be read is told in one sentence, with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.rollouts import complete, patched
from veriramp_operator.cli.main import main

DURATION: Final = "is not a duration; write for example 90s, 15m or 24h (days as hours: 14 days = 336h)"
QUOTES: Final = 'false is how YAML reads Off without quotes; write "Off", with the quotes'
TABLE: Final[list[tuple[str, Any, str]]] = [
    ("stages/0/mode", False, f"Unreadable at spec.stages[0].mode: {QUOTES}"),
    ("stages/0/mode", "shadow", "spec.stages[0].mode: 'shadow' is not known; write Off, Shadow or Live"),
    ("stages", [], "spec.stages: the list has too few items; write at least 1"),
    ("stages", "shadow", "spec.stages: 'shadow' is no list; write its items in [ ], or each on a line after a dash"),
    ("stages/0", "shadow", "spec.stages[0]: 'shadow' has no fields; write them as name: value"),
    ("stages/0/name", "First try", "spec.stages[0].name: 'First try' is not a name; write lower case letters, digits"),
    ("stages/0/name", "a" * 64, "spec.stages[0].name: the text has 64 characters; write at most 63"),
    ("stages/0/name", "", "spec.stages[0].name: '' is empty; write a text, or leave the field out"),
    ("stages/0/name", 5, "spec.stages[0].name: 5 is no text; write it in quotes"),
    ("stages/0/samplingRate", 5, "spec.stages[0].samplingRate: 5 is too much; write at most 1"),
    ("stages/0/samplingRate", -1, "spec.stages[0].samplingRate: -1 is too little; write at least 0"),
    ("stages/0/samplingRate", "0.1", "spec.stages[0].samplingRate: '0.1' is no number; write one without quotes"),
    ("stages/0/topK", "5", "spec.stages[0].topK: '5' is no whole number; write one without quotes"),
    ("stages/0/bake", -5, "spec.stages[0].bake: -5 is no time that can pass; write 0s or more, for example 15m"),
    ("stages/0/bake", "5m\n", f"spec.stages[0].bake: '5m\\n' {DURATION}"),
    ("stages/0/bake", "2161h", "spec.stages[0].bake: '2161h' is longer than 90 days; write at most 2160h"),
    ("stages/0/bake", True, "spec.stages[0].bake: True is not a duration; write for example 90s, 15m or 24h"),
    ("flags/propagation/quorum", 0, "spec.flags.propagation.quorum: 0 is too little; write more than 0"),
    ("gates/3/baseline/maxDrop", 1, "spec.gates[3].baseline.maxDrop: 1 is too much; write less than 1"),
    ("windows/0/from", "9am", "spec.windows[0].from: '9am' is not a time of day; write hours and minutes, for example"),
    ("windows/0/from", 540, "spec.windows[0].from: 540 is no text; write it in quotes"),
    ("windows", [{"from": "09:00", "to": "10:00"}] * 15, "spec.windows: the list has 15 items; write at most 14"),
    ("paused", "yes", "spec.paused: 'yes' is neither true nor false; write one of them, without quotes"),
    ("workers/0/settings", {"k": [1]}, "spec.workers[0].settings.k: [1] is no setting; write a text, a finite number"),
    ("workers/0/settings", 3, "spec.workers[0].settings: 3 has no fields; write them as name: value"),
    ("windows/0/timezone", "Mars", 'Admission at spec.windows[0]: the time zone "Mars" is not known; write an IANA'),
]


def told(manifest: dict[str, Any], path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Every line but the summary."""
    file = path / "rollout.yaml"
    file.write_text(yaml.safe_dump(manifest))
    assert main(["lint", str(file)]) == 1
    return capsys.readouterr().out.splitlines()[:-1]


@pytest.mark.parametrize(("where", "value", "says"), TABLE, ids=[f"{where}-{value!r:.12}" for where, value, _ in TABLE])
def test_one_sentence(where: str, value: Any, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = patched(complete(), [{"op": "replace", "path": f"/spec/{where}", "value": value}])
    (line,) = told(manifest, tmp_path, capsys)
    assert says in line


def test_each_bad_item_is_told_and_not_that_the_list_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = complete()
    manifest["spec"] = {"stages": [{"name": "a", "mode": "on"}, {"name": "B", "mode": "Off"}]}
    first, second = told(manifest, tmp_path, capsys)
    assert "spec.stages[0].mode: 'on' is not known" in first
    assert "spec.stages[1].name: 'B' is not a name" in second


def test_a_rollout_without_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(patched(complete(), [{"op": "remove", "path": "/metadata/name"}]), tmp_path, capsys)
    assert "metadata.name: the rollout has no name; write metadata: {name: search-verification} or another" in line
