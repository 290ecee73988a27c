"""The filter that keeps the Kafka client from filling a log."""

from __future__ import annotations

import logging

from veriramp_sdk.logs import ExpectedTrouble


def test_what_the_kafka_client_repeats_is_told_twice_a_minute() -> None:
    now = 0.0
    trouble = ExpectedTrouble(lambda: now)
    told = []
    for now in (0.0, 0.1, 29.9, 30.0, 31.0, 61.0):
        for name in ("aiokafka", "aiokafka.conn", "veriramp_workers"):
            record = logging.makeLogRecord({"name": name, "msg": "no node %d", "levelname": "ERROR", "levelno": 40})
            if trouble.filter(record) and name == "aiokafka":
                told.append((now, record.levelname, getattr(record, "left_out", None)))
    assert told == [(0.0, "WARNING", None), (30.0, "WARNING", 2), (61.0, "WARNING", 1)]


def test_what_others_repeat_is_told_each_time() -> None:
    trouble = ExpectedTrouble(lambda: 0.0)
    record = logging.makeLogRecord({"name": "veriramp_workers", "msg": "again", "levelname": "ERROR", "levelno": 40})
    assert [trouble.filter(record) for _ in range(3)] == [True] * 3
    assert record.levelname == "ERROR"
