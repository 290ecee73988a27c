"""The units that are understood, and the dimension in which each is exact.

Public names: ``SYMBOLS`` (km, MB: capitals matter), ``NAMES`` (kilometres: they do not), ``CURRENCIES``,
``MONEY_SIGNS``.

A dimension holds only units of which one is a whole number of, or a ratio to, the others, and which people do not round
into each other: 40 metres and 131 feet are meant to be the same height and are not the same number, so metres and feet
are two dimensions, about which nothing is concluded from one to the other. So are currencies, years and days.
Units with several meanings (ton, gallon, ounce, pound, degrees) are not understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

Unit = tuple[str, Fraction]
"""The dimension, and how many of its base unit one of these is."""


def _table(dimension: str, units: Mapping[str, Fraction | int]) -> dict[str, Unit]:
    return {name: (dimension, Fraction(factor)) for names, factor in units.items() for name in names.split("|")}


def _metric(dimension: str, name: str, base: Fraction | int, prefixes: str) -> dict[str, Unit]:
    """Return a name and its prefixed forms, singular and plural; ``prefixes`` are separated by blanks."""
    units: dict[str, Fraction | int] = {f"{name}|{name}s": base}
    units |= {f"{prefix}{name}|{prefix}{name}s": base * _PREFIXES[prefix] for prefix in prefixes.split()}
    return _table(dimension, units)


_PREFIXES: Final[dict[str, Fraction | int]] = {
    **{name: Fraction(1, 10**zeros) for name, zeros in (("centi", 2), ("milli", 3), ("micro", 6), ("nano", 9))},
    **{name: 10**zeros for name, zeros in (("hecto", 2), ("kilo", 3), ("mega", 6), ("giga", 9), ("tera", 12))},
    **{name: 2**bits for name, bits in (("kibi", 10), ("mebi", 20), ("gibi", 30))},
}
_HOUR: Final = 3600
_CENTI, _MILLI, _MICRO = Fraction(1, 100), Fraction(1, 1000), Fraction(1, 10**6)

CURRENCIES: Final = frozenset({"euros", "dollars", "us dollars", "pounds sterling", "swiss francs", "yen"})
MONEY_SIGNS: Final = frozenset({"$", "€", "£"})

SYMBOLS: Final[Mapping[str, Unit]] = {
    **_table("metres", {"m": 1, "cm": _CENTI, "mm": _MILLI, "km": 1000}),
    **_table("kilograms", {"kg": 1, "g": _MILLI, "mg": _MICRO, "t": 1000}),
    **_table("seconds", {"s": 1, "ms": _MILLI, "min": 60, "h": _HOUR}),
    **_table("square metres", {"m²|m2": 1, "cm²|cm2": _CENTI * _CENTI, "km²|km2": 10**6, "ha": 10**4}),
    **_table("litres", {"l|L": 1, "ml|mL": _MILLI, "m³|m3": 1000}),
    **_table("metres per second", {"m/s": 1, "km/h": Fraction(1000, _HOUR)}),
    **_table("bytes", {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}),
    **_table("bytes", {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}),
    **_table("watts", {"W": 1, "kW": 1000, "MW": 10**6, "GW": 10**9}),
    **_table("celsius", {"°C": 1}),
    **_table("fahrenheit", {"°F": 1}),
    **_table("kelvin", {"K": 1}),
    **_table("percent", {"%": 1}),
    **_table("euros", {"€|EUR": 1}),
    **_table("dollars", {"$": 1}),
    **_table("us dollars", {"USD": 1}),
    **_table("pounds sterling", {"£|GBP": 1}),
    **_table("swiss francs", {"CHF": 1}),
    **_table("yen", {"JPY": 1}),
    **_table("feet", {"ft": 1}),
}

NAMES: Final[Mapping[str, Unit]] = {
    **_metric("metres", "metre", 1, "milli centi kilo micro nano"),
    **_metric("metres", "meter", 1, "milli centi kilo micro nano"),
    **_metric("kilograms", "gram", _MILLI, "milli kilo"),
    **_table("kilograms", {"tonne|tonnes": 1000}),
    **_metric("seconds", "second", 1, "milli micro nano"),
    **_table("seconds", {"minute|minutes": 60, "hour|hours": _HOUR, "day|days": 24 * _HOUR, "week|weeks": 168 * _HOUR}),
    **_table("months", {"month|months": 1, "year|years": 12, "decade|decades": 120, "century|centuries": 1200}),
    **_table("square metres", {"square metre|square metres|square meter|square meters": 1}),
    **_table("square metres", {"hectare|hectares": 10**4, "square kilometre|square kilometres": 10**6}),
    **_table("square metres", {"square kilometer|square kilometers": 10**6}),
    **_metric("litres", "litre", 1, "milli centi hecto"),
    **_metric("litres", "liter", 1, "milli centi hecto"),
    **_table("litres", {"cubic metre|cubic metres|cubic meter|cubic meters": 1000}),
    **_table("metres per second", {"metres per second|metre per second|meters per second": 1}),
    **_table("metres per second", {"kilometres per hour|kilometers per hour": Fraction(1000, _HOUR)}),
    **_table("miles per hour", {"miles per hour|mph": 1}),
    **_metric("bytes", "byte", 1, "kilo mega giga tera kibi mebi gibi"),
    **_metric("watts", "watt", 1, "milli kilo mega giga"),
    **_table("celsius", {"degrees celsius|degree celsius": 1}),
    **_table("fahrenheit", {"degrees fahrenheit|degree fahrenheit": 1}),
    **_table("kelvin", {"kelvin|kelvins": 1}),
    **_table("percent", {"percent": 1}),
    **_table("euros", {"euro|euros": 1}),
    **_table("dollars", {"dollar|dollars": 1}),
    **_table("us dollars", {"us dollar|us dollars": 1}),
    **_table("pounds sterling", {"pounds sterling|pound sterling": 1}),
    **_table("swiss francs", {"swiss franc|swiss francs": 1}),
    **_table("yen", {"yen": 1}),
    **_table("feet", {"foot|feet": 1, "inch|inches": Fraction(1, 12), "yard|yards": 3, "mile|miles": 5280}),
}
