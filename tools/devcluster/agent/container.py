"""One container: its process, restarted as the pod's policy says, its probes and its state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Final

from tools.devcluster.agent import launch, probes
from tools.devcluster.agent.environment import NotYetThereError
from tools.devcluster.agent.node import now
from tools.devcluster.agent.podstatus import ContainerReport, ContainerState, Running, Terminated, Waiting
from tools.devcluster.agent.probes import Target

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tools.devcluster.agent.api import Object
    from tools.devcluster.agent.launch import Launch

    Prepare = Callable[[Object], Awaitable[Launch]]

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 10.0)
"""Before the first, second, ... restart: the first is immediate, as the kubelet's; the rest is shorter than there."""
STEADY_SECONDS: Final = 30.0
"""A container that ran this long starts the backoff anew."""
RETRY_SECONDS: Final = 1.0
TAIL_BYTES: Final = 400
NOT_STARTED: Final = 128
"""The exit code of a container that could not be started, as container runtimes report it."""


class Container:
    """Runs one container of a pod; `prepare` makes its Launch, `changed` is called when its report may differ."""

    def __init__(
        self, spec: Object, address: str, restarts: int, prepare: Prepare, changed: Callable[[], None]
    ) -> None:
        self.name = str(spec["name"])
        self._spec = spec
        self._address = address
        self._prepare = prepare
        self._changed = changed
        self._state: ContainerState = Waiting("ContainerCreating")
        self._last: Terminated | None = None
        self._restarts = restarts
        self._ready = self._started = False
        self._process: Process | None = None
        self._launch: Launch | None = None
        self._stopping = asyncio.Event()
        self._killed_for = ""

    def report(self) -> ContainerReport:
        """Tell its state for the pod status."""
        image = str(self._spec["image"])
        return ContainerReport(self.name, image, self._state, self._last, self._restarts, self._ready, self._started)

    async def run(self, policy: str) -> int:
        """Run until it ended and will not be started again (policy Always, OnFailure, Never); return the exit code.

        After `stop` or `kill` it returns as soon as its process is gone.
        """
        loop = asyncio.get_running_loop()
        streak = 0
        while True:
            began = loop.time()
            code = await self._run_once()
            if self._stopping.is_set() or policy == "Never" or (policy == "OnFailure" and code == 0):
                return code
            streak = 0 if loop.time() - began > STEADY_SECONDS else streak
            delay = BACKOFF_SECONDS[min(streak, len(BACKOFF_SECONDS) - 1)]
            streak += 1
            if isinstance(self._state, Terminated):
                self._last = self._state
            if delay:
                self._become(Waiting("CrashLoopBackOff", f"back-off {delay:.0f} s restarting failed container"))
                await self._pause(delay)
            self._restarts += 1

    async def stop(self, grace: float) -> None:
        """End it: preStop, SIGTERM, and SIGKILL to all its processes after the grace (seconds)."""
        self._stopping.set()
        await self._terminate(grace)

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        if self._process is not None:
            _kill_group(self._process)

    async def _run_once(self) -> int:
        ready_launch = await self._launch_when_possible()
        if ready_launch is None:
            return 1
        try:
            process = await launch.start(ready_launch)
        except OSError as problem:
            self._become(Terminated(NOT_STARTED, "StartError", now(), now(), str(problem)))
            return NOT_STARTED
        started_at = now()
        self._process, self._launch = process, ready_launch
        if self._stopping.is_set():
            _kill_group(process)
        self._killed_for = ""
        self._started = "startupProbe" not in self._spec
        self._ready = self._started and "readinessProbe" not in self._spec
        self._become(Running(started_at))
        watching = asyncio.create_task(self._watch_probes(process))
        try:
            code = await process.wait()
        finally:
            watching.cancel()
            _kill_group(process)
            self._process = None
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(ready_launch.process_file.unlink, missing_ok=True)
        code = code if code >= 0 else 128 - code
        self._ready = self._started = False
        reason = self._killed_for or ("Completed" if code == 0 else "Error")
        message = await asyncio.to_thread(_tail, ready_launch.log) if code else ""
        self._become(Terminated(code, reason, started_at, now(), message))
        return code

    async def _launch_when_possible(self) -> Launch | None:
        while not self._stopping.is_set():
            try:
                return await self._prepare(self._spec)
            except ImageMissingError as problem:
                self._become(Waiting("ErrImagePull", str(problem)))
            except (NotYetThereError, ValueError) as problem:
                self._become(Waiting("CreateContainerConfigError", str(problem)))
            except OSError as problem:
                self._become(Waiting("CreateContainerError", str(problem)))
            await self._pause(RETRY_SECONDS)
        return None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _terminate(self, grace: float) -> None:
        process = self._process
        if process is None:
            return
        deadline = asyncio.get_running_loop().time() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._pre_stop(process)
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await process.wait()
        _kill_group(process)
        await process.wait()

    async def _pre_stop(self, process: Process) -> None:
        hook = self._spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            await self._execute(process, hook["exec"]["command"])
        elif "httpGet" in hook:
            try:
                await probes.http_get(hook["httpGet"], self._target(process))
            except (OSError, EOFError, ValueError) as problem:
                log.warning("preStop of %s: %s", self.name, problem)

    async def _watch_probes(self, process: Process) -> None:
        target = self._target(process)
        if "startupProbe" in self._spec:
            await self._until_started(process, target)
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self._spec:
                group.create_task(probes.watch(self._spec["readinessProbe"], target, self._on_ready))
            if "livenessProbe" in self._spec:
                report = self._restart_unless_alive(process, "livenessProbe")
                group.create_task(probes.watch(self._spec["livenessProbe"], target, report))

    async def _until_started(self, process: Process, target: Target) -> None:
        started = asyncio.Event()
        restart = self._restart_unless_alive(process, "startupProbe")

        def on_startup(ok: bool, message: str) -> None:
            if ok:
                started.set()
            else:
                restart(ok, message)

        watching = asyncio.create_task(probes.watch(self._spec["startupProbe"], target, on_startup))
        try:
            await started.wait()
        finally:
            watching.cancel()
        self._started = True
        self._ready = "readinessProbe" not in self._spec
        self._changed()

    def _on_ready(self, ok: bool, message: str) -> None:
        if ok != self._ready:
            self._ready = ok
            log.info("container %s is %s %s", self.name, "ready" if ok else "not ready:", message)
            self._changed()

    def _restart_unless_alive(self, process: Process, probe: str) -> Callable[[bool, str], None]:
        grace = float(self._spec[probe].get("terminationGracePeriodSeconds", 10))
        ending: list[asyncio.Task[None]] = []

        def on_answer(ok: bool, message: str) -> None:
            if not ok and not ending and process.returncode is None:
                log.warning("container %s fails its %s (%s): restarting it", self.name, probe, message)
                self._killed_for = f"{probe[0].upper()}{probe[1:]}Failed"
                ending.append(asyncio.create_task(self._terminate(grace)))

        return on_answer

    def _target(self, process: Process) -> Target:
        ports = {port["name"]: port["containerPort"] for port in self._spec.get("ports", []) if "name" in port}
        return Target(self._address, ports, lambda argv: self._execute(process, argv))

    async def _execute(self, process: Process, argv: list[str]) -> int:
        env = self._launch.env if self._launch is not None else {}
        return await launch.execute(process.pid, argv, env)

    def _become(self, state: ContainerState) -> None:
        if state != self._state:
            self._state = state
            self._changed()


class ImageMissingError(Exception):
    """The image of a container is not mapped to a command."""


def _kill_group(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(path: Path) -> str:
    """Give the end of the log, as terminationMessagePolicy FallbackToLogsOnError does."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
