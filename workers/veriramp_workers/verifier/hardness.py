"""Say why a solver gave no answer: too little time, or a theory that no solver decides.

Public names: :func:`class_of_unknown`, ``TIMEOUT``, ``THEORY_INCOMPLETE``.

The class follows from the structure of the formulas, not from the solver's words, which differ between versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import z3

TIMEOUT: Final = "timeout"
THEORY_INCOMPLETE: Final = "theory_incomplete"


def class_of_unknown(formulas: Iterable[Any], said: str) -> str:
    """Return the class, a colon and what a person should know; ``said`` are the solver's own words."""
    features = _features(formulas)
    if _PRODUCT in features:
        return f"{THEORY_INCOMPLETE}: products of unknown whole numbers; no method decides all of these"
    if _QUANTIFIER in features and _FUNCTION in features:
        return f"{THEORY_INCOMPLETE}: quantifiers over functions or numbers; no method decides all of these"
    if _STRING in features:
        return f"{THEORY_INCOMPLETE}: texts of unknown length; no method decides all of these"
    return (
        f"{TIMEOUT}: no answer within the limits of time, steps and memory ({said or 'the solver does not say which'})"
    )


_PRODUCT, _QUANTIFIER, _FUNCTION, _STRING = "product", "quantifier", "function", "string"
_MOST_NODES: Final = 50_000
_INTEGER_PRODUCTS: Final = frozenset({z3.Z3_OP_MUL, z3.Z3_OP_IDIV, z3.Z3_OP_MOD, z3.Z3_OP_REM, z3.Z3_OP_POWER})


def _features(formulas: Iterable[Any]) -> set[str]:
    found: set[str] = set()
    seen: set[int] = set()
    todo = list(formulas)
    while todo and len(seen) < _MOST_NODES:
        node = todo.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if z3.is_quantifier(node):
            found.add(_QUANTIFIER)
            todo.append(node.body())
            continue
        found |= _own_features(node)
        todo.extend(node.children())
    return found


def _own_features(node: Any) -> set[str]:
    if not z3.is_app(node):
        return set()
    kind, found = node.decl().kind(), set()
    if kind in _INTEGER_PRODUCTS and z3.is_int(node) and sum(not z3.is_int_value(one) for one in _factors(node)) > 1:
        found.add(_PRODUCT)
    if (kind == z3.Z3_OP_UNINTERPRETED and node.num_args() and not z3.is_bool(node)) or z3.is_arith(node):
        found.add(_FUNCTION)
    if z3.is_string(node):
        found.add(_STRING)
    return found


def _factors(node: Any) -> list[Any]:
    children: list[Any] = node.children()
    return children if node.decl().kind() != z3.Z3_OP_POWER else [children[0], children[0]]
