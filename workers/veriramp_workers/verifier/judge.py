"""Judge one question with z3, in this process and in one thread (z3's context is shared: making one takes 10 ms).

Public names: :func:`judge`, :class:`Limits`, ``NAME``, ``VERSION``, ``FORMALISER_VERSION``.

With P the premises and C the claim: P and C unsatisfiable means *contradicted* (*inconsistent* if P or C alone already
is), P and not C unsatisfiable means *entailed*, both satisfiable *undetermined*, no answer within the limits *too
hard*. A text without premises is *inconsistent* or *undetermined*: consistent is not true.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import z3

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question
from veriramp_workers.verifier.conflict import smallest_conflict
from veriramp_workers.verifier.english import NotFormalisableError
from veriramp_workers.verifier.hardness import class_of_unknown
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
    """One problem, parsed once, and the questions to the solver about it.

    Each assertion holds only under a switch of its own, so that one solver answers for every choice of assertions.
    """

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
        self._formulas = parsed[own:]
        self._premises = frozenset(range(len(problem.premises)))
        self._claim = frozenset(range(len(problem.premises), len(everything)))
        self._denial = len(everything)
        self._core: frozenset[int] = frozenset()
        self._switches: list[z3.BoolRef] = []
        self._number: dict[int, int] = {}
        self._solver = self._new_solver()

    def judgement(self) -> Judgement:
        """Decide which verdict holds."""
        answer = self._check(self._premises | self._claim)
        if answer == z3.unsat:
            return self._conflicting(self._core)
        if not self._premises:
            if answer == z3.sat:
                return self._result(Verdict.UNDETERMINED, "consistent by itself; nothing to compare it with", "sat")
            return self._too_hard()
        denied = self._check(self._premises | {self._denial})
        if denied == z3.unsat:
            return self._result(Verdict.ENTAILED, "follows from the premises", "sat")
        if z3.unknown in (answer, denied):
            return self._too_hard()
        return self._result(Verdict.UNDETERMINED, "the premises decide it neither way", "sat")

    def _conflicting(self, core: frozenset[int]) -> Judgement:
        for part, name in (
            (self._premises, "the premises contradict each other"),
            (self._claim, "the text contradicts itself"),
        ):
            if part and self._check(part) == z3.unsat:
                conflict = smallest_conflict(part, self._core, (), self._conflict_in)
                return self._result(Verdict.INCONSISTENT, name, "unsat", sorted(conflict))
        sides = (self._premises, self._claim)
        conflict = smallest_conflict(self._premises | self._claim, core, sides, self._conflict_in)
        return self._result(
            Verdict.CONTRADICTED, "cannot be true together with the premises", "unsat", sorted(conflict)
        )

    def _conflict_in(self, members: frozenset[int]) -> frozenset[int] | None:
        return self._core if self._check(members) == z3.unsat else None

    def _check(self, members: frozenset[int]) -> z3.CheckSatResult:
        """Ask whether these can be true together; after *unsat*, ``_core`` is a part of them that cannot."""
        started = time.perf_counter()
        answer = self._solver.check([self._switches[member] for member in sorted(members)])
        if answer == z3.unsat:
            self._core = frozenset(self._number[switch.get_id()] for switch in self._solver.unsat_core())
        elif answer == z3.unknown:
            answer = self._check_alone(members)
        self._solver_seconds += time.perf_counter() - started
        return answer

    def _check_alone(self, members: frozenset[int]) -> z3.CheckSatResult:
        """Ask a solver of its own: without switches it may choose a method made for the theory at hand."""
        solver = self._bounded(z3.Solver())
        solver.add(*self._background, *(self._formula(member) for member in sorted(members)))
        answer = solver.check()
        if answer == z3.unsat:
            self._core = members
        elif answer == z3.unknown:
            self._unknown = solver.reason_unknown()
        return answer

    def _new_solver(self) -> z3.Solver:
        solver = self._bounded(z3.SimpleSolver())
        solver.add(*self._background)
        for member in range(self._denial + 1):
            switch = z3.FreshBool("holds")
            self._switches.append(switch)
            self._number[switch.get_id()] = member
            solver.add(z3.Implies(switch, self._formula(member)))
        return solver

    def _bounded(self, solver: z3.Solver) -> z3.Solver:
        solver.set("rlimit", self._limits.steps)
        solver.set("timeout", int(self._limits.seconds * 1000))
        return solver

    def _formula(self, member: int) -> z3.BoolRef:
        if member == self._denial:
            return z3.Not(z3.And([self._formulas[one] for one in sorted(self._claim)]))
        return self._formulas[member]

    def _too_hard(self) -> Judgement:
        return self._result(Verdict.TOO_HARD, class_of_unknown(self._formulas, self._unknown), "unknown")

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
