"""Controlled English: one sentence in, one formula out, or a reason why not.

Public names: :func:`formalise`, :func:`sentences`, :class:`NotFormalisableError`.

A sentence is a quantified statement ("Every heron is a bird."), a conditional ("If something is a bird then it is
warm."), or clauses joined by *and* or *or* (not both). Whatever is not understood completely is refused: a word that is
left over, a hedge ("may", "about"), a pronoun without a referent. See ``docs/pipeline.md`` for the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, TypeAlias

from veriramp_workers.verifier import words
from veriramp_workers.verifier.beings import may_be_someone
from veriramp_workers.verifier.cutting import sentences
from veriramp_workers.verifier.formula import And, Exists, ForAll, Formula, Implies, Not, Or, Term, Variable
from veriramp_workers.verifier.measures import is_total, total
from veriramp_workers.verifier.phrases import predicate
from veriramp_workers.verifier.things import NO_SCOPE, Scope, Token, noun_phrase, someone, split_verb, term
from veriramp_workers.verifier.values import NotFormalisableError, is_number

__all__ = ["NotFormalisableError", "formalise", "sentences"]

MAX_SENTENCE: Final = 400
"""Longest sentence, in characters; longer ones are prose."""


def formalise(sentence: str, *, premise: bool = False) -> Formula:
    """Return the formula of one sentence; raises :class:`NotFormalisableError` when any part is not understood.

    "Every N is not A" has two readings. A premise in controlled English means the plain one, no N is A; in a text to
    judge it is refused.
    """
    tokens = _tokens(sentence)
    first = tokens[0].low
    if len(tokens) > 1 and words.is_adverb(first) and (tokens[1].capital or tokens[1].low in _STARTING):
        raise NotFormalisableError(f'"{tokens[0].text}" is outside the controlled language')
    if first == "if":
        return _conditional(tokens[1:])
    if is_total(tokens):
        return total(tokens)
    return _quantified(tokens, premise=premise) or _clauses(tokens, NO_SCOPE)


def _quantified(tokens: tuple[Token, ...], *, premise: bool) -> Formula | None:
    first, second = tokens[0].low, tokens[1].low if len(tokens) > 1 else ""
    if first in words.UNIVERSAL:
        return _every(tokens, negatable=premise)
    if first == "no" and second != "one":
        return _no(_restricted(tokens[1:]))
    if first == "some":
        return _some(_restricted(tokens[1:]))
    pronoun = _PRONOUNS.get("nobody" if first == "no" else first)
    if pronoun is not None:
        meaning, noun = pronoun
        return meaning(_said_of(Token(noun), tokens[2 if first == "no" else 1 :]))
    return _every((Token("all"), *tokens), negatable=True) if _is_bare_plural(tokens) else None


_Said: TypeAlias = tuple[tuple[Formula, ...], tuple[Token, ...]]
"""What something has to be, and the tokens of what is said of it."""
_INTRODUCING: Final = "*"
"""No word: bound where "a heron" means any heron."""
_RELATIVE: Final = frozenset({"that", "who", "which"})
_STARTING: Final = words.ARTICLES | words.UNIVERSAL | {"the", "some", "no"}
_X: Final = Variable("x")
_IT: Final[tuple[tuple[str, Term], ...]] = tuple((word, _X) for word in sorted(words.PRONOUNS))
_TOKEN: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}|-?\d[\d,]*(?:\.\d+)?|(?:km/h|m/s|c?k?m[²³])(?!\w)|°[CF](?!\w)|[^\W\d_][\w'’-]*|[%€$£,]|\S"
)
_WORD: Final = re.compile(r"[^\W_][\w-]*|[%€$£,]|-?\d[\d,.]*|km/h|m/s|c?k?m[²³]|°[CF]")
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
}


def _tokens(sentence: str) -> tuple[Token, ...]:
    if len(sentence) > MAX_SENTENCE:
        raise NotFormalisableError(
            f"a sentence of {len(sentence)} characters is too long; split it below {MAX_SENTENCE}"
        )
    body = sentence.strip()
    if body.endswith("?"):
        raise NotFormalisableError("a question states nothing")
    if body.endswith("..") and body.strip("."):
        raise NotFormalisableError("a sentence that trails off states nothing")
    found = _TOKEN.findall(body.rstrip(".;!"))
    if not found:
        raise NotFormalisableError("the sentence is empty")
    for word in found:
        if not _WORD.fullmatch(word):
            raise NotFormalisableError(f'"{word}" is outside the controlled language')
    return tuple(_token(word) for word in found)


def _token(word: str) -> Token:
    if word[0].isdigit():
        return Token(word.rstrip(","))
    return Token(_NUMBERS.get(word, word))


def _conditional(tokens: tuple[Token, ...]) -> Formula:
    lows = [token.low for token in tokens]
    if lows.count("then") == 1:
        cut = lows.index("then")
        condition, conclusion = _without_comma(tokens[:cut]), tokens[cut + 1 :]
    elif lows.count(",") == 1:
        cut = lows.index(",")
        condition, conclusion = tokens[:cut], tokens[cut + 1 :]
    else:
        raise NotFormalisableError('a conditional needs exactly one "then": if X is Y then X is Z')
    if any(token.low in words.ANYTHING for token in tokens[1:]):
        raise NotFormalisableError('"something" may only be the subject of the condition; go on with "it"')
    bindings: dict[str, Term] = {token.text: Variable(token.text) for token in tokens if _is_letter(token)}
    if _has_variable_subject(condition):
        bindings[_INTRODUCING] = _X
        bindings.update((word, _X) for word in _taken_up(condition))
        if condition[0].low in words.ANYTHING:
            bindings[condition[0].low] = _X
        bindings.update({f"the {noun}": _X for noun in _introduced(condition)})
    free = {token.text for token in conclusion if _is_letter(token)} - {token.text for token in condition}
    if free:
        raise NotFormalisableError(f'"{min(free)}" stands in the conclusion only; say in the condition what it is')
    introduced = Scope(tuple(bindings.items()))
    bindings.pop(_INTRODUCING, None)
    holds = _clauses(condition, introduced)
    if condition[0].low in words.PERSONAL:
        holds = And((someone(_X), holds))
    body = Implies(holds, _clauses(conclusion, Scope(tuple(bindings.items()))))
    bound = tuple(sorted({term for term in bindings.values() if isinstance(term, Variable)}, key=lambda one: one.text))
    return ForAll(bound, body) if bound else body


def _introduced(condition: tuple[Token, ...]) -> tuple[str, ...]:
    """Return how "a small bird" is taken up again: the small bird, the bird."""
    if condition[0].low not in words.ARTICLES:
        return ()
    noun = condition[1 : split_verb(condition)]
    return (" ".join(token.low for token in noun), noun[-1].low) if noun else ()


def _taken_up(condition: tuple[Token, ...]) -> frozenset[str]:
    """Return the pronouns that mean the subject of a condition, and not something else that is named in it."""
    first, others = condition[0].low, _others(condition)
    if first in words.PERSONAL:
        many = any(words.is_plural(other.split()[-1]) or other.split()[-1] in words.COLLECTIVE for other in others)
        return frozenset() if many else _THEY if others else words.PRONOUNS - {"it"}
    if first in words.ANYTHING:
        return frozenset({"it"} if all(map(may_be_someone, others)) else ())
    return frozenset() if others else words.PRONOUNS


_THEY: Final = frozenset({"they"})


def _others(condition: tuple[Token, ...]) -> list[str]:
    """Return what is named in a condition beside its subject: "the cat", "Anne"."""
    found: list[str] = []
    is_open = False
    for token in condition[1:]:
        starts = token.low == "the" or (token.capital and not is_open)
        goes_on = token.capital or (found and found[-1].startswith("the") and not _ends_a_thing(token, found[-1]))
        if starts:
            found.append(token.low if token.low == "the" else token.text)
        elif is_open and goes_on:
            found[-1] += f" {token.text}"
        is_open = starts or bool(is_open and goes_on)
    return found


def _ends_a_thing(token: Token, before: str) -> bool:
    # Whether "visits" in "the mouse visits" is a noun or a verb is known only where a noun has come.
    return token.low in _AFTER_A_THING or (may_be_someone(before) and words.base_verb(token.low) is not None)


_AFTER_A_THING: Final = words.PREDICATE_HEADS | words.PREPOSITIONS | {"and", "or", ","}


def _without_comma(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    return tokens[:-1] if tokens and tokens[-1].low == "," else tokens


def _is_letter(token: Token) -> bool:
    return len(token.text) == 1 and token.text.isupper() and token.text not in {"A", "I"}


def _has_variable_subject(tokens: tuple[Token, ...]) -> bool:
    return bool(tokens) and (tokens[0].low in words.ANYTHING or tokens[0].low in words.ARTICLES)


def _every(tokens: tuple[Token, ...], *, negatable: bool) -> Formula:
    restriction, rest = _restricted(tokens[1:])
    if tokens[0].low == "all":
        _refuse_together(rest)
    return _universal((restriction, rest), negatable=negatable)


def _universal(said: _Said, *, negatable: bool = False) -> Formula:
    restriction, rest = said
    if not negatable and "not" in {token.low for token in rest}:
        raise NotFormalisableError('"every ... not" has two readings; write "no ..." or "if something is ..."')
    return ForAll((_X,), _implies(restriction, _predicates(rest, _X)))


def _refuse_together(said: tuple[Token, ...]) -> None:
    counts = said[0].low not in words.COPULAS and any(is_number(token.text) for token in said)
    if counts or (said[0].low == "are" and len(said) > 1 and said[1].low in words.ARTICLES):
        raise NotFormalisableError('whether each one is meant or all together is not clear; write "every ..."')


def _no(said: _Said) -> Formula:
    restriction, rest = said
    if "not" in {token.low for token in rest}:
        raise NotFormalisableError('"no ... not" has two readings; write "every ..."')
    return ForAll((_X,), _implies(restriction, Not(_predicates(rest, _X))))


def _some(said: _Said) -> Formula:
    restriction, rest = said
    return Exists((_X,), _joined([*restriction, _predicates(rest, _X)], "and"))


def _implies(restriction: tuple[Formula, ...], conclusion: Formula) -> Formula:
    if not restriction:
        raise NotFormalisableError('of which things this is said is not clear; write "everything that is ..."')
    return Implies(_joined(list(restriction), "and"), conclusion)


_PRONOUNS: Final[dict[str, tuple[Callable[[_Said], Formula], str]]] = {
    "everything": (_universal, words.THING),
    "everyone": (_universal, words.PERSON),
    "everybody": (_universal, words.PERSON),
    "nothing": (_no, words.THING),
    "nobody": (_no, words.PERSON),
    "something": (_some, words.THING),
    "someone": (_some, words.PERSON),
    "somebody": (_some, words.PERSON),
}


def _said_of(noun: Token, rest: tuple[Token, ...]) -> _Said:
    """Read what follows "everyone": a relative clause, or at once the predicate."""
    if not rest or rest[0].low in _RELATIVE:
        return _restricted((noun, *rest))
    return noun_phrase((noun,), _X), rest


def _restricted(tokens: tuple[Token, ...]) -> _Said:
    """Read "red bird (that is small)" and return its formulas and the tokens of the predicate."""
    lows = [token.low for token in tokens]
    relative = next((at for at, low in enumerate(lows) if low in _RELATIVE), None)
    if relative is None:
        cut = split_verb(tokens)
        return noun_phrase(tokens[:cut], _X), tokens[cut:]
    heads = [at for at, low in enumerate(lows) if low in words.PREDICATE_HEADS and at > relative]
    # "that is old is red" has two heads, "that likes Anne is red" one.
    cut = heads[-1] if heads and len(heads) == 1 + (heads[0] == relative + 1) else 0
    if cut <= relative + 1:
        raise NotFormalisableError('a relative clause needs the form "every N that is A is B"')
    inner = _predicates(tokens[relative + 1 : cut], _X)
    return (*noun_phrase(tokens[:relative], _X), inner), tokens[cut:]


_PLURAL_HEADS: Final = frozenset({"are", "have", "do"})


def _is_bare_plural(tokens: tuple[Token, ...]) -> bool:
    """Say whether the subject is like "herons" or "red, old things": no name, no article, a plural at its end.

    Before "are", "have" and "do" any plural, before another verb only "things" and "people": in "herons watch the dam"
    either word may be the verb.
    """
    at = next((at for at, token in enumerate(tokens) if token.low in _PLURAL_HEADS), 0)
    if at == 0:
        at = next((at for at, token in enumerate(tokens[:-1], 1) if token.low in {"things", "people"}), 0)
    named = any(token.capital for token in tokens[1:at]) or tokens[0].low == "the"
    if not named and _is_existential(tokens, at):
        raise NotFormalisableError('whether all are meant or some is not clear; write "every ..." or "some ..."')
    return at > 0 and not named and words.is_plural(tokens[at - 1].low)


def _is_existential(tokens: tuple[Token, ...], at: int) -> bool:
    """Say whether a plural may mean some and not all: "people own the mill", "herons are in the mill"."""
    if at == 1 and tokens[0].low in {"things", "people"}:
        return True
    return at > 0 and tokens[at].low == "are" and len(tokens) > at + 1 and tokens[at + 1].low in words.PREPOSITIONS


def _clauses(tokens: tuple[Token, ...], scope: Scope) -> Formula:
    """Read clauses joined by one kind of connective; later ones may leave out the subject, or subject and verb."""
    parts, join = _split(tokens)
    start = _subject_end(parts[0], scope)
    kind, subject = _subject(parts[0][:start], scope)
    if kind and join == "or":
        raise NotFormalisableError('"if a ... or ..." has two readings; write two conditionals')
    head = parts[0][start:]
    said = [predicate(head, subject, scope), *(_continuation(part, head, subject, scope) for part in parts[1:])]
    return _joined([*kind, *said], join)


def _predicates(tokens: tuple[Token, ...], subject: Term) -> Formula:
    """Read a predicate, or several about the same subject joined by one kind of connective."""
    parts, join = _split(tokens)
    scope = Scope(_IT)
    if any(_starts_clause(part, scope) for part in parts[1:]):
        raise NotFormalisableError(
            'a second clause beside "every", "no" or "some" is not understood; write two sentences'
        )
    said = [predicate(parts[0], subject), *(_continuation(part, parts[0], subject, scope) for part in parts[1:])]
    return _joined(said, join)


def _joined(formulas: list[Formula], join: str) -> Formula:
    if len(formulas) == 1:
        return formulas[0]
    return Or(tuple(formulas)) if join == "or" else And(tuple(formulas))


def _split(tokens: tuple[Token, ...]) -> tuple[list[tuple[Token, ...]], str]:
    """Cut at the connectives; return the parts and the connective ("and" when there is none)."""
    joins = {token.low for token in tokens if token.low in {"and", "or"}}
    if len(joins) > 1:
        raise NotFormalisableError('"and" beside "or" has two readings; write two sentences')
    if not joins and any(token.low == "," for token in tokens):
        raise NotFormalisableError('a comma without "and" or "or" is not understood; write two sentences')
    parts: list[tuple[Token, ...]] = [()]
    previous = ""
    for token in tokens:
        if token.low not in joins and token.low != ",":
            parts[-1] = (*parts[-1], token)
        elif not (previous == "," and token.low in joins):
            parts.append(())
        previous = token.low
    if not all(parts):
        raise NotFormalisableError("something is missing beside a comma or a connective")
    for before, after in pairwise(parts):
        if before[0].low == "not" and after[0].low != "not" and after[0].low not in words.PREDICATE_HEADS:
            raise NotFormalisableError(f'whether "not" belongs to "{after[0].text}" too is not clear')
    return parts, next(iter(joins), "and")


def _continuation(part: tuple[Token, ...], head: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    if part[0].low in words.PREDICATE_HEADS:
        return predicate(part, subject, scope)
    if any(token.low in words.PREDICATE_HEADS for token in part) or _starts_clause(part, scope):
        cut = _subject_end(part, scope)
        return predicate(part[cut:], term(part[:cut], scope), scope)
    if head[0].low not in words.PREDICATE_HEADS and words.base_verb(part[0].low) is not None:
        return predicate(part, subject, scope)
    if head[0].low in words.COPULAS and part[0].low == "not":
        return predicate((head[0], *part), subject, scope)
    if head[0].low not in words.COPULAS or "not" in {token.low for token in head} or part[0].capital:
        raise NotFormalisableError(f'what "{" ".join(token.text for token in part)}" belongs to is not clear')
    return predicate((head[0], *part), subject, scope)


def _starts_clause(part: tuple[Token, ...], scope: Scope) -> bool:
    bound = scope.get(part[0].text) or scope.get(part[0].low)
    return len(part) > 1 and (bound is not None or part[0].capital or part[0].low == "the")


def _subject_end(tokens: tuple[Token, ...], scope: Scope) -> int:
    if len(tokens) > 1 and (scope.get(tokens[0].text) or scope.get(tokens[0].low)):
        return 1
    return split_verb(tokens)


def _subject(tokens: tuple[Token, ...], scope: Scope) -> tuple[tuple[Formula, ...], Term]:
    """Return what the subject itself asserts (for "a bird" in a condition) and the subject."""
    if tokens and tokens[0].low in words.ARTICLES and scope.get(_INTRODUCING) is not None:
        return noun_phrase(tokens[1:], _X), _X
    return (), term(tokens, scope)
