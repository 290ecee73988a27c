"""Which verifications are in progress: asked for, and not answered yet.

Public names: :class:`Pending`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

PENDING_SECONDS: Final = 300.0
"""After this long without an answer a verification counts as lost: no longer in progress, it may be asked for again."""

REPEAT_SECONDS: Final = 60.0
"""A chunk whose verification was answered, also by a failure, is not asked for again for this long."""

REMEMBERED: Final = 10_000
"""How many chunks are remembered; beyond it the oldest is forgotten, which at worst asks twice."""


class Pending:
    """Chunk keys that were asked for; bounded, safe for threads. Times are in seconds since the epoch."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._asks: dict[str, _Ask] = {}
        self._lock = threading.Lock()

    def ask(self, key: str, now: float) -> bool:
        """Note that a chunk is asked for now; False when that is not due: in progress, or answered a moment ago."""
        with self._lock:
            known = self._asks.pop(key, None)
            if known is not None and known.rests(now):
                self._asks[key] = known
                return False
            self._asks[key] = _Ask(now)
            while len(self._asks) > self._remembered:
                del self._asks[next(iter(self._asks))]
        return True

    def answered(self, key: str, now: float) -> None:
        """Note an answer, a verdict or a failure; of a chunk that this process did not ask for it is no news."""
        with self._lock:
            if key in self._asks:
                self._asks[key] = _Ask(now, answered=True)

    def forget(self, key: str) -> None:
        """Note that the request never left: it may be made again at once."""
        with self._lock:
            self._asks.pop(key, None)

    def is_pending(self, key: str, now: float) -> bool:
        """Tell whether a verification is in progress."""
        known = self._asks.get(key)
        return known is not None and not known.answered and known.rests(now)

    def count(self, now: float) -> int:
        """Return how many are in progress."""
        with self._lock:
            return sum(not known.answered and known.rests(now) for known in self._asks.values())


@dataclass(frozen=True, slots=True)
class _Ask:
    at: float
    answered: bool = False

    def rests(self, now: float) -> bool:
        # A clock that was set back must not keep a chunk in progress for ever.
        return 0.0 <= now - self.at < (REPEAT_SECONDS if self.answered else PENDING_SECONDS)
