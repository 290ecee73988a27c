"""Users who search: the load generator of the search package, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_SECONDS: Final = 900


@contextmanager
def search_load(urls: Sequence[str], output: Path, *, users: int, rate: float) -> Iterator[None]:
    """Keep ``users`` users searching at ``rate`` requests per second over all URLs; ``output`` gets what it prints."""
    targets = [argument for url in urls for argument in ("--url", url)]
    command = [sys.executable, "-m", "veriramp_search.load", *targets]
    options = ["--users", str(users), "--rps", str(rate), "--seconds", str(LONGEST_SECONDS)]
    with output.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([*command, *options], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)
