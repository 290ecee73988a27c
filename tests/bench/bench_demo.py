"""How long a newcomer waits: ``make demo`` from its first line to its report, and the two rollbacks that it shows.

Runs the demo (the tools are built before); figures are those of its own ``build/demo/report.json``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.bench import report
from tests.bench.report import Figure, say

REPORT: Final = Path("build/demo/report.json")
PLAN: Final = "2. Building"


def main() -> None:
    """Run the demo and write build/bench/demo.json."""
    began, planned = time.monotonic(), float("nan")
    with subprocess.Popen((sys.executable, "-m", "tools.demo"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if PLAN in line:
                planned = time.monotonic() - began
            say(line.rstrip())
    if process.returncode:
        raise RuntimeError(f"the demo ended with exit code {process.returncode}")
    whole = time.monotonic() - began
    content = json.loads(REPORT.read_text(encoding="utf-8"))
    settings = {"rollout": "examples/rollouts/demo.yaml", "search": "2 processes, 40 searches/s by 2,000 users"}
    report.write("demo", [*lengths(whole, planned), *rollbacks(content)], settings)


def lengths(whole: float, planned: float) -> list[Figure]:
    """How long the demo took, and how soon plan and simulation were there (seconds)."""
    return [
        report.at_most("start -> plan, simulated rollback and its plot", planned, "s", 60),
        report.at_most("the whole demo, tools built before", whole, "s", 240),
    ]


def rollbacks(content: dict[str, Any]) -> list[Figure]:
    """The rollbacks as the demo's report has them."""
    figures = []
    for rollback in content["rollbacks"]:
        trigger, bad, clients = rollback["trigger"], rollback["badAt"], rollback["clients"]
        applied = rollback["appliedAt"] - bad
        figures += [
            report.stated(f"{trigger}: bad -> decided", rollback["detectedAt"] - bad, "s"),
            report.stated(f"{trigger}: bad -> safe in all {clients} processes", applied, "s"),
        ]
    figures.append(report.stated("users who met the regression", content["usersExposed"], "users"))
    propagation = content["propagation"]
    if propagation:
        figures.append(report.stated("published -> applied in every process, p50", propagation["p50"], "s"))
        figures.append(report.stated("published -> applied in every process, p99", propagation["p99"], "s"))
    return figures


if __name__ == "__main__":
    main()
