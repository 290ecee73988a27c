"""First-order formulas over one kind of thing, and their SMT-LIB text.

Public names: the nodes (:class:`Atom`, :class:`Compare`, :class:`Linear`, :class:`Equal`, :class:`Not`, :class:`And`,
:class:`Or`, :class:`Implies`, :class:`ForAll`, :class:`Exists`), the terms (:class:`Name`, :class:`The`,
:class:`Variable`, :class:`Attribute`), :class:`Parts`, :func:`parts`, :func:`declarations`, :func:`theory` and
:func:`render`.

Symbols are quoted (``|is tall|``) so that any word may be one. Two names are two things where that is sure (see
``names``); a description (``the Orlin bridge``) may denote what another one
denotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from veriramp_workers.verifier.beings import may_be_someone
from veriramp_workers.verifier.names import distinct
from veriramp_workers.verifier.values import Quantity


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
    """A number that belongs to a thing, compared with a value: ``operator`` is one of = < <= > >=.

    ``size``: how the value was written, if it was.
    """

    attribute: str
    of: Term
    operator: str
    value: Fraction
    size: Quantity | None = None


@dataclass(frozen=True)
class Linear:
    """A sum of numbers that belong to things, each with a factor, compared with a value (the rest as above)."""

    terms: tuple[tuple[Fraction, str, Term], ...]
    operator: str
    value: Fraction
    size: Quantity | None = None


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


Formula: TypeAlias = Atom | Compare | Linear | Equal | Not | And | Or | Implies | ForAll | Exists


THING: Final = "Thing"
"""The sort of everything that is spoken of."""

SOMEONE: Final = "may be someone"
"""The predicate of what is known to be alive: asserted beside the declarations of what is named."""


@dataclass(frozen=True)
class Parts:
    """A formula as SMT-LIB: ``text``, and ``body`` inside its outermost quantifier (the same without one).

    ``things`` are the terms without a variable. ``equated``: the names that stand in an equation. ``flat``: no other
    quantifier stands within, and no thing is made out of a variable. ``sizes``: the numbers as they were written.
    """

    formula: Formula
    text: str
    body: str
    declarations: frozenset[str]
    things: frozenset[str]
    equated: frozenset[str]
    flat: bool
    sizes: frozenset[Quantity]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """What the outermost quantifier binds."""
        return self.formula.variables if isinstance(self.formula, ForAll | Exists) else ()


def parts(formula: Formula) -> Parts:
    """Write one formula down."""
    writer = _Writer()
    text = body = writer.formula(formula.body if isinstance(formula, ForAll | Exists) else formula)
    if isinstance(formula, ForAll | Exists):
        text = _quantified(formula, body)
    return Parts(
        formula,
        text,
        body,
        frozenset(writer.declarations),
        frozenset(writer.things),
        frozenset(writer.equated),
        writer.flat,
        frozenset(writer.sizes),
    )


def declarations(written: Sequence[Parts]) -> str:
    """Return the declarations that the formulas need, with what holds of their names."""
    signature = sorted(frozenset[str]().union(*(one.declarations for one in written)))
    # A name that stands in no equation need not be told apart: what is satisfiable is so with it as a thing of its own.
    names = sorted(frozenset[str]().union(*(one.equated for one in written)))
    return "\n".join([f"(declare-sort {THING} 0)", *signature, *distinct(names), *_living(signature, written)])


def _living(signature: Sequence[str], written: Sequence[Parts]) -> list[str]:
    if f"(declare-fun |{SOMEONE}| ({THING}) Bool)" not in signature:
        return []
    things = sorted(frozenset[str]().union(*(one.things for one in written)))
    return [f"(assert (|{SOMEONE}| {thing}))" for thing in things if may_be_someone(thing.strip("|"))]


def theory(formulas: Sequence[Formula]) -> tuple[str, list[str]]:
    """Return the declarations that the formulas need, and the SMT-LIB text of each formula, in order."""
    written = [parts(formula) for formula in formulas]
    return declarations(written), [one.text for one in written]


def render(formula: Formula) -> str:
    """Return the SMT-LIB text of one formula."""
    return parts(formula).text


def variable_text(variable: Variable) -> str:
    """Return how a variable is written; nothing else is written with a question mark."""
    return f"|?{variable.text}|"


class _Writer:
    """Writes formulas and notes what they are made of, in one pass: each sentence of each text goes through here."""

    def __init__(self) -> None:
        self.declarations: set[str] = set()
        self.things: set[str] = set()
        self.equated: set[str] = set()
        self.flat = True
        self.sizes: set[Quantity] = set()

    def formula(self, formula: Formula) -> str:  # noqa: PLR0911 - one line for each node
        match formula:
            case Atom(predicate, terms):
                self.declarations.add(f"(declare-fun |{predicate}| ({' '.join([THING] * len(terms))}) Bool)")
                return f"(|{predicate}| {' '.join([self._term(term) for term in terms])})"
            case Compare(attribute, of, operator, value, size):
                self._note(size)
                return f"({operator} {self._value(attribute, of)} {_number(value)})"
            case Linear(terms, operator, value, size):
                self._note(size)
                return f"({operator} (+ {' '.join([self._scaled(*one) for one in terms])}) {_number(value)})"
            case Implies(condition, conclusion):
                return f"(=> {self.formula(condition)} {self.formula(conclusion)})"
            case Not(body):
                return f"(not {self.formula(body)})"
            case And(several):
                return f"(and {' '.join([self.formula(one) for one in several])})"
            case Or(several):
                return f"(or {' '.join([self.formula(one) for one in several])})"
            case Equal(left, right):
                self.equated.update(one.text for one in (left, right) if isinstance(one, Name))
                return f"(= {self._term(left)} {self._term(right)})"
            case ForAll(_, body) | Exists(_, body):
                self.flat = False
                return _quantified(formula, self.formula(body))

    def _note(self, size: Quantity | None) -> None:
        if size is not None:
            self.sizes.add(size)

    def _scaled(self, factor: Fraction, attribute: str, of: Term) -> str:
        value = self._value(attribute, of)
        return value if factor == 1 else f"(* {_number(factor)} {value})"

    def _value(self, attribute: str, of: Term) -> str:
        self.declarations.add(f"(declare-fun |{attribute}| ({THING}) Real)")
        return f"(|{attribute}| {self._term(of)})"

    def _term(self, term: Term) -> str:
        match term:
            case Variable():
                return variable_text(term)
            case Name(text):
                written = f"|{text}|"
                self.declarations.add(f"(declare-const {written} {THING})")
            case The(text):
                written = f"|the {text}|"
                self.declarations.add(f"(declare-const {written} {THING})")
            case Attribute(name, of):
                inner = self._term(of)
                written = f"(|the {name} of| {inner})"
                self.declarations.add(f"(declare-fun |the {name} of| ({THING}) {THING})")
                if "|?" in inner:
                    self.flat = False
                    return written
        self.things.add(written)
        return written


def _quantified(formula: ForAll | Exists, body: str) -> str:
    bound = " ".join(f"({variable_text(variable)} {THING})" for variable in formula.variables)
    return f"({'forall' if isinstance(formula, ForAll) else 'exists'} ({bound}) {body})"


def _number(value: Fraction) -> str:
    magnitude = abs(value)
    text = f"{magnitude.numerator}.0"
    if magnitude.denominator != 1:
        text = f"(/ {text} {magnitude.denominator}.0)"
    return f"(- {text})" if value < 0 else text
