"""Probes: ask a container whether it has started, is ready, is alive.

`watch` asks in the probe's rhythm and reports changes; `check` asks once.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tools.devcluster.agent.api import Object

log = logging.getLogger(__name__)

EAGER_SECONDS: Final = 0.2
"""Until a probe has succeeded once it is asked this often: a start is not rounded up to the period."""
OK_STATUS: Final = range(200, 400)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a container can be asked: its address, its named ports, and how to run a command inside it."""

    address: str
    ports: dict[str, int]
    execute: Callable[[list[str]], Awaitable[int]]

    def port(self, port: int | str) -> int:
        """Resolve a port that may be a name; raises ValueError for an unknown one."""
        if isinstance(port, int) or port.isdigit():
            return int(port)
        if port not in self.ports:
            raise ValueError(f"no container port is named {port!r}")
        return self.ports[port]


async def watch(probe: Object, target: Target, report: Callable[[bool, str], None]) -> None:
    """Ask for ever; report True at the success threshold and False at the failure threshold, each time reached."""
    period = float(probe.get("periodSeconds", 10))
    await asyncio.sleep(float(probe.get("initialDelaySeconds", 0)))
    loop = asyncio.get_running_loop()
    good = bad = 0
    counted_at = float("-inf")
    succeeded = False
    while True:
        problem = await check(probe, target)
        if problem is None:
            good, bad, succeeded = good + 1, 0, True
            if good >= probe.get("successThreshold", 1):
                report(True, "")
        elif loop.time() - counted_at >= period - EAGER_SECONDS / 2 or succeeded:
            good, bad, counted_at = 0, bad + 1, loop.time()
            if bad >= probe.get("failureThreshold", 3):
                report(False, problem)
        await asyncio.sleep(period if succeeded else min(period, EAGER_SECONDS))


async def check(probe: Object, target: Target) -> str | None:
    """Ask once; None means yes, a text says why not."""
    try:
        async with asyncio.timeout(float(probe.get("timeoutSeconds", 1))):
            return await _ask(probe, target)
    except TimeoutError:
        return "timed out"
    except (OSError, ValueError, EOFError) as problem:
        return str(problem)


async def _ask(probe: Object, target: Target) -> str | None:
    if "httpGet" in probe:
        return await http_get(probe["httpGet"], target)
    if "tcpSocket" in probe:
        request = probe["tcpSocket"]
        _reader, writer = await asyncio.open_connection(
            request.get("host", target.address), target.port(request["port"])
        )
        await _close(writer)
        return None
    if "exec" in probe:
        code = await target.execute(probe["exec"]["command"])
        return None if code == 0 else f"command ended with {code}"
    return f"probe {', '.join(probe)} is not supported by the dev cluster; use httpGet, tcpSocket or exec"


async def http_get(request: Object, target: Target) -> str | None:
    """GET once; None for a status of 200 to 399, else what came."""
    host = request.get("host", target.address)
    port = target.port(request["port"])
    secure = _unverified() if request.get("scheme", "HTTP") == "HTTPS" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=secure)
    try:
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/devcluster", "Connection": "close"}
        headers |= {header["name"]: header["value"] for header in request.get("httpHeaders", [])}
        lines = [f"GET {request.get('path', '/')} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        status_line = (await reader.readuntil(b"\r\n")).decode(errors="replace")
    finally:
        await _close(writer)
    parts = status_line.split()
    if len(parts) > 1 and parts[1].isdigit() and int(parts[1]) in OK_STATUS:
        return None
    return f"HTTP probe failed: {status_line.strip()}"


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection; how the other side takes it does not change the answer that we have."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError as problem:
        log.debug("closing a probe's connection: %s", problem)


def _unverified() -> ssl.SSLContext:
    """As the kubelet: a probe does not verify the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
