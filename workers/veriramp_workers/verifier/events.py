"""What happened to things, and when: built in 1932, before the dam, within 30 days of 4 May 1932.

Public names: :func:`happened`, :func:`is_timed`, :func:`dated`, :func:`is_dated`.

A moment is a number of days since 1970-01-01; a day is the half-open range from its number to the next.
"""

from __future__ import annotations

import datetime as dt
import re
from fractions import Fraction
from typing import Final

from veriramp_workers.verifier import measures, words
from veriramp_workers.verifier.formula import And, Atom, Attribute, Compare, Formula, Linear, Term, The
from veriramp_workers.verifier.measures import comparator
from veriramp_workers.verifier.things import Scope, Token, plain, refuse_reserved, term
from veriramp_workers.verifier.values import NotFormalisableError, Period, is_number, period

ONCE: Final = words.ENDING | frozenset(
    {"built", "born", "founded", "invented", "discovered", "completed", "established", "launched"}
)
"""What happens to a thing at most once, so that two dates conflict."""


def is_timed(rest: tuple[Token, ...]) -> bool:
    """Say whether the complement of "was" is a participle with a time: built before 1932, within 3 days of X."""
    after = rest[1:]
    return len(after) > 1 and (
        after[0].low in {"before", "after", "within"}
        or (rest[0].low in ONCE and (is_number(after[0].text) or len(comparator(after)[1]) < len(after)))
    )


def happened(tense: str, rest: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    """Read a participle with what follows: "owned by Anne", "built in 1932", "built exactly 3 days after the dam"."""
    word, tail = rest[0].low, rest[1:]
    refuse_reserved(rest[:1])
    when = tail[0].low
    dated = tail[-1].text[0].isdigit()
    if word not in ONCE or (when not in _TIMES and not _is_distance(tail)):
        if when in {"in", "on", "before", "after"} and dated:
            _period(tail[1:])
            return Atom(f"{tense} {word} {when} {plain(tail[1:])}", (subject,))
        if when not in words.PREPOSITIONS:
            raise NotFormalisableError(f'when "{plain(rest)}" was is not understood')
        return Atom(f"{tense} {word} {when}", (subject, term(tail[1:], scope)))
    if word in words.ENDING:
        _refuse_unless_once(subject)
    _refuse_recurring(subject)
    if when == "within" or _is_distance(tail):
        return _distant(word, tail, subject, scope)
    if not dated:
        if when in {"in", "on"}:
            return Atom(f"{tense} {word} {when}", (subject, term(tail[1:], scope)))
        return _ordered(word, when, tail[1:], subject, scope)
    return _within(f"day {word}", subject, when, _period(tail[1:]))


def _refuse_unless_once(subject: Term) -> None:
    thing = subject.of if isinstance(subject, Attribute) else subject
    if not isinstance(thing, The) or thing.text.lower().split()[-1] not in words.DATED_ONCE:
        raise NotFormalisableError("what begins, ends or takes place on a date may do so again, on another one")


def _refuse_recurring(subject: Term) -> None:
    named = subject.name if isinstance(subject, Attribute) else subject.text
    if named.split()[-1] in words.RECURRING:
        raise NotFormalisableError(f"a {named} may come again, at another time")


def is_dated(rest: tuple[Token, ...]) -> bool:
    """Say whether the complement of "is" is a date, or a preposition and a date: "4 May 2025", "before 4 May 2025"."""
    return bool(rest) and bool(_DATED.fullmatch(plain(rest)))


def dated(rest: tuple[Token, ...], subject: Term) -> Formula:
    """Read "the deadline is 4 May 2025", "the start of the lease is before 2025-05-04"."""
    if isinstance(subject, Attribute | The):
        _refuse_unless_once(subject)
    if isinstance(subject, Attribute):
        day, subject = f"day of the {subject.name}", subject.of
    elif isinstance(subject, The):
        day = "day"
    else:
        raise NotFormalisableError(f'what happened on "{plain(rest)}" is missing; write "was built on ..."')
    when = rest[0].low
    if when in _TIMES:
        return _within(day, subject, when, _period(rest[1:]))
    return _within(day, subject, "on", _period(rest))


_DATED: Final = re.compile(r"(?:(?:on|in|before|after) )?(?:\d{4}-\d\d-\d\d|(?:\d{1,2} )?[A-Z][a-z]{2,8} \d{4})")
_TIMES: Final = frozenset({"in", "on", "before", "after", "within"})
_PER_UNIT: Final = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_MONTHS_PER_UNIT: Final = {"month": 1, "months": 1, "year": 12, "years": 12}


def _is_distance(tail: tuple[Token, ...]) -> bool:
    return is_number(comparator(tail)[1][0].text) if comparator(tail)[1] else False


def _period(tokens: tuple[Token, ...]) -> Period:
    return period(tuple(token.text for token in tokens))


def _within(day: str, subject: Term, when: str, span: Period) -> Formula:
    before = Compare(day, subject, "<", Fraction(span.first if when == "before" else span.end))
    since = Compare(day, subject, ">=", Fraction(span.end if when == "after" else span.first))
    if when == "before":
        return before
    return since if when == "after" else And((since, before))


def _ordered(word: str, when: str, tail: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    """Read "before the dam", "before the dam was completed"."""
    other, theirs = _other_event(word, tail, scope)
    terms = ((Fraction(1), f"day {word}", subject), (Fraction(-1), f"day {theirs}", other))
    return Linear(terms, "<" if when == "before" else ">", Fraction(0))


def _other_event(word: str, tail: tuple[Token, ...], scope: Scope) -> tuple[Term, str]:
    if len(tail) > 2 and tail[-2].low in {"was", "were"}:  # noqa: PLR2004 - a thing, "was" and a participle
        if tail[-1].low not in ONCE:
            raise NotFormalisableError(f'when something was "{tail[-1].low}" is not one moment')
        return term(tail[:-2], scope), tail[-1].low
    return term(tail, scope), word


def _distant(word: str, tail: tuple[Token, ...], subject: Term, scope: Scope) -> Formula:
    """Read "within 30 days of ...", "exactly 3 weeks after ...", "at least 2 years before ..."."""
    operator, rest = ("within", tail[1:]) if tail[0].low == "within" else comparator(tail)
    if len(rest) < 4 or not rest[0].text.isdecimal():  # noqa: PLR2004 - number, unit, relation, date
        raise NotFormalisableError('a distance in time needs the form "within 30 days of 4 May 1932"')
    count, unit, relation, base = int(rest[0].text), rest[1].low, rest[2].low, rest[3:]
    if relation not in ({"of"} if operator == "within" else {"before", "after"}):
        raise NotFormalisableError(f'"{relation}" is not understood here; write "within N days of", "N days after"')
    if count > _LONGEST or unit not in _PER_UNIT | _MONTHS_PER_UNIT:
        raise NotFormalisableError(f'"{count} {unit}" is no distance in time; write days, weeks, months or years')
    if operator == "=":
        raise NotFormalisableError(f'"{count} {unit}" may be rounded; write exactly, at least or at most')
    if base[-1].text[0].isdigit():
        return _from_date(f"day {word}", subject, (operator, relation), (count, unit), _period(base))
    if unit not in _PER_UNIT:
        raise NotFormalisableError(f"{unit} differ in length; write days or weeks, or a date")
    other, theirs = _other_event(word, base, scope)
    return _from_event(
        (f"day {word}", subject), (f"day {theirs}", other), (operator, relation), count * _PER_UNIT[unit]
    )


_LONGEST: Final = 100_000


def _from_date(day: str, subject: Term, how: tuple[str, str], by: tuple[int, str], base: Period) -> Formula:
    operator, relation = how
    low: int | None
    high: int | None
    if base.end - base.first != 1:
        raise NotFormalisableError("a distance in time is counted from a day; write for example 4 May 1932")
    if operator == "within":
        low, high = _moved(base.first, by, -1), _moved(base.first, by, 1) + 1
    else:
        at = _moved(base.first, by, 1 if relation == "after" else -1)
        later = relation == "after"
        low, high = {
            measures.EXACTLY: (at, at + 1),
            ">=": (at, None) if later else (None, at + 1),
            ">": (at + 1, None) if later else (None, at),
            "<=": (base.first, at + 1) if later else (at, base.end),
            "<": (base.first, at) if later else (at + 1, base.end),
        }[operator]
    bounds = [Compare(day, subject, ">=", Fraction(low))] if low is not None else []
    bounds += [Compare(day, subject, "<", Fraction(high))] if high is not None else []
    return bounds[0] if len(bounds) == 1 else And(tuple(bounds))


def _moved(day: int, by: tuple[int, str], sign: int) -> int:
    count, unit = by
    if unit in _PER_UNIT:
        return day + sign * count * _PER_UNIT[unit]
    date = _EPOCH + dt.timedelta(days=day)
    months = date.year * 12 + date.month - 1 + sign * count * _MONTHS_PER_UNIT[unit]
    try:
        return (date.replace(year=months // 12, month=months % 12 + 1) - _EPOCH).days
    except ValueError as error:
        raise NotFormalisableError(f"there is no such day {count} {unit} away from {date.isoformat()}") from error


def _from_event(mine: tuple[str, Term], theirs: tuple[str, Term], how: tuple[str, str], days: int) -> Formula:
    """Compare two moments known to the day: N days from one to the other is more than N - 1 and less than N + 1."""
    operator, relation = how
    sign = 1 if relation != "before" else -1
    terms = ((Fraction(sign), *mine), (Fraction(-sign), *theirs))
    low, high = Linear(terms, ">", Fraction(days - 1)), Linear(terms, "<", Fraction(days + 1))
    match operator:
        case "within":
            return And((Linear(terms, ">", Fraction(-days - 1)), high))
        case measures.EXACTLY:
            return And((low, high))
        case ">=":
            return low
        case "<=":
            return And((Linear(terms, ">", Fraction(-1)), high))
        case _:
            raise NotFormalisableError("write at least or at most beside a distance between two events")


_EPOCH: Final = dt.date(1970, 1, 1)
