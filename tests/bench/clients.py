"""Client processes of a flag server, and the moments at which they evaluated what.

Public: :class:`Client`, :class:`Seen`, :func:`python_clients`, :func:`node_clients`, :func:`node_packages`.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.report import say
from veriramp_sdk.contract import Mode

SECONDS: Final = 60.0
PACKAGES: Final = ("@openfeature/server-sdk@1", "@openfeature/flagd-provider@0.16", "@grpc/grpc-js@1")
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client evaluated with, and since when (seconds since the epoch)."""

    revision: int
    mode: Mode
    at: float


class Client:
    """One process; ``until`` reads its messages in order."""

    def __init__(self, command: Sequence[str], folder: Path | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, text=True
        )
        self._messages: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, holds: Callable[[Seen], bool], seconds: float = SECONDS) -> Seen:
        """The first message from now on for which the condition holds.

        Raises TimeoutError that tells the last message.
        """
        deadline, seen = time.monotonic() + seconds, None
        while (rest := deadline - time.monotonic()) > 0:
            try:
                seen = self._messages.get(timeout=rest)
            except queue.Empty:
                break
            if holds(seen):
                return seen
        raise TimeoutError(f"a client saw nothing of the kind within {seconds:g} s; the last it saw was {seen}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(SECONDS)
        self._reader.join(SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            raw = json.loads(line)
            self._messages.put(Seen(int(raw["revision"]), Mode(raw["mode"]), float(raw["at"])))


@contextmanager
def python_clients(addresses: Sequence[str], rollout: str, key: str, number: int) -> Iterator[list[Client]]:
    """Processes with the SDK, spread over flag servers at "host:port"."""
    program = str(_HERE / "client_program.py")
    with ExitStack() as stack:
        clients = []
        for index in range(number):
            address = addresses[index % len(addresses)]
            clients.append(Client((sys.executable, program, address, rollout, key, f"client-{index}")))
            stack.callback(clients[-1].close)
        yield clients


@contextmanager
def node_clients(folder: Path, address: str, rollout: str, key: str, number: int) -> Iterator[list[Client]]:
    """Processes with the stock Node provider, installed in a folder."""
    host, _, port = address.rpartition(":")
    command = ("node", str(_HERE / "client_program.mjs"), host, port, rollout, key)
    with ExitStack() as stack:
        clients = []
        for _ in range(number):
            clients.append(Client(command, folder))
            stack.callback(clients[-1].close)
        yield clients


def node_packages() -> Path | None:
    """A folder with the stock OpenFeature provider for Node, from the tool cache; None where it cannot be had."""
    if shutil.which("npm") is None:
        say("no npm: the Node clients are left out")
        return None
    cache = Path(os.environ.get("VERIRAMP_CACHE") or Path.home() / ".cache/veriramp").expanduser()
    folder = cache / "bench-node"
    if not (folder / "node_modules/@openfeature/flagd-provider").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
        if done.returncode:
            say(f"npm install failed, the Node clients are left out: {done.stderr.strip()[-300:]}")
            return None
    return folder
