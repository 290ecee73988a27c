"""The smallest conflict: really smallest within its bound, and never more than can be left out."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_workers.verifier.conflict import Conflict, smallest_conflict

MEMBERS = frozenset(range(9))
conflicts = st.lists(
    st.frozensets(st.sampled_from(sorted(MEMBERS)), min_size=1, max_size=5), min_size=1, max_size=6
).map(tuple)


class Solver:
    """Knows the conflicts; answers with the last one that it finds, as unhelpful as a solver may be."""

    def __init__(self, known: tuple[Conflict, ...]) -> None:
        self.known = known
        self.asked = 0

    def __call__(self, members: Conflict) -> Conflict | None:
        self.asked += 1
        return next((one for one in reversed(self.known) if one <= members), None)


@given(conflicts)
def test_it_is_a_smallest_one(known: tuple[Conflict, ...]) -> None:
    found = smallest_conflict(MEMBERS, MEMBERS, (), Solver(known), checks=10_000)
    assert len(found) == min(map(len, known))
    assert any(one <= found for one in known)


@given(conflicts, st.integers(1, 40))
@pytest.mark.shows("S1-FAIL-03")
def test_the_bound_on_checks_is_kept_and_what_is_found_is_a_conflict(known: tuple[Conflict, ...], checks: int) -> None:
    solver = Solver(known)
    found = smallest_conflict(MEMBERS, known[-1], (), solver, checks=checks)
    assert solver.asked <= checks
    assert any(one <= found for one in known)


@given(conflicts)
def test_no_member_can_be_left_out_when_there_were_checks_enough_for_that(known: tuple[Conflict, ...]) -> None:
    solver = Solver(known)
    found = smallest_conflict(MEMBERS, known[-1], (), solver, checks=2 * len(known[-1]))
    for smaller in combinations(sorted(found), len(found) - 1):
        assert solver(frozenset(smaller)) is None


def test_a_conflict_without_another_takes_one_check_for_each_member() -> None:
    solver = Solver((frozenset(range(5)),))
    assert smallest_conflict(MEMBERS, frozenset(range(5)), (), solver) == frozenset(range(5))
    assert solver.asked == 5


def test_a_solver_that_changes_its_mind_does_no_harm() -> None:
    answers = iter([None, None, frozenset({0}), *[frozenset({0})] * 20])
    found = smallest_conflict(frozenset(range(3)), frozenset({0, 1}), (), lambda _: next(answers), checks=10)
    assert found <= frozenset({0, 1})
