"""No file makes the command line hang, swell or stumble: one sentence, and the exit code of wrong use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hostile_yaml import HOSTILE
from veriramp_operator.cli.main import main

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "rollouts" / "quickstart.yaml"


@pytest.mark.parametrize("command", ["lint", "plan", "simulate"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = HOSTILE[name]
    path = tmp_path / "rollout.yaml"
    path.write_text(f"{EXAMPLE.read_text()}\n---\n{text}")
    assert main([command, str(path)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {path}: not YAML: ")
    assert said in told.err
    assert len(told.err) < 1000


@pytest.mark.parametrize("name", HOSTILE)
def test_a_journal_is_no_yaml_however_hostile(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(HOSTILE[name][0])
    assert main(["replay", str(path)]) == 2
    assert f"error: {path}: there is no decision in " in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        '{"logger":"veriramp.journal","version":1,"at":' + "9" * 5_000 + "}",
        '{"logger":"veriramp.journal","spec":' + '{"a":' * 5_000,
        '{"logger":"veriramp.journal","version":1,"spec":' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
    ids=["a long number", "objects without end", "lists in lists"],
)
def test_a_hostile_line_of_a_journal_is_a_broken_one(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{line}\n")
    assert main(["replay", str(path)]) == 1
    told = capsys.readouterr().out
    assert told.startswith(f"{path}:1: broken: ")
    assert len(told) < 1000


def test_a_list_of_no_items_holds_no_rollout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("kind: List\nitems: 3\n")
    assert main(["lint", str(path)]) == 2
    assert "there is no VerificationRollout in it" in capsys.readouterr().err


def test_a_plan_may_use_aliases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written_out = EXAMPLE.read_text()
    first, last = written_out.index("bake: 24h"), written_out.rindex("bake: 24h")
    assert first != last
    with_alias = f"{written_out[:first]}bake: &day{written_out[first + 5 : last]}bake: *day{written_out[last + 9 :]}"
    path = tmp_path / "rollout.yaml"
    shown = []
    for text in (written_out, with_alias):
        path.write_text(text)
        assert main(["plan", str(path), "--start", "2026-12-01"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
