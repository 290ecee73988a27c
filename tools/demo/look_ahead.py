"""The demo before anything runs: the plan of the rollout and its simulated rollback, in virtual time."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.console import Console

INJECTED = "errors-in-treatment x40 at weight+25s"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the simulation says will happen: seconds and users."""

    detection_seconds: float | None
    users_exposed: float | None
    timeline: list[dict[str, Any]]


def look_ahead(console: Console, rollout: Path, build: Path) -> Prediction:
    """Print plan and simulation of the rollout, draw the plot, and return what was predicted."""
    console.section("1. Looking ahead: plan and simulated rollback (virtual time, no cluster)")
    console.show(_veriramp("plan", str(rollout), "--rps", "40"))
    plot = build / "simulated.png"
    arguments = ["simulate", str(rollout), "--inject", INJECTED, "--rps", "40", "--seed", "1"]
    console.show(_veriramp(*arguments, "--plot", str(plot)))
    console.say(f"plot of the simulated rollback: {_shown(plot)}")
    raw = json.loads(_veriramp(*arguments, "-o", "json"))
    return Prediction(
        detection_seconds=(raw.get("detectionSeconds") or {}).get("p50"),
        users_exposed=(raw.get("usersExposed") or {}).get("p50"),
        timeline=raw.get("timeline") or [],
    )


def _veriramp(*arguments: str) -> str:
    command = [sys.executable, "-m", "veriramp_operator.cli.main", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _shown(path: Path) -> str:
    cwd = Path.cwd()
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)
