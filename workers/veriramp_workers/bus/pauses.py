"""Why nothing is read at the moment, and until when.

Public names: :class:`Pauses`.
"""

from __future__ import annotations

import math
from typing import Final

FOREVER: Final = math.inf


class Pauses:
    """Reasons to pause, several at once; each is for some topics or for all, and ends by itself or when it is told.

    Times are in seconds of any clock that never goes back. The same reason for the same topics again replaces its end.
    """

    def __init__(self) -> None:
        self._ends: dict[tuple[str, frozenset[str]], float] = {}

    def pause(self, reason: str, *, until: float = FOREVER, topics: frozenset[str] = frozenset()) -> None:
        """Pause the topics, all when none are named."""
        self._ends[reason, topics] = until

    def resume(self, reason: str) -> None:
        """End a reason, for whatever topics; no harm when there is none."""
        self._ends = {key: end for key, end in self._ends.items() if key[0] != reason}

    def expire(self, now: float) -> None:
        """End what lasts until now or ended before."""
        self._ends = {key: end for key, end in self._ends.items() if end > now}

    @property
    def reasons(self) -> frozenset[str]:
        """The reasons that hold."""
        return frozenset(reason for reason, _ in self._ends)

    @property
    def next_end(self) -> float:
        """When the first reason ends by itself; infinity when none does."""
        return min(self._ends.values(), default=FOREVER)

    def holds(self, topic: str) -> bool:
        """Whether any reason holds for a topic."""
        return any(not topics or topic in topics for _, topics in self._ends)
