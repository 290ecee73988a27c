"""Log lines: one JSON object each, and levels that mean what they say."""

from __future__ import annotations

import json
import logging

import pytest

from veriramp_operator.runtime.logs import JsonFormatter, RetriedByKopf


def a_record(message: str, name: str = "kopf._cogs.clients.watching", level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, (), None)


@pytest.mark.parametrize(
    ("record", "level"),
    [
        (a_record("Request attempt #1 failed; will retry: GET /api -> APITooManyRequestsError(429)"), "WARNING"),
        (a_record("Request attempt #2 failed; TCP closed; will re-authenticate: GET /api"), "WARNING"),
        (a_record("Request attempt #9 failed; escalating: GET /api -> APIError()"), "ERROR"),
        (a_record("Handler failed with an exception. Will retry.", "kopf.objects"), "ERROR"),
        (a_record("Request attempt #1 failed; will retry: GET /api", "veriramp.queue"), "ERROR"),
        (a_record("Request attempt #1 failed; will retry: GET /api", level=logging.INFO), "INFO"),
    ],
)
def test_a_request_that_kopf_repeats_is_a_warning(record: logging.LogRecord, level: str) -> None:
    assert RetriedByKopf().filter(record)
    assert record.levelname == level


@pytest.mark.shows("S1-OBS-14")
def test_a_record_is_one_json_line_with_its_traceback() -> None:
    record = a_record('it "broke"')
    error = ValueError("two\nlines")
    record.exc_info = (ValueError, error, None)
    [line] = JsonFormatter().format(record).splitlines()
    content = json.loads(line)
    assert (content["level"], content["message"]) == ("ERROR", 'it "broke"')
    assert "two\nlines" in content["exception"]
