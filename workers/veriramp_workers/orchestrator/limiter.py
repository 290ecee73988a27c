"""How many requests a minute the verifier gets from this process.

Public names: :class:`RateLimiter`, :class:`TooManyRequestsError`, :class:`ClosedError`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from veriramp_workers.ports import VerifierUnavailableError


class TooManyRequestsError(VerifierUnavailableError):
    """Our own limit is used up for longer than it is worth waiting; ``retry_after`` is in seconds."""

    retry_after: float

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"no request is free for {retry_after:.0f} s", retry_after=retry_after)


class ClosedError(VerifierUnavailableError):
    """The verifier is not to be asked at all, by order of the flags."""

    def __init__(self) -> None:
        super().__init__("verification is off")


class RateLimiter:
    """A token bucket: at most ``per_minute`` requests a minute on average (0: no limit), few of them at once.

    The bucket holds what ten seconds bring, at least one. Further attempts at a question are not held back but make a
    debt, so that the average holds. While ``closed`` nothing goes, no further attempts either. ``clock`` is monotonic,
    in seconds.
    """

    def __init__(self, per_minute: float = 0.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.closed = False
        self._clock = clock
        self._per_second = 0.0
        self._tokens = 0.0
        self._at = clock()
        self.resize(per_minute)

    def resize(self, per_minute: float) -> None:
        """Change the rate at once. Raises ``ValueError`` for a rate below 0 or no number."""
        if not 0.0 <= per_minute < math.inf:
            raise ValueError(f"the limit is {per_minute:g} requests a minute; write 0 (no limit) or more")
        if per_minute / 60.0 == self._per_second:
            return
        unlimited = not self._per_second
        self._refill()
        self._per_second = per_minute / 60.0
        self._tokens = self._size if unlimited else min(self._tokens, self._size)

    def take(self) -> float:
        """Take one request out: 0.0 when it may go, else it was not taken and the seconds until it is worth asking.

        Raises :class:`ClosedError`.
        """
        self.check_open()
        if not self._per_second:
            return 0.0
        self._refill()
        if self._tokens < 1.0 - _ROUNDING:
            return (1.0 - self._tokens) / self._per_second
        self._tokens -= 1.0
        return 0.0

    def overdraw(self) -> None:
        """Note a further attempt, which goes in any case but when it is closed: raises :class:`ClosedError`."""
        self.check_open()
        if self._per_second:
            self._refill()
            self._tokens -= 1.0

    def check_open(self) -> None:
        """Raise :class:`ClosedError` while it is closed."""
        if self.closed:
            raise ClosedError

    @property
    def _size(self) -> float:
        return max(1.0, 10.0 * self._per_second)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
        self._at = now


_ROUNDING = 1e-9
