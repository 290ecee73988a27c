"""How a worker logs.

Public names: :func:`configure_logging`.
"""

from __future__ import annotations

import logging


def configure_logging(level: str) -> None:
    """Log to standard error, one line each."""
    handler = logging.StreamHandler()
    handler.addFilter(_ExpectedTrouble())
    logging.basicConfig(level=level, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s")


class _ExpectedTrouble(logging.Filter):
    """The Kafka client calls every lost connection an error; it tries again, and so do we: a warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through, the client's errors as warnings."""
        if record.name.startswith("aiokafka") and record.levelno == logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
