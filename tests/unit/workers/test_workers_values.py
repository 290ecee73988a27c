"""Numbers, units, dates, names and structured facts: what they mean exactly, and what is refused."""

from __future__ import annotations

import calendar
import contextlib
import datetime as dt
import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Question
from veriramp_workers.verifier.english import NotFormalisableError, formalise
from veriramp_workers.verifier.facts import sentences_of_facts
from veriramp_workers.verifier.judge import judge
from veriramp_workers.verifier.names import surely_apart
from veriramp_workers.verifier.units import NAMES, SYMBOLS
from veriramp_workers.verifier.values import period, quantity

QUANTITIES = {
    "120": (Fraction(120), "number"),
    "1,200": (Fraction(1200), "number"),
    "-3.5": (Fraction(-7, 2), "number"),
    "0.1 km": (Fraction(100), "metres"),
    "3 nanometres": (Fraction(3, 10**9), "metres"),
    "12 grams": (Fraction(3, 250), "kilograms"),
    "2 weeks": (Fraction(14 * 86400), "seconds"),
    "2 decades": (Fraction(240), "months"),
    "36 km/h": (Fraction(10), "metres per second"),
    "1 ha": (Fraction(10_000), "square metres"),
    "1 m³": (Fraction(1000), "litres"),
    "2 MB": (Fraction(2_000_000), "bytes"),
    "2 mebibytes": (Fraction(2 * 2**20), "bytes"),
    "3 million euros": (Fraction(3_000_000), "euros"),
    "€ 3": (Fraction(3), "euros"),
    "$ 2.5 billion": (Fraction(2_500_000_000), "dollars"),
    "40 %": (Fraction(40), "percent"),
    "5 miles": (Fraction(26_400), "feet"),
    "9" * 30: (Fraction(int("9" * 30)), "number"),
}
NO_QUANTITIES = [
    *(
        "",
        "many",
        "12 cubits",
        "5 mW",
        "5 Mb",
        "5 gb",
        "5 KM",
        "1,20",
        "12,34,567",
        "1.2.3",
        "--3",
        "3-4",
        "1e9",
        "٣",
        "½",
    ),
    *("9" * 31, "5 tons", "5 pounds", "5 degrees", "3 percentage points", "5 euros 20", "million", "5 million million"),
]


@pytest.mark.parametrize("text", QUANTITIES)
def test_a_quantity_is_exact_in_the_base_unit(text: str) -> None:
    read = quantity(tuple(text.split()))
    assert (read.value, read.dimension) == QUANTITIES[text]


@pytest.mark.parametrize("text", NO_QUANTITIES)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(NotFormalisableError):
        quantity(tuple(text.split()))


@given(st.integers(0, 10**9), st.integers(0, 9999), st.sampled_from(sorted(set(SYMBOLS) | set(NAMES))))
def test_no_digit_is_lost(whole: int, decimals: int, unit: str) -> None:
    read = quantity((f"{whole}.{decimals:04d}", *unit.split()))
    dimension, factor = SYMBOLS.get(unit) or NAMES[unit]
    assert read.value / factor == whole + Fraction(decimals, 10_000)
    assert read.dimension == dimension


@given(st.dates(dt.date(1000, 1, 1), dt.date(9998, 12, 31)))
def test_every_way_to_write_a_day_is_that_day(day: dt.date) -> None:
    written = period((f"{day.day}", calendar.month_name[day.month], f"{day.year}"))
    assert period((day.isoformat(),)) == written
    assert written.first == (day - dt.date(1970, 1, 1)).days
    assert written.end == written.first + 1
    year = period((f"{day.year}",))
    assert year.first <= written.first < written.end <= year.end


@given(st.dates(dt.date(1500, 1, 1), dt.date(2500, 1, 1)), st.integers(1, 400), st.integers(-450, 450))
def test_within_some_days_is_decided_as_by_the_calendar(base: dt.date, days: int, away: int) -> None:
    built = base + dt.timedelta(days=away)
    claim = f"The mill was built within {days} days of {base.isoformat()}."
    judgement = judge(Question(claim, (f"The mill was built on {built.isoformat()}.",)))
    assert judgement.verdict is (Verdict.ENTAILED if abs(away) <= days else Verdict.CONTRADICTED)


@given(st.dates(dt.date(1500, 1, 1), dt.date(2500, 1, 1)), st.integers(0, 400), st.integers(-450, 450), st.booleans())
def test_a_distance_after_or_before_a_day_is_decided_as_by_the_calendar(
    base: dt.date, days: int, away: int, after: bool
) -> None:
    built, relation = base + dt.timedelta(days=away), "after" if after else "before"
    told = (f"The mill was built on {built.isoformat()}.",)
    passed = away if after else -away
    right = {"exactly ": passed == days, "at least ": passed >= days, "at most ": 0 <= passed <= days}
    for how, holds in right.items():
        claim = f"The mill was built {how}{days} days {relation} {base.isoformat()}."
        expected = Verdict.ENTAILED if holds else Verdict.CONTRADICTED
        assert judge(Question(claim, told)).verdict is expected, claim


APART = [("Anne", "Carl"), ("Avelin", "Orlin"), ("Bella Marsh", "Carla Dunn"), ("UN", "European Union"), ("Ida", "Bo")]
MAYBE_ONE = [
    *(("Morrow", "Morrow City"), ("Bella", "Bela"), ("Zürich", "Zurich"), ("Rob", "Robert"), ("UN", "United Nations")),
    *(("USA", "United States"), ("NewYork", "New York"), ("Amsterdam", "Amsterdm"), ("IBM", "ibm"), ("Carl", "Karl")),
    *(("Jean-Luc", "Jean Luc"), ("Christina", "Kristina")),
]


@pytest.mark.parametrize("pair", APART)
def test_names_that_are_two_things(pair: tuple[str, str]) -> None:
    assert surely_apart(*pair)
    assert surely_apart(*reversed(pair))


@pytest.mark.parametrize("pair", MAYBE_ONE)
def test_names_that_may_be_spellings_of_one(pair: tuple[str, str]) -> None:
    assert not surely_apart(*pair)
    assert not surely_apart(*reversed(pair))


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_names_are_told_apart_in_either_order_and_never_from_themselves(one: str, other: str) -> None:
    assert surely_apart(one, other) == surely_apart(other, one)
    assert not surely_apart(one, one)


FACTS: dict[str, dict[str, Any]] = {
    "The mill is red.": {"subject": "the mill", "is": "red"},
    "The mill is not red.": {"subject": "the mill", "is": "red", "not": True},
    "Anne is a cat.": {"subject": "Anne", "is": "a cat"},
    "The mill feeds the dam.": {"subject": "the mill", "verb": "feeds", "object": "the dam"},
    "The mill does not feed the dam.": {"subject": "the mill", "verb": "feeds", "object": "the dam", "not": True},
    "The mill works.": {"subject": "the mill", "verb": "works"},
    "The owner of the mill is Anne.": {"subject": "the mill", "attribute": "owner", "value": "Anne"},
    "The height of the mill is at least 4.50 metres.": {
        "subject": "the mill",
        "attribute": "height",
        "operator": ">=",
        "value": "4.50",
        "unit": "metres",
    },
    "The mill was built on 4 May 1932.": {"subject": "the mill", "event": "built", "date": "4 May 1932"},
    "The mill was built in May 1932.": {"subject": "the mill", "event": "built", "date": "May 1932"},
    "The mill was not built in 1932.": {"subject": "the mill", "event": "built", "date": "1932", "not": True},
    "The mill was built before 1932-05-04.": {
        "subject": "the mill",
        "event": "built",
        "relation": "before",
        "date": "1932-05-04",
    },
    "The total of the fee and the price of the mill is more than 12 euros.": {
        "total": ["the fee", {"subject": "the mill", "attribute": "price"}],
        "operator": ">",
        "value": 12,
        "unit": "euros",
    },
}
NO_FACTS = {
    "{": "are no JSON",
    "[]": "facts are objects",
    "[1]": "facts are objects",
    "{}": "one of the fields is, verb, attribute, event, total",
    '{"subject": "the mill", "is": "red", "verb": "feeds"}': "one of the fields",
    '{"subjet": "the mill", "is": "red"}': 'the field "subjet" does not belong to a fact with "is"',
    '{"is": "red"}': 'the field "subject" is missing',
    '{"subject": "the mill and the dam", "is": "red"}': 'the field "subject" holds "and"',
    '{"subject": "the mill", "is": "not red"}': 'the field "is" holds "not"',
    '{"subject": "the mill", "is": "red", "not": "yes"}': 'the field "not" is neither true nor false',
    '{"subject": "the mill. The dam", "is": "red"}': 'the field "subject" is missing or is not words',
    '{"subject": "the mill", "attribute": "height", "operator": "~", "value": 4}': 'the field "operator" is none of',
    '{"subject": "the mill", "attribute": "height", "operator": ">", "value": "Anne"}': 'the field "value"',
    '{"subject": "the mill", "attribute": "height", "value": 1e400}': 'the field "value"',
    '{"subject": "the mill", "attribute": "height", "value": NaN, "unit": "metres"}': 'the field "value" is no number',
    '{"subject": "the mill", "event": "built", "date": "03/04/2025"}': 'the field "date"',
    '{"subject": "the mill", "event": "built", "relation": "near", "date": "1932"}': 'the field "relation"',
    '{"subject": "the mill", "is": "red", "is": "old"}': 'the field "is" stands twice in one fact',
    '{"subject": "the mill", "is": "\\ud800"}': "are no JSON",
    '{"total": ["the fee"], "value": 3}': 'the field "total" is no list of at least two parts',
}


@pytest.mark.parametrize("sentence", FACTS)
def test_a_fact_says_the_same_as_its_sentence(sentence: str) -> None:
    assert sentences_of_facts(json.dumps(FACTS[sentence])) == (sentence,)
    formalise(sentence)


@pytest.mark.parametrize("text", NO_FACTS)
def test_what_is_no_fact_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(NotFormalisableError) as refused:
        sentences_of_facts(text)
    assert NO_FACTS[text] in str(refused.value)


field_values = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.sampled_from(["the mill", "Anne", "red", "feeds", "metres", "40", ">=", "before", "1932", "9999-12-31", ""]),
    st.lists(st.sampled_from(["the fee", "the tax", 3]), max_size=3),
    st.dictionaries(st.sampled_from(["subject", "attribute"]), st.just("the mill")),
)
field_names = st.sampled_from(sorted({name for fact in FACTS.values() for name in fact}))


@given(st.sampled_from(list(FACTS.values())), st.dictionaries(field_names, field_values, max_size=3))
def test_any_facts_are_sentences_or_refused(fact: dict[str, Any], changed: dict[str, Any]) -> None:
    with contextlib.suppress(NotFormalisableError):
        for sentence in sentences_of_facts(json.dumps({**fact, **changed})):
            formalise(sentence)


def test_premises_that_are_no_facts_are_left_out_whole() -> None:
    bad = '{"subject": "the mill"}'
    judgement = judge(Question("The mill is red.", ("The mill is red.", bad)))
    assert judgement.verdict is Verdict.ENTAILED
    assert judgement.skipped == (bad,)
