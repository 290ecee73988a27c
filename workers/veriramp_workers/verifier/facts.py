"""Structured facts: JSON objects in place of sentences.

Public names: :func:`looks_like_facts`, :func:`sentences_of_facts`.

Each fact becomes one sentence of controlled English, which says what it means and appears in the conflict::

    {"subject": "the mill", "is": "red"}                          The mill is red.
    {"subject": "the mill", "verb": "feeds", "object": "the dam"} The mill feeds the dam.
    {"subject": "the mill", "attribute": "owner", "value": "Anne"}
    {"subject": "the mill", "attribute": "height", "operator": ">=", "value": 40, "unit": "metres"}
    {"subject": "the mill", "event": "built", "relation": "before", "date": "1932-05-04"}
    {"total": ["the fee", {"subject": "the mill", "attribute": "price"}], "value": 12, "unit": "euros"}

and ``"not": true`` in any of them for its opposite.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias

from veriramp_workers.verifier import words
from veriramp_workers.verifier.values import NotFormalisableError

Fact: TypeAlias = dict[str, Any]


def looks_like_facts(text: str) -> bool:
    """Say whether a text is meant as structured facts: it starts with a brace or a bracket."""
    return text.lstrip().startswith(("{", "["))


def sentences_of_facts(text: str) -> tuple[str, ...]:
    """Return one sentence for each fact; raises :class:`NotFormalisableError` with the field that is wrong."""
    try:
        given = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_once)
        json.dumps(given, ensure_ascii=False).encode()  # half a character could not be told in a reason
    except NotFormalisableError:
        raise
    except (ValueError, RecursionError) as error:
        raise NotFormalisableError(f"the facts are no JSON: {error}") from error
    facts = given if isinstance(given, list) else [given]
    if not facts or not all(isinstance(fact, dict) for fact in facts):
        raise NotFormalisableError(f"facts are objects; write for example {_EXAMPLE}")
    return tuple(_sentence(fact) for fact in facts)


def _once(fields: list[tuple[str, Any]]) -> Fact:
    fact = dict(fields)
    if len(fact) < len(fields):
        named = [field for field, _ in fields]
        twice = next(field for field in named if named.count(field) > 1)
        raise NotFormalisableError(f'the field "{twice}" stands twice in one fact; write two facts')
    return fact


_EXAMPLE: Final = '{"subject": "the mill", "is": "red"}'
_KINDS: Final = {
    "is": frozenset({"subject", "is", "not"}),
    "verb": frozenset({"subject", "verb", "object", "not"}),
    "attribute": frozenset({"subject", "attribute", "operator", "value", "unit", "not"}),
    "event": frozenset({"subject", "event", "relation", "date", "not"}),
    "total": frozenset({"total", "operator", "value", "unit", "not"}),
}
_OPERATORS: Final = {
    "=": "",
    ">=": "at least",
    "<=": "at most",
    ">": "more than",
    "<": "less than",
    **{word: word for word in ("exactly", "at least", "at most", "more than", "less than")},
}
_NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_DATE: Final = re.compile(r"\d{4}(-\d{2}-\d{2})?|([A-Z][a-z]+ |\d{1,2} [A-Z][a-z]+ )\d{4}")
_WORDS: Final = re.compile(r"[^\W\d_][\w'’-]*( [\w'’-]+)*")
_UNIT: Final = re.compile(r"[^\W\d_][\w²³/ ]*|[%€$£]|°[CF]")
_JOINING: Final = (words.HEDGES | words.PREDICATE_HEADS | {","}) - words.VERBS_TOO


def _sentence(fact: Fact) -> str:
    kinds = [kind for kind in _KINDS if kind in fact]
    if len(kinds) != 1:
        raise NotFormalisableError(f"a fact has one of the fields {', '.join(_KINDS)}; write for example {_EXAMPLE}")
    unknown = sorted(set(fact) - _KINDS[kinds[0]])
    if unknown:
        raise NotFormalisableError(f'the field "{unknown[0]}" does not belong to a fact with "{kinds[0]}"')
    if fact.get("not", False) not in (True, False):
        raise NotFormalisableError('the field "not" is neither true nor false')
    said = {"is": _is, "verb": _verb, "attribute": _attribute, "event": _event, "total": _total}[kinds[0]](fact)
    return said[0].upper() + said[1:] + "."


def _is(fact: Fact) -> str:
    return f"{_words(fact, 'subject')} is{_not(fact)} {_words(fact, 'is')}"


def _verb(fact: Fact) -> str:
    verb = _words(fact, "verb")
    after = f" {_words(fact, 'object')}" if "object" in fact else ""
    if fact.get("not"):
        return f"{_words(fact, 'subject')} does not {words.base_verb(verb) or verb}{after}"
    return f"{_words(fact, 'subject')} {verb}{after}"


def _attribute(fact: Fact) -> str:
    return f"the {_words(fact, 'attribute')} of {_words(fact, 'subject')} is{_not(fact)} {_value(fact)}"


def _event(fact: Fact) -> str:
    date = _matching(fact, "date", _DATE, "a date like 1932-05-04, 4 May 1932, May 1932 or 1932")
    is_day = date[0].isdecimal() and not date.isdecimal()
    relation = fact.get("relation", "on" if is_day else "in")
    if relation not in ("on", "in", "before", "after"):
        raise NotFormalisableError('the field "relation" is none of on, in, before, after')
    return f"{_words(fact, 'subject')} was{_not(fact)} {_words(fact, 'event')} {relation} {date}"


def _total(fact: Fact) -> str:
    parts = fact["total"]
    if not isinstance(parts, list) or len(parts) < 2:  # noqa: PLR2004 - a sum of one is none
        raise NotFormalisableError('the field "total" is no list of at least two parts')
    said = [_part(part) for part in parts]
    return f"the total of {', '.join(said[:-1])} and {said[-1]} is{_not(fact)} {_value(fact)}"


def _part(part: Any) -> str:
    if isinstance(part, dict) and set(part) == {"subject", "attribute"}:
        return f"the {_words(part, 'attribute')} of {_words(part, 'subject')}"
    return _words({"total": part}, "total")


def _value(fact: Fact) -> str:
    value = fact.get("value")
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        if "operator" in fact or "unit" in fact:
            raise NotFormalisableError('the field "value" is no number; write for example 40 or 12.5')
        return _words(fact, "value")
    operator = fact.get("operator", "=")
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise NotFormalisableError(f'the field "operator" is none of {", ".join(_OPERATORS)}')
    unit = f" {_matching(fact, 'unit', _UNIT, 'a unit like metres or euros')}" if "unit" in fact else ""
    return f"{_OPERATORS[operator]} {value}{unit}".lstrip()


def _not(fact: Fact) -> str:
    return " not" if fact.get("not") else ""


def _words(fact: Fact, field: str) -> str:
    said = _matching(fact, field, _WORDS, "words like: the mill, Anne, red")
    joining = [word for word in said.split() if word.lower() in _JOINING]
    if joining:
        raise NotFormalisableError(f'the field "{field}" holds "{joining[0]}"; write one thing in one field')
    return said


def _matching(fact: Fact, field: str, pattern: re.Pattern[str], wanted: str) -> str:
    said = fact.get(field)
    if not isinstance(said, str) or not pattern.fullmatch(said):
        raise NotFormalisableError(f'the field "{field}" is missing or is not {wanted}')
    return said
