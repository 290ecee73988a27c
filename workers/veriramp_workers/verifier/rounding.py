"""What a written number may stand for beside others that are written more precisely.

Public names: :data:`Margins`, :func:`margins_of`, :func:`widened`.

"1.2 km" may be rounded or cut off: beside "1,234 metres" it is anything from 1,150 to below 1,300 metres. Beside "1.3
km", written to the same precision in the same unit, it is 1.2 km. A bound ("at least 1.2 km") is always meant as it is
written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias

from veriramp_workers.verifier.formula import (
    And,
    Compare,
    Exists,
    ForAll,
    Formula,
    Implies,
    Linear,
    Not,
    Or,
    Parts,
    parts,
)
from veriramp_workers.verifier.values import Quantity

Margins: TypeAlias = frozenset[tuple[Quantity, Fraction]]
"""The numbers that may be rounded, each with one step of its last digit, in the base unit."""


def margins_of(sizes: Iterable[Quantity]) -> Margins:
    """Return which of the numbers may be rounded, as far as these are compared with each other.

    Equal numbers say the same however they are written, so the least precise way counts; but "3 thousand" is no more
    than what is about 3,000.
    """
    of_a_kind: dict[str, set[Quantity]] = {}
    for size in sizes:
        of_a_kind.setdefault(size.dimension, set()).add(size)
    found: set[tuple[Quantity, Fraction]] = set()
    for alike in of_a_kind.values():
        values, styles = ({getattr(one, field) for one in alike} for field in ("value", "style"))
        finest = min(one.step for one in alike)
        for one in alike if len(styles) > 1 else ():
            equal = [other.step for other in alike if other.value == one.value and not other.in_words]
            step = one.step if one.in_words else max(equal) if len(values) > 1 else finest
            if one.step and step > finest:
                found.add((one, step))
    return frozenset(found)


def widened(read: Parts, margins: Margins) -> str:
    """Return the SMT-LIB text of a sentence with its rounded numbers replaced by all that they may stand for."""
    steps = dict(margins)
    return read.text if read.sizes.isdisjoint(steps) else parts(_wide(read.formula, steps)).text


def _wide(formula: Formula, steps: dict[Quantity, Fraction]) -> Formula:
    match formula:
        case Compare() | Linear():
            return _between(formula, steps)
        case Not(body):
            return Not(_wide(body, steps))
        case And(several) | Or(several):
            return type(formula)(tuple(_wide(one, steps) for one in several))
        case Implies(condition, conclusion):
            return Implies(_wide(condition, steps), _wide(conclusion, steps))
        case ForAll(variables, body) | Exists(variables, body):
            return type(formula)(variables, _wide(body, steps))
        case _:
            return formula


def _between(formula: Compare | Linear, steps: dict[Quantity, Fraction]) -> Formula:
    if formula.size not in steps or formula.operator != "=":
        return formula
    step, value = steps[formula.size], formula.value
    # Cut off means towards zero.
    low, high = (value - step / 2, value + step) if value >= 0 else (value - step, value + step / 2)
    above, below = (">=", "<") if value >= 0 else (">", "<=")
    return And((replace(formula, operator=above, value=low), replace(formula, operator=below, value=high)))
