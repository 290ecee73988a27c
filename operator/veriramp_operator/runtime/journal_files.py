"""Lines in files of bounded size and number, in a folder that several processes may share.

Public: :class:`RotatedFiles`. Every process appends to a file of its own, named by the time at which it was begun, so
that the names of a folder sort by age; whoever begins one deletes the oldest beyond the bound, whosever they are.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

PREFIX: Final = "journal-"
SUFFIX: Final = ".jsonl"
_SMALL_FILES: Final = 10
"""How many times as many files there may be where they are small: restarts must not push the past out."""


class RotatedFiles:
    """Appends lines. ``identity``: of this process; ``most_bytes`` per file, ``most_files`` in the folder.

    Nothing is opened before the first line. Every method may raise OSError; the next line is then tried anew.
    """

    def __init__(
        self, folder: Path, identity: str, most_bytes: int, most_files: int, clock: Callable[[], float]
    ) -> None:
        self._folder, self._most_bytes, self._most_files, self._clock = folder, most_bytes, most_files, clock
        self._owner = re.sub(r"[^A-Za-z0-9_.-]", "_", identity)
        self._file: BinaryIO | None = None
        self._path = folder

    def write(self, line: bytes) -> None:
        """Append one line (its end included) as a whole, or nothing of it."""
        file = self._open(len(line))
        end = file.tell()
        try:
            whole = file.write(line) == len(line)
        except OSError:
            whole = False
            raise
        finally:
            if not whole:
                # A full disk takes a part of a line; what is left must still be lines.
                file.truncate(end)
                file.seek(end)
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file; the next line begins another."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self, more: int) -> BinaryIO:
        if self._file is not None and (self._file.tell() + more > self._most_bytes or not self._is_there()):
            self.close()
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._prune()
            begun = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%dT%H%M%S.%f")
            self._path = self._folder / f"{PREFIX}{begun}Z-{self._owner}{SUFFIX}"
            # Unbuffered: a line is in the file, or its error is known, when write() ends.
            self._file = self._path.open("ab", buffering=0)
        return self._file

    def _is_there(self) -> bool:
        """Another process, or a person, may have deleted the file that we write to."""
        assert self._file is not None  # noqa: S101 asked only then
        try:
            return self._path.stat().st_ino == os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _prune(self) -> None:
        """Make room for one file more."""
        paths = sorted(self._folder.glob(f"{PREFIX}*{SUFFIX}"), key=lambda path: path.name, reverse=True)
        room = (self._most_files - 1) * self._most_bytes
        for number, path in enumerate(paths, start=1):
            try:
                room -= path.stat().st_size
            except FileNotFoundError:
                continue
            if room < 0 or number >= _SMALL_FILES * self._most_files:
                path.unlink(missing_ok=True)
