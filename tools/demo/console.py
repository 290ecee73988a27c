"""What the demo says while it runs: sections, steps with their time, one line per transition."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Console:
    """Writes to stdout, with bold headings only on a terminal; every line carries the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def section(self, title: str) -> None:
        """Begin a part of the demo."""
        on, off = self._bold
        print(f"\n{on}== {title} =={off}", flush=True)

    def say(self, text: str) -> None:
        """One line."""
        print(f"[{self.elapsed:6.1f}s] {text}", flush=True)

    def show(self, text: str) -> None:
        """A block of text as it is."""
        print(text, flush=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what begins, and how long it took."""
        self.say(f"{what} ...")
        began = time.monotonic()
        yield
        self.say(f"{what}: done in {time.monotonic() - began:.1f} s")
