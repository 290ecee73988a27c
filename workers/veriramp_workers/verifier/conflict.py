"""Find a smallest set of assertions that cannot be true together.

Public names: :func:`smallest_conflict`.

The search uses that a conflict and a way out of all conflicts always meet: a smallest set that meets all known ways out
is either a conflict, and then a smallest one, or it leads to a new way out (implicit hitting sets; Ignatiev et al.,
Smallest MUS Extraction with Minimal Hitting Set Dualization, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

Conflict: TypeAlias = frozenset[int]
Solver: TypeAlias = Callable[[Conflict], Conflict | None]
"""Returns a conflicting part of the members that it is given, or ``None`` if it finds none."""


def smallest_conflict(
    members: Conflict, core: Conflict, ways_out: Iterable[Conflict], solve: Solver, checks: int = 64
) -> Conflict:
    """Return a smallest conflict within ``members``, starting from the conflict ``core``.

    Of each set in ``ways_out`` every conflict has at least one member. At most ``checks`` questions are put to the
    solver: when they are used up, the best conflict so far comes back, usually one of which no member can be left out.
    """
    ask = _Bounded(solve, checks)
    known = [*ways_out]
    best = _shrunk(members, core, known, ask)
    while ask.left:
        candidate = _smallest_hitting(known, below=len(best))
        if candidate is None:
            return best
        if (found := ask(candidate)) is not None:
            return found
        known.append(_way_out(members, candidate, ask))
    return best


class _Bounded:
    """Counts the questions; without one left the answer is "no conflict found"."""

    def __init__(self, solve: Solver, checks: int) -> None:
        self._solve = solve
        self.left = checks

    def __call__(self, members: Conflict) -> Conflict | None:
        if self.left <= 0:
            return None
        self.left -= 1
        return self._solve(members)


def _shrunk(members: Conflict, core: Conflict, known: list[Conflict], ask: _Bounded) -> Conflict:
    """Leave out each member in turn, if the rest still conflicts.

    Most often there is only one conflict, and to leave a member of it out is a way out of all: then this is the whole
    search.
    """
    for member in sorted(core):
        if member not in core:
            continue
        other = ask(members - {member})
        if other is None:
            known.append(frozenset({member}))
        elif other < core:
            core = other
        elif (smaller := ask(core - {member})) is not None:
            core = smaller
    return core


def _way_out(members: Conflict, kept: Conflict, ask: _Bounded) -> Conflict:
    """Return what has to be left out so that the rest, with all that is ``kept``, can be true."""
    removed: set[int] = set()
    while (found := ask(members - removed)) is not None and not found <= kept:
        removed.add(max(found - kept))
    return frozenset(removed) or members - kept


def _smallest_hitting(sets: list[Conflict], below: int) -> Conflict | None:
    """Return a smallest set with fewer than ``below`` members that meets all ``sets``; ``None`` if there is none.

    ``None`` too when the search takes too many steps: the conflict known so far is then good enough.
    """
    ordered = sorted(sets, key=len)
    steps = _MOST_STEPS

    def search(chosen: Conflict, room: int) -> Conflict | None:
        nonlocal steps
        open_set = next((one for one in ordered if one.isdisjoint(chosen)), None)
        if open_set is None:
            return chosen
        for member in sorted(open_set) if room else ():
            steps -= 1
            if steps <= 0:
                return None
            if (found := search(chosen | {member}, room - 1)) is not None:
                return found
        return None

    for size in range(below):
        if (found := search(frozenset(), size)) is not None:
            return found
    return None


_MOST_STEPS: Final = 5_000
