"""The pool of solver processes: what happens to the one question, and to the next, when a process goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from tests.bench.proc import cpu_seconds
from tests.support.waiting import wait_until
from veriramp_sdk.events import Verdict
from veriramp_workers.breaker import BreakerSettings, BreakerState, CircuitBreaker
from veriramp_workers.orchestrator import GuardedVerifier, RateLimiter
from veriramp_workers.orchestrator.limiter import ClosedError
from veriramp_workers.ports import Question, VerifierUnavailableError
from veriramp_workers.verifier import Limits, VerifierPool

EASY = Question("Anne is not old.", ("Anne is old.",))
# A sum of three cubes: no solver finds it in the time of a test, and its search respects no step limit for long.
HARD = Question(
    "".join(f"(declare-const {name} Int)" for name in "xyz")
    + "(assert (= (+ (* x x x) (* y y y) (* z z z)) 42))(assert (> x 1000))"
)
ENDLESS = Limits(steps=4_000_000_000, seconds=600.0)


def children() -> set[int]:
    """The processes that this one started and that still run."""
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return {int(number) for number in text.split()}


@pytest.mark.shows("S1-ORCH-02")
async def test_questions_are_judged_concurrently_and_in_their_own_processes() -> None:
    before = children()
    async with VerifierPool(2) as pool:
        answers = await asyncio.gather(*(pool.judge(EASY) for _ in range(20)))
        assert {answer.verdict for answer in answers} == {Verdict.CONTRADICTED}
        assert len(children() - before) == 2
    assert children() <= before


@pytest.mark.shows("S1-FAIL-04")
async def test_a_judgement_beyond_the_deadline_is_too_hard_and_the_next_one_is_judged() -> None:
    async with VerifierPool(1, limits=ENDLESS, deadline=3.0) as pool:
        assert (await pool.judge(HARD)).verdict is Verdict.TOO_HARD
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED


async def test_a_process_that_hangs_before_it_is_ready_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nmkdir {tmp_path}/hung 2>/dev/null && exec sleep 600\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    before = children()
    async with VerifierPool(1, patience=3.0) as pool:
        with pytest.raises(VerifierUnavailableError, match="not ready within 3 s"):
            await pool.judge(EASY)

        async def judged() -> bool:
            with contextlib.suppress(VerifierUnavailableError):  # the next one may be slow to start as well
                return (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED
            return False

        await wait_until(judged, 60, "a verdict of another process")
        assert len(children() - before) == 1
    assert children() <= before


async def killed(known: set[int]) -> int:
    """Kill the solver process that is not known, once it works on a question: it has bounds then and uses CPU."""
    bounded: dict[int, float] = {}

    async def busy() -> bool:
        for pid in children() - known:
            if resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0):
                bounded.setdefault(pid, cpu_seconds(pid))
        return any(cpu_seconds(pid) > before + 0.1 for pid, before in bounded.items())

    await wait_until(busy, 60, "a process at work")
    (solver,) = bounded
    os.kill(solver, signal.SIGKILL)
    return solver


async def test_a_process_that_is_killed_is_replaced_and_its_question_asked_once_more() -> None:
    before = children()
    async with VerifierPool(1, limits=ENDLESS) as pool:
        await pool.judge(EASY)
        (solver,) = children() - before
        os.kill(solver, signal.SIGSTOP)  # or it may have answered before it is killed
        asked = asyncio.create_task(pool.judge(EASY))
        await asyncio.sleep(0)
        os.kill(solver, signal.SIGKILL)
        assert (await asked).verdict is Verdict.CONTRADICTED
        assert solver not in children()
        asked = asyncio.create_task(pool.judge(HARD))
        first = await killed(before)
        await killed(before | {first})
        answer = await asked
        assert (answer.verdict, answer.check_sat) == (Verdict.TOO_HARD, "error")
        assert "SIGKILL" in answer.reason
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED


async def test_a_signal_to_the_group_does_not_take_the_solver_from_a_draining_worker() -> None:
    before = children()
    async with VerifierPool(1) as pool:
        await pool.judge(EASY)
        (solver,) = children() - before
        os.kill(solver, signal.SIGTERM)
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED
        assert children() - before == {solver}
    assert children() <= before


async def test_a_cancelled_question_leaves_no_answer_behind_for_the_next() -> None:
    async with VerifierPool(1, limits=ENDLESS) as pool:
        await pool.judge(EASY)
        asked = asyncio.create_task(pool.judge(HARD))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED


@pytest.mark.shows("S1-FLAG-05")
async def test_off_no_question_begins_that_waits_for_a_process() -> None:
    limiter, breaker = RateLimiter(), CircuitBreaker("embedded", BreakerSettings(failures=1))
    async with VerifierPool(1, limits=ENDLESS, beforehand=limiter.check_open) as pool:
        guard = GuardedVerifier(pool, breaker, limiter)
        starting = asyncio.create_task(guard.judge(EASY))
        await asyncio.sleep(0)
        limiter.closed = True
        with pytest.raises(ClosedError):
            await starting
        limiter.closed = False
        assert (await guard.judge(EASY)).verdict is Verdict.CONTRADICTED
        begun = asyncio.create_task(guard.judge(HARD))
        waiting = [asyncio.create_task(guard.judge(EASY)) for _ in range(1_000)]
        await asyncio.sleep(0)
        limiter.closed = True
        begun.cancel()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(end) for end in ends} == {ClosedError}
        assert breaker.state is BreakerState.CLOSED
        limiter.closed = False
        assert (await guard.judge(EASY)).verdict is Verdict.CONTRADICTED


async def test_an_answer_and_the_end_of_its_question_at_once_leave_the_next_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with VerifierPool(1) as pool:
        await pool.judge(EASY)
        given_up, following = (asyncio.create_task(pool.judge(EASY)) for _ in range(2))
        solver = pool._solvers[0]
        answered = solver.answered

        def in_the_same_turn(line: bytes) -> None:
            given_up.cancel()
            answered(line)

        monkeypatch.setattr(solver, "answered", in_the_same_turn)
        assert (await following).verdict is Verdict.CONTRADICTED
        assert given_up.cancelled()


async def test_a_process_is_replaced_after_its_share_of_judgements() -> None:
    before = children()
    async with VerifierPool(1, recycle=2) as pool:
        await pool.judge(EASY)
        first = children() - before
        await pool.judge(EASY)
        await pool.judge(EASY)

        async def replaced() -> bool:
            return bool(children() - before) and not first & children()

        await wait_until(replaced, 60, "another process")


async def test_memory_is_bounded() -> None:
    # Multiplying two words of 2048 bits takes millions of gates, far more than 64 MiB.
    words = "".join(f"(declare-const {name} (_ BitVec 2048))" for name in "xy")
    bomb = Question(f"{words}(assert (= (bvmul x y) (_ bv7 2048)))(assert (bvugt x (_ bv7 2048)))")
    async with VerifierPool(1, memory=64, limits=ENDLESS, cpu=120.0, deadline=120.0) as pool:
        answer = await pool.judge(bomb)
        assert answer.verdict is Verdict.TOO_HARD
        assert "mem" in answer.reason
        assert (await pool.judge(EASY)).verdict is Verdict.CONTRADICTED
