"""The demo after everything ran: what the operator's journal says, decided again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.demo.console import Console
from tools.demo.installation import SYSTEM
from tools.devcluster.cluster import DevCluster
from veriramp_operator.resources.journal import LOGGER


def look_back(console: Console, cluster: DevCluster, build: Path) -> None:
    """Collect the journal from the operators' logs and replay it; raises RuntimeError on any difference."""
    console.section("8. Looking back: every decision of this run, made again from the journal")
    path = build / "journal.jsonl"
    path.write_text("".join(_journal(cluster)), encoding="utf-8")
    command = [sys.executable, "-m", "veriramp_operator.cli.main", "replay", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    console.show(done.stdout.rstrip() or done.stderr.rstrip())
    console.say(f"do it yourself: veriramp replay {os.path.relpath(path)}")
    if done.returncode != 0:
        raise RuntimeError(f"the journal does not replay: {path} is kept")


def _journal(cluster: DevCluster) -> list[str]:
    selector = "app.kubernetes.io/component=operator"
    raw = json.loads(cluster.kubectl("get", "pods", "-n", SYSTEM, "-l", selector, "-o", "json"))
    logs = [cluster.pod_log(SYSTEM, pod["metadata"]["name"], "operator") for pod in raw["items"]]
    # A line without its end is being written.
    lines = [line for log in logs for line in log.splitlines(keepends=True) if line.endswith("\n")]
    return sorted(line for line in lines if f'"logger":"{LOGGER}"' in line)
