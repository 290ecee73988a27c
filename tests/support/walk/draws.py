"""Choices out of plain bytes: one draw of Hypothesis makes a whole case, and shrinking it makes the case simpler.

Drawing each choice by itself costs more than the pass that it leads to. Zero always means the simplest choice, and
bytes that are used up are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Draws:
    """Reads choices off a string of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """0..255."""
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, count: int) -> int:
        """0..count-1, all about as likely; ``count`` at most 256."""
        return self.byte() * count >> 8

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items; the first one is the simplest."""
        return items[self.below(len(items))]

    def one_in(self, count: int) -> bool:
        """True once in so many draws."""
        return self.below(count) == count - 1
