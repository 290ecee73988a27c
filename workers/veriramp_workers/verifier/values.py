"""Numbers, units and dates of controlled English.

Public names: :class:`Quantity`, :class:`Period`, :func:`quantity`, :func:`period`, :class:`NotFormalisableError`.

A quantity is a number in the base unit of its dimension (metres, kilograms, seconds, ...), exact. A period is a
half-open range of days (days since 1970-01-01): "4 May 1932" is one day, "1932" is the year.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from veriramp_workers.verifier.units import CURRENCIES, MONEY_SIGNS, NAMES, SYMBOLS


class NotFormalisableError(ValueError):
    """A sentence outside the controlled language; the text says which part, and what would be understood."""


@dataclass(frozen=True)
class Quantity:
    """A number in the base unit of a dimension; ``dimension`` is part of the attribute's symbol.

    ``rounded``: how far the number meant may be from ``value``, half of the last digit of "5.2 million"; 0 for a number
    that is written out.
    """

    value: Fraction
    dimension: str
    rounded: Fraction = Fraction(0)

    @property
    def is_money(self) -> bool:
        """Whether the dimension is a currency."""
        return self.dimension in CURRENCIES


@dataclass(frozen=True)
class Period:
    """Days from ``first`` (included) to ``end`` (not included)."""

    first: int
    end: int


def quantity(written: tuple[str, ...]) -> Quantity:
    """Read ``120``, ``1,200``, ``12.5 km``, ``40 percent``, ``€ 3 million``; raises :class:`NotFormalisableError`."""
    if written[:1] and written[0] in MONEY_SIGNS:
        written = (*written[1:], written[0])
    value = _number(written[0]) if written else None
    if value is None:
        raise NotFormalisableError(f'"{" ".join(written)}" is not a number')
    unit, rounded = written[1:], Fraction(0)
    if unit and unit[0].lower() in _POWERS:
        power = _POWERS[unit[0].lower()]
        rounded = Fraction(power, 2 * 10 ** len(written[0].partition(".")[2]))
        value, unit = value * power, unit[1:]
    if not unit:
        return Quantity(value, "number", rounded)
    dimension, factor = _unit(" ".join(unit))
    return Quantity(value * factor, dimension, rounded * factor)


def _unit(unit: str) -> tuple[str, Fraction]:
    known = SYMBOLS.get(unit) or NAMES.get(unit.lower())
    if known is None:
        raise NotFormalisableError(f'the unit "{unit}" is not known; write for example "120 metres" or "3 hours"')
    return known


def is_number(word: str) -> bool:
    """Say whether a word is a number in digits."""
    return _number(word) is not None


def period(words: tuple[str, ...]) -> Period:
    """Read ``1932``, ``May 1932``, ``4 May 1932`` or ``1932-05-04``; raises :class:`NotFormalisableError`."""
    text = " ".join(words)
    try:
        match words:
            case (iso,) if iso.count("-") == 2:  # noqa: PLR2004 - year, month, day
                return _day(dt.date.fromisoformat(iso))
            case (year,):
                return _span(dt.date(_year(year), 1, 1), dt.date(_year(year) + 1, 1, 1))
            case (month, year):
                first = dt.date(_year(year), _month(month), 1)
                return _span(first, (first + dt.timedelta(days=32)).replace(day=1))
            case (day, month, year):
                return _day(dt.date(_year(year), _month(month), int(day)))
    except (ValueError, OverflowError) as error:
        raise NotFormalisableError(f'"{text}" is not a date; write 1932, May 1932, 4 May 1932 or 1932-05-04') from error
    raise NotFormalisableError(f'"{text}" is not a date; write 1932, May 1932, 4 May 1932 or 1932-05-04')


def _number(word: str) -> Fraction | None:
    digits = word.replace(",", "")
    if len(digits) > _LONGEST_NUMBER:
        return None
    if not digits.replace(".", "", 1).lstrip("-").isdigit() or not digits.isascii():
        return None
    groups = word.lstrip("-").split(".", maxsplit=1)[0].split(",")
    if len(groups) > 1 and (not 1 <= len(groups[0]) <= _GROUP or any(len(group) != _GROUP for group in groups[1:])):
        return None
    return Fraction(digits) if digits.count("-") <= 1 and not digits.endswith(".") else None


def _year(word: str) -> int:
    if len(word) != _YEAR_DIGITS or not word.isdigit():
        raise ValueError(word)
    return int(word)


def _month(word: str) -> int:
    return _MONTHS.index(word.lower()) + 1


def _day(date: dt.date) -> Period:
    return _span(date, date + dt.timedelta(days=1))


def _span(first: dt.date, end: dt.date) -> Period:
    return Period((first - _EPOCH).days, (end - _EPOCH).days)


_GROUP: Final = 3
_LONGEST_NUMBER: Final = 30
_POWERS: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_YEAR_DIGITS: Final = 4
_EPOCH: Final = dt.date(1970, 1, 1)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
