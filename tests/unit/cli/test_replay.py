"""`veriramp replay`: a run with a rise, a fall and a restart replays; whatever does not is named with its line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import World, a_ladder
from tests.support.compared_run import a_compared_run
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.cli.main import main
from veriramp_operator.engine import RULES, decide
from veriramp_operator.evidence.types import Failure, Reading, Samples, Series
from veriramp_operator.resources.journal import JournalEntry, Scribe
from veriramp_sdk import __version__

Edit = Callable[[dict[str, Any]], object]


def a_run(passes: int = 900) -> list[str]:
    """A journal in which a rollout rises, is blind for a while, restarts, and is rolled back by a breach."""
    world, scribe, lines = World(a_ladder().build()), Scribe(), []
    for number in range(passes):
        world.now += 2.0
        if number == passes // 2:
            world.status = RolloutStatus.model_validate(world.status.to_api())
        breached = number > passes - 60
        blind = passes // 3 < number < passes // 3 + 20
        answer = Failure(NoDataReason.TIMEOUT, "no answer") if blind else Series((5.0,) if breached else ())
        readings = (Reading(world.now, answer, Series((9.0,)), Series((world.now - 1.0,))),)
        seen = replace(world.observe(), samples={"errors": Samples(readings)})
        decision = decide(world.spec, world.status, seen, world.now)
        if number % 10 == 0 or decision.commands:
            lines.append(
                scribe.line(
                    JournalEntry(world.now, seen.namespace, seen.name, world.spec, world.status, seen, decision)
                )
            )
        world.apply(decision)
    assert world.status.rollback is not None
    return lines


RUN = a_run()


def written(tmp_path: Path, lines: list[str], name: str = "journal.jsonl") -> str:
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def edited(line: str, edit: Edit) -> str:
    raw = json.loads(line)
    edit(raw)
    return json.dumps(raw)


def test_a_run_replays_without_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directions = {json.loads(line)["decision"]["direction"] for line in RUN}
    assert directions == {"Rise", "Hold", "Fall"}
    assert main(["replay", written(tmp_path, RUN)]) == 0
    assert capsys.readouterr().out == f"{len(RUN)} decisions of 1 rollout: 0 differ\n"


def test_each_line_replays_alone_and_in_any_order(tmp_path: Path) -> None:
    assert main(["replay", written(tmp_path, RUN[::-1][::7])]) == 0


def test_a_log_with_the_journal_in_it_replays_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = [
        '{"level":"INFO","logger":"veriramp.lease","message":"leading"}',
        *RUN[:3],
        "",
        "veriramp-operator: bye",
        "7",
    ]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(log).encode())))
    assert main(["replay", "-"]) == 0
    assert capsys.readouterr().out == "3 decisions of 1 rollout (3 lines of a log passed over): 0 differ\n"


def test_a_folder_is_all_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, RUN[:5], "journal-1.jsonl")
    written(tmp_path, RUN[5:9], "journal-2.jsonl")
    assert main(["replay", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("9 decisions")


def test_a_difference_is_told_field_by_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def lie(raw: dict[str, Any]) -> None:
        raw["decision"]["reason"] = "Guarding"
        raw["decision"]["status"]["reason"] = "Guarding"

    path = written(tmp_path, [*RUN[:2], edited(RUN[2], lie)])
    assert main(["replay", path]) == 1
    out = capsys.readouterr().out
    real = json.loads(RUN[2])["decision"]["reason"]
    assert f"{path}:3: search/rollout at " in out
    assert "  reason         recorded    Guarding\n" in out
    assert f"                 recomputed  {real}\n" in out
    assert "  status.reason  recorded    Guarding\n" in out
    assert out.endswith("3 decisions of 1 rollout: 1 differ\n")


def test_a_difference_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [edited(RUN[2], lambda raw: raw["decision"].update(message="all is well"))])
    assert main(["replay", path, "-o", "json"]) == 1
    told, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [one["field"] for one in told["differences"]] == ["message"]
    assert (summary["decisions"], summary["differing"], summary["broken"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (RUN[0][: len(RUN[0]) // 2], "broken: "),
        ('{"time": ', "broken: "),
        (edited(RUN[0], lambda raw: raw.pop("observation")), "broken: observation: the line has none"),
        (edited(RUN[0], lambda raw: raw["observation"].pop("uid")), "broken: observation.uid: a Observation needs it"),
        (edited(RUN[0], lambda raw: raw.update(version=9)), "broken: version: 9 is unknown; this program reads"),
        (edited(RUN[0], lambda raw: raw.update(rules="new")), "broken: rules: 'new' is no int"),
        (edited(RUN[0], lambda raw: raw.update(at="noon")), "broken: at: 'noon' is no number"),
    ],
)
def test_a_broken_line_is_named(line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [RUN[0], line, RUN[1]])
    assert main(["replay", path]) == 1
    out = capsys.readouterr().out
    assert f"{path}:2: {said}" in out
    assert out.endswith("2 decisions of 1 rollout: 0 differ, 1 line broken\n")


def by_other_rules(line: str, rules: int | None, edit: Edit = dict) -> str:
    """The line as an engine with other rules wrote it; None: from before rules were numbered."""
    raw = json.loads(line)
    edit(raw)
    del raw["rules"]
    return json.dumps(raw if rules is None else {**raw, "rules": rules})


def test_another_version_with_the_same_rules_is_not_worth_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", written(tmp_path, [edited(RUN[0], lambda raw: raw.update(engine="0.0.1"))])]) == 0
    assert capsys.readouterr().out == "1 decisions of 1 rollout: 0 differ\n"


def test_decisions_by_other_rules_are_counted_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [by_other_rules(RUN[0], None), by_other_rules(RUN[1], RULES + 1), by_other_rules(RUN[2], None), RUN[3]]
    assert main(["replay", written(tmp_path, lines)]) == 0
    assert capsys.readouterr().out == (
        f"3 of 4 decisions were made by other rules (2 by rules without a number of {__version__}, "
        f"1 by rules {RULES + 1} of {__version__}) than those of this program (rules {RULES} of {__version__}): "
        "where they differ, that can be meant; replay them with the program that made them\n"
        "4 decisions of 1 rollout: 0 differ\n"
    )


def test_a_difference_by_other_rules_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a difference all the same: exit code 1."""

    def changed(raw: dict[str, Any]) -> None:
        raw["decision"]["message"] = "all is well"

    lines = [by_other_rules(RUN[0], None, changed), edited(RUN[1], changed), RUN[2]]
    assert main(["replay", written(tmp_path, lines)]) == 1
    assert capsys.readouterr().out.endswith("3 decisions of 1 rollout: 2 differ (1 made by other rules)\n")
    assert main(["replay", written(tmp_path, lines), "-o", "json"]) == 1
    *told, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [one["rules"] for one in told] == [None, RULES]
    assert (summary["differing"], summary["differingByOtherRules"], summary["rules"]) == (2, 1, RULES)
    assert [(one["rules"], one["decisions"]) for one in summary["made"]] == [(None, 1), (RULES, 2)]


@pytest.mark.parametrize("content", [None, "", '{"level":"INFO","logger":"other"}\n'])
def test_nothing_to_replay_is_wrong_use(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "journal.jsonl"
    if content is not None:
        path.write_text(content)
    assert main(["replay", str(path)]) == 2
    assert "journal" in capsys.readouterr().err


def test_a_comparison_decided_scrape_by_scrape_is_decided_the_same_from_its_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the operator remembers of earlier scrapes must not matter: backwards, there is nothing to remember."""
    lines = [Scribe().line(entry) for entry in a_compared_run()]
    assert main(["replay", written(tmp_path, lines[::-1])]) == 0, capsys.readouterr().out
    program = [sys.executable, "-m", "veriramp_operator.cli.main", "replay", str(tmp_path / "journal.jsonl")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(lines)} decisions of 1 rollout: 0 differ\n")
