"""Why a formula was too hard: for want of time, or because no complete procedure exists for what it uses.

Public names: :func:`beyond_theory`.

The solver's own word for it does not tell (of six known cases it named none), so the formula is looked at: quantifiers
and nonlinear arithmetic are where solvers have no complete procedure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final


def beyond_theory(smt_lib: str) -> bool:
    """Whether an SMT-LIB text has a quantifier, or a product, quotient or power of two things that are not constant."""
    heads: list[str] = []
    constant: list[list[bool]] = []  # of each open list, which of its arguments are constant
    for word in _words(smt_lib):
        if word == "(":
            heads.append("")
            constant.append([])
        elif word != ")":
            if heads and not heads[-1]:
                if word in _QUANTIFIERS:
                    return True
                heads[-1] = word
            elif heads:
                constant[-1].append(_NUMBER.fullmatch(word) is not None)
        elif heads:
            head, arguments = heads.pop(), constant.pop()
            if (head == "*" and arguments.count(False) > 1) or (head in _QUOTIENTS and not all(arguments[1:])):
                return True
            if heads:
                heads[-1] = heads[-1] or "()"
                constant[-1].append(head in _ARITHMETIC and all(arguments))
    return False


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        if match.lastgroup == "word":
            yield match.group()


_QUANTIFIERS: Final = frozenset({"forall", "exists"})
_QUOTIENTS: Final = frozenset({"/", "div", "mod", "rem", "^"})
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "to_real", "to_int"})
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_WORD: Final = re.compile(r"""(?P<skip>;[^\n]*|"(?:[^"]|"")*"|\s+)|(?P<word>\(|\)|\|[^|]*\||[^\s()|";]+)""")
