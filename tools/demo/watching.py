"""Follows one rollout: prints each transition, waits for conditions, remembers the vector over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from tools.demo.console import Console
from tools.demo.installation import ROLLOUT, SEARCH
from tools.devcluster.cluster import DevCluster

PERIOD: Final = 0.2
PATH: Final = f"/apis/veriramp.dev/v1alpha1/namespaces/{SEARCH}/verificationrollouts/{ROLLOUT}"


@dataclass(frozen=True, slots=True)
class Point:
    """The vector in force at one moment (seconds since the epoch)."""

    at: float
    stage: str
    phase: str
    parameters: dict[str, Any]
    verdicts: dict[str, str]


class Watcher:
    """A thread that polls the rollout; ``status`` is the newest, ``points`` one per change."""

    def __init__(self, console: Console, cluster: DevCluster) -> None:
        self._console, self._client = console, cluster.client()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.status: dict[str, Any] = {}
        self.points: list[Point] = []
        self._lags: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._client.close()

    @property
    def propagation(self) -> list[float]:
        """Seconds from publication to application (p99 of the processes), one per confirmed revision."""
        return list(self._lags.values())

    def wait(self, what: str, seconds: float, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The status once it satisfies a condition.

        Raises TimeoutError that tells where the rollout is instead.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status
            if status and holds(status):
                return status
            time.sleep(PERIOD / 4)
        raise TimeoutError(f"{what}: not within {seconds:.0f} s; {self.describe()}")

    def describe(self) -> str:
        """Where the rollout is, in one line."""
        stage = (self.status.get("stage") or {}).get("name", "-")
        seen = self.status
        return f"phase {seen.get('phase')}, stage {stage}, {seen.get('reason')}: {seen.get('message')}"

    def _run(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                answer = self._client.get(PATH)
            except httpx.HTTPError as error:
                self._console.say(f"API server: {type(error).__name__}")
                continue
            finally:
                self._stop.wait(PERIOD)
            self.status = answer.json().get("status") or {} if answer.status_code == httpx.codes.OK else {}
            self._record()
            line = self._line()
            if line and line != said:
                said = line
                self._console.say(line)

    def _record(self) -> None:
        point = Point(
            at=time.time(),
            stage=(self.status.get("stage") or {}).get("name", ""),
            phase=self.status.get("phase") or "",
            parameters=self.status.get("parameters") or {},
            verdicts={gate["name"]: gate["verdict"] for gate in self.status.get("gates") or ()},
        )
        propagation = self.status.get("propagation") or {}
        if propagation.get("confirmedAt") and propagation.get("p99Seconds") is not None:
            self._lags.setdefault(self.status["flags"]["revision"], propagation["p99Seconds"])
        last = self.points[-1] if self.points else None
        if last is None or (last.stage, last.phase, last.parameters, last.verdicts) != (
            point.stage,
            point.phase,
            point.parameters,
            point.verdicts,
        ):
            self.points.append(point)

    def _line(self) -> str:
        parameters = self.status.get("parameters") or {}
        if not self.status.get("phase"):
            return ""
        stage = (self.status.get("stage") or {}).get("name", "-")
        vector = f"{parameters.get('mode', 'Off')}"
        if parameters.get("mode") == "Live":
            vector += f" canary {parameters['canaryPercent']:g}% weight {parameters['rankingWeight']:g}"
        revision = (self.status.get("flags") or {}).get("revision", 0)
        return f"{self.status['phase']:<12} {stage:<10} r{revision:<3} {vector:<32} {self.status.get('reason')}"
