"""Verdicts: what follows, what conflicts, what is left open, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from veriramp_sdk.events import Verdict
from veriramp_search.make_corpus import corpus
from veriramp_workers.ports import Question
from veriramp_workers.verifier.judge import judge
from veriramp_workers.verifier.problem import MAX_SENTENCES, MAX_TEXT
from veriramp_workers.verifier.prover import Limits

AGE = ("Anne is old.", "Anne is not old.")
MORTAL = ("Every man is mortal.", "Socrates is a man.")


@dataclass(frozen=True)
class Case:
    what: str
    text: str
    premises: tuple[str, ...]
    verdict: Verdict
    conflict: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.what


CASES = [
    Case("a rule applied", "Socrates is mortal.", MORTAL, Verdict.ENTAILED),
    Case(
        "a rule denied", "Socrates is not mortal.", MORTAL, Verdict.CONTRADICTED, (*MORTAL, "Socrates is not mortal.")
    ),
    Case("another one", "Plato is mortal.", MORTAL, Verdict.UNDETERMINED),
    Case("consistent is not true", "The moon is cheesy.", (), Verdict.UNDETERMINED),
    Case(
        "against itself",
        "Anne is old. Anne is not old.",
        (),
        Verdict.INCONSISTENT,
        ("Anne is old.", "Anne is not old."),
    ),
    Case("premises against each other", "Bella is old.", AGE, Verdict.INCONSISTENT),
    Case("other unit", "The mill has a length of 0.5 km.", ("The mill is 500 metres long.",), Verdict.ENTAILED),
    Case("other number", "The mill is 501 metres long.", ("The mill is 500 metres long.",), Verdict.CONTRADICTED),
    Case("weaker number", "The mill is at least 400 metres long.", ("The mill is 500 metres long.",), Verdict.ENTAILED),
    Case("other dimension", "The mill is 9 metres tall.", ("The mill is 500 metres long.",), Verdict.UNDETERMINED),
    Case("year of a day", "The mill was built in 1932.", ("The mill was built on 4 May 1932.",), Verdict.ENTAILED),
    Case("other year", "The mill was built in 1933.", ("The mill was built on 4 May 1932.",), Verdict.CONTRADICTED),
    Case("repaired twice", "The mill was repaired in 1933.", ("The mill was repaired in 1932.",), Verdict.UNDETERMINED),
    Case("other owner", "The owner of the mill is Anne.", ("The owner of the mill is Carl.",), Verdict.CONTRADICTED),
    Case(
        "maybe the same",
        "The owner of the mill is Anne.",
        ("Anne Low is the owner of the mill.",),
        Verdict.UNDETERMINED,
    ),
    Case("part wrong", "The mill is red. The mill is old.", ("The mill is not old.",), Verdict.CONTRADICTED),
    Case("part new", "The mill is red. The mill is old.", ("The mill is old.",), Verdict.UNDETERMINED),
    Case("hedged", "The mill may be old.", ("The mill is old.",), Verdict.NOT_FORMALISABLE),
    Case("one sentence hedged", "The mill is old. It may be red.", ("The mill is not old.",), Verdict.NOT_FORMALISABLE),
    Case("nothing", "  ", (), Verdict.NOT_FORMALISABLE),
    Case("too long", "x" * (MAX_TEXT + 1), (), Verdict.NOT_FORMALISABLE),
    Case("too many", "Anne is old. " * (MAX_SENTENCES + 1), (), Verdict.NOT_FORMALISABLE),
    Case("SMT-LIB open", "(declare-const x Int)(assert (> x 2))", (), Verdict.UNDETERMINED),
    Case("SMT-LIB impossible", "; no\n(declare-const x Int)(assert (> x 2))(assert (< x 3))", (), Verdict.INCONSISTENT),
    Case("SMT-LIB follows", "(assert (> x 1))", ("(declare-const x Int)(assert (> x 2))",), Verdict.ENTAILED),
    Case("SMT-LIB conflicts", "(assert (< x 1))", ("(declare-const x Int)(assert (> x 2))",), Verdict.CONTRADICTED),
    Case("SMT-LIB unknown symbol", "(assert (> y 1))", (), Verdict.NOT_FORMALISABLE),
    Case("SMT-LIB with side effects", '(set-option :diagnostic-output-channel "f")', (), Verdict.NOT_FORMALISABLE),
    Case("SMT-LIB without spaces", "(assert(> 1 2))(assert|a|)", (), Verdict.NOT_FORMALISABLE),
    Case("SMT-LIB with few spaces", "(declare-const x Int)(assert(> x 2))(assert(< x 3))", (), Verdict.INCONSISTENT),
    Case("SMT-LIB cut off", "(assert (> 1 2)", (), Verdict.NOT_FORMALISABLE),
    Case("SMT-LIB without a claim", "(declare-const x Int)", (), Verdict.NOT_FORMALISABLE),
]


@pytest.mark.shows("S1-VER-10", "S1-FAIL-01", "S1-FAIL-02", "S1-FAIL-05")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verdict(case: Case) -> None:
    judgement = judge(Question(case.text, case.premises))
    assert judgement.verdict is case.verdict, judgement.reason
    assert judgement.reason
    if case.conflict:
        assert judgement.conflict == case.conflict


@pytest.mark.shows("S1-FAIL-03")
def test_the_smallest_conflict_leaves_out_what_has_no_part_in_it() -> None:
    noise = tuple(f"The tower {name} is red." for name in ("Anne", "Bella", "Carl"))
    rules = ("Every mill is old.", "If something is old then it is grey.", "The Orlin mill is a mill.")
    direct = "The Orlin mill is not red."
    judgement = judge(Question("The Orlin mill is red and is not grey.", (*rules, *noise, direct)))
    assert judgement.verdict is Verdict.CONTRADICTED
    assert judgement.conflict == (direct, "The Orlin mill is red and is not grey.")


def test_premises_that_are_not_understood_are_left_out_and_named() -> None:
    judgement = judge(Question("Socrates is mortal.", (*MORTAL, "Perhaps it rains.")))
    assert judgement.verdict is Verdict.ENTAILED
    assert judgement.skipped == ("Perhaps it rains.",)


def test_a_text_of_which_a_part_is_not_understood_is_left_out_whole() -> None:
    told = "The fee is 5 euros. Subject to approval by the council."
    judgement = judge(Question("The fee is 6 euros.", (told, "The mill is red.")))
    assert judgement.verdict is Verdict.UNDETERMINED
    assert judgement.skipped == ("The fee is 5 euros.", "Subject to approval by the council.")


def test_a_text_of_which_the_sentences_have_nothing_in_common_is_left_out_unless_it_has_a_rule() -> None:
    claim = Question("The fee is 6 euros.", ("The council is unhappy. The fee is 5 euros.",))
    assert judge(claim).verdict is Verdict.UNDETERMINED
    assert judge(Question(claim.premises[0], ("The fee is 6 euros.",))).verdict is Verdict.NOT_FORMALISABLE
    ruled = "Every heron is old. The fee is 5 euros."
    assert judge(Question(claim.text, (ruled,))).verdict is Verdict.CONTRADICTED


def test_a_text_in_parentheses_is_told_that_it_is_read_as_smt_lib() -> None:
    assert 'starts with "(" or ";" is read as SMT-LIB' in judge(Question("(The mill is red.)")).reason


def test_names_that_stand_in_no_equation_do_not_make_the_formal_text_long() -> None:
    many = " ".join(f"Na{number % 7}me{number} likes the mill." for number in range(200))
    judgement = judge(Question(f"The owner of the mill is Bob. {many}"))
    assert judgement.verdict is Verdict.UNDETERMINED
    assert 0 < len(judgement.smt_lib) < 60_000


def test_a_formal_text_that_would_not_fit_into_a_message_is_left_out() -> None:
    long = "x" * 380
    judgement = judge(Question(" ".join(f"The {long} is A{number}." for number in range(2))))
    assert judgement.verdict is Verdict.NOT_FORMALISABLE
    rows = " ".join(f"The {'x' * 90} is {'y' * 90}{number}." for number in range(390))
    judgement = judge(Question(rows))
    assert judgement.verdict is Verdict.UNDETERMINED
    assert judgement.smt_lib == ""


def test_the_formal_text_can_be_judged_again() -> None:
    judgement = judge(Question("Socrates is not mortal.", MORTAL))
    assert judge(Question(judgement.smt_lib)).verdict is Verdict.INCONSISTENT


@pytest.mark.shows("S1-FAIL-04")
def test_a_problem_beyond_the_limits_is_too_hard() -> None:
    declared = "".join(f"(declare-const {name} Int)(assert (> {name} 1))" for name in "xyz")
    hard = f"{declared}(assert (= (+ (* x x x) (* y y y)) (* z z z)))"
    assert judge(Question(hard), Limits(steps=5_000)).verdict is Verdict.TOO_HARD


@pytest.mark.shows("S1-FAIL-06", "S1-VER-10")
def test_every_document_of_the_shipped_corpus_gets_the_verdict_that_it_was_made_for() -> None:
    expected = {
        "agrees": Verdict.ENTAILED,
        "conflicts": Verdict.CONTRADICTED,
        "new": Verdict.UNDETERMINED,
        "vague": Verdict.NOT_FORMALISABLE,
    }
    made = corpus()
    for document in made.documents[::5]:
        judgement = judge(Question(document.text, made.references[document.topic]))
        assert judgement.verdict is expected[document.stance], (document.text, judgement.reason)
