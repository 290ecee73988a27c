"""How a worker logs: one line for each record on standard error, as JSON or as text.

Public names: :func:`configure_logging`, :class:`JsonFormatter`, :class:`TextFormatter`.

What a record is about stands in fields (``extra``): chunk key, traceparent, verdict. Contents, premises and secrets are
never logged.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

from veriramp_sdk.logs import ExpectedTrouble


def configure_logging(level: str, form: str = "text") -> None:
    """Log from ``level`` on; ``form`` is json or text. Libraries speak from WARNING on: at DEBUG they show messages."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(ExpectedTrouble())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for ours in ("veriramp", "veriramp_sdk", "veriramp_workers"):
        logging.getLogger(ours).setLevel(level)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, the fields of the record and, for an exception, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The same for people; a traceback takes lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The message on one line, its fields behind it."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        return (super().formatMessage(record) + fields).replace("\n", " ")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN and value not in (None, "")}


_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
