"""Judge questions in isolated solver processes: a crash, a leak or an endless proof costs one process, not the worker.

Public names: :class:`VerifierPool`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from types import TracebackType
from typing import Final, Self

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question, VerifierUnavailableError
from veriramp_workers.verifier.judge import NAME, VERSION
from veriramp_workers.verifier.prover import Limits
from veriramp_workers.verifier.wire import decode_judgement, encode_question

_log = logging.getLogger(__name__)


class VerifierPool:
    """``processes`` solver processes behind the port ``Verifier``; an async context manager.

    ``deadline`` (seconds) bounds one judgement with all its solver calls; a process that exceeds it, or dies, is
    replaced, and the verdict is *too hard*. ``memory`` is in MiB for each process. After ``recycle`` judgements a
    process is replaced, so that what a solver leaks stays bounded.
    """

    name: Final = NAME
    version: Final = VERSION

    def __init__(
        self,
        processes: int = 2,
        *,
        limits: Limits | None = None,
        deadline: float = 20.0,
        memory: int = 512,
        recycle: int = 2_000,
    ) -> None:
        if processes < 1:
            raise ValueError(f"{processes} solver processes judge nothing; give at least 1")
        self._processes = processes
        self._limits = limits or Limits()
        self._deadline = deadline
        self._memory = memory
        self._recycle = recycle
        self._idle: asyncio.Queue[_Solver] = asyncio.Queue()
        self._all: set[_Solver] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self._processes):
            solver = _Solver(self._memory, self._limits)
            self._all.add(solver)
            self._idle.put_nowait(solver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for solver in self._all:
            await solver.stop()

    async def judge(self, question: Question) -> Judgement:
        """Judge in a free process; raises :class:`VerifierUnavailableError` when no process can be started."""
        solver = await self._idle.get()
        try:
            judgement = await asyncio.wait_for(solver.ask(question), self._deadline)
        except TimeoutError:
            await solver.stop()
            return Judgement(Verdict.TOO_HARD, f"no verdict within {self._deadline:g} s", total_seconds=self._deadline)
        except _SolverDiedError as error:
            await solver.stop()
            _log.warning("a solver process died: %s", error)
            return Judgement(Verdict.TOO_HARD, f"the solver gave up: {error}", check_sat="error")
        except asyncio.CancelledError:
            # The answer is still on its way; only a new process can be trusted to answer the next question.
            await solver.stop()
            raise
        else:
            # A solver that ran into its memory bound stays there: the next question would suffer for this one.
            if solver.judged >= self._recycle or judgement.verdict is Verdict.TOO_HARD:
                await solver.stop()
            return judgement
        finally:
            self._idle.put_nowait(solver)


class _SolverDiedError(Exception):
    pass


class _Solver:
    """One solver process, started when first asked."""

    def __init__(self, memory: int, limits: Limits) -> None:
        self._arguments = (str(memory), str(limits.steps), str(limits.seconds))
        self._process: asyncio.subprocess.Process | None = None
        self.judged = 0

    async def ask(self, question: Question) -> Judgement:
        process = self._process or await self._start()
        if process.stdin is None or process.stdout is None:
            raise _SolverDiedError("it has no pipes")
        try:
            process.stdin.write(encode_question(question))
            await process.stdin.drain()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _SolverDiedError(str(error) or type(error).__name__) from error
        if not line.endswith(b"\n"):
            raise _SolverDiedError("it ended without an answer")
        self.judged += 1
        return decode_judgement(line)

    async def stop(self) -> None:
        process, self._process, self.judged = self._process, None, 0
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "veriramp_workers.verifier.solve",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_ANSWER,
            )
        except OSError as error:
            raise VerifierUnavailableError(f"no solver process can be started: {error}") from error
        return self._process


_LONGEST_ANSWER: Final = 16 * 1024 * 1024
