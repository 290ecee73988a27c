"""Which formulas have no complete procedure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_verifier import SAT
from veriramp_sdk.events import Verdict
from veriramp_workers.verifier_http.contract import answer_of, judgement_of
from veriramp_workers.verifier_http.structure import beyond_theory


@pytest.mark.parametrize(
    ("formula", "beyond"),
    [
        ("(assert (forall ((x Int)) (> x 0)))", True),
        ("(assert (exists ((x Int)) (> x 0)))", True),
        ("(assert (= (* x y) 3))", True),
        ("(assert (= (* x 2 x) 3))", True),
        ("(assert (= (/ 3 x) 3))", True),
        ("(assert (= (mod 7 x) 3))", True),
        ("(assert (= (^ 2 x) 3))", True),
        ("(assert (= (* (+ x 1) (+ y 1)) 3))", True),
        ("(assert (= (* 2 x) 3))", False),
        ("(assert (= (* (- 2) x 1.5) 3))", False),
        ("(assert (= (* (/ 1 3) x) 3))", False),
        ("(assert (= (/ x 3) (mod y 2)))", False),
        ("(declare-const |(forall| Int)(assert (> |(forall| 0))", False),
        ("; (forall\n(assert (> x 1))", False),
        ('(assert (= s "(forall ""x"" (* a b)"))', False),
        ("", False),
        (")))(((", False),
    ],
)
def test_quantifiers_and_products_are_beyond(formula: str, beyond: bool) -> None:
    assert beyond_theory(formula) is beyond


@given(st.text('()*/| ";\nforalx12', max_size=60))
def test_anything_is_read(text: str) -> None:
    assert beyond_theory(text) in (True, False)


def test_depth_is_no_trouble() -> None:
    assert beyond_theory("(" * 100_000 + "* x x" + ")" * 100_000)


@pytest.mark.shows("S1-FAIL-04")
@pytest.mark.parametrize(
    ("word", "formula", "reason"),
    [
        ("unknown", "(assert (= (* x y) 3))", "theory_incomplete: "),
        ("unknown", "(assert (= x 3))", "timeout: "),
        ("timeout", "(assert (= (* x y) 3))", "timeout: "),
        ("unknown", "", "timeout: "),
    ],
)
def test_the_formula_tells_why_a_remote_solver_did_not_know(word: str, formula: str, reason: str) -> None:
    body = json.dumps({**SAT, "check_sat_result": word, "smt_lib_code": formula}).encode()
    judgement = judgement_of(answer_of(body))
    assert judgement.verdict is Verdict.TOO_HARD
    assert judgement.reason.startswith(reason)
