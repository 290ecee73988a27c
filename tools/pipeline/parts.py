"""The processes of the pipeline on this machine: broker, flag server, orchestrator, search, all on loopback.

Public: :class:`Parts`, :class:`PartFailed`, :func:`the_parts`. Each is started by its own command, has its log in the
folder, and is stopped by its pid when the context ends, the last one first.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tools.toolchain import ensure

ROLLOUT: Final = "search/search-verification"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_PAUSE: Final = 0.05
_TOLD_LINES: Final = 15


class PartFailed(Exception):  # noqa: N818 it is told to a person, who reads its sentence
    """A part did not start, or ended by itself; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the running parts are."""

    brokers: str
    flags: str
    file: Path
    worker: str
    search: str


@contextmanager
def the_parts(folder: Path, flags: str, brokers: str, say: Callable[[str], None]) -> Iterator[Parts]:
    """Start everything and wait until it is ready; ``flags`` is the text of the flag file, ``brokers`` a Kafka or "".

    Raises PartFailed.
    """
    file = folder / "flags.yaml"
    file.write_text(flags, encoding="utf-8")
    with ExitStack() as stack:
        if not brokers:
            brokers = stack.enter_context(_broker(folder))
            say(f"broker         {brokers}, in memory")
        _topics(brokers, say)
        address, ports = _flag_server(stack, folder, file)
        say(f"flag server    {address}, serves {_shown(file)}")
        common = {"VERIRAMP_BROKERS": brokers, "VERIRAMP_FLAGS_URL": address, "VERIRAMP_ROLLOUT": ROLLOUT}
        one_node = {"VERIRAMP_TOPIC_REPLICATION": "1", "VERIRAMP_TOPIC_MIN_INSYNC": "1"}
        worker = _service(stack, folder, "orchestrator", ["veriramp_workers.main", "orchestrator"], common | one_node)
        search = _service(stack, folder, "search", ["veriramp_search.main"], common)
        for name, (url, process, log) in {"orchestrator": worker, "search": search}.items():
            _until(lambda url=url: _ready(url), process, log, f"{name} to be ready")  # type: ignore[misc]
            say(f"{name:<14} {url}")
        yield Parts(brokers, ports, file, worker[0], search[0])


Started = tuple[str, subprocess.Popen[bytes], Path]


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    (program,) = ensure(["broker"]).values()
    ready = folder / "broker.json"
    ready.unlink(missing_ok=True)
    command = [str(program), "--default-partitions", "3", "--ready-file", str(ready)]
    with _running(command, folder / "broker.log", {}) as process:
        _until(lambda: ready.exists() and ready.stat().st_size > 0, process, folder / "broker.log", "the broker")
        yield str(json.loads(ready.read_text(encoding="utf-8"))["address"])


def _topics(brokers: str, say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "veriramp_workers.main", "topics", "--apply"]
    settings = {
        "VERIRAMP_BROKERS": brokers,
        "VERIRAMP_TOPIC_REPLICATION": "1",
        "VERIRAMP_TOPIC_MIN_INSYNC": "1",
    }
    done = subprocess.run(command, env=_environment(settings), capture_output=True, text=True, check=False)
    # A cluster of one's own may have topics with more partitions or replicas than asked for: that is told, and fine.
    if done.returncode not in {0, 1}:
        raise PartFailed(f"the topics cannot be made at {brokers}: {done.stderr.strip() or done.stdout.strip()}")
    say("topics         veriramp-worker topics --apply")


def _flag_server(stack: ExitStack, folder: Path, file: Path) -> tuple[str, str]:
    """Start it; its addresses for gRPC and for HTTP."""
    log = folder / "flagserver.log"
    command = [sys.executable, "-m", "veriramp_operator.flagserver.main", "--file", str(file)]
    settings = {"VERIRAMP_GRPC_PORT": "0", "VERIRAMP_HTTP_PORT": "0"}
    process = stack.enter_context(_running(command, log, settings))

    def ports() -> re.Match[str] | None:
        return re.search(r"serving gRPC on (\S+):(\d+), HTTP on (\d+)", log.read_text(encoding="utf-8"))

    _until(ports, process, log, "the flag server")
    found = ports()
    assert found  # noqa: S101 it was there a moment ago
    return f"{found[1]}:{found[2]}", f"http://{found[1]}:{found[3]}"


def _service(stack: ExitStack, folder: Path, name: str, module: list[str], settings: Mapping[str, str]) -> Started:
    port, log = _free_port(), folder / f"{name}.log"
    own = {"VERIRAMP_HOST": "127.0.0.1", "VERIRAMP_PORT": str(port), "VERIRAMP_LOG_FORMAT": "text"}
    process = stack.enter_context(_running([sys.executable, "-m", *module], log, {**settings, **own}))
    return f"http://127.0.0.1:{port}", process, log


@contextmanager
def _running(command: list[str], log: Path, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    # Whatever ends us, also kill -9, ends what we started.
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*tied, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(settings)
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without what a person's shell may have set for another pipeline."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("VERIRAMP_")}, **settings}


def _until(holds: Callable[[], object], process: subprocess.Popen[bytes], log: Path, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if process.poll() is not None:
            raise PartFailed(f"waiting for {what}, it ended with exit code {process.returncode}\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise PartFailed(f"waited {START_SECONDS:g} s for {what}\n{_end_of(log)}")
        time.sleep(_PAUSE)


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"the end of {_shown(log)}:", *(f"  {line}" for line in lines[-_TOLD_LINES:])])


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
