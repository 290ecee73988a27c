"""Numbers, units and dates of controlled English.

Public names: :class:`Quantity`, :class:`Period`, :func:`quantity`, :func:`period`, :class:`NotFormalisableError`.

A quantity is a number in the base unit of its dimension (metres, kilograms, seconds, ...), exact. A period is a
half-open range of days (days since 1970-01-01): "4 May 1932" is one day, "1932" is the year.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from veriramp_workers.verifier.units import CURRENCIES, MONEY_SIGNS, NAMES, SYMBOLS


class NotFormalisableError(ValueError):
    """A sentence outside the controlled language; the text says which part, and what would be understood."""


@dataclass(frozen=True)
class Quantity:
    """A number in the base unit of a dimension; ``dimension`` is part of the attribute's symbol.

    ``step``: what one more in the last written digit would add, in the base unit; 0 where the number is exact.
    ``style``: numbers of one style are written to the same precision in the same unit. ``is_round``: the word million
    (then it is ``in_words``), or zeros, say that the number is rounded, whatever it counts.
    """

    value: Fraction
    dimension: str
    step: Fraction = Fraction(0)
    style: str = ""
    is_round: bool = False
    in_words: bool = False

    @property
    def is_money(self) -> bool:
        """Whether the dimension is a currency."""
        return self.dimension in CURRENCIES

    @property
    def exact(self) -> Quantity:
        """The same number, meant exactly as it is written."""
        return replace(self, step=Fraction(0), style="exact")

    @property
    def counted(self) -> Quantity:
        """The same number of things that are counted: 3 are exactly 3, 5,000 may be 5,012."""
        return self if self.is_round else self.exact


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
    unit, power = written[1:], 1
    if unit and unit[0].lower() in _POWERS:
        power, unit = _POWERS[unit[0].lower()], unit[1:]
    dimension, factor = _unit(" ".join(unit)) if unit else ("number", Fraction(1))
    size = _as_written(written[0], value, dimension, factor * power, in_words=power > 1)
    if size.is_money and len(written[0].partition(".")[2]) == _GROUP and not size.in_words:
        raise NotFormalisableError(f'whether the point in "{written[0]}" separates thousands is not clear')
    return size.exact if size.is_money and not size.in_words else size


def _as_written(word: str, value: Fraction, dimension: str, factor: Fraction, *, in_words: bool) -> Quantity:
    decimals, zeros, is_round = len(word.partition(".")[2]), 0, in_words
    if decimals == 0 and value:
        digits = str(abs(value))
        zeros = min(len(digits) - len(digits.rstrip("0")), max(0, len(digits) - _TRUSTED_DIGITS))
        is_round = in_words or digits.endswith("000")
    step = factor * Fraction(10) ** (zeros - decimals)
    # "5,012" is written to more places than "5,000", but "41" to as many as "40".
    style = f"{factor} {decimals} {step}" if is_round else f"{factor} {decimals}"
    return Quantity(value * factor, dimension, step, style, is_round, in_words)


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
    if digits.lstrip("-").startswith("0") and digits.lstrip("-")[1:2].isdigit():
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
_TRUSTED_DIGITS: Final = 2
"""Zeros at the end of a whole number may stand for other digits from the third place on."""
_LONGEST_NUMBER: Final = 30
_POWERS: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_YEAR_DIGITS: Final = 4
_EPOCH: Final = dt.date(1970, 1, 1)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
