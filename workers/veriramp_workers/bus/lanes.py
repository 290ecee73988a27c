"""Which waiting record is worked on next: the important lane first, and no lane never.

Public names: :class:`Lanes`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Things that wait, in lanes by falling importance.

    The first lane that has something is served, but one that was passed over ``patience`` times in a row is served
    next. So with ``n`` lanes at work each one gets at least one of ``patience + n`` turns, and the first one all the
    others. Within a lane the lowest ``order`` comes first.
    """

    def __init__(self, names: Sequence[str], *, patience: int) -> None:
        self._heaps: dict[str, list[tuple[int, T]]] = {name: [] for name in names}
        self._passed = dict.fromkeys(names, 0)
        self._patience = patience

    def put(self, lane: str, order: int, thing: T) -> None:
        """Let a thing wait; no two things of a lane may have the same order."""
        heapq.heappush(self._heaps[lane], (order, thing))

    def waiting(self, lane: str) -> int:
        """How many things wait in a lane."""
        return len(self._heaps[lane])

    def next(self, closed: Container[str] = ()) -> T | None:
        """Take out what is next, or nothing; a closed lane is not served and does not lose its patience."""
        able = [lane for lane, heap in self._heaps.items() if heap and lane not in closed]
        if not able:
            return None
        chosen = next((lane for lane in able if self._passed[lane] >= self._patience), able[0])
        for lane in able:
            self._passed[lane] += 1
        self._passed[chosen] = 0
        return heapq.heappop(self._heaps[chosen])[1]

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget the things that are not wanted any more."""
        for lane, heap in self._heaps.items():
            kept = [entry for entry in heap if not unwanted(entry[1])]
            heapq.heapify(kept)
            self._heaps[lane] = kept
