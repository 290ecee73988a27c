"""Tells a person how far a long job is: one line that updates itself on a terminal, a line each 15 s elsewhere.

Standard library only: this runs before any Python environment exists.
"""

from __future__ import annotations

from typing import Final, TextIO

_TTY_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 15.0
_LINE_WIDTH: Final = 118


class Progress:
    """Writes to `stream`. Call `tick` as often as is handy: it prints at once, and then only when it is time again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._tty = stream.isatty()
        self._interval = _TTY_SECONDS if self._tty else _LOG_SECONDS
        self._next = 0.0

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._write(text, end="\n")

    def tick(self, what: str, elapsed: float, expected: float | None, packages: int) -> None:
        """Say that `what` has been going on for `elapsed` of about `expected` seconds."""
        if elapsed < self._next:
            return
        self._next = elapsed + self._interval
        self._write(progress_line(what, elapsed, expected, packages), end="" if self._tty else "\n")

    def done(self, text: str) -> None:
        """End the updating line with `text`; the next job starts from zero."""
        self._next = 0.0
        self._write(text, end="\n")

    def _write(self, text: str, end: str) -> None:
        if self._tty:
            text = f"\r\x1b[K{text[:_LINE_WIDTH] if not end else text}"
        self._stream.write(text + end)
        self._stream.flush()


def duration(seconds: float) -> str:
    """`95.2` as `1 min 35 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def progress_line(what: str, elapsed: float, expected: float | None, packages: int) -> str:
    """One line: how long, of how long, and what is done so far; the numbers first, as narrow terminals cut names."""
    parts = [duration(elapsed)]
    if expected is not None:
        parts.append(f"of about {duration(expected)}" + (", longer than expected" if elapsed > expected else ""))
    if packages:
        parts.append(f"({packages} packages compiled)")
    return f"  {' '.join(parts)}: {what}"
