"""How long ``veriramp simulate`` takes, as a user runs it: each in a process of its own, the start of Python included.

One run: 14 days of a rollout with six stages under ``--noise iid``, with three gates and with a comparison of both arms
beside them (each of its 15 s scrapes is looked at). Many runs: four stages of 15 minutes with one comparison gate,
harmless and with a regression, on all cores; shares and delays are stated for the reader, the bars for them are those
of the statistics.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from tests.bench import report
from tests.bench.report import Figure, say

FOURTEEN_DAYS: Final = Path(__file__).with_name("fourteen_days.yaml")
QUARTERS: Final = Path(__file__).with_name("four_quarters.yaml")
RUNS: Final = 1000
SEED: Final = 1
MOST_SECONDS: Final = 20.0
MOST_SECONDS_MANY: Final = 300.0
COMPARISON: Final[dict[str, Any]] = {
    "name": "errors-vs-control",
    "comparison": {"events": "veriramp_search_errors_total", "total": "veriramp_search_requests_total"},
    "onRegression": "Shadow",
}


def simulated(path: Path, *more: str) -> tuple[float, dict[str, Any]]:
    """Wall seconds and the JSON of one call."""
    command = (sys.executable, "-m", "veriramp_operator.cli.main", "simulate", str(path), "-o", "json")
    began = time.monotonic()
    done = subprocess.run((*command, "--seed", str(SEED), *more), check=True, stdout=subprocess.PIPE, text=True)
    return time.monotonic() - began, dict(json.loads(done.stdout))


def one(what: str, path: Path) -> Figure:
    """A rollout without trouble, to its end."""
    say(f"simulating 14 days, {what}")
    took, content = simulated(path, "--noise", "iid")
    if content["completedShare"] != 1.0:
        raise RuntimeError(f"the simulated rollout did not come to its end: {content['timeline'][-1]}")
    first, last = (datetime.fromisoformat(content["timeline"][index]["at"]) for index in (0, -1))
    days = (last - first).total_seconds() / 86400
    return report.at_most(f"simulate {days:.1f} days of a rollout with 6 stages, {what}", took, "s", MOST_SECONDS)


def many(noise: str, *injections: str) -> list[Figure]:
    """So many runs on all cores."""
    what = f"{noise}, {injections[0].split(' at ')[0]}" if injections else f"{noise}, harmless"
    say(f"{RUNS} runs, {what}")
    inject: Sequence[str] = [word for text in injections for word in ("--inject", text)]
    took, content = simulated(QUARTERS, "--runs", str(RUNS), "--noise", noise, *inject)
    figures = [
        report.at_most(f"{RUNS} runs of 4 stages x 15 min, {what}", took, "s", MOST_SECONDS_MANY),
        report.stated(f"rolled back, {what}", 100 * content["rolledBackShare"], "%"),
    ]
    if injections:
        figures.append(report.stated(f"median detection, {what}", content["detectionSeconds"]["p50"] / 60, "min"))
    return figures


def main() -> None:
    """Measure and write build/bench/simulation.json."""
    content = yaml.safe_load(FOURTEEN_DAYS.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        compared = Path(folder) / "compared.yaml"
        content["spec"]["gates"].append(COMPARISON)
        compared.write_text(yaml.safe_dump(content), encoding="utf-8")
        figures = [one("3 gates", FOURTEEN_DAYS), one("3 gates and a comparison", compared)]
    for noise in ("iid", "bursty"):
        figures += many(noise)
    figures += many("diurnal", "errors-vs-control x3 at b+1m")
    report.write("simulation", figures, {"runs": RUNS, "seed": SEED, "requests per second": 40, "bad requests": "1 %"})


if __name__ == "__main__":
    main()
