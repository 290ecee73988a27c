"""Which offset of a partition may be committed while records are worked on out of order.

Public names: :class:`OffsetWindow`, :class:`StartsAgainError`.
"""

from __future__ import annotations


class StartsAgainError(Exception):
    """The partition has other records than before: it was cut or created anew."""


class OffsetWindow:
    """The records of one partition that are in work.

    ``committable`` is the lowest offset that is not done yet, which is what Kafka calls the committed offset: where
    reading starts again. Offsets come in rising order but may leave gaps (compaction, transactions).
    """

    def __init__(self) -> None:
        self._in_work: dict[int, None] = {}
        self._next: int | None = None
        self._committed: int | None = None
        self._starts_again: int | None = None

    @property
    def span(self) -> int:
        """How many offsets a crash would have read again: from the first that is not done to the last that began."""
        return 0 if self._next is None else self._next - next(iter(self._in_work), self._next)

    def started(self, offset: int) -> None:
        """Note that work on a record begins.

        Raises :class:`StartsAgainError` for an offset that came before; from then on only that one may be committed.
        """
        if self._next is not None and offset < self._next:
            # What is done of the former records would be committed past the new ones.
            self._starts_again = offset
            raise StartsAgainError(f"offset {offset} comes after {self._next - 1}")
        self._in_work[offset] = None
        self._next = offset + 1

    def finished(self, offset: int) -> None:
        """Note that everything that follows from a record is stored by the broker."""
        del self._in_work[offset]

    @property
    def committable(self) -> int | None:
        """The offset to commit, or ``None`` when nothing was read yet."""
        if self._starts_again is not None:
            return self._starts_again
        return next(iter(self._in_work), self._next)

    @property
    def uncommitted(self) -> int | None:
        """The offset to commit when it is another than the last one committed, else ``None``."""
        return None if self.committable == self._committed else self.committable

    def committed(self, offset: int) -> None:
        """Note that the broker has stored this offset."""
        self._committed = offset
