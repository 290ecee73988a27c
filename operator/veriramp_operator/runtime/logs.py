"""JSON lines on stdout: one object per record, without content, user ids or credentials.

The lines of the decision journal stand among them: whole objects already, with ``"logger": "veriramp.journal"``.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from veriramp_operator.resources.journal import LOGGER as JOURNAL


class JsonFormatter(logging.Formatter):
    """time, level, logger, message and, for an exception, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        if record.name == JOURNAL:
            return record.getMessage()
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class RetriedByKopf(logging.Filter):
    """Makes warnings of the errors that kopf logs about requests which it tries again, endlessly by our settings."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        if record.levelno == logging.ERROR and record.name.startswith("kopf.") and _is_retried(record.getMessage()):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def _is_retried(message: str) -> bool:
    return message.startswith("Request attempt #") and (
        "; will retry:" in message or "; will re-authenticate:" in message
    )


def configure_logging(level: str) -> None:
    """Send everything to stdout; libraries speak only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RetriedByKopf())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("veriramp").setLevel(level.upper())
    # How much is logged is one question, whether decisions are recorded another (VERIRAMP_JOURNAL_STDOUT).
    logging.getLogger(JOURNAL).setLevel(logging.INFO)
