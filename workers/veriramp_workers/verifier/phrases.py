"""What is said of a thing: is red, is a cat, feeds the dam, has 3 doors, is 40 metres tall, was built in 1932.

Public names: :func:`predicate`.
"""

from __future__ import annotations

from fractions import Fraction

from veriramp_workers.verifier import words
from veriramp_workers.verifier.events import dated, happened, is_dated, is_timed
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
from veriramp_workers.verifier.measures import (
    comparator,
    compares,
    counted,
    is_measured,
    measured,
    same_measure,
    sized,
)
from veriramp_workers.verifier.things import NO_SCOPE, Scope, Token, kind, nouns, plain, refuse_reserved, term
from veriramp_workers.verifier.values import NotFormalisableError, is_number


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
        return _not_doing(head, rest, subject, scope)
    refuse_reserved(tuple(token for token in tokens[:1] if token.low not in words.VERBS_TOO))
    base = words.base_verb(head) or (words.plain_verb(head) if isinstance(subject, Variable) else None)
    if base is None or tokens[0].capital:
        raise NotFormalisableError(f'"{tokens[0].text}" is not understood as a verb ("feeds", "does not feed")')
    return _doing(base, rest, subject, scope)


def _not_doing(auxiliary: str, rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    if len(rest) < 2 or rest[0].low != "not":  # noqa: PLR2004 - "not" and a verb
        raise NotFormalisableError(f'"{auxiliary}" is understood only as "{auxiliary} not"')
    verb, tail = rest[1].low, rest[2:]
    if verb != "have":
        return Not(_doing(words.plain_verb(verb), tail, subject, scope))
    if tail and tail[0].low in words.ARTICLES and "of" not in {token.low for token in tail}:
        return _having_none(tail[1:], subject)
    return Not(_having(tail, subject))


def _being(  # noqa: PLR0911 - one line for each complement
    copula: str, rest: tuple[Token, ...], subject: Term, scope: Scope
) -> Formula:
    tense = "was" if copula in {"was", "were"} else "is"
    if not rest:
        raise NotFormalisableError(f'nothing follows "{copula}"')
    if rest[0].low in words.ARTICLES:
        return _of_a_kind(tense, rest[1:], subject, scope)
    if tense == "is" and (is_measured(rest) or compares(rest)) and not is_dated(rest):
        return measured(rest, subject, scope)
    if tense == "is" and is_dated(rest):
        return dated(rest, subject)
    if rest[0].low == "the" or rest[0].capital:
        return _identical(rest, subject, scope, tense)
    if rest[0].low in words.PREPOSITIONS and len(rest) > 1:
        return Atom(f"{tense} {rest[0].low}", (subject, term(rest[1:], scope)))
    if len(rest) > 2 and (rest[1].low in words.PREPOSITIONS or is_timed(rest)):  # noqa: PLR2004 - "built in 1932"
        return happened(tense, rest, subject, scope)
    return _quality(copula, tense, rest, subject)


def _quality(copula: str, tense: str, rest: tuple[Token, ...], subject: Term) -> Formula:
    refuse_reserved(rest)
    if len(rest) != 1 or is_number(rest[0].text):
        raise NotFormalisableError(f'"{plain(rest)}" is more than one adjective; join adjectives with "and"')
    if isinstance(subject, Variable) and rest[0].low in words.KINDWISE:
        raise NotFormalisableError(f'"{rest[0].text}" is said of a kind, not of each one')
    if copula == "are" and words.is_plural(rest[0].low):
        return Atom(kind(rest, tense), (subject,))
    return Atom(f"{tense} {rest[0].low}", (subject,))


def _of_a_kind(tense: str, noun: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    cut = next((at for at, token in enumerate(noun) if token.low == "of"), len(noun))
    if cut == len(noun):
        return Atom(kind(noun, tense), (subject,))
    return Atom(f"{kind(noun[:cut], tense)} of", (subject, term(noun[cut + 1 :], scope)))


def _identical(rest: tuple[Token, ...], subject: Term, scope: Scope, tense: str) -> Formula:
    other = term(rest, scope)
    if tense != "is":
        raise NotFormalisableError('what "was" something need not be it now; write "is"')
    if isinstance(other, Name) and not isinstance(subject, Attribute):
        raise NotFormalisableError(
            f'whether "{other.text}" is a name or an adjective is not clear; write "the <attribute> of ... is ..."'
        )
    if isinstance(other, Name) and isinstance(subject, Attribute) and subject.name not in words.NAMED:
        raise NotFormalisableError(f'whether "{other.text}" is a name is not clear: a {subject.name} may be any word')
    if isinstance(other, Name) and words.names_an_origin(other.text):
        raise NotFormalisableError(f'"{other.text}" looks like an adjective; write it without a capital')
    if isinstance(other, The) and not isinstance(subject, Attribute):
        raise NotFormalisableError(
            f'which one "the {other.text}" is is not clear; write "the <attribute> of ... is ..."'
        )
    if isinstance(subject, Attribute) and isinstance(other, Attribute):
        return same_measure(subject, other) or Equal(subject, other)
    return Equal(subject, other)


def _having(rest: tuple[Token, ...], subject: Term) -> Formula:
    lows = [token.low for token in rest]
    if lows and lows[0] in words.ARTICLES:
        if "of" in lows:
            cut = lows.index("of")
            if lows[cut - 1] not in words.MEASURES:
                raise NotFormalisableError(f'"{lows[cut - 1]}" is not a measure of which a thing has exactly one')
            operator, tail = comparator(rest[cut + 1 :])
            return sized(nouns(rest[1:cut]), subject, operator, tail)
        return Atom(f"has {nouns(rest[1:])}", (subject,))
    if lows and lows[0] == "no":
        return _having_none(rest[1:], subject)
    return counted(rest, subject)


def _having_none(noun: tuple[Token, ...], subject: Term) -> Formula:
    named = nouns(noun)
    none = Compare(f"number of {named}", subject, "=", Fraction(0))
    return And((Not(Atom(f"has {named}", (subject,))), none))


def _doing(verb: str, rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    if verb in words.MEASURING and rest and rest[0].low != "the" and not rest[0].capital:
        operator, tail = comparator(rest)
        return sized(words.MEASURING[verb], subject, operator, tail)
    if verb in words.ENDING and len(rest) > 1:
        return happened("does", (Token(verb), *rest), subject, scope)
    if verb in words.HEDGES - words.VERBS_TOO:
        raise NotFormalisableError(f'"{verb}" is outside the controlled language')
    if isinstance(subject, Variable) and verb in words.TOGETHER:
        raise NotFormalisableError(f'whether each one or all together "{verb}" is not clear')
    if not rest and verb in words.TELLING:
        raise NotFormalisableError(f'"{verb}" without an object is not understood')
    if not rest:
        return Atom(f"does {verb}", (subject,))
    return Atom(f"does {verb}", (subject, term(rest, scope)))
