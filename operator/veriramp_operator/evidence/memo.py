"""Work out once what follows from a frozen object, and remember it per object.

Public: :func:`by_identity`. Hashing a whole spec costs more than a decision may, so the object itself is the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

MOST_REMEMBERED: Final = 8192

_Of = TypeVar("_Of")
_Made = TypeVar("_Made")


def by_identity(work: Callable[[_Of], _Made]) -> Callable[[_Of], _Made]:
    """``work``, which must be pure, done once for each object of the last 8,192 or fewer."""
    known: dict[int, tuple[_Of, _Made]] = {}

    def remembered(thing: _Of) -> _Made:
        found = known.get(id(thing))
        if found is None:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            found = known[id(thing)] = thing, work(thing)  # held here, so that no other object can have its id
        return found[1]

    return remembered
