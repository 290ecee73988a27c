"""Ask z3 which assertions of a problem can be true together, whichever way their numbers were rounded.

Public names: :class:`Prover`, :class:`Limits`, :func:`proving`.

Nearly every problem in English is asked without quantifiers of one solver that is kept for all of them, because making
a solver takes longer than asking it. The others, and SMT-LIB texts, get a solver of their own; an SMT-LIB text also a
context of its own, because what it defines (recursive functions, datatypes) would stay behind for the next text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import z3

from veriramp_workers.verifier.ground import ground_script
from veriramp_workers.verifier.problem import MAX_SENTENCES, Assertion, Problem
from veriramp_workers.verifier.rounding import Margins, margins_of, widened


@dataclass(frozen=True)
class Limits:
    """Bounds of one solver call: ``steps`` of z3's own counter; behind them, as a net, ``seconds`` by the clock.

    The steps are the same everywhere. Two million take about a second, so only they decide, also on a busy machine.
    """

    steps: int = 2_000_000
    seconds: float = 20.0


class Prover:
    """Answers about one problem; assertions have numbers, premises first, then the claim, then the claim's denial.

    ``core``: after *unsat*, a part of what was asked about that cannot be true together. ``unknown``: after *unknown*,
    the solver's reason. ``agreed``: something could not be true together only if numbers were exact that may be
    rounded. ``seconds``: time in the solver so far.
    """

    def __init__(self, problem: Problem, limits: Limits, ground: _Ground | None) -> None:
        self._problem = problem
        self._limits = limits
        self._ground = ground
        self._own: _Own | None = None
        self._known: dict[frozenset[int], tuple[z3.CheckSatResult, frozenset[int]]] = {}
        self._mixed = bool(self._margins(self._everything))
        self._wide: dict[Margins, _Own] = {}
        self.agreed = False
        self.core: frozenset[int] = frozenset()
        self.unknown = ""
        self.seconds = 0.0

    @property
    def formulas(self) -> list[Any]:
        """The assertions as z3 expressions."""
        return self._solver().formulas

    def check(self, members: frozenset[int]) -> z3.CheckSatResult:
        """Ask whether these assertions can be true together."""
        if members not in self._known:
            started = time.perf_counter()
            answer = self._check(members)
            if answer == z3.unsat and self._mixed:
                answer = self._confirmed(members)
            self._known[members] = answer, self.core
            self.seconds += time.perf_counter() - started
        answer, self.core = self._known[members]
        return answer

    def _check(self, members: frozenset[int]) -> z3.CheckSatResult:
        if self._ground is not None:
            answer, self.core = self._ground.check(members)
            if answer != z3.unknown:
                return answer
        answer, self.core, self.unknown = self._solver().check(members)
        return answer

    def _confirmed(self, members: frozenset[int]) -> z3.CheckSatResult:
        """Say whether there is a conflict with the numbers exact, and the same one with all that they may stand for.

        Numbers are rounded only beside others that are written more precisely, so what does not belong to a conflict
        must not count. When the first conflict is none, another one may be. Each is made small first: what only stands
        beside a conflict may be in another one, with rounded numbers alone.
        """
        first = self._both(self._least(self.core, self._check))
        if first == z3.unsat:
            return first
        widest = self._margins(self._everything)
        second = self._check_wide(members, widest)
        if second == z3.unsat:
            core = self._least(self.core, lambda some: self._check_wide(some, widest))
            exact = self._check(core)
            second = self._both(self._least(self.core, self._check)) if exact == z3.unsat else z3.sat
        if second == z3.unsat:
            return second
        self.agreed, self.core = True, frozenset()
        return z3.unknown if z3.unknown in (first, second) else z3.sat

    def _both(self, members: frozenset[int]) -> z3.CheckSatResult:
        """Say whether a conflict is one also with its numbers rounded; it is the core then."""
        answer = self._check_wide(members, self._margins(members))
        self.core = members
        return answer

    def _least(self, core: frozenset[int], ask: Callable[[frozenset[int]], z3.CheckSatResult]) -> frozenset[int]:
        """Leave out of a conflict what it does not need, as far as so many questions go."""
        for member in sorted(core)[:_MOST_LEFT_OUT]:
            if member in core and ask(core - {member}) == z3.unsat:
                core = self.core
        return core

    def _check_wide(self, members: frozenset[int], margins: Margins) -> z3.CheckSatResult:
        if not margins:
            return z3.unsat
        if margins not in self._wide:
            self._wide[margins] = _Own(_rounded(self._problem, margins), self._limits)
        answer, self.core, self.unknown = self._wide[margins].check(members)
        return answer

    @property
    def _everything(self) -> frozenset[int]:
        return frozenset(range(len(self._problem.written)))

    def _margins(self, members: frozenset[int]) -> Margins:
        """Return how far the numbers of some assertions may be from what is meant; the denial has the claim's."""
        written, first = self._problem.written, len(self._problem.premises)
        sizes = {size for member in members if member < len(written) for size in written[member].sizes}
        if len(written) in members:
            sizes |= {size for one in written[first:] for size in one.sizes}
        return margins_of(sizes)

    def _solver(self) -> _Own:
        if self._own is None:
            self._own = _Own(self._problem, self._limits)
        return self._own


def _rounded(problem: Problem, margins: Margins) -> Problem:
    said = [
        Assertion(one.source, widened(read, margins))
        for one, read in zip((*problem.premises, *problem.claim), problem.written, strict=True)
    ]
    first = len(problem.premises)
    return replace(problem, premises=tuple(said[:first]), claim=tuple(said[first:]))


@contextmanager
def proving(problem: Problem, limits: Limits) -> Iterator[Prover]:
    """Prepare a problem; raises ``z3.Z3Exception`` when z3 refuses it."""
    script = ground_script(problem)
    if script is None:
        yield Prover(problem, limits, None)
        return
    kept = _Ground.kept(limits)
    try:
        kept.load(script, len(problem.written) + 1)
        yield Prover(problem, limits, kept)
    finally:
        kept.unload()


class _Ground:
    """The solver that is kept: one problem after the other is put on it and taken off again."""

    _kept: _Ground | None = None

    @classmethod
    def kept(cls, limits: Limits) -> _Ground:
        if cls._kept is None or cls._kept.steps != limits.steps or cls._kept.used >= _MOST_PROBLEMS:
            cls._kept = cls(limits.steps)
        return cls._kept

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.used = 0
        self._solver = z3.SimpleSolver()
        self._solver.set("rlimit", steps)
        self._context, self._handle = self._solver.ctx.ref(), self._solver.solver

    def load(self, script: str, members: int) -> None:
        """Put a problem on the solver, the last ``members`` assertions under their switches."""
        context, solver = self._context, self._handle
        self.used += 1
        z3.Z3_solver_push(context, solver)
        parsed = z3.Z3_parse_smtlib2_string(context, script, 0, None, None, 0, None, None)
        with _vector(context, parsed) as size:
            for at in range(size):
                formula, member = z3.Z3_ast_vector_get(context, parsed, at), at - (size - members)
                if member >= 0:
                    formula = z3.Z3_mk_implies(context, _SWITCHES[member], formula)
                z3.Z3_solver_assert(context, solver, formula)

    def check(self, members: frozenset[int]) -> tuple[z3.CheckSatResult, frozenset[int]]:
        array = (z3.Ast * len(members))(*[_SWITCHES[member] for member in sorted(members)])
        answer = z3.Z3_solver_check_assumptions(self._context, self._handle, len(members), array)
        if answer != _UNSAT:
            return z3.CheckSatResult(answer), frozenset()
        core = z3.Z3_solver_get_unsat_core(self._context, self._handle)
        with _vector(self._context, core) as size:
            found = [
                z3.Z3_get_ast_id(self._context, z3.Z3_ast_vector_get(self._context, core, at)) for at in range(size)
            ]
        return z3.unsat, frozenset(_NUMBERS[one] for one in found)

    def unload(self) -> None:
        scopes = z3.Z3_solver_get_num_scopes(self._context, self._handle)
        z3.Z3_solver_pop(self._context, self._handle, scopes)


@contextmanager
def _vector(context: Any, vector: Any) -> Iterator[int]:
    """Keep a vector of z3 and its items alive; z3's own Python classes take half of the time of an easy problem."""
    z3.Z3_ast_vector_inc_ref(context, vector)
    try:
        yield z3.Z3_ast_vector_size(context, vector)
    finally:
        z3.Z3_ast_vector_dec_ref(context, vector)


_UNSAT: Final = z3.unsat.r
_MOST_PROBLEMS: Final = 500
_MOST_LEFT_OUT: Final = 32
# No text can name a switch: z3 refuses to read a backslash. Kept alive, a constant keeps its address and its id.
_CONSTANTS: Final = tuple(z3.Bool(f"\\{number}") for number in range(MAX_SENTENCES + 1))
_SWITCHES: Final = tuple(constant.as_ast() for constant in _CONSTANTS)
_NUMBERS: Final = {constant.get_id(): number for number, constant in enumerate(_CONSTANTS)}


class _Own:
    """A solver for one problem. Each assertion holds only under a switch, so that it answers for every choice."""

    def __init__(self, problem: Problem, limits: Limits) -> None:
        self._limits = limits
        self._context = None if problem.written else z3.Context()
        everything = (*problem.premises, *problem.claim)
        script = "\n".join([problem.declarations, *(f"(assert {one.smt_lib})" for one in everything)])
        parsed = list(z3.parse_smt2_string(script, ctx=self._context))
        own = len(parsed) - len(everything)
        # The distinctness of names is an assertion of the declarations: background, never part of a conflict.
        self._background = parsed[:own]
        self.formulas = parsed[own:]
        denial = z3.Not(z3.And(self.formulas[len(problem.premises) :]))
        self._members = [*self.formulas, denial]
        self._switches = [z3.Bool(f"\\{number}", self._context) for number in range(len(self._members))]
        self._numbers = {one.get_id(): number for number, one in enumerate(self._switches)}
        self._solver = self._bounded(z3.SimpleSolver(ctx=self._context))
        self._solver.add(*self._background, *map(z3.Implies, self._switches, self._members))

    def check(self, members: frozenset[int]) -> tuple[z3.CheckSatResult, frozenset[int], str]:
        answer = self._solver.check([self._switches[member] for member in sorted(members)])
        if answer == z3.unknown:
            return self._check_alone(members)
        core = self._solver.unsat_core() if answer == z3.unsat else ()
        return answer, frozenset(self._numbers[one.get_id()] for one in core), ""

    def _check_alone(self, members: frozenset[int]) -> tuple[z3.CheckSatResult, frozenset[int], str]:
        """Ask another solver: without switches it may choose a method made for the theory at hand."""
        solver = self._bounded(z3.Solver(ctx=self._context))
        solver.add(*self._background, *(self._members[member] for member in sorted(members)))
        answer = solver.check()
        return answer, members, solver.reason_unknown() if answer == z3.unknown else ""

    def _bounded(self, solver: z3.Solver) -> z3.Solver:
        solver.set("rlimit", self._limits.steps)
        solver.set("timeout", int(self._limits.seconds * 1000))
        return solver
