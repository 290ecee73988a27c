"""``veriramp verify``: verdicts on the texts of a file, one a line.

Public names: :func:`register` (an entry point of ``veriramp.commands``), :func:`run`.

Whatever needs the solver is imported when the command runs: the rest of the command line works without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from veriramp_sdk.events import Verdict
from veriramp_workers.command.questions import LONGEST_LINE, BadLineError, NamedQuestion, read_question
from veriramp_workers.ports import Judgement, Verifier, VerifierUnavailableError

Subparsers = Any


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "verify",
        help="judge texts: do they follow from their premises, or conflict with them",
        description='Judge texts with the embedded verifier. Each line of FILE is {"id", "text"}, or '
        '{"id", "premises", "claim"}; each line of the output a verdict with its reason, the conflicting sentences, '
        "the premises that were not understood, and the formal text. Exit code 0: every line was judged, whatever the "
        "verdicts; 1: a line could not be read, or the solver failed on one; 2: wrong use, or the solver is not "
        "installed; 3: no solver process can be started.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="one JSON object a line (-: stdin)")
    parser.add_argument("--text", help="judge this text instead of a file")
    parser.add_argument(
        "--premise", action="append", default=[], metavar="TEXT", help="true for --text; may be repeated"
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], help="default: json for a file, text for --text")
    parser.add_argument(
        "--solvers", type=_count, default=_cores(), help="solver processes, 1 to 64 (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Judge and print; returns the exit code."""
    try:
        return _run(arguments)
    except _Stopped as stopped:
        sys.stderr.write(f"error: {stopped}\n")
        return stopped.code
    except KeyboardInterrupt:
        return 130


class _Stopped(Exception):  # noqa: N818 - wrong use is no error of the program
    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def _run(arguments: argparse.Namespace) -> int:
    if (arguments.file is None) == (arguments.text is None):
        raise _Stopped(2, "give a FILE (-: stdin) or --text, one of them")
    if arguments.premise and arguments.text is None:
        raise _Stopped(2, '--premise belongs to --text; in a file write {"id": ..., "premises": [...], "claim": ...}')
    try:
        from veriramp_workers.verifier import VerifierPool  # noqa: PLC0415 - the solver is an extra
    except ImportError as error:
        raise _Stopped(2, f"verify needs the solver: pip install 'veriramp[workers]' ({error})") from error
    screen = _Screen(arguments.output or ("json" if arguments.text is None else "text"))
    solvers = arguments.solvers if arguments.text is None else 1
    with _lines(arguments) as lines:
        try:
            return asyncio.run(_judged(lines, VerifierPool(solvers), screen, solvers))
        except VerifierUnavailableError as error:
            raise _Stopped(3, str(error)) from error


@contextmanager
def _lines(arguments: argparse.Namespace) -> Iterator[Iterator[bytes]]:
    if arguments.text is not None:
        yield iter([json.dumps({"id": "text", "claim": arguments.text, "premises": arguments.premise}).encode()])
    elif arguments.file == "-":
        yield _cut(sys.stdin.buffer)
    else:
        try:
            file = Path(arguments.file).open("rb")  # noqa: SIM115 - closed below
        except OSError as error:
            what = f"{arguments.file}: {error.strerror}"
            raise _Stopped(2, f"{what}; name a file with one JSON object a line, or -") from error
        with file:
            yield _cut(file)


def _cut(file: BinaryIO) -> Iterator[bytes]:
    """Return the lines; of one that is too long only so much that this can be seen."""
    while line := file.readline(LONGEST_LINE + 2):
        yield line
        while len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
            if not line:
                return


@dataclass
class _Screen:
    """Prints verdicts on standard output, and what people should know on standard error."""

    output: str
    verdicts: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    _started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def verdict(self, question: NamedQuestion, judgement: Judgement) -> None:
        self.verdicts[judgement.verdict.value] += 1
        shown = _as_text if self.output == "text" else _as_json
        self._clear()
        try:
            sys.stdout.write(shown(question, judgement) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise  # whoever read it has seen enough
        except OSError as error:
            raise _Stopped(1, f"the verdicts cannot be written any further: {error.strerror}") from error
        now = time.monotonic()
        if now - self._told >= _PROGRESS_SECONDS and now - self._started >= _PROGRESS_SECONDS:
            self._told = now
            self._progress(f"{self.verdicts.total()} judged in {now - self._started:.0f} s")

    def bad_line(self, number: int, sentence: str) -> None:
        self.bad += 1
        self._clear()
        sys.stderr.write(f"error: line {number}: {sentence}\n")

    def end(self) -> None:
        """Tell the sums, when there were several."""
        self._clear()
        total = self.verdicts.total()
        if sys.stderr.isatty() and total + self.bad > 1:
            counts = ", ".join(f"{count} {name}" for name, count in sorted(self.verdicts.items()))
            bad = f"; {self.bad} line{'s' * (self.bad != 1)} could not be read" if self.bad else ""
            sys.stderr.write(f"{total} judged: {counts}{bad}\n")

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


_PROGRESS_SECONDS: Final = 1.0
_WINDOW: Final = 4
"""Questions read ahead for each solver."""


async def _judged(lines: Iterator[bytes], verifier: Any, screen: _Screen, solvers: int) -> int:
    failed = False
    async with verifier:
        async for number, answer in _answers(lines, verifier, _WINDOW * solvers):
            try:
                question, judgement = await answer
            except BadLineError as error:
                screen.bad_line(number, str(error))
            else:
                failed = failed or judgement.verdict is Verdict.ERROR
                screen.verdict(question, judgement)
    screen.end()
    return 1 if failed or screen.bad else 0


Answer = asyncio.Task[tuple[NamedQuestion, Judgement]]


async def _answers(lines: Iterator[bytes], verifier: Verifier, window: int) -> AsyncIterator[tuple[int, Answer]]:
    """Judge ``window`` lines at once; the answers come in the order of the lines, each as soon as it can."""
    queue: asyncio.Queue[tuple[int, Answer] | OSError | None] = asyncio.Queue(window)
    loop = asyncio.get_running_loop()

    async def put(number: int, line: bytes) -> None:
        answer = asyncio.create_task(_answer(verifier, line, number))
        # When the command ends early nobody asks for the rest.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        await queue.put((number, answer))

    def run(work: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(work, loop).result()
        except RuntimeError:
            work.close()  # the command has ended
            raise

    def read() -> None:
        # A thread of its own: standard input may be silent for long, and the verdicts so far must not wait for it.
        with suppress(RuntimeError, CancelledError):
            try:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        run(put(number, line))
                run(queue.put(None))
            except OSError as error:
                run(queue.put(error))

    threading.Thread(target=read, daemon=True).start()
    while (item := await queue.get()) is not None:
        if isinstance(item, OSError):
            raise _Stopped(2, f"the input cannot be read any further: {item.strerror}")
        yield item


async def _answer(verifier: Verifier, line: bytes, number: int) -> tuple[NamedQuestion, Judgement]:
    question = read_question(line, number)
    return question, await verifier.judge(question.question)


def _as_json(question: NamedQuestion, judgement: Judgement) -> str:
    said = {
        "id": question.id,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "conflict": list(judgement.conflict),
        "skipped": list(judgement.skipped),
        "check_sat": judgement.check_sat,
        "formal": judgement.smt_lib,
    }
    return json.dumps(said, ensure_ascii=False)


def _as_text(question: NamedQuestion, judgement: Judgement) -> str:
    lines = [f"{question.id}: {judgement.verdict.value} - {judgement.reason}"]
    lines += [f"  {' '.join(question.question.text.split())}"]
    if judgement.conflict:
        lines += ["  in conflict:", *(f"    {number}. {one}" for number, one in enumerate(judgement.conflict, 1))]
    if judgement.skipped:
        lines += ["  left out, because not all of what stands with it is understood:"]
        lines += [f"    - {one}" for one in judgement.skipped]
    if judgement.smt_lib:
        lines += ["  formal text:", *(f"    {line}" for line in judgement.smt_lib.splitlines())]
    return "\n".join(lines)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_SOLVERS:
        raise argparse.ArgumentTypeError(f"{text} is no number of processes; write 1 to {_MOST_SOLVERS}")
    return int(text)


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), 8)


_MOST_SOLVERS: Final = 64
