"""The flag server as a process that serves a file."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.pipeline import START_SECONDS
from tests.support.waiting import wait_for

LIVE = """\
rollout: search/demo
mode: Live
samplingRate: 1
canaryPercent: 50
rankingWeight: 0.15
flags:
  leaseSeconds: 30
  include: [{attribute: group, equals: staff}]
workers: [{profile: orchestrator, settings: {maxConcurrentVerifications: 10}}]
"""
OFF = LIVE.replace("Live", "Off")


@dataclass
class FlagFile:
    """The file, the process that serves it, and its log."""

    path: Path
    process: subprocess.Popen[bytes]
    log: Path
    address: str = ""

    def write(self, text: str) -> None:
        """Change the file in place, as an editor does."""
        self.path.write_text(text)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(60)


@contextmanager
def a_flag_file(folder: Path, text: str = LIVE) -> Iterator[FlagFile]:
    """``veriramp-flagserver --file`` on free ports; ends with exit code 0."""
    path, log = folder / "flags.yaml", folder / "flagserver.log"
    path.write_text(text)
    command = [sys.executable, "-m", "veriramp_operator.flagserver.main", "--file", str(path)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env={"VERIRAMP_GRPC_PORT": "0", "VERIRAMP_HTTP_PORT": "0"})
    served = FlagFile(path, process, log)
    try:
        found = wait_for(
            lambda: re.search(r"serving gRPC on ([\d.]+:\d+),", log.read_text()), START_SECONDS, f"ports in {log}"
        )
        assert found
        served.address = found[1]
        yield served
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
    finally:
        if process.poll() is None:
            served.kill()
