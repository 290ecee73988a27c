"""Without quantifiers, on a solver that is kept, every answer is the one that a solver of its own gives."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier import Limits, judge
from veriramp_workers.verifier.formula import (
    And,
    Atom,
    Attribute,
    Compare,
    Equal,
    Exists,
    ForAll,
    Formula,
    Implies,
    Name,
    Not,
    Or,
    Term,
    The,
    Variable,
    declarations,
    parts,
)
from veriramp_workers.verifier.ground import ground_script
from veriramp_workers.verifier.problem import Assertion, Problem, problem_of
from veriramp_workers.verifier.prover import Prover, proving

X, Y = Variable("x"), Variable("Y")
THINGS: Sequence[Term] = (Name("Anne"), Name("Anne Morrow"), Name("Carl"), The("mill"), Attribute("owner", The("mill")))


def a_problem(premises: Sequence[Formula], claim: Sequence[Formula]) -> Problem:
    written = tuple(parts(one) for one in (*premises, *claim))
    said = [Assertion("", one.text) for one in written]
    return Problem(declarations(written), tuple(said[: len(premises)]), tuple(said[len(premises) :]), (), written)


def bodies(*variables: Variable) -> st.SearchStrategy[Formula]:
    terms = st.sampled_from([*THINGS, *variables, *variables, *variables])
    atoms = st.one_of(
        st.builds(lambda kind, one: Atom(kind, (one,)), st.sampled_from(["is red", "is old"]), terms),
        st.builds(lambda one, other: Atom("does see", (one, other)), terms, terms),
        st.builds(Equal, terms, terms),
        st.builds(
            Compare,
            st.just("height"),
            terms,
            st.sampled_from(["=", "<", ">="]),
            st.sampled_from([Fraction(1), Fraction(2)]),
        ),
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(Implies, inner, inner),
            st.builds(lambda one, other: And((one, other)), inner, inner),
            st.builds(lambda one, other: Or((one, other)), inner, inner),
        ),
        max_leaves=3,
    )


FORMULAS = st.one_of(
    bodies(),
    st.builds(lambda body: ForAll((X,), body), bodies(X)),
    st.builds(lambda body: ForAll((X, Y), body), bodies(X, Y)),
    st.builds(lambda body: Exists((X,), body), bodies(X)),
)


@given(premises=st.lists(FORMULAS, max_size=5), claim=st.lists(FORMULAS, min_size=1, max_size=2))
@settings(max_examples=150, deadline=None)
def test_every_answer_is_that_of_the_quantified_problem(premises: list[Formula], claim: list[Formula]) -> None:
    problem = a_problem(premises, claim)
    first, last = len(premises), len(premises) + len(claim)
    asked = [frozenset(range(last)), frozenset([*range(first), last]), frozenset({last}), frozenset(range(first, last))]
    assert ground_script(problem) is not None
    alone = Prover(problem, Limits(), None)
    with proving(problem, Limits()) as kept:
        for members in asked:
            expected = alone.check(members)
            if expected == z3.unknown:
                continue
            assert kept.check(members) == expected
            if expected == z3.unsat:
                assert kept.core <= members
                assert alone.check(kept.core) == z3.unsat


@pytest.mark.parametrize(
    "formula",
    [
        ForAll((X,), Atom("is red", (Attribute("owner", X),))),
        ForAll((X,), Exists((Y,), Atom("does see", (X, Y)))),
        Not(ForAll((X,), Atom("is red", (X,)))),
    ],
)
def test_what_instances_cannot_say_keeps_its_quantifiers(formula: Formula) -> None:
    problem = a_problem([formula], [Atom("is red", (Name("Anne"),))])
    assert ground_script(problem) is None
    with proving(problem, Limits()) as prover:
        assert prover.check(frozenset({0, 1})) == z3.sat


def test_too_many_instances_keep_their_quantifiers() -> None:
    pairs = ForAll((X, Y), Implies(Atom("does see", (X, Y)), Atom("does see", (Y, X))))
    facts = [Atom("is red", (Name(f"Name{number}"),)) for number in range(60)]
    assert ground_script(a_problem([pairs, *facts], [facts[0]])) is None
    assert ground_script(a_problem([pairs, *facts[:20]], [facts[0]])) is not None


@pytest.mark.parametrize(
    ("premises", "claim", "verdict"),
    [
        (("Every heron is a bird.",), "Every heron is a bird.", Verdict.ENTAILED),
        (("Some herons are old.",), "Some herons are old.", Verdict.ENTAILED),
        (("No heron is old.",), "Some herons are old.", Verdict.CONTRADICTED),
        (("Every heron is a bird. Every bird is warm.",), "Every heron is warm.", Verdict.ENTAILED),
        (("Anne is a heron.",), "Every heron is old.", Verdict.UNDETERMINED),
        (("Someone is red.",), "Nobody is red.", Verdict.CONTRADICTED),
        (("Some herons are old.", "Some herons are red."), "Some herons are red. Anne is red.", Verdict.UNDETERMINED),
    ],
)
def test_all_and_some_without_a_name(premises: tuple[str, ...], claim: str, verdict: Verdict) -> None:
    question = Question(claim, premises)
    assert ground_script(problem_of(question)) is not None
    assert judge(question).verdict is verdict


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "(define-fun-rec f ((x Int)) Int (ite (<= x 0) 0 (+ 1 (f (- x 1)))))(assert (= (f 3) 3))",
            "(define-fun-rec f ((x Int)) Int (ite (<= x 0) 0 (+ 2 (f (- x 1)))))(assert (= (f 3) 3))",
        ),
        (
            "(declare-datatypes ((C 0)) (((r) (g) (b))))(declare-const c C)(assert (not (or (= c r) (= c g))))",
            "(declare-datatypes ((C 0)) (((r) (g))))(declare-const c C)(assert (not (or (= c r) (= c g))))",
        ),
    ],
)
def test_what_one_text_defines_is_unknown_to_the_next(one: str, other: str) -> None:
    for text, verdict in (
        (one, Verdict.UNDETERMINED),
        (other, Verdict.INCONSISTENT),
        (one, Verdict.UNDETERMINED),
    ):
        assert judge(Question(text)).verdict is verdict


def test_a_text_has_no_access_to_the_switches() -> None:
    declared = "".join(f"(declare-const {name} Bool)(assert (not {name}))" for name in ("!0", "k!0", "holds!0"))
    assert judge(Question(declared)).verdict is Verdict.UNDETERMINED
    for name in ("\\0", "|\\0|"):
        refused = judge(Question(f"(declare-const {name} Bool)(assert (not {name}))"))
        assert refused.verdict is Verdict.NOT_FORMALISABLE
