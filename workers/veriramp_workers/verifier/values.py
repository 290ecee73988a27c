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


class NotFormalisableError(ValueError):
    """A sentence outside the controlled language; the text says which part, and what would be understood."""


@dataclass(frozen=True)
class Quantity:
    """A number in the base unit of a dimension; ``dimension`` is part of the attribute's symbol."""

    value: Fraction
    dimension: str


@dataclass(frozen=True)
class Period:
    """Days from ``first`` (included) to ``end`` (not included)."""

    first: int
    end: int


def quantity(words: tuple[str, ...]) -> Quantity:
    """Read ``120``, ``1,200``, ``12.5 km``, ``40 percent``; raises :class:`NotFormalisableError`."""
    value = _number(words[0]) if words else None
    if value is None:
        raise NotFormalisableError(f'"{" ".join(words)}" is not a number')
    if len(words) == 1:
        return Quantity(value, "number")
    unit = " ".join(words[1:])
    known = _UNITS.get(unit)
    if known is None:
        raise NotFormalisableError(f'the unit "{unit}" is not known; write for example "120 metres" or "3 hours"')
    dimension, factor = known
    return Quantity(value * factor, dimension)


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
    except ValueError as error:
        raise NotFormalisableError(f'"{text}" is not a date; write 1932, May 1932, 4 May 1932 or 1932-05-04') from error
    raise NotFormalisableError(f'"{text}" is not a date; write 1932, May 1932, 4 May 1932 or 1932-05-04')


def _number(word: str) -> Fraction | None:
    digits = word.replace(",", "")
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
_YEAR_DIGITS: Final = 4
_EPOCH: Final = dt.date(1970, 1, 1)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)


def _table(dimension: str, units: dict[str, Fraction | int]) -> dict[str, tuple[str, Fraction]]:
    return {name: (dimension, Fraction(factor)) for unit, factor in units.items() for name in unit.split("|")}


_UNITS: Final = {
    **_table("length", {"m|metre|metres|meter|meters": 1, "cm|centimetre|centimetres": Fraction(1, 100)}),
    **_table(
        "length", {"km|kilometre|kilometres|kilometer|kilometers": 1000, "mm|millimetre|millimetres": Fraction(1, 1000)}
    ),
    **_table("mass", {"kg|kilogram|kilograms": 1, "g|gram|grams": Fraction(1, 1000), "t|tonne|tonnes": 1000}),
    **_table("duration", {"s|second|seconds": 1, "min|minute|minutes": 60, "h|hour|hours": 3600}),
    **_table("duration", {"day|days": 86400, "week|weeks": 604800}),
    **_table("years", {"year|years": 1}),
    **_table("months", {"month|months": 1}),
    **_table("percent", {"%|percent": 1}),
    **_table("euro", {"euro|euros|€": 1}),
    **_table("dollar", {"dollar|dollars|$": 1}),
    **_table("celsius", {"degrees celsius|degree celsius": 1}),
    **_table("watt", {"w|watt|watts": 1, "kw|kilowatt|kilowatts": 1000, "mw|megawatt|megawatts": 1_000_000}),
    **_table("litre", {"litre|litres|liter|liters": 1}),
    **_table("metres per second", {"metres per second": 1, "kilometres per hour": Fraction(1000, 3600)}),
}
