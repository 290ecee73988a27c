"""The small decisions of the bus: which lane is next, what is paused, where a failed record goes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus import dispatcher, kafka, waits
from veriramp_workers.bus.lanes import Lanes
from veriramp_workers.bus.pauses import Pauses
from veriramp_workers.bus.retry import Failure, RetryTopic, Route, not_before_ms
from veriramp_workers.bus.settings import BusSettings
from veriramp_workers.ports import Message, Record

LANES = ("hot", "retry", "cold")
DEFERRED = RetryTopic("deferred", 600)
ROUTE = Route((RetryTopic("retry.soon", 60), RetryTopic("retry.late", 600)), "dead", DEFERRED)
NOW = 1_700_000_000_000
TRACE = ("traceparent", b"00-1")


def test_the_important_lane_comes_first_and_the_others_get_a_share() -> None:
    lanes: Lanes[str] = Lanes(LANES, patience=9)
    for number in range(100):
        for name in LANES:
            lanes.put(name, number, name)
    served = [lanes.next() for _ in range(100)]
    assert served[:9] == ["hot"] * 9
    assert {name: served.count(name) for name in LANES} == {"hot": 81, "retry": 10, "cold": 9}


def test_a_lane_that_is_closed_is_not_served() -> None:
    lanes: Lanes[str] = Lanes(LANES, patience=1)
    lanes.put("hot", 1, "first")
    lanes.put("cold", 2, "second")
    assert lanes.next({"hot"}) == "second"
    assert lanes.next({"hot"}) is None
    assert lanes.next() == "first"


def test_what_comes_back_is_the_first_of_its_lane() -> None:
    lanes: Lanes[int] = Lanes(LANES, patience=1)
    for number in range(5):
        lanes.put("hot", number, number)
    first = lanes.next()
    assert first == 0
    lanes.put("hot", 0, first)
    assert [lanes.next() for _ in range(6)] == [0, 1, 2, 3, 4, None]


def test_what_is_not_wanted_any_more_is_dropped() -> None:
    lanes: Lanes[int] = Lanes(LANES, patience=1)
    for number in range(6):
        lanes.put(LANES[number % 3], number, number)
    lanes.drop(lambda number: number < 4)
    assert sorted(filter(None, (lanes.next() for _ in range(6)))) == [4, 5]


@pytest.mark.shows("S1-TRIG-05")
@given(
    st.lists(st.tuples(st.sampled_from(LANES), st.booleans()), max_size=120),
    st.integers(1, 5),
)
def test_no_lane_waits_for_ever_and_nothing_is_lost(steps: list[tuple[str, bool]], patience: int) -> None:
    lanes: Lanes[tuple[str, int]] = Lanes(LANES, patience=patience)
    inside: dict[str, list[int]] = {name: [] for name in LANES}
    passed = dict.fromkeys(LANES, 0)
    for number, (lane, put) in enumerate(steps):
        if put:
            lanes.put(lane, number, (lane, number))
            inside[lane].append(number)
            continue
        served = lanes.next()
        assert (served is None) == (not any(inside.values()))
        if served is None:
            continue
        assert served[1] == inside[served[0]].pop(0), "first in, first out within a lane"
        for name in LANES:
            passed[name] = 0 if name == served[0] or not inside[name] else passed[name] + 1
            assert passed[name] <= patience + len(LANES)


def test_pauses_have_reasons_of_their_own() -> None:
    pauses = Pauses()
    pauses.pause("mode")
    pauses.pause("breaker", until=10)
    pauses.pause("budget", until=20, topics=frozenset({"cold"}))
    assert pauses.reasons == {"mode", "breaker", "budget"}
    assert pauses.next_end == 10
    pauses.expire(10)
    pauses.resume("mode")
    pauses.resume("never heard of")
    assert (pauses.holds("hot"), pauses.holds("cold")) == (False, True)
    pauses.pause("budget", until=15, topics=frozenset({"cold"}))
    pauses.expire(15)
    assert not pauses.holds("cold")
    assert pauses.next_end == math.inf


def a_record(topic: str = "hot", *headers: tuple[str, bytes], value: bytes = b"text") -> Record:
    return Record(topic, 2, 17, b"key", value, headers)


def read(message: Message) -> Record:
    return ROUTE.counted(Record(message.topic, 0, 0, message.key, message.value, message.headers))


def later(record: Record, failure: Failure, now_ms: int = NOW) -> Record:
    (message,) = ROUTE.after(record, failure, now_ms)
    return read(message)


@pytest.mark.shows("S1-EVT-03", "S1-ORCH-04")
@pytest.mark.parametrize(
    ("topic", "said", "attempt"),
    [
        ("hot", [], 1),
        ("hot", [b"1"], 2),
        ("hot", [b"2", b"1"], 2),
        ("retry.soon", [b"1"], 2),
        ("retry.late", [b"2"], 3),
        # copied by hand into a retry topic: its place says more than what it lacks
        ("retry.soon", [], 2),
        ("retry.late", [], 3),
        ("retry.late", [b"1"], 3),
        # a dead letter that somebody put back
        ("hot", [b"3"], 4),
        ("retry.soon", [b"3"], 4),
        ("hot", [b"1000"], 1001),
        *[("hot", [said], 1) for said in (b"1001", b"9" * 15, b"9" * 5_000)],
        *[("hot", [said], 1) for said in (b"", b"-1", b"1.5", b"1e2", b" 1", b"\xff", "٣".encode(), b"one")],
        ("retry.soon", [b"9" * 5_000], 2),
    ],
)
def test_the_bus_counts_the_attempts_once_for_all(topic: str, said: list[bytes], attempt: int) -> None:
    headers = [("veriramp-attempt", value) for value in said]
    record = ROUTE.counted(a_record(topic, TRACE, *headers))
    assert record.attempt == attempt
    (message,) = ROUTE.after(record, Failure("E", ""), NOW)
    assert dict(message.headers)["veriramp-attempt"] == str(attempt).encode()
    assert message.topic == ("retry.soon", "retry.late", "dead")[min(attempt, 3) - 1]
    (letter,) = ROUTE.after(record, Failure("E", "", final=True), NOW)
    bare = ROUTE.without_value(record, Failure("E", ""))
    assert dict(letter.headers)["veriramp-attempt"] == dict(bare.headers)["veriramp-attempt"] == str(attempt).encode()


def test_a_failed_record_takes_the_way_through_the_retry_topics_to_the_dead_letters() -> None:
    record, seen = a_record("hot", TRACE), []
    for attempt in range(3):
        record = later(record, Failure("ValueError", f"reason {attempt}"))
        headers = dict(record.headers)
        seen.append((record.topic, headers["veriramp-attempt"], not_before_ms(record)))
        assert headers["traceparent"] == b"00-1"
        assert headers["veriramp-origin-topic"] == b"hot"
        assert headers["veriramp-error-class"] == b"ValueError"
        assert headers["veriramp-reason"] == f"reason {attempt}".encode()
        assert len(headers) == len(record.headers), "each header once"
    assert seen == [
        ("retry.soon", b"1", NOW + 60_000),
        ("retry.late", b"2", NOW + 600_000),
        ("dead", b"3", 0),
    ]
    assert (record.key, record.value) == (b"key", b"text")
    assert dict(record.headers)["veriramp-source"] == b"retry.late/0@0"


def test_poison_goes_to_the_dead_letters_at_once_and_says_where_it_was() -> None:
    (letter,) = ROUTE.after(a_record(), Failure("PoisonError", "no JSON", final=True), NOW)
    assert letter.topic == "dead"
    assert dict(letter.headers)["veriramp-source"] == b"hot/2@17"


def test_last_words_are_published_with_the_dead_letter_only() -> None:
    failure = Failure("RetryLaterError", "away", last=(Message("failed", b"key", b"gave up"),))
    first = ROUTE.after(a_record(), failure, NOW)
    assert [message.topic for message in first] == ["retry.soon"]
    at_the_end = ROUTE.after(ROUTE.counted(a_record("retry.late")), failure, NOW)
    assert [message.topic for message in at_the_end] == ["failed", "dead"]


def test_a_record_that_goes_back_keeps_its_attempts() -> None:
    retried = later(later(a_record("cold"), Failure("E", "")), Failure("E", ""))
    assert retried.origin == "cold"
    back = ROUTE.back_to_origin(retried)
    assert (back.topic, dict(back.headers)["veriramp-attempt"]) == ("cold", b"2")
    assert later(read(back), Failure("E", "")).topic == "dead"


def deferred(record: Record, seconds: float, now_ms: int = NOW) -> Record:
    return read(ROUTE.later(record, DEFERRED, seconds, "no budget", now_ms))


def test_a_record_that_is_deferred_is_as_often_tried_as_before_and_knows_since_when_it_waits() -> None:
    retried = later(ROUTE.counted(a_record("cold", TRACE)), Failure("E", "first"))
    first = deferred(retried, 50.0)
    again = deferred(first, 86_400.0, NOW + 60_000)
    assert [(one.topic, one.attempt) for one in (retried, first, again)] == [
        ("retry.soon", 2),
        ("deferred", 2),
        ("deferred", 2),
    ]
    assert [not_before_ms(one) - NOW for one in (first, again)] == [50_000, 660_000], "the topic's delay at most"
    headers = dict(again.headers)
    assert len(headers) == len(again.headers), "each header once"
    assert headers["veriramp-deferred-since"] == str(NOW).encode()
    assert (headers["veriramp-origin-topic"], headers["veriramp-reason"]) == (b"cold", b"no budget")
    assert (headers["veriramp-source"], headers["traceparent"]) == (b"deferred/0@0", b"00-1")
    failed = later(again, Failure("E", "second"))
    assert (failed.topic, failed.attempt) == ("retry.late", 3)
    assert "veriramp-deferred-since" not in dict(failed.headers), "it was paid for"
    assert dict(failed.headers)["veriramp-origin-topic"] == b"cold"


@pytest.mark.parametrize("topic", ["hot", "retry.late"])
def test_a_record_of_any_topic_keeps_its_attempts_when_it_is_deferred(topic: str) -> None:
    record = ROUTE.counted(a_record(topic))
    assert deferred(record, -1.0).attempt == record.attempt
    assert not_before_ms(deferred(record, -1.0)) == NOW


@pytest.mark.parametrize("text", [b"", b"soon", b"-5", b"1e9", b"9" * 16, b"\xff", "٣".encode()])
def test_headers_that_cannot_be_read_do_no_harm(text: bytes) -> None:
    record = ROUTE.counted(a_record("retry.soon", ("veriramp-not-before", text), ("veriramp-attempt", text)))
    assert not_before_ms(record) == 0
    assert later(record, Failure("E", "")).topic == "retry.late"


def test_a_dead_letter_without_its_value_says_how_much_is_missing() -> None:
    letter = ROUTE.without_value(a_record("hot", ("big", b"x" * 1000), value=b"y" * 5000), Failure("E", "too large"))
    assert (letter.value, letter.key) == (b"", b"key")
    assert "big" not in dict(letter.headers)
    assert dict(letter.headers)["veriramp-left-out-bytes"] == b"5000"


def test_a_very_long_reason_is_cut() -> None:
    assert len(dict(later(a_record(), Failure("E", "é" * 5000)).headers)["veriramp-reason"]) == 2000


def test_a_poll_must_fit_into_the_window() -> None:
    with pytest.raises(ValueError, match="max_poll_records is 11; write 1 to window"):
        BusSettings(KafkaSettings(""), "group", ("hot",), "dead", window=10, max_poll_records=11)


def test_with_a_broker_that_hangs_all_waits_at_the_end_are_shorter_than_25_seconds() -> None:
    drain = BusSettings(KafkaSettings(""), "group", ("hot",), "dead").drain_seconds + dispatcher._CANCEL_SECONDS
    leave = 2 * (kafka._STOP_SECONDS + waits._LAST_SECONDS)
    assert kafka._POLL_PATIENCE + drain + kafka._COMMIT_PATIENCE + leave < 25
