"""What the Kafka client says too often, said twice a minute.

Public names: :class:`ExpectedTrouble`, a filter for the handlers of a process that talks to Kafka.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


class ExpectedTrouble(logging.Filter):
    """The Kafka client calls every lost connection an error, and tells of it dozens of times a second.

    It tries again, and so do we: a warning, the same one once in half a minute, with the number of those left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, str], _Told] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything else through."""
        if not record.name.startswith("aiokafka"):
            return True
        if record.levelno == logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        now = self._clock()
        told = self._told.setdefault((record.name, str(record.msg)), _Told(-_SAME_SECONDS))
        if now - told.at < _SAME_SECONDS:
            told.left_out += 1
            return False
        if told.left_out:
            record.left_out = told.left_out
        told.at, told.left_out = now, 0
        return True


@dataclass
class _Told:
    at: float
    left_out: int = 0


_SAME_SECONDS: Final = 30.0
