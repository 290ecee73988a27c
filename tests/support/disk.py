"""A small disk that is really full: a tmpfs that only one process and its children see.

Public: :class:`SmallDisk`, :func:`a_small_disk`.
"""

from __future__ import annotations

import errno
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.pipeline import Program

_SPACE = ("unshare", "--user", "--map-root-user", "--mount")
_BLOCK = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A folder that is a disk of its own for the process that is started through ``before``."""

    folder: Path
    before: Sequence[str]

    def seen_by(self, program: Program) -> Path:
        """The folder as that process sees it; a path that this process can use."""
        return Path(f"/proc/{program.process.pid}/root{self.folder}")

    def fill(self, program: Program) -> None:
        """Write until there is no room at all."""
        with (self.seen_by(program) / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(_BLOCK))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self, program: Program) -> None:
        """Take away what it was filled with."""
        (self.seen_by(program) / "ballast").unlink()


def a_small_disk(folder: Path, kibibytes: int) -> SmallDisk:
    """Describe a disk of that size; skips the test, and says so, where the machine lets nobody mount one."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o size={kibibytes}k small {shlex.quote(str(folder))}"
    tried = subprocess.run([*_SPACE, "sh", "-c", mount], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no full disk was tried, this machine mounts none in a user namespace: {tried.stderr.strip()}")
    return SmallDisk(folder, (*_SPACE, "sh", "-c", f'{mount} && exec "$0" "$@"'))
