"""The parts of a clause: things (subjects, objects) and what is said of them.

Public names: :class:`Token`, :class:`Scope`, :func:`term`, :func:`noun_phrase`, :func:`predicate`, :func:`split_verb`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from veriramp_workers.verifier import words
from veriramp_workers.verifier.formula import (
    And,
    Atom,
    Attribute,
    Compare,
    Equal,
    Formula,
    Name,
    Not,
    Term,
    The,
    Variable,
)
from veriramp_workers.verifier.values import NotFormalisableError, is_number, period, quantity


@dataclass(frozen=True)
class Token:
    """One word, number or sign as it was written."""

    text: str

    @property
    def low(self) -> str:
        """The word without its capitals."""
        return self.text.lower()

    @property
    def capital(self) -> bool:
        """Whether it may be part of a proper name."""
        return self.text[0].isupper()


@dataclass(frozen=True)
class Scope:
    """What the words "it", "something" or a single capital letter refer to in this sentence."""

    bindings: tuple[tuple[str, Term], ...] = ()

    def get(self, word: str) -> Term | None:
        """Return the referent of a word, if it has one."""
        return next((bound for name, bound in self.bindings if name == word), None)


NO_SCOPE: Final = Scope()


def term(tokens: tuple[Token, ...], scope: Scope = NO_SCOPE) -> Term:
    """Read a thing: a name (Avelin), "the ...", "the <attribute> of <thing>", or a word bound by the scope."""
    bound = scope.get(_plain(tokens)) or scope.get(_plain(tokens).lower())
    if bound is not None:
        return bound
    if not tokens:
        raise NotFormalisableError("a subject or object is missing")
    if tokens[0].low == "the" and len(tokens) > 1:
        return _described(tokens[1:], scope)
    _refuse_reserved(tokens)
    if all(token.capital or is_number(token.text) for token in tokens) and tokens[0].capital:
        return Name(_plain(tokens))
    raise NotFormalisableError(
        f'"{_plain(tokens)}" is neither a name nor "the ..."; write names with capitals and things with "the"'
    )


def noun_phrase(tokens: tuple[Token, ...], variable: Variable) -> tuple[Formula, ...]:
    """Read "bird", "red bird" (one kind of its own), "red thing" (anything red): what the variable has to be."""
    _refuse_reserved(tokens)
    if not tokens or any(token.text[0].isdigit() for token in tokens):
        raise NotFormalisableError("a noun is missing")
    noun = words.singular(tokens[-1].low)
    if noun in words.THING_NOUNS:
        return tuple(Atom(f"is {token.low}", (variable,)) for token in tokens[:-1] if token.low != ",")
    return (Atom(_kind(tokens), (variable,)),)


def split_verb(tokens: tuple[Token, ...]) -> int:
    """Return where the predicate begins: at "is", "does", "has", or at the verb before the object or the end."""
    heads = [at for at, token in enumerate(tokens) if at and token.low in words.PREDICATE_HEADS]
    if heads:
        return heads[0]
    hedge = next((token for token in tokens if token.low in words.HEDGES - words.VERBS_TOO), None)
    if hedge is not None:
        raise NotFormalisableError(f'"{hedge.text}" is not understood here')
    objects = [at for at, token in enumerate(tokens) if at > 1 and token.low == "the"]
    at = objects[0] if objects else len(tokens)
    if not objects:
        while at > 1 and _starts_name(tokens[at - 1]):
            at -= 1
    if at < 2 or any(is_number(token.text) for token in tokens[: at - 1]):  # noqa: PLR2004 - a subject and a verb
        raise NotFormalisableError("no verb was found; write for example: The Orlin bridge spans the Tarn.")
    plain = [token for token in tokens[: at - 1] if not token.capital and token.low != "the"]
    if at == len(tokens) and len(plain) > 1:
        raise NotFormalisableError(f'whether "{tokens[at - 1].text}" is a verb is not clear')
    return at - 1


def predicate(tokens: tuple[Token, ...], subject: Term, scope: Scope = NO_SCOPE) -> Formula:
    """Read what is said of a subject."""
    head, rest = tokens[0].low, tokens[1:]
    if head in words.COPULAS:
        if head == "are" and isinstance(subject, Name):
            raise NotFormalisableError(f'"{subject.text} are" is not understood; write "every ..." or a single name')
        if rest and rest[0].low == "not":
            return Not(_being(head, rest[1:], subject, scope))
        return _being(head, rest, subject, scope)
    if head in words.POSSESSIVES:
        return _having(rest, subject)
    if head in words.AUXILIARIES:
        if len(rest) < 2 or rest[0].low != "not":  # noqa: PLR2004 - "not" and a verb
            raise NotFormalisableError(f'"{head}" is understood only as "{head} not"')
        if rest[1].low == "have":
            return Not(_having(rest[2:], subject))
        return Not(_doing(words.plain_verb(rest[1].low), rest[2:], subject, scope))
    _refuse_reserved(tuple(token for token in tokens[:1] if token.low not in words.VERBS_TOO))
    base = words.base_verb(head) or (words.plain_verb(head) if isinstance(subject, Variable) else None)
    if base is None or tokens[0].capital:
        raise NotFormalisableError(f'"{tokens[0].text}" is not understood as a verb ("feeds", "does not feed")')
    return _doing(base, rest, subject, scope)


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
_ONCE: Final = frozenset({"built", "born", "founded", "invented", "discovered", "completed", "established", "launched"})
"""What happens to a thing at most once, so that two dates conflict."""

_COMPARATORS: Final = (
    (("exactly",), "="),
    (("at", "least"), ">="),
    (("at", "most"), "<="),
    (("more", "than"), ">"),
    (("less", "than"), "<"),
    (("fewer", "than"), "<"),
)


def _being(  # noqa: PLR0911 - one line for each complement
    copula: str, rest: tuple[Token, ...], subject: Term, scope: Scope
) -> Formula:
    tense = "was" if copula in {"was", "were"} else "is"
    if not rest:
        raise NotFormalisableError(f'nothing follows "{copula}"')
    if rest[0].low in words.ARTICLES:
        return Atom(_kind(rest[1:], tense), (subject,))
    if tense == "is" and (_comparator(rest)[1] != rest or is_number(rest[0].text)):
        return _measured(rest, subject)
    if rest[0].low == "the" or rest[0].capital:
        return _identical(rest, subject, scope, tense)
    if rest[0].low in words.PREPOSITIONS and len(rest) > 1:
        return Atom(f"{tense} {rest[0].low}", (subject, term(rest[1:], scope)))
    if len(rest) > 2 and rest[1].low in words.PREPOSITIONS | {"before", "after"}:  # noqa: PLR2004 - "built in 1932"
        return _participle(tense, rest, subject, scope)
    _refuse_reserved(rest)
    if len(rest) != 1 or is_number(rest[0].text):
        raise NotFormalisableError(f'"{_plain(rest)}" is more than one adjective; join adjectives with "and"')
    if copula == "are" and words.is_plural(rest[0].low):
        return Atom(_kind(rest, tense), (subject,))
    return Atom(f"{tense} {rest[0].low}", (subject,))


def _identical(rest: tuple[Token, ...], subject: Term, scope: Scope, tense: str) -> Formula:
    other = term(rest, scope)
    if tense != "is":
        raise NotFormalisableError('what "was" something need not be it now; write "is"')
    if isinstance(other, Name) and not isinstance(subject, Attribute):
        raise NotFormalisableError(
            f'whether "{other.text}" is a name or an adjective is not clear; write "the <attribute> of ... is ..."'
        )
    if isinstance(other, Name) and words.names_an_origin(other.text):
        raise NotFormalisableError(f'"{other.text}" looks like an adjective; write it without a capital')
    return Equal(subject, other)


def _participle(tense: str, rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    word, preposition, tail = rest[0].low, rest[1].low, rest[2:]
    _refuse_reserved(rest[:1])
    if preposition not in {"in", "on", "before", "after"} or not tail[-1].text[0].isdigit():
        return Atom(f"{tense} {word} {preposition}", (subject, term(tail, scope)))
    when = period(tuple(token.text for token in tail))
    if word not in _ONCE:
        return Atom(f"{tense} {word} {preposition} {_plain(tail)}", (subject,))
    day = f"day {word}"
    before = Compare(day, subject, "<", Fraction(when.first if preposition == "before" else when.end))
    since = Compare(day, subject, ">=", Fraction(when.end if preposition == "after" else when.first))
    if preposition == "before":
        return before
    return since if preposition == "after" else And((since, before))


def _measured(rest: tuple[Token, ...], subject: Term) -> Formula:
    operator, tail = _comparator(rest)
    if isinstance(subject, Attribute):
        return _compare(subject.name, subject.of, operator, tail)
    if tail and tail[-1].low in _DIMENSIONS:
        return _compare(_DIMENSIONS[tail[-1].low], subject, operator, tail[:-1])
    raise NotFormalisableError('what is measured is not clear; write "is 12 metres tall" or "the height of ... is"')


def _having(rest: tuple[Token, ...], subject: Term) -> Formula:
    lows = [token.low for token in rest]
    if lows and lows[0] in words.ARTICLES:
        if "of" in lows:
            cut = lows.index("of")
            if lows[cut - 1] not in words.MEASURES:
                raise NotFormalisableError(f'"{lows[cut - 1]}" is not a measure of which a thing has exactly one')
            operator, tail = _comparator(rest[cut + 1 :])
            return _compare(_nouns(rest[1:cut]), subject, operator, tail)
        return Atom(f"has {_nouns(rest[1:])}", (subject,))
    if lows and lows[0] == "no":
        return Not(Atom(f"has {_nouns(rest[1:])}", (subject,)))
    operator, tail = _comparator(rest)
    if len(tail) > 1 and is_number(tail[0].text):
        return _compare(f"number of {_nouns(tail[1:])}", subject, operator, tail[:1])
    raise NotFormalisableError('write "has a roof", "has no roof", "has 3 towers" or "has a height of 12 metres"')


def _doing(verb: str, rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    if verb in words.HEDGES - words.VERBS_TOO:
        raise NotFormalisableError(f'"{verb}" is outside the controlled language')
    if not rest:
        return Atom(f"does {verb}", (subject,))
    return Atom(f"does {verb}", (subject, term(rest, scope)))


def _compare(name: str, of: Term, operator: str, tail: tuple[Token, ...]) -> Formula:
    measured = quantity(tuple(token.low for token in tail))
    return Compare(f"{name} in {measured.dimension}", of, operator, measured.value)


def _comparator(tokens: tuple[Token, ...]) -> tuple[str, tuple[Token, ...]]:
    lows = tuple(token.low for token in tokens)
    for spelled, operator in _COMPARATORS:
        if lows[: len(spelled)] == spelled:
            return operator, tokens[len(spelled) :]
    return "=", tokens


def _described(tokens: tuple[Token, ...], scope: Scope) -> Term:
    lows = [token.low for token in tokens]
    if "of" in lows:
        cut = lows.index("of")
        if not any(token.capital for token in tokens[:cut]):
            return Attribute(_nouns(tokens[:cut]), term(tokens[cut + 1 :], scope))
    _refuse_reserved(tuple(token for token in tokens if token.low != "of"))
    return The(_plain(tokens).lower())


def _kind(tokens: tuple[Token, ...], tense: str = "is") -> str:
    return f"{tense} a {_nouns(tokens)}"


def _nouns(tokens: tuple[Token, ...]) -> str:
    _refuse_reserved(tokens)
    if not tokens or any(not token.text[0].isalpha() for token in tokens):
        raise NotFormalisableError("a noun is missing")
    if len(tokens) > _LONGEST_NOUN:
        raise NotFormalisableError(f'"{_plain(tokens)}" is too long for a noun; use at most {_LONGEST_NOUN} words')
    *first, last = (token.low for token in tokens)
    return " ".join((*first, words.singular(last)))


def _refuse_reserved(tokens: tuple[Token, ...]) -> None:
    for token in tokens:
        if token.low in _RESERVED or (words.is_adverb(token.low) and not token.capital):
            raise NotFormalisableError(f'"{token.text}" is not understood here')


def _starts_name(token: Token) -> bool:
    return token.capital or is_number(token.text) or token.low in words.PRONOUNS


def _plain(tokens: tuple[Token, ...]) -> str:
    return " ".join(token.text for token in tokens)


_LONGEST_NOUN: Final = 3
_RESERVED: Final = (
    words.HEDGES
    | words.PREDICATE_HEADS
    | words.ARTICLES
    | words.UNIVERSAL
    | words.PRONOUNS
    | words.ANYTHING
    | words.EVERYTHING
    | words.NOTHING
    | words.PREPOSITIONS
    | {"the", "before", "after", "within", "%", "$", "€"}
)
