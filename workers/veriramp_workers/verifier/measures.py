"""Numbers that belong to things: heights, prices, counts, comparisons of two things, and sums.

Public names: :func:`measured`, :func:`compared`, :func:`counted`, :func:`sized`, :func:`is_measured`, :func:`compares`,
:func:`same_measure`, :func:`is_total`, :func:`total`, :func:`comparator`, :func:`symbol`.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Final

from veriramp_workers.verifier import words
from veriramp_workers.verifier.formula import Attribute, Compare, Formula, Linear, Not, Term, The
from veriramp_workers.verifier.things import Scope, Token, nouns, plain, term
from veriramp_workers.verifier.units import MONEY_SIGNS
from veriramp_workers.verifier.values import NotFormalisableError, Quantity, is_number, quantity

_DIMENSIONS: Final = {
    "tall": "height",
    "high": "height",
    "long": "length",
    "wide": "width",
    "deep": "depth",
    "old": "age",
    "heavy": "weight",
    "thick": "thickness",
}
_MORE: Final = {
    "taller": "height",
    "longer": "length",
    "wider": "width",
    "deeper": "depth",
    "older": "age",
    "heavier": "weight",
    "thicker": "thickness",
}
_LESS: Final = {"narrower": "width", "shallower": "depth", "younger": "age", "thinner": "thickness", "slower": "speed"}
_COMPARATIVES: Final = {
    **{word: (measure, ">") for word, measure in (_MORE | {"faster": "speed"}).items()},
    **{word: (measure, "<") for word, measure in _LESS.items()},
}
"""Only words with one meaning: "higher" may be of a price, "lighter" of a colour, "shorter" of a height or a length."""

_LENGTHS: Final = frozenset({"metres", "feet"})
_FITTING: Final = dict.fromkeys(("height", "width", "depth", "thickness", "diameter"), _LENGTHS) | {
    "length": _LENGTHS | {"seconds", "months"},
    "age": frozenset({"seconds", "months"}),
    "duration": frozenset({"seconds", "months"}),
    "weight": frozenset({"kilograms"}),
    "mass": frozenset({"kilograms"}),
    "speed": frozenset({"metres per second", "miles per hour"}),
}
"""In which dimensions these measures can be."""

_USUAL: Final = dict.fromkeys(
    ("height", "length", "width", "depth", "thickness", "diameter", "distance", "span"), "metres"
) | {
    "age": "months",
    "weight": "kilograms",
    "mass": "kilograms",
    "speed": "metres per second",
    "area": "square metres",
    "volume": "litres",
}
"""In which dimension a measure is compared when no unit is said."""

_VALUED: Final = frozenset({"number", "percent", "months", "seconds", "bytes", "kilograms"})
"""What "the fee is 5" may state; "the mill is 12 metres" leaves open whether its height or its length is meant."""

EXACTLY: Final = "=="
"""The operator of "exactly 1.2 km", which is not rounded."""

_COMPARATORS: Final = (
    (("exactly",), EXACTLY),
    (("at", "least"), ">="),
    (("at", "most"), "<="),
    (("more", "than"), ">"),
    (("less", "than"), "<"),
    (("fewer", "than"), "<"),
)


def comparator(tokens: tuple[Token, ...]) -> tuple[str, tuple[Token, ...]]:
    """Return the operator that the tokens begin with ("=" without one) and the tokens after it."""
    lows = tuple(token.low for token in tokens[:2])
    for spelled, operator in _COMPARATORS:
        if lows[: len(spelled)] == spelled:
            return operator, tokens[len(spelled) :]
    return "=", tokens


def symbol(measure: str, dimension: str) -> str:
    """Return the symbol of a measure; each dimension has its own, so that nothing follows from one to the other."""
    return measure if dimension == "number" else f"{measure} in {dimension}"


def is_measured(rest: tuple[Token, ...]) -> bool:
    """Say whether the complement of "is" is a number with or without "at least" and the like."""
    _, tail = comparator(rest)
    return len(tail) < len(rest) or is_number(rest[0].text) or rest[0].text in MONEY_SIGNS


def measured(rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    """Read "12 metres tall", "at least 5 euros", "3 metres taller than the dam"."""
    at = next((at for at, token in enumerate(rest) if token.low in _COMPARATIVES), None)
    if at is not None:
        return compared(rest, at, subject, scope)
    operator, tail = comparator(rest)
    if isinstance(subject, Attribute):
        return sized(subject.name, subject.of, operator, tail)
    if tail and tail[-1].low in _DIMENSIONS:
        return sized(_DIMENSIONS[tail[-1].low], subject, operator, tail[:-1])
    size = _quantity(tail)
    if isinstance(subject, The) and (size.dimension in _VALUED or size.is_money):
        noun = subject.text.lower().split()[-1]
        if noun not in words.AMOUNTS or (size.dimension == "percent" and noun != "share"):
            raise NotFormalisableError(f'whether the number of "the {subject.text}" is an amount is not clear')
        return _sized("value", subject, operator, size)
    raise NotFormalisableError('what is measured is not clear; write "is 12 metres tall" or "the height of ... is"')


def compares(rest: tuple[Token, ...]) -> bool:
    """Say whether the complement of "is" compares with another thing: "taller than the dam"."""
    return any(token.low in _COMPARATIVES and after.low == "than" for token, after in pairwise(rest))


def compared(rest: tuple[Token, ...], at: int, subject: Term, scope: Scope) -> Formula:
    """Read "taller than the dam", "at least 3 metres taller than the dam", "taller than 40 metres"."""
    measure, direction = _COMPARATIVES[rest[at].low]
    other = rest[at + 2 :]
    if len(rest) < at + 3 or rest[at + 1].low != "than":
        raise NotFormalisableError(f'write "{rest[at].low} than" and a thing or a size')
    if isinstance(subject, Attribute) and subject.name in words.MEASURES:
        raise NotFormalisableError(f'"{rest[at].low}" is said of things, not of a {subject.name}')
    operator, tail = comparator(rest[:at])
    if is_number(other[0].text):
        if at:
            raise NotFormalisableError(f'two sizes beside "{rest[at].low}" are not understood')
        return sized(measure, subject, direction, other)
    if at == 0:
        terms = _apart(symbol(measure, _USUAL[measure]), subject, term(other, scope))
        return Linear(terms, direction, Fraction(0))
    if not tail:
        raise NotFormalisableError(
            f'by how much something is {rest[at].low} is missing; write "3 metres {rest[at].low}"'
        )
    by = _quantity(tail)
    greater, lesser = (subject, term(other, scope)) if direction == ">" else (term(other, scope), subject)
    return Linear(_apart(symbol(measure, by.dimension), greater, lesser), *_written(operator, by))


def counted(rest: tuple[Token, ...], subject: Term) -> Formula:
    """Read "3 doors", "at least 3 doors"."""
    operator, tail = comparator(rest)
    if len(tail) > 1 and is_number(tail[0].text):
        size = _quantity(tail[:1])
        if size.value < 0 or size.value.denominator != 1:
            raise NotFormalisableError(f"{tail[0].text} is no number of things")
        return _sized(f"number of {nouns(tail[1:])}", subject, operator, size.counted)
    raise NotFormalisableError('write "has a roof", "has no roof", "has 3 towers" or "has a height of 12 metres"')


def sized(name: str, of: Term, operator: str, tail: tuple[Token, ...]) -> Formula:
    """Compare the measure ``name`` of a thing with a quantity."""
    size = _quantity(tail)
    if name == "distance":
        raise NotFormalisableError("from where to where the distance is measured is not understood")
    if size.dimension != "number" and size.dimension not in _FITTING.get(name, {size.dimension}):
        raise NotFormalisableError(f'"{plain(tail)}" is no {name}')
    if not words.LABELS.isdisjoint(name.split()):
        raise NotFormalisableError(f"a {name} is no number that can be compared")
    return _sized(name, of, operator, size)


def same_measure(subject: Attribute, other: Attribute) -> Formula | None:
    """Read "the height of A is the height of B" as equal numbers, where the measure is one of numbers."""
    if subject.name not in words.MEASURES or other.name not in words.MEASURES:
        return None
    usual = _USUAL.get(subject.name)
    if usual is None or usual != _USUAL.get(other.name):
        raise NotFormalisableError(f"whether {subject.name} and {other.name} have the same unit is not clear")
    terms = (
        (Fraction(1), symbol(subject.name, usual), subject.of),
        (Fraction(-1), symbol(other.name, usual), other.of),
    )
    return Linear(terms, "=", Fraction(0))


def is_total(tokens: tuple[Token, ...]) -> bool:
    """Say whether a sentence begins with "the total of" or "the sum of"."""
    return [token.low for token in tokens[:3]] in (["the", "total", "of"], ["the", "sum", "of"])


def total(tokens: tuple[Token, ...]) -> Formula:
    """Read "the total of the fee, the tax and the price of the mill is 12 euros"."""
    heads = [at for at, token in enumerate(tokens) if token.low in words.PREDICATE_HEADS]
    if len(heads) != 1 or tokens[heads[0]].low != "is":
        raise NotFormalisableError('a total needs the form "the total of A, B and C is 12 euros"')
    rest = tokens[heads[0] + 1 :]
    negated = bool(rest) and rest[0].low == "not"
    operator, tail = comparator(rest[negated:])
    size = _quantity(tail)
    items = _items(tokens[3 : heads[0]])
    if len(items) == 1:
        raise NotFormalisableError('a total has at least two parts; write "the total of A and B is ..."')
    terms = tuple((Fraction(1), *_measure(item, size.dimension)) for item in items)
    said = Linear(terms, *_written(operator, size))
    return Not(said) if negated else said


def _items(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    items: list[tuple[Token, ...]] = [()]
    for token in tokens:
        if token.low in {",", "and"}:
            items.append(())
        else:
            items[-1] = (*items[-1], token)
    # "A, B, and C": nothing stands between the comma and the word.
    if len(items) > 2 and not items[-2]:  # noqa: PLR2004
        del items[-2]
    if not all(items):
        raise NotFormalisableError("a part of the total is missing beside a comma")
    return items


def _measure(item: tuple[Token, ...], dimension: str) -> tuple[str, Term]:
    thing = term(item)
    if isinstance(thing, Attribute):
        return symbol(thing.name, dimension), thing.of
    if isinstance(thing, The):
        return symbol("value", dimension), thing
    raise NotFormalisableError(f'"{plain(item)}" is no number; write "the price of ..." or "the fee"')


def _sized(name: str, of: Term, operator: str, size: Quantity) -> Formula:
    return Compare(symbol(name, size.dimension), of, *_written(operator, size))


def _written(operator: str, size: Quantity) -> tuple[str, Fraction, Quantity]:
    return ("=", size.value, size.exact) if operator == EXACTLY else (operator, size.value, size)


def _apart(value: str, one: Term, other: Term) -> tuple[tuple[Fraction, str, Term], ...]:
    return (Fraction(1), value, one), (Fraction(-1), value, other)


def _quantity(tail: tuple[Token, ...]) -> Quantity:
    return quantity(tuple(token.text for token in tail))
