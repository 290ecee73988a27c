"""Controlled English: what each kind of sentence means, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_workers.verifier.english import MAX_SENTENCE, NotFormalisableError, formalise, sentences
from veriramp_workers.verifier.formula import render, theory

NO_DOOR = "(and (not (|has door| |the mill|)) (= (|number of door| |the mill|) 0.0))"
X = "(forall ((|?x| Thing))"
SOMEONE = "(or (|is a person| |?x|) (|may be someone| |?x|))"

MEANINGS = {
    "The mill is red.": "(|is red| |the mill|)",
    "The mill is not red.": "(not (|is red| |the mill|))",
    "Anne is a cat.": "(|is a cat| |Anne|)",
    "Anne is a sister of Carl.": "(|is a sister of| |Anne| |Carl|)",
    "Anne is not a big cat.": "(not (|is a big cat| |Anne|))",
    "The mill was red.": "(|was red| |the mill|)",
    "The mill is red, old and small.": "(and (|is red| |the mill|) (|is old| |the mill|) (|is small| |the mill|))",
    "The mill is red or Anne is a cat.": "(or (|is red| |the mill|) (|is a cat| |Anne|))",
    "The mill is not red and is not old.": "(and (not (|is red| |the mill|)) (not (|is old| |the mill|)))",
    "Every heron is a bird.": f"{X} (=> (|is a heron| |?x|) (|is a bird| |?x|)))",
    "All herons are birds.": f"{X} (=> (|is a heron| |?x|) (|is a bird| |?x|)))",
    "Herons are birds.": f"{X} (=> (|is a heron| |?x|) (|is a bird| |?x|)))",
    "All old things are red.": f"{X} (=> (|is old| |?x|) (|is red| |?x|)))",
    "Every heron that is old is red.": f"{X} (=> (and (|is a heron| |?x|) (|is old| |?x|)) (|is red| |?x|)))",
    "No heron is a mammal.": f"{X} (=> (|is a heron| |?x|) (not (|is a mammal| |?x|))))",
    "Some herons are old.": "(exists ((|?x| Thing)) (and (|is a heron| |?x|) (|is old| |?x|)))",
    "Every heron that likes Anne is old.": (
        f"{X} (=> (and (|is a heron| |?x|) (|does like| |?x| |Anne|)) (|is old| |?x|)))"
    ),
    "Everything that is old and small is red.": (f"{X} (=> (and (|is old| |?x|) (|is small| |?x|)) (|is red| |?x|)))"),
    "If someone is not red and not old then they are small.": (
        f"{X} (=> (and {SOMEONE} (and (not (|is red| |?x|)) (not (|is old| |?x|)))) (|is small| |?x|)))"
    ),
    "Everyone is red.": f"{X} (=> (|is a person| |?x|) (|is red| |?x|)))",
    "All people are red.": f"{X} (=> (|is a person| |?x|) (|is red| |?x|)))",
    "Nobody is red.": f"{X} (=> (|is a person| |?x|) (not (|is red| |?x|))))",
    "No one is red.": f"{X} (=> (|is a person| |?x|) (not (|is red| |?x|))))",
    "Everyone who likes Anne is old.": (
        f"{X} (=> (and (|is a person| |?x|) (|does like| |?x| |Anne|)) (|is old| |?x|)))"
    ),
    "Anne is a person.": "(|is a person| |Anne|)",
    "If something is red then it is old.": f"{X} (=> (|is red| |?x|) (|is old| |?x|)))",
    "If a heron sees the owl then the heron is old.": (
        f"{X} (=> (and (|is a heron| |?x|) (|does see| |?x| |the owl|)) (|is old| |?x|)))"
    ),
    "If Anne is red then Carl is old.": "(=> (|is red| |Anne|) (|is old| |Carl|))",
    "If a heron is red then the heron is old.": (
        f"{X} (=> (and (|is a heron| |?x|) (|is red| |?x|)) (|is old| |?x|)))"
    ),
    "If someone is red and they chase Anne then they see Anne.": (
        f"{X} (=> (and {SOMEONE} (and (|is red| |?x|) (|does chase| |?x| |Anne|))) (|does see| |?x| |Anne|)))"
    ),
    "If X sees Y and Y sees Z then X sees Z.": (
        "(forall ((|?X| Thing) (|?Y| Thing) (|?Z| Thing)) "
        "(=> (and (|does see| |?X| |?Y|) (|does see| |?Y| |?Z|)) (|does see| |?X| |?Z|)))"
    ),
    "The mill feeds the Orlin dam.": "(|does feed| |the mill| |the Orlin dam|)",
    "The mill does not feed Avelin.": "(not (|does feed| |the mill| |Avelin|))",
    "Anne likes Carl and sees the mill.": "(and (|does like| |Anne| |Carl|) (|does see| |Anne| |the mill|))",
    "Anne likes Carl and Carl sees Anne.": "(and (|does like| |Anne| |Carl|) (|does see| |Carl| |Anne|))",
    "Anne likes Carl.": "(|does like| |Anne| |Carl|)",
    "The mill is in Avelin.": "(|is in| |the mill| |Avelin|)",
    "The mill is owned by Anne.": "(|is owned by| |the mill| |Anne|)",
    "The mill is 1,200 metres long.": "(= (|length in metres| |the mill|) 1200.0)",
    "The length of the mill is 1.2 km.": "(= (|length in metres| |the mill|) 1200.0)",
    "The mill has a length of 1.2 km.": "(= (|length in metres| |the mill|) 1200.0)",
    "The mill is at least 12 cm tall.": "(>= (|height in metres| |the mill|) (/ 3.0 25.0))",
    "The mill is not more than 12 metres tall.": "(not (> (|height in metres| |the mill|) 12.0))",
    "The price of the mill is 5 euros.": "(= (|price in euros| |the mill|) 5.0)",
    "The mill has 3 doors.": "(= (|number of door| |the mill|) 3.0)",
    "The mill has fewer than 3 doors.": "(< (|number of door| |the mill|) 3.0)",
    "The mill has a door.": "(|has door| |the mill|)",
    "The mill does not have a door.": NO_DOOR,
    "The mill has no door.": NO_DOOR,
    "The owner of the mill is Anne.": "(= (|the owner of| |the mill|) |Anne|)",
    "The owner of the mill is old.": "(|is old| (|the owner of| |the mill|))",
    "Anne is the owner of the mill.": "(= |Anne| (|the owner of| |the mill|))",
    "The mill was built in 1970.": "(and (>= (|day built| |the mill|) 0.0) (< (|day built| |the mill|) 365.0))",
    "The mill was built on 2 January 1970.": (
        "(and (>= (|day built| |the mill|) 1.0) (< (|day built| |the mill|) 2.0))"
    ),
    "The mill was built before 1971-01-01.": "(< (|day built| |the mill|) 365.0)",
    "The mill was built after 1970.": "(>= (|day built| |the mill|) 365.0)",
    "The mill was built before the dam.": "(< (+ (|day built| |the mill|) (* (- 1.0) (|day built| |the dam|))) 0.0)",
    "Anne was born after the mill was built.": ("(> (+ (|day born| |Anne|) (* (- 1.0) (|day built| |the mill|))) 0.0)"),
    "The mill was built exactly 2 weeks after 1 January 1970.": (
        "(and (>= (|day built| |the mill|) 14.0) (< (|day built| |the mill|) 15.0))"
    ),
    "The mill was built at least 1 year after 1 January 1970.": "(>= (|day built| |the mill|) 365.0)",
    "The mill was built at most 3 days before 5 January 1970.": (
        "(and (>= (|day built| |the mill|) 1.0) (< (|day built| |the mill|) 5.0))"
    ),
    "The tower is wider than the dam.": (
        "(> (+ (|width in metres| |the tower|) (* (- 1.0) (|width in metres| |the dam|))) 0.0)"
    ),
    "The tower is at most 2 years younger than the dam.": (
        "(<= (+ (|age in months| |the dam|) (* (- 1.0) (|age in months| |the tower|))) 24.0)"
    ),
    "The tower is slower than 36 km/h.": "(< (|speed in metres per second| |the tower|) 10.0)",
    "The mill costs at least 5 euros.": "(>= (|price in euros| |the mill|) 5.0)",
    "The tower does not weigh 2 tonnes.": "(not (= (|weight in kilograms| |the tower|) 2000.0))",
    "The lease ends before 1971-01-01.": "(< (|day end| |the lease|) 365.0)",
    "The lease starts on 2 January 1970.": (
        "(and (>= (|day start| |the lease|) 1.0) (< (|day start| |the lease|) 2.0))"
    ),
    "The lease ends in Avelin.": "(|does end in| |the lease| |Avelin|)",
    "The deadline is after 1 January 1970.": "(>= (|day| |the deadline|) 1.0)",
    "The deadline of the bid is 2 January 1970.": (
        "(and (>= (|day of the deadline| |the bid|) 1.0) (< (|day of the deadline| |the bid|) 2.0))"
    ),
    "Someone likes Anne.": "(exists ((|?x| Thing)) (and (|is a person| |?x|) (|does like| |?x| |Anne|)))",
    "Anne owns the mill.": "(|does own| |Anne| |the mill|)",
    "The fee is 5 euros.": "(= (|value in euros| |the fee|) 5.0)",
    "The price of the mill is 2.5 million euros.": "(= (|price in euros| |the mill|) 2500000.0)",
    "The total of the fee, the tax and the price of the mill is at most 12 euros.": (
        "(<= (+ (|value in euros| |the fee|) (|value in euros| |the tax|) (|price in euros| |the mill|)) 12.0)"
    ),
    "The height of the mill is the width of the dam.": (
        "(= (+ (|height in metres| |the mill|) (* (- 1.0) (|width in metres| |the dam|))) 0.0)"
    ),
    "Red, old things are small.": f"{X} (=> (and (|is red| |?x|) (|is old| |?x|)) (|is small| |?x|)))",
    "Old people like Anne.": f"{X} (=> (and (|is old| |?x|) {SOMEONE}) (|does like| |?x| |Anne|)))",
    "Jompuses are not shy.": f"{X} (=> (|is a jompus| |?x|) (not (|is shy| |?x|))))",
    "The mill was repaired in 1970.": "(|was repaired in 1970| |the mill|)",
}


@pytest.mark.parametrize("sentence", MEANINGS)
def test_meaning(sentence: str) -> None:
    assert render(formalise(sentence)) == MEANINGS[sentence]


REFUSALS = {
    "The mill may be red.": '"may"',
    "The mill is probably red.": '"probably"',
    "The mill is about 12 metres tall.": '"about"',
    "The mill is very old.": '"very"',
    "Most herons are old.": '"Most"',
    "Not all herons are old.": '"Not"',
    "All herons are not old.": "two readings",
    "Every heron is not old.": "two readings",
    "The mill is red and old or small.": "two readings",
    "The mill is not red or old.": "is not clear",
    "The mill is red but old.": '"but"',
    "It is red.": '"It"',
    "This is red.": '"This"',
    "Is the mill red?": "a question",
    "The mill is red (and old).": '"("',
    "Anne likes Bella and Carl.": "is not clear",
    "Anne's mill is red.": "outside the controlled language",
    "The mill, which is old, is red.": "a comma",
    "Everything is red.": "of which things",
    "Nothing is red.": "of which things",
    "All things are red.": "of which things",
    "Something else is red.": "is",
    "Nobody ever saw the mill.": "the",
    "If someone drops the lamp then it is broken.": "it",
    "If someone sells the books then they are old.": "they",
    "If something hits the mill then it is broken.": "it",
    "The airport of London is Heathrow.": "more than one airport",
    "The late husband of Anne is Carl.": "more than one late husband",
    "The first owner of the mill is Anne.": "more than one first owner",
    "The size of the shirt is Large.": "any word",
    "The capital of the company is 5 million euros.": "is a town",
    "The father of medicine is Hippocrates.": "is neither a name",
    "The father of Medicine is Hippocrates.": "can have a father",
    "The tour begins on 4 May 2025.": "again",
    "The offer ends on 4 May 2025.": "again",
    "The current price is 5 euros.": "current",
    "The next train is late.": "next",
    "The fourth is old.": "fourth",
    "The oldest mill is red.": "oldest",
    "Mine is red.": "Mine",
    "One is red.": "One",
    "Monday is sunny.": "Monday",
    "The mill is red if Anne is old.": '"if"',
    "If something is red then something is old.": '"something"',
    "Anne is Bella.": "name or an adjective",
    "The mill is French.": "name or an adjective",
    "The owner of the mill is French.": "looks like an adjective",
    "The mill is 12 metres.": "what is measured",
    "The mill is 12 cubits tall.": '"cubits"',
    "The mill has a bell of 3 tonnes.": "is not a measure",
    "The mill has bells.": 'write "has a roof"',
    "The mill was built in the winter of 1932.": "is not a date",
    "The mill was built on 31 February 1932.": "is not a date",
    "The mill was built on 31 December 9999.": "is not a date",
    "The mill was built on 9999-12-31.": "is not a date",
    "The mill was built in December 9999.": "is not a date",
    "The mill was built in 0000.": "is not a date",
    "The mill was built exactly 99999 years after 4 May 1932.": "no such day",
    "The mill is higher than the dam.": '"than"',
    "The mill is as tall as the dam.": '"as"',
    "The height of the mill is taller than the dam.": "said of things",
    "The mill is 3 taller than.": 'write "taller than"',
    "The mill was built within 48 hours of 4 May 1932.": "no distance in time",
    "The mill was built within 3 days of May 1932.": "counted from a day",
    "The mill was built exactly 2 months after 31 December 1931.": "no such day",
    "The mill was built exactly 2 years after the dam.": "differ in length",
    "The mill was built 2 weeks after 1 January 1970.": "may be rounded",
    "The mill was built 3 days after the dam.": "may be rounded",
    "The mill was built on 03/04/2025.": '"/" is outside',
    "The total of the fee is 12 euros.": "at least two parts",
    "The total of Anne and the fee is 12 euros.": "no number",
    "The total of the fee and the tax was 12 euros.": "the total of A, B and C",
    "The share of the mill is 3 percentage points.": "percentage points",
    "If X likes Y then Z is old.": "stands in the conclusion only",
    "If a heron sees the owl then it is old.": '"it"',
    "If a heron is old then a mill is red.": '"a"',
    "Sadly the mill is red.": '"Sadly"',
    "The mill barely feeds the dam.": '"barely"',
    "The mill is red, not old and big.": 'whether "not" belongs to "big"',
    "Everything that glitters is not gold.": "two readings",
    "Every heron that likes Anne likes Carl.": "a relative clause",
    "The sister of Anne is Ida.": "more than one sister",
    "Anne is a kind of.": "missing",
    "Every heron that Anne likes is grey.": "as a verb",
    "The mill is red...": "trails off",
    "The following is false.": '"following"',
    "Anne is on 4 May 2025.": "what happened",
    "The lease ends the war.": "is not understood",
    "The mill costs Anne 5 euros.": "neither a name",
    "Something may be old.": '"may"',
    "Anything is old.": "is not understood",
    "The dog chases cats.": "whether",
    "The dog chases the cat in the garden.": '"in"',
    "The mill is red whenever the dam is old.": '"the"',
    "Anne says the mill is red.": "is not understood",
    "The mill never feeds the dam.": "is not understood",
    "Red.": "no verb",
    "...": "empty",
    "The mill is " + "very " * MAX_SENTENCE: "too long",
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_what_is_not_understood_completely_is_refused_with_a_reason(sentence: str) -> None:
    with pytest.raises(NotFormalisableError) as refused:
        formalise(sentence)
    assert REFUSALS[sentence] in str(refused.value)


def test_texts_are_cut_into_sentences_and_numbers_stay_whole() -> None:
    text = "The mill is 1.5 metres tall. It is old; Anne is red!\nIs it?"
    assert sentences(text) == ("The mill is 1.5 metres tall.", "It is old;", "Anne is red!", "Is it?")
    assert sentences(" \n ") == ()


def test_sentences_are_not_cut_where_half_of_one_would_say_something_else() -> None:
    assert sentences("It is not true that\nthe mill is red.") == ("It is not true that the mill is red.",)
    assert sentences("The owner is Mr. Carl. The mill is red.") == ("The owner is Mr. Carl.", "The mill is red.")
    assert sentences("The owner is J. Low.") == ("The owner is J. Low.",)
    assert sentences("If X sees Y then Y sees X. Anne is red.") == ("If X sees Y then Y sees X.", "Anne is red.")
    assert sentences("Mills\n\nThe mill is red.") == ("Mills", "The mill is red.")


def test_every_not_is_plain_among_premises_only() -> None:
    for sentence in ("Every heron is not old.", "Each heron is not old.", "All herons are not old."):
        assert formalise(sentence, premise=True) == formalise("No heron is old.")
        with pytest.raises(NotFormalisableError):
            formalise(sentence)


def test_names_are_different_things_unless_they_share_a_word() -> None:
    declarations, _ = theory([formalise(f"The owner of the mill is {name}.") for name in ("Anne", "Bella", "Carl")])
    assert "(assert (distinct |Anne| |Bella| |Carl|))" in declarations
    declarations, _ = theory([formalise(f"The owner of the mill is {name}.") for name in ("Anne", "Anne Morrow")])
    assert "distinct" not in declarations
    assert "not" not in declarations


def test_names_of_which_some_are_alike_are_told_apart_in_a_few_groups() -> None:
    told = [formalise(f"The owner of the mill is {name}.") for name in ("Anne", "Anne Morrow", "Bella", "Carl")]
    declarations, _ = theory(told)
    assert "(assert (distinct |Anne| |Bella| |Carl|))" in declarations
    assert "(assert (distinct |Anne Morrow| |Bella| |Carl|))" in declarations
    assert "|Anne| |Anne Morrow|" not in declarations


def test_cutting_a_list_of_names_with_initials_takes_as_long_as_it_is() -> None:
    assert len(sentences("Smith, A. Brown, K. " * 5_000)) == 1
    assert len(sentences("Mr. " * 25_000)) == 1


words = st.sampled_from(
    [word for sentence in (*MEANINGS, *REFUSALS) for word in sentence.rstrip(".").split()] + [",", "-", "%", "é", "12"]
)


@given(st.lists(words, max_size=12).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        declarations, rendered = theory([formalise(text)])
    except NotFormalisableError:
        return
    assert declarations.startswith("(declare-sort Thing 0)")
    assert rendered[0].count("(") == rendered[0].count(")")
