"""First-order formulas over one kind of thing, and their SMT-LIB text.

Public names: the nodes (:class:`Atom`, :class:`Compare`, :class:`Equal`, :class:`Not`, :class:`And`, :class:`Or`,
:class:`Implies`, :class:`ForAll`, :class:`Exists`), the terms (:class:`Name`, :class:`The`, :class:`Variable`,
:class:`Attribute`) and :func:`theory`.

Symbols are quoted (``|is tall|``) so that any word may be one. Two names (``Avelin``, ``Morrow``) are two things
unless they share a word (``Morrow``, ``Morrow City``); a description (``the Orlin bridge``) may denote what another one
denotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations
from typing import Final, TypeAlias


@dataclass(frozen=True)
class Name:
    """A proper name; two names are two things."""

    text: str


@dataclass(frozen=True)
class The:
    """A definite description such as "the Orlin bridge"."""

    text: str


@dataclass(frozen=True)
class Variable:
    """A variable bound by a quantifier."""

    text: str


@dataclass(frozen=True)
class Attribute:
    """A thing given by another thing: the ``name`` (capital, owner, ...) of ``of``."""

    name: str
    of: Term


Term: TypeAlias = Name | The | Variable | Attribute


@dataclass(frozen=True)
class Atom:
    """A predicate of one or two things."""

    predicate: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Compare:
    """A number that belongs to a thing, compared with a value: ``operator`` is one of = < <= > >=."""

    attribute: str
    of: Term
    operator: str
    value: Fraction


@dataclass(frozen=True)
class Equal:
    left: Term
    right: Term


@dataclass(frozen=True)
class Not:
    body: Formula


@dataclass(frozen=True)
class And:
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Implies:
    condition: Formula
    conclusion: Formula


@dataclass(frozen=True)
class ForAll:
    variables: tuple[Variable, ...]
    body: Formula


@dataclass(frozen=True)
class Exists:
    variables: tuple[Variable, ...]
    body: Formula


Formula: TypeAlias = Atom | Compare | Equal | Not | And | Or | Implies | ForAll | Exists


def theory(formulas: Sequence[Formula]) -> tuple[str, list[str]]:
    """Return the declarations that the formulas need, and the SMT-LIB text of each formula, in order."""
    signature = sorted({line for formula in formulas for line in _declarations(formula)})
    names = sorted({term.text for formula in formulas for term in _terms(formula) if isinstance(term, Name)})
    lines = [f"(declare-sort {_THING} 0)", *signature, *_distinct(names)]
    return "\n".join(lines), [render(formula) for formula in formulas]


def render(formula: Formula) -> str:  # noqa: PLR0911 - one line for each node
    """Return the SMT-LIB text of one formula."""
    match formula:
        case Atom(predicate, terms):
            return f"(|{predicate}| {' '.join(_term(term) for term in terms)})"
        case Compare(attribute, of, operator, value):
            return f"({operator} (|{attribute}| {_term(of)}) {_number(value)})"
        case Equal(left, right):
            return f"(= {_term(left)} {_term(right)})"
        case Not(body):
            return f"(not {render(body)})"
        case And(parts):
            return f"(and {' '.join(render(part) for part in parts)})"
        case Or(parts):
            return f"(or {' '.join(render(part) for part in parts)})"
        case Implies(condition, conclusion):
            return f"(=> {render(condition)} {render(conclusion)})"
        case ForAll(variables, body):
            return f"(forall ({_bound(variables)}) {render(body)})"
        case Exists(variables, body):
            return f"(exists ({_bound(variables)}) {render(body)})"


_THING: Final = "Thing"


def _distinct(names: Sequence[str]) -> list[str]:
    words = {name: frozenset(name.lower().split()) for name in names}
    pairs = list(combinations(names, 2))
    apart = [(one, other) for one, other in pairs if words[one].isdisjoint(words[other])]
    if len(apart) == len(pairs) > 1:
        return [f"(assert (distinct {' '.join(f'|{name}|' for name in names)}))"]
    return [f"(assert (not (= |{one}| |{other}|)))" for one, other in apart]


def _bound(variables: tuple[Variable, ...]) -> str:
    return " ".join(f"(|?{variable.text}| {_THING})" for variable in variables)


def _term(term: Term) -> str:
    match term:
        case Attribute(name, of):
            return f"(|the {name} of| {_term(of)})"
        case The(text):
            return f"|the {text}|"
        case Name(text):
            return f"|{text}|"
        case Variable(text):
            return f"|?{text}|"


def _number(value: Fraction) -> str:
    magnitude = abs(value)
    text = f"{magnitude.numerator}.0"
    if magnitude.denominator != 1:
        text = f"(/ {text} {magnitude.denominator}.0)"
    return f"(- {text})" if value < 0 else text


def _children(formula: Formula) -> tuple[Formula, ...]:
    match formula:
        case Not(body) | ForAll(_, body) | Exists(_, body):
            return (body,)
        case And(parts) | Or(parts):
            return parts
        case Implies(condition, conclusion):
            return (condition, conclusion)
        case _:
            return ()


def _own_terms(formula: Formula) -> tuple[Term, ...]:
    match formula:
        case Atom(_, terms):
            return terms
        case Compare(_, of, _, _):
            return (of,)
        case Equal(left, right):
            return (left, right)
        case _:
            return ()


def _terms(formula: Formula) -> Iterator[Term]:
    for term in _own_terms(formula):
        yield from _with_inner(term)
    yield from chain.from_iterable(_terms(child) for child in _children(formula))


def _with_inner(term: Term) -> Iterator[Term]:
    yield term
    if isinstance(term, Attribute):
        yield from _with_inner(term.of)


def _declarations(formula: Formula) -> Iterator[str]:
    match formula:
        case Atom(predicate, terms):
            yield f"(declare-fun |{predicate}| ({' '.join([_THING] * len(terms))}) Bool)"
        case Compare(attribute, _, _, _):
            yield f"(declare-fun |{attribute}| ({_THING}) Real)"
        case _:
            pass
    for term in chain.from_iterable(_with_inner(own) for own in _own_terms(formula)):
        match term:
            case Name(text):
                yield f"(declare-const |{text}| {_THING})"
            case The(text):
                yield f"(declare-const |the {text}| {_THING})"
            case Attribute(name, _):
                yield f"(declare-fun |the {name} of| ({_THING}) {_THING})"
            case Variable():
                pass
    for child in _children(formula):
        yield from _declarations(child)
