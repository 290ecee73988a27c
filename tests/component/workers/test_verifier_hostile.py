"""Texts made to hurt: each costs its own verdict at most, never the worker, another question, memory or a file."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.bench.proc import rss_mib
from tests.component.workers.test_verifier_pool import EASY, ENDLESS, HARD, children
from tests.support.waiting import wait_until
from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question, VerifierUnavailableError
from veriramp_workers.verifier import Limits, VerifierPool

SHORT: Final = Limits(steps=300_000, seconds=10.0)
REFUSED: Final = {Verdict.NOT_FORMALISABLE}
HEAVY: Final = {Verdict.TOO_HARD}
DECIDED: Final = {Verdict.UNDETERMINED, Verdict.INCONSISTENT, Verdict.TOO_HARD, Verdict.NOT_FORMALISABLE}
"""Harmless when the solver copes with it, too hard when not; which it is may change with z3."""


def doubling(levels: int) -> str:
    """Macros that apply each other twice: the last stands for two to the ``levels`` calls."""
    macros = ["(define-fun f0 ((x Int)) Int (+ (* x x) 1))"]
    macros += [f"(define-fun f{n} ((x Int)) Int (f{n - 1} (f{n - 1} x)))" for n in range(1, levels)]
    return f"{''.join(macros)}(declare-const x Int)(assert (= (f{levels - 1} x) 3))"


def pigeons(holes: int) -> str:
    """One pigeon more than holes: hard for every solver of this kind."""
    names = [[f"p{pigeon}h{hole}" for hole in range(holes)] for pigeon in range(holes + 1)]
    declared = "".join(f"(declare-const {name} Bool)" for row in names for name in row)
    somewhere = "".join(f"(assert (or {' '.join(row)}))" for row in names)
    alone = "".join(
        f"(assert (not (and {one[hole]} {other[hole]})))"
        for number, one in enumerate(names)
        for other in names[:number]
        for hole in range(holes)
    )
    return declared + somewhere + alone


def crowd(count: int) -> tuple[str, ...]:
    """Rules over pairs and many names: as instances, millions."""
    rules = ("If X sees Y then Y sees X.", "If X sees Y and Y likes X then X is red.")
    return (*rules, " ".join(f"Name{number} sees Name{number + 1}." for number in range(count)))


TEXTS: Final[Mapping[str, tuple[Question, set[Verdict]]]] = {
    "longer than is read": (Question("(assert true)" * 10_000), REFUSED),
    "nested 15,000 deep": (Question(f"(assert {'(not ' * 15_000}true{')' * 15_000})"), DECIDED),
    "sums nested deep": (
        Question(f"(declare-const x Int)(assert (= 0 {'(+ x ' * 15_000}1{')' * 15_000}))"),
        DECIDED,
    ),
    "quantifiers nested deep": (
        Question(f"(assert {'(exists ((x Int)) ' * 3_000}true{')' * 3_000})"),
        DECIDED,
    ),
    "unbalanced": (Question("(" * 90_000), REFUSED),
    "macros that double": (Question(doubling(40)), HEAVY),
    "a sequence of instances without end": (
        Question(
            "(declare-fun f (Int) Int)(assert (forall ((x Int)) (> (f (f x)) (f (+ x 1)))))"
            "(assert (forall ((x Int) (y Int)) (< (f (* x y)) (f (+ (f x) y)))))"
        ),
        DECIDED,
    ),
    "a recursion without end": (
        Question("(define-fun-rec f ((x Int)) Int (+ 1 (f (+ x 1))))(declare-const y Int)(assert (= (f y) y))"),
        DECIDED,
    ),
    "words of a billion bits": (
        Question("(declare-const x (_ BitVec 1000000000))(assert (= (bvmul x x) (bvadd x x x)))"),
        {*HEAVY, *REFUSED},
    ),
    "words to multiply": (
        Question(
            "(declare-const x (_ BitVec 2048))(declare-const y (_ BitVec 2048))"
            "(assert (= (bvmul x y) (_ bv7 2048)))(assert (bvugt x (_ bv7 2048)))"
        ),
        HEAVY,
    ),
    "a power of powers": (
        Question("(declare-const x Int)(assert (= x (^ 10 (^ 10 (^ 10 10)))))"),
        DECIDED,
    ),
    "a loop of a billion characters": (
        Question('(declare-const s String)(assert (str.in_re s ((_ re.loop 900000000 999999999) (str.to_re "ab"))))'),
        DECIDED,
    ),
    "pigeons": (Question(pigeons(14)), HEAVY),
    "a sum of cubes": (HARD, HEAVY),
    "half a character": (Question("(declare-const |\ud800| Bool)(assert |\ud800|)"), REFUSED),
    "the end of a C string": (Question("(declare-const |a\0b| Bool)(assert |a\0b|)"), REFUSED),
    "a file to read": (Question('(include "/etc/passwd")(assert true)'), REFUSED),
    "a file to write": (Question('(set-option :regular-output-channel "out.txt")(assert true)'), REFUSED),
    "an end to the process": (Question("(exit)(assert false)"), {Verdict.INCONSISTENT}),
    "a smuggled command": (Question('(assert true) ; \r (include "/etc/passwd")\n(assert true)'), DECIDED),
    "a quote that does not end": (Question('(declare-const |a\\| Bool)(include "x")(assert |b|)'), REFUSED),
    "a crowd": (Question("Name1 is red.", crowd(300)), DECIDED),
    "many words": (Question("The " + "very " * 15_000 + "old mill is red."), REFUSED),
}


async def test_each_costs_only_its_own_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    answers: dict[str, Judgement] = {}

    async def ask(name: str) -> None:
        answers[name], easy = await asyncio.gather(pool.judge(TEXTS[name][0]), pool.judge(EASY))
        assert easy.verdict is Verdict.CONTRADICTED, f"beside {name}"

    async with VerifierPool(2, limits=SHORT, cpu=3.0, deadline=120.0, memory=128) as pool:
        await asyncio.gather(*map(ask, TEXTS))
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED
    unexpected = {name: answer for name, answer in answers.items() if answer.verdict not in TEXTS[name][1]}
    assert unexpected == {}
    assert all(answer.reason for answer in answers.values())
    assert not entries(tmp_path)


async def test_bounds_of_a_process() -> None:
    before = children()
    async with VerifierPool(1, memory=128) as pool:
        await pool.judge(EASY)
        (solver,) = children() - before
        assert resource.prlimit(solver, resource.RLIMIT_NOFILE)[0] <= entries(Path(f"/proc/{solver}/fd"))
        assert resource.prlimit(solver, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(solver, resource.RLIMIT_FSIZE) == (0, 0)
        assert 0 < resource.prlimit(solver, resource.RLIMIT_AS)[1] < 2 * 2**30
        assert os.getpriority(os.PRIO_PROCESS, solver) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_process_ends_with_its_parent_in_the_middle_of_a_proof() -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.component.workers.test_verifier_pool import EASY, ENDLESS, HARD, children\n"
        "from veriramp_workers.verifier import VerifierPool\n"
        "async def main():\n"
        "    async with VerifierPool(1, limits=ENDLESS, cpu=600, deadline=600) as pool:\n"
        "        await pool.judge(EASY)\n"
        "        asked = asyncio.create_task(pool.judge(HARD))\n"
        "        await asyncio.sleep(0)\n"
        "        print(*children(), flush=True)\n"
        "        await asked\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    (solver,) = map(int, (await parent.stdout.readline()).split())
    assert not gone(solver)
    parent.kill()
    await parent.wait()

    async def ended() -> bool:
        return gone(solver)

    await wait_until(ended, 60, "the solver's end")


def gone(pid: int) -> bool:
    """Whether a process has ended; who adopts it may not have noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def entries(folder: Path) -> int:
    """How much is in a folder."""
    return len(list(folder.iterdir()))


async def test_a_process_that_cannot_start_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with VerifierPool(1) as pool:
        for _ in range(2):
            with pytest.raises(VerifierUnavailableError, match="before it was ready"):
                await pool.judge(EASY)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with VerifierPool(1) as pool:
        for _ in range(2):
            with pytest.raises(VerifierUnavailableError, match="no solver process can be started"):
                await pool.judge(EASY)


async def test_who_waits_when_the_pool_ends_is_told() -> None:
    async with VerifierPool(1, limits=ENDLESS) as pool:
        asked = [asyncio.create_task(pool.judge(question)) for question in (HARD, EASY)]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [VerifierUnavailableError] * 2


QUESTIONS: Final = int(os.environ.get("VERIRAMP_SOAK_QUESTIONS", "1500"))


async def test_nothing_is_left_behind_by_many_questions_and_crashes() -> None:
    """No process, no zombie, no descriptor, no memory: counted after the first third and at the end."""
    before = children()
    async with VerifierPool(2) as pool:
        seen = []
        for round_ in range(3):
            for number in range(QUESTIONS // 30):
                texts = [f"The tower {round_}x{number}x{one} is {one} metres tall." for one in range(10)]
                questions = [Question(text, (*EASY.premises, texts[0])) for text in texts]
                answers = await asyncio.gather(*map(pool.judge, questions))
                assert {answer.verdict for answer in answers} <= {Verdict.ENTAILED, Verdict.UNDETERMINED}
            seen.append((entries(Path("/proc/self/fd")), rss_mib(os.getpid()), largest(children() - before)))
            (victim, *_) = children() - before
            os.kill(victim, signal.SIGKILL)
            await asyncio.gather(*(pool.judge(EASY) for _ in range(10)))
        assert len(children() - before) == 2
    assert children() <= before
    (files, own, solver), _, (files_after, own_after, solver_after) = seen
    assert files_after <= files
    assert own_after < own + 4
    assert solver_after < solver + 8


def largest(pids: set[int]) -> float:
    return max(map(rss_mib, pids))
