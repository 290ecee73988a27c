"""What the CLI makes of a rollout: which stage a request means, what it advises, what it repeats of kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from veriramp_operator.api.object import Rollout, parse_rollout
from veriramp_operator.cli.ask import _stage
from veriramp_operator.cli.kubectl import _sentence
from veriramp_operator.cli.main import main
from veriramp_operator.cli.screen import next_steps, render

NOW = 1_790_000_000.0
OFF: dict[str, Any] = {"mode": "Off", "samplingRate": 0, "canaryPercent": 0, "rankingWeight": 0, "topK": 10}


def a_rollout(**status: Any) -> Rollout:
    return parse_rollout(
        {
            "metadata": {"name": "demo", "namespace": "search", "uid": "5f0c", "generation": 1},
            "spec": {
                "stages": [{"name": "shadow", "mode": "Shadow"}, {"name": "canary", "mode": "Live"}],
                "allowUnguarded": True,
            },
            "status": status,
        }
    )


def a_rollback(severity: str) -> dict[str, Any]:
    moment = "2026-11-21T11:14:07Z"
    return {
        "gate": "pager",
        "severity": severity,
        "at": moment,
        "detectedAt": moment,
        "publishedAt": moment,
        "fromStage": "canary",
        "evidence": "SearchDown is firing",
        "generation": 1,
        "target": OFF,
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "shadow"),
        ({"stage": {"name": "canary", "index": 1, "hash": "h", "enteredAt": "2026-11-21T11:14:07Z"}}, "canary"),
        ({"phase": "RolledBack", "parameters": OFF, "rollback": a_rollback("KillSwitch")}, "canary"),
        ({"phase": "RolledBack", "rollback": {**a_rollback("KillSwitch"), "fromStage": ""}}, "shadow"),
    ],
    ids=["not begun", "in a stage", "after a kill switch", "aborted before the first stage"],
)
def test_a_request_means_the_stage_that_the_operator_expects(status: dict[str, Any], expected: str) -> None:
    assert _stage(a_rollout(**status)) == expected


@pytest.mark.parametrize(("severity", "lifted"), [("KillSwitch", False), ("Shadow", True), ("PreviousStage", True)])
def test_only_a_person_lifts_a_kill_switch(severity: str, lifted: bool) -> None:
    rollout = a_rollout(phase="RolledBack", reason="RolledBack", parameters=OFF, rollback=a_rollback(severity))
    assert "veriramp retry demo" in next_steps(rollout, NOW)
    assert ("changed spec" in next_steps(rollout, NOW)) == lifted
    assert f"{severity} by pager in stage canary: SearchDown is firing" in render(rollout, NOW)


def test_processes_are_suspected_only_when_they_are_late() -> None:
    flags = {"revision": 6, "contentHash": "h", "publishedAt": "2026-11-21T11:14:07Z", "salt": "a", "sampleSalt": "b"}
    rollout = a_rollout(phase="Progressing", reason="NotPropagated", message="3 of 4 processes run it.", flags=flags)
    published = rollout.status.flags.published_at if rollout.status.flags else 0.0
    assert next_steps(rollout, published + 2) == ""
    assert "look at the processes" in next_steps(rollout, published + 121)


def test_an_old_status_is_said_to_be_old() -> None:
    rollout = a_rollout(phase="Waiting", reason="Paused", clock={"at": "2026-11-21T11:14:07Z"})
    written = rollout.status.clock.at if rollout.status.clock else 0.0
    assert "as of      9m ago" in render(rollout, written + 540)
    assert "as of" not in render(rollout, written + 5)


def test_the_libraries_of_kubectl_are_not_quoted() -> None:
    logged = 'E1121 11:12:40.621106    5067 memcache.go:265] "Unhandled Error" err="connection refused"\n'
    assert _sentence(f"{logged}{logged}The connection was refused\n") == "The connection was refused"
    assert _sentence(f"{logged}error: stat /nope: no such file or directory\n").startswith("stat /nope")
    assert _sentence(logged) == logged.strip()


KUBECTL = """#!/bin/sh
echo "$SAYS" >&2
exit 1
"""


@pytest.mark.parametrize("command", ["get", "watch", "explain", "retry"])
@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("error: stat /nope: no such file or directory", 2),
        ('error: context "nope" does not exist', 2),
        ("Error in configuration: context was not found for specified context: nope", 2),
        ("The connection to the server localhost:8080 was refused - did you specify the right host or port?", 3),
        ('Error from server (NotFound): verificationrollouts.veriramp.dev "x" not found', 1),
        ("Error from server (Forbidden): you may not", 1),
        ("The VerificationRollout is invalid: spec.gates[0] names a stage that does not exist", 1),
    ],
)
def test_what_kubectl_says_is_told_once_with_an_exit_code(
    command: str,
    says: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("SAYS", says)
    assert main([command, "x"]) == code
    said = capfd.readouterr().err
    assert said.startswith(f"error: {says.removeprefix('error: ')}")
    assert said.count(says[-20:]) == 1
