"""The real process ``veriramp-operator`` on this machine: started, watched, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.support.logguard import is_error
from tests.support.pipeline import free_port
from tests.support.waiting import PATIENCE, wait_for
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.cli.replay import replayed
from veriramp_operator.resources.journal import LOGGER, read_entry

SECONDS: Final = 60.0
TOKEN: Final = "token-of-the-tests"
_PROGRAM: Final = "from veriramp_operator.main import main; main()"


@dataclass(frozen=True, slots=True)
class OperatorFiles:
    """What every replica is given: access, configuration, alert token, and where its logs go."""

    folder: Path
    kubeconfig: Path
    config: Path
    token: Path

    @classmethod
    def write(cls, folder: Path, kubeconfig: Path, config: Mapping[str, Any]) -> OperatorFiles:
        """Write them into a folder."""
        files = cls(folder, kubeconfig, folder / "config.yaml", folder / "token")
        files.config.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
        files.token.write_text(TOKEN, encoding="utf-8")
        return files


class Operator:
    """One replica; ``start`` after ``kill`` is a restart with the same ports and the same log."""

    def __init__(self, name: str, files: OperatorFiles, lease_namespace: str, namespaces: Sequence[str] = ()) -> None:
        self.name, self._files = name, files
        self.log = files.folder / f"{name}.log"
        self.health_port, self.alerts_port = free_port(), free_port()
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(files.kubeconfig),
            "VERIRAMP_CONFIG": str(files.config),
            "VERIRAMP_ALERT_TOKEN_FILE": str(files.token),
            "VERIRAMP_HOST": "127.0.0.1",
            "VERIRAMP_HEALTH_PORT": str(self.health_port),
            "VERIRAMP_ALERTS_PORT": str(self.alerts_port),
            "VERIRAMP_LEASE_NAMESPACE": lease_namespace,
            "VERIRAMP_WATCH_NAMESPACES": ",".join(namespaces),
            "POD_NAME": name,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Operator:
        """Start it; do not wait."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], env=self._environment, stdout=output, stderr=output
            )
        return self

    def ready(self) -> Operator:
        """Wait until it is synced."""
        wait_for(lambda: self.answers("/readyz"), SECONDS, f"{self.name} to be ready; its log:\n{self.text()}")
        return self

    def answers(self, path: str) -> bool:
        """Whether a health path answers 200."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.health_port}{path}", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    def metric(self, name: str) -> float:
        """The value of a series without labels; -1 when the process does not answer."""
        try:
            text = httpx.get(f"http://127.0.0.1:{self.health_port}/metrics", trust_env=False, timeout=5).text
        except httpx.HTTPError:
            return -1.0
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1.0

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.is_running and self.metric("veriramp_leader") == 1.0

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    def push(self, payload: Mapping[str, Any], token: str = TOKEN) -> httpx.Response:
        """Post what Alertmanager posts."""
        return httpx.post(
            f"http://127.0.0.1:{self.alerts_port}/alerts/v1",
            json=dict(payload),
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=15,
        )

    def push_until_taken(self, payload: Mapping[str, Any]) -> httpx.Response:
        """Post as Alertmanager does: again while the answer is 503, which a busy operator may give."""

        def answered() -> httpx.Response | None:
            answer = self.push(payload)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = wait_for(answered, SECONDS, f"{self.name} to take a push")
        assert answer is not None
        return answer

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; another thread may start the next life as soon as it is."""
        process = self._process
        assert process is not None
        process.kill()
        process.wait(SECONDS)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def exit_code(self) -> int:
        """Wait until it ends by itself."""
        assert self._process is not None
        return self._process.wait(SECONDS * PATIENCE)

    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def errors(self) -> list[str]:
        """Error lines and tracebacks in the log."""
        return [line for line in self.text().splitlines() if is_error(line)]


def differences(log: str) -> list[str]:
    """What of the journal in a log this engine decides otherwise; a line that a kill cut off is passed over."""
    specs: dict[str, RolloutSpec] = {}
    found = []
    for line in log.splitlines():
        try:
            raw = json.loads(line) if f'"logger":"{LOGGER}"' in line else {}
        except ValueError:
            continue
        if raw:
            entry = read_entry(raw, specs)
            found += [f"{entry.at} {one.field}: {one.recorded} != {one.recomputed}" for one in replayed(entry)]
    return found
