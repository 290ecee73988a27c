"""What the verifier decides is right: labelled texts, free English, and theories whose answers others have found."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.english import ATTACKS, DECISIVE, FREE, LABELLED, Labelled, hedged, labelled, mutated
from tests.support.theories import Case, chain_of_kinds, rules_and_facts
from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier import Limits, judge
from veriramp_workers.verifier.english import sentences

FEW_STEPS = Limits(steps=100_000, seconds=2.0)
TEXTS = labelled(LABELLED)
TRAPS = labelled(FREE)
MORE = 20 if os.environ.get("VERIRAMP_LONG") else 1
seeds = st.integers(0, 2**40).map(Random)
often = settings(max_examples=60 * MORE, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.shows("S1-VER-10", "S1-FAIL-06")
@pytest.mark.parametrize("row", TEXTS, ids=str)
def test_each_labelled_text_gets_its_verdict(row: Labelled) -> None:
    judgement = judge(row.question, FEW_STEPS)
    assert judgement.verdict in row.expected, judgement.reason
    assert bool(judgement.conflict) == (judgement.verdict in {Verdict.CONTRADICTED, Verdict.INCONSISTENT})


@pytest.mark.shows("S1-FAIL-06")
def test_every_verdict_of_the_solver_occurs_often_enough() -> None:
    counts = Counter(verdict for row in TEXTS for verdict in row.expected)
    assert set(counts) == set(Verdict) - {Verdict.ERROR}
    assert counts.total() >= 96
    assert min(counts[one] for one in counts if one is not Verdict.TOO_HARD) >= 10


@pytest.mark.shows("S1-FAIL-02")
@pytest.mark.parametrize("row", TRAPS, ids=str)
def test_free_english_is_never_decided_by_a_careless_reading(row: Labelled) -> None:
    judgement = judge(row.question)
    assert judgement.verdict not in DECISIVE, f"{judgement.reason} {judgement.smt_lib}"
    assert judgement.reason


@pytest.mark.shows("S1-FAIL-06")
@pytest.mark.parametrize("row", labelled(ATTACKS), ids=str)
def test_no_text_made_to_be_misread_is(row: Labelled) -> None:
    judgement = judge(row.question)
    assert judgement.verdict in row.expected, f"{judgement.reason} {judgement.smt_lib}"


@pytest.mark.shows("S1-VER-10")
def test_a_second_solver_agrees_on_600_theories() -> None:
    cases = [rules_and_facts(Random(seed), negation=True) for seed in range(600)]
    verdicts = [judge(Question(case.claim, (case.premises,))).verdict for case in cases]
    assert verdicts == [case.expected for case in cases]
    assert set(verdicts) == {Verdict.ENTAILED, Verdict.CONTRADICTED, Verdict.UNDETERMINED, Verdict.INCONSISTENT}


@often
@given(seeds)
def test_theories_without_negation_are_decided_as_by_forward_chaining(dice: Random) -> None:
    _agrees(rules_and_facts(dice, negation=False))


@often
@given(seeds)
def test_theories_with_negation_are_decided_as_by_search(dice: Random) -> None:
    _agrees(rules_and_facts(dice, negation=True))


@often
@given(seeds)
def test_chains_of_kinds_are_decided_as_they_were_made(dice: Random) -> None:
    _agrees(chain_of_kinds(dice))


@often
@given(seeds)
def test_a_hedge_around_or_within_a_claim_is_never_decided(dice: Random) -> None:
    case = chain_of_kinds(dice) if dice.random() < 0.5 else rules_and_facts(dice, negation=True)
    row = Labelled("made", Question(case.claim, (case.premises,)), frozenset({case.expected}))
    for one in mutated([row], seed=dice.randrange(10**6)):
        judgement = judge(one.question)
        assert judgement.verdict not in DECISIVE, f"{one.id}: {judgement.smt_lib}"


@often
@given(seeds)
def test_premises_that_are_all_hedged_decide_nothing(dice: Random) -> None:
    case = chain_of_kinds(dice) if dice.random() < 0.5 else rules_and_facts(dice, negation=True)
    told = [hedged(sentence, dice) for sentence in sentences(case.premises)]
    for premises in ((" ".join(told),), tuple(told)):
        assert judge(Question(case.claim, premises)).verdict not in DECISIVE, told


@often
@given(seeds)
def test_a_claim_with_a_word_too_many_or_too_few_is_refused_or_says_something_else(dice: Random) -> None:
    """A claim that is still decided after a change of one word was changed into one that says so."""
    case = rules_and_facts(dice, negation=False)
    words = case.claim.rstrip(".").split()
    at = dice.randrange(len(words) + 1)
    changed = " ".join([*words[:at], dice.choice(_STRANGE), *words[at:]]) + "."
    judgement = judge(Question(changed, (case.premises,)))
    assert judgement.verdict not in DECISIVE, f"{changed}: {judgement.smt_lib}"


_STRANGE = (
    "perhaps",
    "hardly",
    "not only",
    "almost",
    "very",
    "other",
    "unlike",
    "former",
    "said",
    "might",
    "never",
    "than",
)


def _agrees(case: Case) -> None:
    judgement = judge(Question(case.claim, (case.premises,)))
    assert judgement.skipped == ()
    assert judgement.verdict is case.expected, f"{case.premises} | {case.claim} | {judgement.reason}"
