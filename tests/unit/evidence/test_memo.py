"""What follows from a spec is worked out once for each object, and what is remembered is bounded."""

from __future__ import annotations

from tests.support.evidence import alert_gate, burn_gate, threshold_gate
from veriramp_operator.evidence import memo
from veriramp_operator.evidence.memo import by_identity
from veriramp_operator.evidence.terms import terms_of


def test_work_is_done_once_for_each_object_and_not_for_equal_ones_together() -> None:
    asked: list[list[int]] = []
    first, equal = [1], [1]

    def work(thing: list[int]) -> int:
        asked.append(thing)
        return len(asked)

    number = by_identity(work)

    assert [number(first), number(first), number(equal), number(first), number(equal)] == [1, 1, 2, 1, 2]


def test_what_is_remembered_is_bounded_and_then_worked_out_again() -> None:
    done = 0

    def work(_: object) -> int:
        nonlocal done
        done += 1
        return done

    number, things = by_identity(work), [object() for _ in range(memo.MOST_REMEMBERED + 1)]
    told = [number(thing) for thing in things]

    assert told == list(range(1, len(things) + 1))
    assert number(things[-1]) == len(things)
    assert number(things[0]) == len(things) + 1


def test_the_terms_of_a_gate_are_what_it_leaves_out_filled_in() -> None:
    terms = terms_of(alert_gate(every="20s", window="2m", **{"for": "1m"}))

    assert (terms.every, terms.lasting, terms.window, terms.gap) == (20, 60, 120, 50)
    assert (terms.patience, terms.fresh) == (60, 60)
    assert terms_of(threshold_gate(every="1s")).patience == 30
    assert terms_of(threshold_gate(maxAge="10s")).fresh == 10
    assert terms_of(burn_gate()).age_of == "the age of requests_total"
    assert terms_of(burn_gate()).is_bare
    assert not terms_of(alert_gate(selector="rate(x[5m])")).is_bare
