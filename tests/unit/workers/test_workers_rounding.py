"""Measures that agree as far as they are written: neither a contradiction nor, unless equal, an entailment."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier.judge import judge

YES, NO, OPEN, AGAINST_ITSELF = Verdict.ENTAILED, Verdict.CONTRADICTED, Verdict.UNDETERMINED, Verdict.INCONSISTENT
ROAD = "The road is {} long."

LENGTHS = [
    # coarser and finer
    ("1.2 km", "1,234 metres", OPEN),
    ("1,234 metres", "1.2 km", OPEN),
    ("1.2 km", "1,290 metres", OPEN),  # cut off
    ("1.2 km", "1,149 metres", NO),
    ("1.2 km", "1,300 metres", NO),
    ("1.20 km", "1,234 metres", NO),
    ("1.20 km", "1,203 metres", OPEN),
    ("1.2 km", "1.24 km", OPEN),
    ("1.2 km", "1.3 km", NO),
    ("40 metres", "40.5 metres", OPEN),
    ("40 metres", "39.5 metres", OPEN),
    ("40 metres", "41.5 metres", NO),
    ("1,200 metres", "1.234 km", OPEN),
    ("1,200 metres", "1.31 km", NO),
    # the same unit, the same digits
    ("40 metres", "41 metres", NO),
    ("1,200 metres", "1,234 metres", NO),
    ("5,000 metres", "6,000 metres", NO),
    ("5,000 metres", "5,012 metres", OPEN),
    ("5,000 metres", "5,200 metres", NO),
    # the same number
    ("1.2 km", "1,200 metres", YES),
    ("1,200 metres", "1.2 km", YES),
    ("40 metres", "0.04 km", YES),
    ("0.04 km", "40 metres", YES),
    ("0.04 km", "at least 40 metres", YES),
    ("0.04 km", "more than 40 metres", NO),
    # bounds are meant as they are written, what is compared with them may be rounded
    ("1.2 km", "at least 1.2 km", YES),
    ("1.2 km", "at least 1.1 km", YES),
    ("1.2 km", "at least 1,210 metres", OPEN),
    ("1.2 km", "less than 1,210 metres", OPEN),
    ("1.2 km", "at least 1,100 metres", YES),
    ("1.2 km", "more than 1,299 metres", OPEN),
    ("1.2 km", "more than 1,300 metres", NO),
    ("1,180 metres", "at least 1.2 km", NO),
    ("at least 1.2 km", "1,180 metres", NO),
    ("1,234 metres", "at least 1.2 km", YES),
    ("exactly 1.2 km", "1,234 metres", NO),
    ("1.2 km", "exactly 1,234 metres", OPEN),
    ("exactly 1.2 km", "exactly 1,200 metres", YES),
]


@pytest.mark.parametrize(("told", "claimed", "verdict"), LENGTHS)
def test_two_lengths(told: str, claimed: str, verdict: Verdict) -> None:
    assert judge(Question(ROAD.format(claimed), (ROAD.format(told),))).verdict is verdict


@pytest.mark.parametrize(("told", "claimed", "verdict"), LENGTHS)
def test_the_opposite_of_a_length_gets_the_opposite_verdict(told: str, claimed: str, verdict: Verdict) -> None:
    opposite = {YES: NO, NO: YES, OPEN: OPEN}[verdict]
    assert judge(Question(f"The road is not {claimed} long.", (ROAD.format(told),))).verdict is opposite


OTHERS = [
    ("The population of Avelin is 3,281,000.", "The population of Avelin is 3.3 million.", OPEN),
    ("The population of Avelin is 3.3 million.", "The population of Avelin is 3,281,000.", OPEN),
    ("The population of Avelin is 3.3 million.", "The population of Avelin is 3,300,000.", YES),
    ("The population of Avelin is 3.3 million.", "The population of Avelin is 3.4 million.", NO),
    ("The population of Avelin is 3,300,000.", "The population of Avelin is 3,281,000.", OPEN),
    ("The population of Avelin is 3,281,000.", "The population of Avelin is not 3.3 million.", OPEN),
    ("The value of the constant is 3.14.", "The value of the constant is 3.1416.", OPEN),
    ("The value of the constant is 3.14.", "The value of the constant is 3.15.", NO),
    ("The bell weighs 2 tonnes.", "The bell weighs 2,001 kg.", OPEN),
    ("The bell weighs 2 tonnes.", "The bell weighs 1,400 kg.", NO),
    ("The size of the file is 2 GB.", "The size of the file is 2 GiB.", OPEN),
    ("Anne is 3 years old.", "Anne is 45 months old.", OPEN),
    ("Anne is 3 years old.", "Anne is 48 months old.", NO),
    ("Anne is 3 years old.", "Anne is 4 years old.", NO),
    ("The share of Ida is 40 percent.", "The share of Ida is 40.4 percent.", OPEN),
    ("The share of Ida is 40 percent.", "The share of Ida is 41 percent.", NO),
    ("The speed of the train is 36 km/h.", "The speed of the train is 10 m/s.", YES),
    (
        "The temperature of the oven is -3.5 degrees Celsius.",
        "The temperature of the oven is -3.58 degrees Celsius.",
        OPEN,
    ),
    (
        "The temperature of the oven is -3.5 degrees Celsius.",
        "The temperature of the oven is -3.42 degrees Celsius.",
        NO,
    ),
    # money and counts are exact
    ("The fee is 5 euros.", "The fee is 5.20 euros.", NO),
    ("The fee is 5.00 euros.", "The fee is 5 euros.", YES),
    ("The fee is 1,000 euros.", "The fee is 1,001 euros.", NO),
    ("The fee is 3 million euros.", "The fee is 3,281,000 euros.", OPEN),
    ("The fee is 3 thousand euros.", "The fee is 3,000 euros.", OPEN),
    ("The fee is 3,000 euros.", "The fee is 3 thousand euros.", YES),
    ("The mill has 3 doors.", "The mill has 4 doors.", NO),
    ("The mill has 10 doors.", "The mill has 11 doors.", NO),
    ("The mill has 5,000 doors.", "The mill has 5,012 doors.", OPEN),
    ("The mill has 5,000 doors.", "The mill has 4,000 doors.", NO),
    # dates are
    ("The mill was built in 1930.", "The mill was built in 1932.", NO),
    (
        "The mill was built exactly 2 weeks after 4 May 1932.",
        "The mill was built exactly 15 days after 4 May 1932.",
        NO,
    ),
    # structured facts do not say how exact they are
    (
        '{"subject": "the mill", "attribute": "height", "value": 1.2, "unit": "km"}',
        "The mill is 1,234 metres tall.",
        OPEN,
    ),
]


@pytest.mark.parametrize(("told", "claimed", "verdict"), OTHERS)
def test_other_numbers(told: str, claimed: str, verdict: Verdict) -> None:
    assert judge(Question(claimed, (told,))).verdict is verdict


TWO = "The fee is 1.2 million euros. The tax is 1.3 million euros."
SEVERAL: list[tuple[str, str, Verdict]] = [
    # what else is written more exactly does not matter
    ("The tower is 40 metres tall. The dam is 35.5 metres tall.", "The tower is more than 40 metres tall.", NO),
    ("The tower is 40 metres tall. The dam is 35.5 metres tall.", "The tower is 40 metres tall.", YES),
    ("The tower is 40 metres tall. The dam is 35.5 metres tall.", "The tower is taller than the dam.", YES),
    ("The tower is 40 metres tall. The dam is 35.5 metres tall.", "The tower is 5 metres taller than the dam.", OPEN),
    ("The tower is 40 metres tall. The dam is 35.5 metres tall.", "The tower is 9 metres taller than the dam.", NO),
    ("The tower is 1.2 km tall. The dam is 1,190 metres tall.", "The tower is taller than the dam.", OPEN),
    ("The tower is 40 metres tall. The dam is 35 metres tall.", "The tower is 5 metres taller than the dam.", YES),
    # sums
    (TWO, "The total of the fee and the tax is 2.5 million euros.", YES),
    (TWO, "The total of the fee and the tax is 2,534,000 euros.", OPEN),
    (TWO, "The total of the fee and the tax is 2,834,000 euros.", NO),
    ("The fee is 5.20 euros. The tax is 7 euros.", "The total of the fee and the tax is 12 euros.", NO),
    # rules
    ("Everything that is 1,234 metres long is red. The road is 1.2 km long.", "The road is red.", OPEN),
    ("If something is longer than 1 km then it is red. The road is 1.2 km long.", "The road is red.", YES),
    # premises that agree do not contradict each other, and take nothing from what else follows
    ("The road is 1.2 km long. The road is 1,234 metres long.", "Anne is old.", OPEN),
    ("The road is 1.2 km long. The road is 1,234 metres long. The road is old.", "The road is old.", YES),
    ("The road is 1.2 km long. The road is 1,234 metres long. The road is old.", "The road is not old.", NO),
    ("The road is 1.2 km long. The road is 1,234 metres long.", "The road is 1,234 metres long.", YES),
    ("The road is 1.2 km long. The road is 1,234 metres long.", "The road is 1,244 metres long.", NO),
    ("The road is 1.2 km long. The road is 1,334 metres long.", "Anne is old.", AGAINST_ITSELF),
    # a conflict of the numbers as they are written and another one of what they may stand for are none together
    ("The dam is 1,260 metres long. The dam is not 1,200 metres long. The dam is 1.3 km long.", "Anne is old.", OPEN),
    (
        "The tower is longer than the dam. The dam is not 1.2 km long. The dam is more than 1,260 metres long.",
        "The tower is 1.2 km long.",
        OPEN,
    ),
]  # fmt: skip


MIXED = [
    f"The {thing} is {said} long."
    for thing in ("tower", "dam")
    for said in ("1.2 km", "not 1.2 km", "1.3 km", "1,260 metres", "more than 1,260 metres", "not 1,200 metres")
] + ["The tower is longer than the dam."]


@pytest.mark.parametrize(("told", "claimed", "verdict"), SEVERAL)
def test_several_numbers(told: str, claimed: str, verdict: Verdict) -> None:
    assert judge(Question(claimed, (told,))).verdict is verdict


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(MIXED), min_size=2, max_size=5, unique=True), st.sampled_from(MIXED))
def test_what_is_named_as_a_conflict_is_one_by_itself(told: list[str], claimed: str) -> None:
    conflict = judge(Question(claimed, tuple(told))).conflict
    if conflict:
        alone = judge(Question(conflict[-1], conflict[:-1]))
        assert alone.verdict in (NO, AGAINST_ITSELF), conflict


def test_the_reason_says_that_the_numbers_may_be_rounded() -> None:
    judgement = judge(Question("The road is 1,234 metres long.", ("The road is 1.2 km long.",)))
    assert judgement.reason == "the premises decide it neither way: the numbers may be rounded"
    assert judgement.conflict == ()


@given(st.integers(100, 99_999), st.integers(0, 4))
def test_a_length_and_what_it_is_rounded_or_cut_off_to_never_decide_each_other(metres: int, digits: int) -> None:
    step = Fraction(1000, 10**digits)
    for written in (round(metres / step) * step, metres // step * step):
        kilometres = f"{float(written / 1000):.{digits}f} km"
        for told, claimed in ((kilometres, f"{metres} metres"), (f"{metres} metres", kilometres)):
            claims = (ROAD.format(claimed), f"The road is not {claimed} long.")
            found = [judge(Question(claim, (ROAD.format(told),))).verdict for claim in claims]
            assert found == ([YES, NO] if written == metres else [OPEN, OPEN]), (told, claimed)
