"""Theories in the style of ProofWriter and ProntoQA, with answers that the verifier had no part in.

Public: :class:`Case`, :func:`rules_and_facts`, :func:`chain_of_kinds`, :func:`closure`, :func:`decided`.

The answers come from the structure that the sentences are written from: by forward chaining where nothing is negated,
by a search over truth values (DPLL) where something is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from veriramp_sdk.events import Verdict

Literal: TypeAlias = tuple[str, tuple[str, ...], bool]
"""A predicate, what it is said of ("" is the rule's variable), and whether it holds."""
Clause: TypeAlias = frozenset[Literal]

_NAMES: Final = ("Ada", "Bert", "Cleo", "Dan")
_ANIMALS: Final = ("the otter", "the grey owl", "the newt", "the hare")
_QUALITIES: Final = ("brave", "calm", "dull", "green", "loud", "neat", "young", "rough")
_VERBS: Final = {"chases": "chase", "needs": "need", "likes": "like", "carries": "carry", "watches": "watch"}


@dataclass(frozen=True)
class Rule:
    """Conditions and a conclusion; "" in a literal stands for anything."""

    conditions: tuple[Literal, ...]
    conclusion: Literal


@dataclass(frozen=True)
class Case:
    """A text, a claim, and the verdict that follows from the structure."""

    premises: str
    claim: str
    expected: Verdict


def rules_and_facts(dice: Random, *, negation: bool) -> Case:
    """Facts about three things and rules about anything, one claim; of any depth."""
    relational = dice.random() < 0.5
    things = tuple(dice.sample(_ANIMALS if relational else _NAMES, 3))
    literals = _Literals(dice, things, relational=relational, negation=negation)
    facts = list({(one[0], one[1]): one for one in (literals.about(dice.choice(things)) for _ in range(6))}.values())
    # Without a rule about anything a text has to hang together, which facts about three things may not.
    rules = [_rule(dice, literals, "" if at == 0 else _subject(dice, things)) for at in range(dice.randint(3, 7))]
    sentences = [_fact(one) for one in facts] + [_said(dice, rule) for rule in rules]
    dice.shuffle(sentences)
    claim = literals.about(dice.choice(things))
    derived = sorted(closure(facts, rules, things))
    if dice.random() < 0.6:
        claim = dice.choice(derived)
    if dice.random() < 0.4:
        claim = (claim[0], claim[1], not claim[2])
    clauses = [frozenset({one}) for one in facts] + [one for rule in rules for one in _grounded(rule, things)]
    expected = decided(clauses, claim) if negation else _by_chaining(facts, rules, things, claim)
    return Case(" ".join(sentences), _fact(claim), expected)


def chain_of_kinds(dice: Random) -> Case:
    """One thing of an invented kind, kinds of kinds, and qualities of kinds that hold or do not."""
    stems = dice.sample(
        ("blor", "drim", "fump", "gorp", "larn", "mimp", "porl", "quim", "sterp", "trum", "vorp", "yelp"), 9
    )
    kinds = [f"{stem}{dice.choice(('us', '', 'et'))}" for stem in stems]
    start, qualities = dice.randrange(4), dice.sample(_QUALITIES, 8)
    name = dice.choice(("Max", "Polly", "Wren", "Stella", "Rex", "Emily", "Fae"))
    sentences, holds = [f"{name} is {_a(kinds[start])}."], dict[str, bool]()
    for at, kind in enumerate(kinds[:-1]):
        sentences.append(_kinds(dice, kind, kinds[at + 1]))
        has = dice.random() < 0.5
        sentences.append(_quality(dice, kind, qualities[at], has=has))
        if at >= start:
            holds[qualities[at]] = has
    asked, claimed = dice.choice(qualities), dice.random() < 0.5
    dice.shuffle(sentences)
    truth = holds.get(asked)
    expected = Verdict.UNDETERMINED if truth is None else Verdict.ENTAILED if truth == claimed else Verdict.CONTRADICTED
    return Case(" ".join(sentences), f"{name} is {'' if claimed else 'not '}{asked}.", expected)


def closure(facts: Iterable[Literal], rules: Iterable[Rule], things: Iterable[str]) -> frozenset[Literal]:
    """Everything that follows from facts by rules without negation."""
    known, ground = set(facts), [_bound(rule, thing) for rule in rules for thing in things]
    while new := {rule.conclusion for rule in ground if known.issuperset(rule.conditions)} - known:
        known |= new
    return frozenset(known)


def decided(clauses: list[Clause], claim: Literal) -> Verdict:
    """The verdict by search over all truth values."""
    denied = (claim[0], claim[1], not claim[2])
    with_claim, with_denial = (_can_hold([*clauses, frozenset({one})]) for one in (claim, denied))
    return {
        (True, True): Verdict.UNDETERMINED,
        (True, False): Verdict.ENTAILED,
        (False, True): Verdict.CONTRADICTED,
        (False, False): Verdict.INCONSISTENT,
    }[with_claim, with_denial]


def _can_hold(clauses: list[Clause]) -> bool:
    if not all(clauses):
        return False
    if not clauses:
        return True
    shortest: Clause = min(clauses, key=len)
    literal = next(iter(shortest))
    other = (literal[0], literal[1], not literal[2])
    if _can_hold([one - {other} for one in clauses if literal not in one]):
        return True
    return len(shortest) > 1 and _can_hold([one - {literal} for one in clauses if other not in one])


def _by_chaining(facts: list[Literal], rules: list[Rule], things: tuple[str, ...], claim: Literal) -> Verdict:
    if (claim[0], claim[1], True) not in closure(facts, rules, things):
        return Verdict.UNDETERMINED
    return Verdict.ENTAILED if claim[2] else Verdict.CONTRADICTED


@dataclass(frozen=True)
class _Literals:
    dice: Random
    things: tuple[str, ...]
    relational: bool
    negation: bool

    def about(self, thing: str) -> Literal:
        holds = not (self.negation and self.dice.random() < 0.3)
        if self.relational and self.dice.random() < 0.6:
            return (self.dice.choice(tuple(_VERBS)), (thing, self.dice.choice(self.things)), holds)
        return (self.dice.choice(_QUALITIES), (thing,), holds)


def _subject(dice: Random, things: tuple[str, ...]) -> str:
    return "" if dice.random() < 0.8 else dice.choice(things)


def _rule(dice: Random, literals: _Literals, subject: str) -> Rule:
    conditions = tuple(literals.about(subject) for _ in range(dice.randint(1, 2)))
    return Rule(conditions, literals.about(subject))


def _bound(rule: Rule, thing: str) -> Rule:
    def bind(one: Literal) -> Literal:
        return (one[0], tuple(term or thing for term in one[1]), one[2])

    return Rule(tuple(bind(one) for one in rule.conditions), bind(rule.conclusion))


def _grounded(rule: Rule, things: tuple[str, ...]) -> Iterable[Clause]:
    for bound in (_bound(rule, thing) for thing in things):
        yield frozenset({bound.conclusion, *((name, terms, not holds) for name, terms, holds in bound.conditions)})


def _fact(one: Literal) -> str:
    said = _clause(one, one[1][0])
    return said[0].upper() + said[1:] + "."


def _clause(one: Literal, subject: str, *, plural: bool = False) -> str:
    name, terms, holds = one
    if len(terms) == 1:
        return f"{subject} {'are' if plural else 'is'} {'' if holds else 'not '}{name}"
    if not holds:
        return f"{subject} {'do' if plural else 'does'} not {_VERBS[name]} {terms[1]}"
    return f"{subject} {_VERBS[name] if plural else name} {terms[1]}"


def _said(dice: Random, rule: Rule) -> str:
    """One of the ways to write a rule."""
    subject = rule.conditions[0][1][0]
    qualities = [name for name, terms, holds in rule.conditions if len(terms) == 1 and holds]
    if not subject and len(qualities) == len(rule.conditions) and dice.random() < 0.6:
        noun = dice.choice(("things", "people"))
        start = f"{', '.join(qualities)} {noun}"
        everything = f"All {start}" if dice.random() < 0.5 else start[0].upper() + start[1:]
        return _clause(rule.conclusion, everything, plural=True) + "."
    anything, again = dice.choice((("something", "it"), ("someone", "they"))) if not subject else (subject, subject)
    plural = again == "they"
    first = _clause(rule.conditions[0], anything)
    rest = [f" and {_clause(one, again, plural=plural)}" for one in rule.conditions[1:]]
    if len(qualities) < len(rule.conditions) == 2 and all(len(terms) == 1 for _, terms, _ in rule.conditions):
        name, _, holds = rule.conditions[1]
        if not holds and not subject and dice.random() < 0.7:
            rest = [f" and not {name}"]
    return f"If {first}{''.join(rest)} then {_clause(rule.conclusion, again, plural=plural)}."


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _plural(noun: str) -> str:
    return (noun + "es" if noun.endswith("us") else noun + "s").capitalize()


def _kinds(dice: Random, kind: str, above: str) -> str:
    if dice.random() < 0.4:
        return f"{_plural(kind)} are {_plural(above).lower()}."
    return f"{dice.choice(('Each', 'Every'))} {kind} is {_a(above)}."


def _quality(dice: Random, kind: str, quality: str, *, has: bool) -> str:
    negation = "" if has else "not "
    if dice.random() < 0.4:
        return f"{_plural(kind)} are {negation}{quality}."
    return f"{dice.choice(('Each', 'Every'))} {kind} is {negation}{quality}."
