"""Judge questions in isolated solver processes: a crash, a leak or an endless proof costs one process, not the worker.

Public names: :class:`VerifierPool`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question, VerifierUnavailableError
from veriramp_workers.verifier.judge import NAME, VERSION
from veriramp_workers.verifier.prover import Limits
from veriramp_workers.verifier.wire import READY, Bounds, decode_judgement, encode_question

_log = logging.getLogger(__name__)


class VerifierPool:
    """``processes`` solver processes behind the port ``Verifier``; an async context manager.

    One question has ``limits`` for each call of z3 and ``cpu`` seconds altogether; both are the same on a machine that
    is busy. ``deadline`` (seconds by the clock) is the net behind them; ``patience`` is for a process that a question
    waits for, and that has to get ready. A process that exceeds a bound, or dies, is
    replaced, and the verdict is *too hard*. ``memory`` is in MiB for each process. After ``recycle`` judgements a
    process is replaced, so that what a solver leaks stays bounded. ``beforehand`` is called right before a question is
    given to a process; the :class:`VerifierUnavailableError` that it may raise keeps the question from beginning.
    """

    name: Final = NAME
    version: Final = VERSION

    def __init__(
        self,
        processes: int = 2,
        *,
        limits: Limits | None = None,
        cpu: float = 10.0,
        deadline: float = 30.0,
        patience: float = 60.0,
        memory: int = 512,
        recycle: int = 20_000,
        beforehand: Callable[[], None] = lambda: None,
    ) -> None:
        if processes < 1:
            raise ValueError(f"{processes} solver processes judge nothing; give at least 1")
        limits = limits or Limits()
        bounds = Bounds(memory, cpu, recycle, limits.steps, limits.seconds)
        self._solvers = [_Solver(bounds, (patience, deadline), self._free, beforehand) for _ in range(processes)]
        self._idle: deque[_Solver] = deque()
        self._waiting: deque[_Asked] = deque()

    async def __aenter__(self) -> Self:
        for solver in self._solvers:
            solver.start()
            self._idle.append(solver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._idle.clear()
        for asked in self._waiting:
            asked.settle(VerifierUnavailableError("the verifier is being stopped"))
        self._waiting.clear()
        for solver in self._solvers:
            await solver.stop()

    async def judge(self, question: Question) -> Judgement:
        """Judge in a free process.

        Raises :class:`VerifierUnavailableError` when no process can be started, and what ``beforehand`` raises.
        """
        asked = _Asked(encode_question(question), asyncio.get_running_loop().create_future())
        if self._idle:
            self._idle.popleft().take(asked)
        else:
            self._waiting.append(asked)
        return await asked.answer

    def _free(self, solver: _Solver) -> None:
        """Give a solver that has answered the next question, without a detour: it waits for it."""
        while self._waiting:
            asked = self._waiting.popleft()
            if not asked.answer.done():
                solver.take(asked)
                return
        self._idle.append(solver)


@dataclass
class _Asked:
    line: bytes
    answer: asyncio.Future[Judgement]
    killed: bool = False

    def settle(self, outcome: Judgement | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class _Solver:
    """A place for one solver process, which is started, asked one question at a time, and replaced."""

    def __init__(
        self,
        bounds: Bounds,
        deadlines: tuple[float, float],
        free: Callable[[_Solver], None],
        beforehand: Callable[[], None],
    ) -> None:
        self._command = (sys.executable, "-m", "veriramp_workers.verifier.solve", str(os.getpid()), *bounds.arguments())
        self._cpu = bounds.cpu
        self._patience, self._deadline = deadlines
        self._free = free
        self._beforehand = beforehand
        self._process: _Process | None = None
        self._asked: _Asked | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Start a process, to have it ready for the next question."""
        self._process = _Process(self)
        starting = asyncio.get_running_loop().create_task(self._start(self._process))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _start(self, process: _Process) -> None:
        try:
            await asyncio.get_running_loop().subprocess_exec(lambda: process, *self._command, stderr=None)
        except OSError as error:
            self._process = None
            self._settle(VerifierUnavailableError(f"no solver process can be started: {error}"))

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        if self._starting:
            await asyncio.wait(self._starting)
        self._drop()
        if self._leaving:
            await asyncio.wait(self._leaving)
        if self._asked is not None:
            self._asked.settle(VerifierUnavailableError("the verifier is being stopped"))

    def take(self, asked: _Asked) -> None:
        """Judge a question; ``free`` is called when the next one may come."""
        self._asked = asked
        asked.answer.add_done_callback(self._given_up)
        if self._process is not None and self._process.ready:
            self._ask(self._process, asked)
            return
        # Already here: a process that never gets ready must not keep the question for ever.
        self._start_clock(self._patience)
        if self._process is None:
            self.start()

    def became_ready(self, process: _Process) -> None:
        """The process takes questions."""
        if self._asked is not None:
            self._ask(process, self._asked)

    def _ask(self, process: _Process, asked: _Asked) -> None:
        self._stop_clock()
        try:
            self._beforehand()
        except VerifierUnavailableError as error:
            # What follows is in _given_up, in a turn of the loop for each: all that wait may end like this.
            asked.settle(error)
            return
        self._start_clock(self._deadline)
        process.ask(asked.line)

    def answered(self, line: bytes) -> None:
        """The process has judged."""
        self._settle(decode_judgement(line))

    def ended(self, process: _Process, code: int) -> None:
        """The process is gone, by itself."""
        self._process = None
        self._stop_clock()
        asked = self._asked
        if not process.ready:
            reason = f"a solver process ended with code {code} before it was ready"
            _log.error("%s", reason)
            self._settle(VerifierUnavailableError(reason))
            return
        self.start()
        if asked is None or (code == 0 and process.judged):
            return  # it has retired
        if code == -signal.SIGKILL and not asked.killed:
            # The kernel short of memory, or a person: who did it says nothing about the question.
            _log.warning("a solver process was killed; its question is asked once more")
            asked.killed = True
            self._start_clock(self._patience)
            return
        reason = _reason(code, self._cpu)
        _log.warning("a solver process gave up: %s", reason)
        self._settle(Judgement(Verdict.TOO_HARD, f"the solver gave up: {reason}", check_sat="error"))

    def _settle(self, outcome: Judgement | Exception) -> None:
        asked, self._asked = self._asked, None
        self._stop_clock()
        if asked is not None:
            asked.answer.remove_done_callback(self._given_up)
            asked.settle(outcome)
            self._free(self)

    def _too_late(self) -> None:
        was_ready = self._process is not None and self._process.ready
        self._drop()
        self.start()
        if not was_ready:
            reason = f"a solver process was not ready within {self._patience:g} s"
            _log.error("%s", reason)
            self._settle(VerifierUnavailableError(reason))
            return
        reason = f"no verdict within {self._deadline:g} s"
        self._settle(Judgement(Verdict.TOO_HARD, reason, total_seconds=self._deadline))

    def _given_up(self, answer: asyncio.Future[Judgement]) -> None:
        """Nobody waits any more; if the question was sent, only a new process can be trusted with the next one."""
        if self._asked is None or self._asked.answer is not answer:
            return  # it was settled meanwhile, and the next one is in work
        if self._clock is not None and self._process is not None and self._process.ready:
            self._drop()
            self.start()
        self._settle(VerifierUnavailableError("nobody waits for the answer"))

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.kill():
            self._leaving.add(process.gone)
            process.gone.add_done_callback(self._leaving.discard)

    def _start_clock(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


class _Process(asyncio.SubprocessProtocol):
    """The pipes of one process; tells its solver what happens until the solver has dropped it."""

    def __init__(self, solver: _Solver) -> None:
        self._solver: _Solver | None = solver
        self._read = bytearray()
        self._transport: asyncio.SubprocessTransport | None = None
        self._input: asyncio.WriteTransport
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready = False
        self.judged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the process."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._input = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))

    def ask(self, line: bytes) -> None:
        """Send one question."""
        self._input.write(line)

    def kill(self) -> bool:
        """End it now and say whether it had started; ``gone`` is done when it is gone."""
        self._solver = None
        if self._transport is None:
            return False
        self._transport.close()
        return True

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio calls it so
        """Collect an answer; it comes in one piece unless it is long."""
        self._read += data
        if self._solver is None or not data.endswith(b"\n"):
            if self._transport is not None and len(self._read) > _LONGEST_ANSWER:
                self._transport.kill()
            return
        line, self._read = bytes(self._read), bytearray()
        if self.ready:
            self.judged += 1
            self._solver.answered(line)
        elif line == READY:
            self.ready = True
            self._solver.became_ready(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """The process has ended and was reaped."""
        code = 0
        if self._transport is not None:
            code = self._transport.get_returncode() or 0
            self._transport.close()
        if self._solver is not None:
            self._solver.ended(self, code)
        self.gone.set_result(None)


def _reason(code: int, cpu: float) -> str:
    if code == -signal.SIGXCPU:
        return f"no verdict within {cpu:g} s of CPU time"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with code {code}"


_LONGEST_ANSWER: Final = 16 * 1024 * 1024
