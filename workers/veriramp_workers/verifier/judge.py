"""Judge one question with z3, in this process and in one thread (solver and context are kept for the next one).

Public names: :func:`judge`, ``NAME``, ``VERSION``, ``FORMALISER_VERSION``.

With P the premises and C the claim: P and C unsatisfiable means *contradicted* (*inconsistent* if P or C alone already
is), P and not C unsatisfiable means *entailed*, both satisfiable *undetermined*, no answer within the limits *too
hard*. A text without premises is *inconsistent* or *undetermined*: consistent is not true.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import z3

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import LONGEST_FORMULA, Judgement, Question
from veriramp_workers.verifier.conflict import smallest_conflict
from veriramp_workers.verifier.english import NotFormalisableError
from veriramp_workers.verifier.hardness import class_of_unknown
from veriramp_workers.verifier.problem import Assertion, Problem, problem_of
from veriramp_workers.verifier.prover import Limits, Prover, proving

NAME: Final = "veriramp-embedded"
VERSION: Final = f"1+z3-{z3.get_version_string()}"
FORMALISER_VERSION: Final = "controlled-english-4"


def judge(question: Question, limits: Limits | None = None) -> Judgement:
    """Return the verdict on a question; whatever is wrong with the text is a verdict and not an exception."""
    started = time.perf_counter()
    try:
        problem = problem_of(question)
        with proving(problem, limits or Limits()) as prover:
            judgement = _Case(problem, prover).judgement()
    except NotFormalisableError as error:
        judgement = Judgement(Verdict.NOT_FORMALISABLE, str(error))
    except z3.Z3Exception as error:
        judgement = _solver_error(error)
    return replace(judgement, total_seconds=time.perf_counter() - started)


def _bounded(formal: str) -> str:
    # A verdict must fit into one message of the broker; half a formula would be worse than none.
    return formal if len(formal) <= LONGEST_FORMULA else ""


def _solver_error(error: z3.Z3Exception) -> Judgement:
    text = error.value.decode(errors="replace") if isinstance(error.value, bytes) else str(error)
    hard = "memory" in text or "canceled" in text or "resource" in text
    return Judgement(
        Verdict.TOO_HARD if hard else Verdict.NOT_FORMALISABLE,
        f"the solver refuses the problem: {' '.join(text.split())[:300]}",
        check_sat="error",
    )


class _Case:
    """One problem and what the solver says about it."""

    def __init__(self, problem: Problem, prover: Prover) -> None:
        self._problem = problem
        self._prover = prover
        count = len(problem.premises)
        self._premises = frozenset(range(count))
        self._claim = frozenset(range(count, count + len(problem.claim)))
        self._denial = count + len(problem.claim)

    def judgement(self) -> Judgement:
        """Decide which verdict holds."""
        answer = self._prover.check(self._premises | self._claim)
        if answer == z3.unsat:
            return self._conflicting(self._prover.core)
        if not self._premises:
            if answer == z3.sat:
                alone = "none of the premises can be used" if self._problem.skipped else "nothing to compare it with"
                return self._result(Verdict.UNDETERMINED, f"consistent by itself; {alone}", "sat")
            return self._too_hard()
        denied = self._prover.check(self._premises | {self._denial})
        if denied == z3.unsat:
            return self._result(Verdict.ENTAILED, "follows from the premises", "sat")
        if z3.unknown in (answer, denied):
            return self._too_hard()
        rounded = ": the numbers may be rounded" if self._prover.agreed else ""
        return self._result(Verdict.UNDETERMINED, f"the premises decide it neither way{rounded}", "sat")

    def _conflicting(self, core: frozenset[int]) -> Judgement:
        for part, name in (
            (self._premises, "the premises contradict each other"),
            (self._claim, "the text contradicts itself"),
        ):
            if part and self._prover.check(part) == z3.unsat:
                conflict = smallest_conflict(part, self._prover.core, (), self._conflict_in)
                return self._result(Verdict.INCONSISTENT, name, "unsat", sorted(conflict))
        sides = (self._premises, self._claim)
        conflict = smallest_conflict(self._premises | self._claim, core, sides, self._conflict_in)
        return self._result(
            Verdict.CONTRADICTED, "cannot be true together with the premises", "unsat", sorted(conflict)
        )

    def _conflict_in(self, members: frozenset[int]) -> frozenset[int] | None:
        return self._prover.core if self._prover.check(members) == z3.unsat else None

    def _too_hard(self) -> Judgement:
        return self._result(Verdict.TOO_HARD, class_of_unknown(self._prover.formulas, self._prover.unknown), "unknown")

    def _result(self, verdict: Verdict, reason: str, check_sat: str, conflict: Sequence[int] = ()) -> Judgement:
        everything: tuple[Assertion, ...] = (*self._problem.premises, *self._problem.claim)
        return Judgement(
            verdict,
            reason,
            check_sat=check_sat,
            smt_lib=_bounded(self._problem.smt_lib),
            conflict=tuple(everything[member].source for member in conflict),
            skipped=self._problem.skipped,
            solver_seconds=self._prover.seconds,
        )
