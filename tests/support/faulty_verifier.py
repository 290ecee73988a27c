"""A verifier's service that does what a test tells it, down to the bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]

SAT = {
    "informal_text": "The mill is red.",
    "enrichment_performed": False,
    "enriched_text": None,
    "formal_text": "There is a mill. It is red.",
    "formalization_similarity": 0.93,
    "smt_lib_code": "(declare-const red Bool)(assert red)(check-sat)",
    "extraction_degradation": 0.04,
    "check_sat_result": "sat",
    "model": "((red true))",
    "unsat_core": None,
    "solver_success": True,
    "proof": {"raw_output": "sat", "summary": "satisfiable"},
    "metrics": {
        "formalization_attempts": 2,
        "final_formalization_similarity": 0.93,
        "formalization_time_seconds": 11.5,
        "extraction_attempts": 1,
        "final_extraction_degradation": 0.04,
        "extraction_time_seconds": 9.25,
        "validation_attempts": 1,
        "solver_execution_time_seconds": 0.125,
        "total_time_seconds": 21.0,
        "success": True,
    },
    "passed_all_checks": True,
}
"""An answer with every field of the real service but the optional ones of the enrichment."""

UNSAT = {**SAT, "check_sat_result": "unsat", "model": None, "unsat_core": "(a1 a2)"}

FAILED_STEP = {
    "error": "the formalisation is too far from the text",
    "details": {"step": "formalization", "attempts": 3, "final_similarity": 0.41, "threshold": 0.9},
    "diagnostics": {"best_attempt": "There is a mill."},
}
FAILED_FIELD = {"detail": [{"loc": ["body", "informal_text"], "msg": "String should have at least 1 character"}]}


def answer(body: object, status: int = 200, **headers: str) -> Act:
    """Answer with JSON (or bytes as they are)."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(content)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def send(raw: bytes) -> Act:
    """Send bytes and end the connection."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return act


async def hang(_: asyncio.StreamWriter) -> None:
    """Say nothing, for ever."""
    await asyncio.Event().wait()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then: no single read takes long, and there is no end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send without end, as fast as it is read."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


HALF = send(b'HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{"check_sat_result": "uns')
CUT = send(b"")
NO_HTTP = send(b"220 mail ready\r\n")


@dataclass
class FaultyVerifier:
    """Does the acts in their order, the last one again and again, or what is chosen for the request.

    ``asked`` are the requests: path and JSON body.
    """

    acts: list[Act]
    choose: Callable[[str, Any], Act] | None = None
    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection with one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
            )
            body = await reader.readexactly(length)
            self.asked.append((head.split()[1], json.loads(body) if body else None))
            await self._act()(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone, as some tests want
        finally:
            writer.close()

    def _act(self) -> Act:
        if self.choose is not None:
            return self.choose(*self.asked[-1])
        return self.acts[min(len(self.asked), len(self.acts)) - 1]


@asynccontextmanager
async def a_faulty_verifier(
    *acts: Act, choose: Callable[[str, Any], Act] | None = None, port: int = 0
) -> AsyncIterator[FaultyVerifier]:
    """Serve on a free port of loopback, or on the given one."""
    verifier = FaultyVerifier(list(acts), choose)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await verifier.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    verifier.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield verifier
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
