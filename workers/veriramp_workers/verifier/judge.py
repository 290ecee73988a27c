"""Judge one question with z3, in this process and in one thread (z3's context is shared: making one takes 10 ms).

Public names: :func:`judge`, :class:`Limits`, ``NAME``, ``VERSION``, ``FORMALISER_VERSION``.

With P the premises and C the claim: P and C unsatisfiable means *contradicted* (*inconsistent* if P or C alone already
is), P and not C unsatisfiable means *entailed*, both satisfiable *undetermined*, no answer within the limits *too
hard*. A text without premises is *inconsistent* or *undetermined*: consistent is not true.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import z3

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question
from veriramp_workers.verifier.english import NotFormalisableError
from veriramp_workers.verifier.problem import Assertion, Problem, problem_of

NAME: Final = "veriramp-embedded"
VERSION: Final = f"1+z3-{z3.get_version_string()}"
FORMALISER_VERSION: Final = "controlled-english-1"


@dataclass(frozen=True)
class Limits:
    """Bounds of one solver call: ``steps`` of z3's own resource counter (the same everywhere), ``seconds`` of time."""

    steps: int = 2_000_000
    seconds: float = 5.0


def judge(question: Question, limits: Limits | None = None) -> Judgement:
    """Return the verdict on a question; whatever is wrong with the text is a verdict and not an exception."""
    started = time.perf_counter()
    try:
        judgement = _Case(problem_of(question), limits or Limits()).judgement()
    except NotFormalisableError as error:
        judgement = Judgement(Verdict.NOT_FORMALISABLE, str(error))
    except z3.Z3Exception as error:
        judgement = _solver_error(error)
    return replace(judgement, total_seconds=time.perf_counter() - started)


def _solver_error(error: z3.Z3Exception) -> Judgement:
    text = error.value.decode(errors="replace") if isinstance(error.value, bytes) else str(error)
    hard = "memory" in text or "canceled" in text or "resource" in text
    return Judgement(
        Verdict.TOO_HARD if hard else Verdict.NOT_FORMALISABLE,
        f"the solver refuses the problem: {' '.join(text.split())[:300]}",
        check_sat="error",
    )


class _Case:
    """One problem, parsed once, and the calls to the solver about it."""

    def __init__(self, problem: Problem, limits: Limits) -> None:
        self._problem = problem
        self._limits = limits
        self._solver_seconds = 0.0
        self._unknown = ""
        everything = (*problem.premises, *problem.claim)
        script = "\n".join([problem.declarations, *(f"(assert {one.smt_lib})" for one in everything)])
        parsed = list(z3.parse_smt2_string(script))
        own = len(parsed) - len(everything)
        # The distinctness of names is an assertion of the declarations: background, never part of a conflict.
        self._background = parsed[:own]
        self._formulas = dict(zip(range(len(everything)), parsed[own:], strict=True))
        self._claim = range(len(problem.premises), len(everything))

    def judgement(self) -> Judgement:
        """Decide which verdict holds."""
        premises = range(len(self._problem.premises))
        answer = self._check([*premises, *self._claim])
        if answer == z3.unsat:
            return self._conflicting(premises)
        if not premises:
            if answer == z3.sat:
                return self._result(Verdict.UNDETERMINED, "consistent by itself; nothing to compare it with", "sat")
            return self._result(Verdict.TOO_HARD, f"no answer within the solver's limits: {self._unknown}", "unknown")
        denied = self._check(premises, denied=self._claim)
        if denied == z3.unsat:
            return self._result(Verdict.ENTAILED, "follows from the premises", "sat")
        if z3.unknown in (answer, denied):
            return self._result(Verdict.TOO_HARD, f"no answer within the solver's limits: {self._unknown}", "unknown")
        return self._result(Verdict.UNDETERMINED, "the premises decide it neither way", "sat")

    def _conflicting(self, premises: range) -> Judgement:
        for part, name in (
            (premises, "the premises contradict each other"),
            (self._claim, "the text contradicts itself"),
        ):
            if part and self._check(part) == z3.unsat:
                return self._result(Verdict.INCONSISTENT, name, "unsat", self._smallest(part))
        conflict = self._smallest([*premises, *self._claim])
        return self._result(Verdict.CONTRADICTED, "cannot be true together with the premises", "unsat", conflict)

    def _smallest(self, members: Sequence[int]) -> tuple[int, ...]:
        """Return a smallest conflicting subset: exact while the search is small, else one that cannot be reduced."""
        core = list(members)
        for member in tuple(core):
            rest = [other for other in core if other != member]
            if self._check(rest) == z3.unsat:
                core = rest
        for size in range(1, len(core)):
            if math.comb(len(members), size) > _SEARCHED_SUBSETS:
                break
            for subset in itertools.combinations(members, size):
                if self._check(subset) == z3.unsat:
                    return subset
        return tuple(core)

    def _check(self, members: Sequence[int], denied: Sequence[int] = ()) -> z3.CheckSatResult:
        solver = z3.Solver()
        solver.set("rlimit", self._limits.steps)
        solver.set("timeout", int(self._limits.seconds * 1000))
        solver.add(*self._background, *(self._formulas[member] for member in members))
        if denied:
            solver.add(z3.Not(z3.And([self._formulas[member] for member in denied])))
        started = time.perf_counter()
        answer = solver.check()
        self._solver_seconds += time.perf_counter() - started
        if answer == z3.unknown:
            self._unknown = solver.reason_unknown()
        return answer

    def _result(self, verdict: Verdict, reason: str, check_sat: str, conflict: Sequence[int] = ()) -> Judgement:
        everything: tuple[Assertion, ...] = (*self._problem.premises, *self._problem.claim)
        return Judgement(
            verdict,
            reason,
            check_sat=check_sat,
            smt_lib=self._problem.smt_lib,
            conflict=tuple(everything[member].source for member in conflict),
            skipped=self._problem.skipped,
            solver_seconds=self._solver_seconds,
        )


_SEARCHED_SUBSETS: Final = 300
