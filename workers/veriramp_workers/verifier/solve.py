"""The isolated solver process: one question a line on standard input, one judgement a line on standard output.

Started by :class:`~veriramp_workers.verifier.pool.VerifierPool`; ends when its input or its parent ends. It says
``READY`` first, and retires with exit code 0 between two questions when it has judged enough or holds much memory.
Public names: :func:`main`.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Final

import z3

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question
from veriramp_workers.verifier.judge import judge
from veriramp_workers.verifier.prover import Limits
from veriramp_workers.verifier.wire import READY, Bounds, decode_question, encode_judgement


def main() -> int:
    """Answer questions until the input ends or it is time for another process."""
    parent, bounds = int(sys.argv[1]), Bounds.read(sys.argv[2:])
    _leave_signals_to_the_parent()
    _end_with(parent)
    answers = _own_output()
    _bound(bounds)
    _answer(answers, READY)
    limits = Limits(bounds.steps, bounds.seconds)
    for number, line in enumerate(sys.stdin.buffer, 1):
        _allow_cpu(bounds.cpu)
        judgement = _judged(decode_question(line), limits)
        _answer(answers, encode_judgement(judgement))
        if number >= bounds.questions or z3.Z3_get_estimated_alloc_size() > bounds.memory * _MIB * _KEPT:
            return 0
    return 0


_MIB: Final = 1024 * 1024
_KEPT: Final = 0.25
"""Share of the memory bound that may stay in use between two questions."""


def _judged(question: Question, limits: Limits) -> Judgement:
    try:
        return judge(question, limits)
    except UnicodeError:
        return Judgement(Verdict.NOT_FORMALISABLE, "the text holds something that is no character")
    except (MemoryError, RecursionError) as error:
        return Judgement(Verdict.TOO_HARD, f"the problem is too large: {type(error).__name__}", check_sat="error")


def _answer(answers: BinaryIO, line: bytes) -> None:
    answers.write(line)
    answers.flush()


def _leave_signals_to_the_parent() -> None:
    """A signal to the whole group asks the parent to drain: it needs this process until then, and kills it itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process with its parent; an endless proof does not notice that its input has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # without a word: nobody is there to read it, but whoever ended the parent


def _own_output() -> BinaryIO:
    """Keep the answers apart from what a library prints."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _bound(bounds: Bounds) -> None:
    """Let z3 give up first; the limit of the address space is the wall behind it. No file is opened from here on."""
    z3.set_param("memory_max_size", bounds.memory)
    z3.set_param("warning", False)
    wall = (2 * bounds.memory + 1024) * _MIB
    resource.setrlimit(resource.RLIMIT_AS, (wall, wall))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    files = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.nice(_NICENESS)


def _allow_cpu(seconds: float) -> None:
    """Bound the CPU time of the next question; the kernel ends the process that uses more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


_PR_SET_PDEATHSIG: Final = 1
_NICENESS: Final = 5
"""The worker's own work, a message in or out, goes before any proof."""


if __name__ == "__main__":
    sys.exit(main())
