"""Why there was no answer: too little time, or a theory that no solver decides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import z3

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier import Limits, judge
from veriramp_workers.verifier.hardness import class_of_unknown

CUBES = "".join(f"(declare-const {name} Int)(assert (> {name} 1))" for name in "xyz")


def pigeons(holes: int) -> Iterator[str]:
    """One pigeon more than holes: decidable, and out of reach of resolution."""
    birds = range(holes + 1)
    yield from (f"(declare-const p{bird}_{hole} Bool)" for bird in birds for hole in range(holes))
    for bird in birds:
        yield f"(assert (or {' '.join(f'p{bird}_{hole}' for hole in range(holes))}))"
    for hole in range(holes):
        yield from (f"(assert (not (and p{one}_{hole} p{two}_{hole})))" for one in birds for two in range(one))


LINEAR = "(declare-const x Int)(declare-const y Int)(assert (= (+ (* 3 x) (* 5 y)) 7))"
TRIALS = {
    "cubes of whole numbers": (f"{CUBES}(assert (= (+ (* x x x) (* y y y)) (* z z z)))", "theory_incomplete"),
    "remainder by an unknown": (
        f"{CUBES}(assert (= (mod (* x y) z) 1))(assert (= (* x x) (+ (* y y) 1)))",
        "theory_incomplete",
    ),
    "quantifier over a function": (
        "(declare-fun f (Int) Int)(assert (forall ((x Int)) (> (f (f x)) (+ (f x) x))))(assert (< (f 0) 0))",
        "theory_incomplete",
    ),
    "texts": ('(declare-const s String)(assert (= (str.++ s "a") (str.++ "b" s)))', "theory_incomplete"),
    "pigeons": ("".join(pigeons(11)), "timeout"),
    "linear whole numbers": (LINEAR, "timeout"),
    "quantifier over plain things": (
        "(declare-sort T 0)(declare-fun p (T) Bool)(assert (forall ((x T)) (p x)))",
        "timeout",
    ),
}


@pytest.mark.shows("S1-FAIL-04")
@pytest.mark.parametrize("name", TRIALS)
def test_the_class_follows_from_the_structure_and_not_from_the_solvers_words(name: str) -> None:
    script, expected = TRIALS[name]
    for said in ("", "timeout", "canceled", "(incomplete quantifiers)"):
        assert class_of_unknown(z3.parse_smt2_string(script), said).partition(":")[0] == expected


@pytest.mark.shows("S1-FAIL-04")
@pytest.mark.parametrize("name", ["cubes of whole numbers", "pigeons"])
def test_what_is_too_hard_says_so_with_its_class(name: str) -> None:
    script, expected = TRIALS[name]
    judgement = judge(Question(script), Limits(steps=5_000, seconds=2.0))
    assert judgement.verdict is Verdict.TOO_HARD
    assert judgement.reason.startswith(f"{expected}: ")
    assert judgement.smt_lib
