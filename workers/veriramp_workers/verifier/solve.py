"""The isolated solver process: one question a line on standard input, one judgement a line on standard output.

Started by :class:`~veriramp_workers.verifier.pool.VerifierPool`; ends when its input ends, also when its parent was
killed. Public names: :func:`main`.
"""

from __future__ import annotations

import resource
import signal
import sys

import z3

from veriramp_workers.verifier.judge import judge
from veriramp_workers.verifier.prover import Limits
from veriramp_workers.verifier.wire import decode_question, encode_judgement


def main() -> int:
    """Answer questions until the input ends. Arguments: memory in MiB, solver steps, solver seconds."""
    memory, steps, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _leave_signals_to_the_parent()
    _bound_memory(memory)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(encode_judgement(judge(decode_question(line), Limits(steps, seconds))))
        sys.stdout.buffer.flush()
    return 0


def _leave_signals_to_the_parent() -> None:
    """A signal to the whole group asks the parent to drain: it needs this process until then, and kills it itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _bound_memory(mebibytes: int) -> None:
    """Let z3 give up first; the limit of the address space is the wall behind it."""
    z3.set_param("memory_max_size", mebibytes)
    wall = (2 * mebibytes + 1024) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (wall, wall))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
