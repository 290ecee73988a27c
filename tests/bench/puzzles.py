"""The data from outside, where it is: ``VERIRAMP_DATA``, or ``../shared/data``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.report import say

DATA: Final = Path(os.environ.get("VERIRAMP_DATA", "../shared/data"))


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    """The rows of one labelled set (id, claim, premises, expected); none when it is not there, which is said."""
    path = DATA / f"{name}-100.jsonl"
    if not path.exists():
        say(f"{path} is not there: measured without it")
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
