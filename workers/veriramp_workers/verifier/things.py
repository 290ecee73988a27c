"""Things and kinds of things: names, descriptions, nouns, and where a clause's verb stands.

Public names: :class:`Token`, :class:`Scope`, :func:`term`, :func:`noun_phrase`, :func:`split_verb`, :func:`kind`,
:func:`nouns`, :func:`plain`, :func:`refuse_reserved`, :func:`person`, :func:`someone`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from veriramp_workers.verifier import words
from veriramp_workers.verifier.beings import may_be_someone
from veriramp_workers.verifier.formula import SOMEONE, Atom, Attribute, Formula, Name, Or, Term, The, Variable
from veriramp_workers.verifier.values import NotFormalisableError, is_number


@dataclass(frozen=True)
class Token:
    """One word, number or sign as it was written.

    ``low``: the word without its capitals; ``capital``: whether it may be part of a proper name.
    """

    text: str
    low: str = field(init=False, repr=False, compare=False)
    capital: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look at the letters once: every rule of the language asks for them."""
        object.__setattr__(self, "low", self.text.lower())
        object.__setattr__(self, "capital", self.text[0].isupper())


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
    bound = scope.get(plain(tokens)) or scope.get(plain(tokens).lower())
    if bound is not None:
        return bound
    if not tokens:
        raise NotFormalisableError("a subject or object is missing")
    if tokens[0].low == "the" and len(tokens) > 1:
        return _described(tokens[1:], scope)
    refuse_reserved(tokens)
    _refuse_pointing(tokens[1:] if tokens[0].text == "New" and len(tokens) > 1 else tokens)
    if all(token.capital or is_number(token.text) for token in tokens) and tokens[0].capital:
        return Name(plain(tokens))
    raise NotFormalisableError(
        f'"{plain(tokens)}" is neither a name nor "the ..."; write names with capitals and things with "the"'
    )


def noun_phrase(tokens: tuple[Token, ...], variable: Variable) -> tuple[Formula, ...]:
    """Read "bird", "red bird" (one kind of its own), "red thing" (anything red): what the variable has to be.

    A "red person" is a person; "red people" in a rule are whoever may be meant by "someone", as in ProofWriter.
    """
    refuse_reserved(tokens)
    if not tokens or any(token.text[0].isdigit() for token in tokens):
        raise NotFormalisableError("a noun is missing")
    noun = words.singular(tokens[-1].low)
    if noun not in {words.THING, words.PERSON}:
        return (Atom(kind(tokens), (variable,)),)
    qualities = tuple(Atom(f"is {token.low}", (variable,)) for token in tokens[:-1] if token.low != ",")
    if noun == words.THING:
        return qualities
    return (*qualities, someone(variable) if qualities and tokens[-1].low == "people" else person(variable))


def person(variable: Variable) -> Formula:
    return Atom(f"is a {words.PERSON}", (variable,))


def someone(variable: Variable) -> Formula:
    """Return that the variable may be meant by "someone": a person, or a being of which this is known."""
    return Or((person(variable), Atom(SOMEONE, (variable,))))


def split_verb(tokens: tuple[Token, ...]) -> int:
    """Return where the predicate begins: at "is", "does", "has", or at the verb before the object or the end."""
    heads = [at for at, token in enumerate(tokens) if at and token.low in words.PREDICATE_HEADS]
    if heads:
        return heads[0]
    timed = [at for at, token in enumerate(tokens) if at and words.base_verb(token.low) in _WITHOUT_OBJECT]
    if len(timed) == 1:
        return timed[0]
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


def _described(tokens: tuple[Token, ...], scope: Scope) -> Term:
    lows = [token.low for token in tokens]
    if "of" in lows:
        cut = lows.index("of")
        if not any(token.capital for token in tokens[:cut]):
            said = plain(tokens[:cut])
            is_one = lows[0] in words.UNIQUE if cut == 1 else lows[0] in words.BOUNDING and lows[1] in words.MEASURES
            if not is_one or cut > 2:  # noqa: PLR2004 - "maximum speed"
                raise NotFormalisableError(f'a thing may have more than one {said}; write "... is a {said} of ..."')
            of = term(tokens[cut + 1 :], scope)
            if lows[0] in words.OF_SOMEONE and not _is_someone(of):
                raise NotFormalisableError(f'whether "{plain(tokens[cut + 1 :])}" can have a {said} is not clear')
            if lows[0] == "capital" and not (tokens[-1].capital or isinstance(of, Variable)):
                raise NotFormalisableError(
                    f'whether the capital of "{plain(tokens[cut + 1 :])}" is a town is not clear'
                )
            return Attribute(nouns(tokens[:cut]), of)
    refuse_reserved(tuple(token for token in tokens if token.low != "of"))
    _refuse_pointing(tokens)
    return The(plain(tokens))


def _is_someone(of: Term) -> bool:
    match of:
        case Name(text):
            return may_be_someone(text)
        case The(text):
            return may_be_someone(f"the {text}")
        case Attribute(name, _):
            return name in words.OF_SOMEONE
        case Variable():
            return True


def _refuse_pointing(tokens: tuple[Token, ...]) -> None:
    pointing = next((token.text for token in tokens if words.points(token.low)), None)
    if pointing is not None:
        raise NotFormalisableError(f'what "{plain(tokens)}" means is not clear: "{pointing}" names nothing')


def kind(tokens: tuple[Token, ...], tense: str = "is") -> str:
    return f"{tense} a {nouns(tokens)}"


def nouns(tokens: tuple[Token, ...]) -> str:
    refuse_reserved(tokens)
    if not tokens or any(not token.text[0].isalpha() for token in tokens):
        raise NotFormalisableError("a noun is missing")
    if len(tokens) > _LONGEST_NOUN:
        raise NotFormalisableError(f'"{plain(tokens)}" is too long for a noun; use at most {_LONGEST_NOUN} words')
    *first, last = (token.low for token in tokens)
    return " ".join((*first, words.singular(last)))


def refuse_reserved(tokens: tuple[Token, ...]) -> None:
    for token in tokens:
        if token.low in _RESERVED or (words.is_adverb(token.low) and not token.capital):
            raise NotFormalisableError(f'"{token.text}" is not understood here')


def _starts_name(token: Token) -> bool:
    return token.capital or is_number(token.text) or token.low in words.PRONOUNS


def plain(tokens: tuple[Token, ...]) -> str:
    return " ".join(token.text for token in tokens)


_LONGEST_NOUN: Final = 3
_WITHOUT_OBJECT: Final = words.ENDING | words.MEASURING.keys()
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
    | words.PLACEHOLDERS
    | {"the", "one", "ones", "before", "after", "within", "%", "$", "€"}
)
