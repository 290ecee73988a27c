"""`make demo` as a newcomer runs it: exit code 0, two rollbacks measured, report and pictures, the journal replayed."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib import image

from tests.support.rollouts import ROOT

SECONDS = 900
PROCESSES = 3
"""Two of search and a worker at least."""


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.shows("S1-ROLL-06", "S1-ROLL-05", "S1-RBK-01", "S2-CAN-02", "S2-CAN-05", "S4-SEC-05")
def test_the_demo_rolls_back_by_pull_and_by_push_and_reports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.demo", "--build", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    pull, push = report["rollbacks"]
    assert (pull["trigger"], push["trigger"]) == ("Prometheus alert query", "Alertmanager push")
    for rollback in (pull, push):
        moments = [rollback[name] for name in ("badAt", "detectedAt", "publishedAt", "appliedAt")]
        # The first bad sample is known to 0.02 s; instants of the status have milliseconds, those of the demo more.
        assert all(later - earlier >= -0.021 for earlier, later in pairwise(moments)), rollback
        assert rollback["clients"] >= PROCESSES
    for name in ("simulated.png", "measured.png"):
        picture = image.imread(tmp_path / name)
        assert min(picture.shape[:2]) > 200
        assert picture.std() > 0.01, f"{name} is blank"
    journal = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["decision"]["direction"] for line in journal} == {"Rise", "Hold", "Fall"}
    assert f"{len(journal)} decisions of 1 rollout: 0 differ" in done.stdout
    for sentence in ("predicted    measured", "bad -> safe in all", "users exposed to the regression"):
        assert sentence in done.stdout
