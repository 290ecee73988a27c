"""The trigger: how much it asks for, and that it never stands in the way of a search."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.trigger_rig import Decided, Rig, Wire, chunks
from tests.support.waiting import wait_for
from tests.unit.sdk.test_sdk_events import a_verdict
from veriramp_sdk.contract import Mode
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import MAX_CONTENT, chunk_key, content_hash
from veriramp_sdk.pending import PENDING_SECONDS, REPEAT_SECONDS
from veriramp_sdk.selection import FRESH_MS
from veriramp_sdk.trigger import BATCH, Chunk, Known, VerificationTrigger
from veriramp_sdk.trigger_queue import MAX_CHARACTERS

ON = FlagState("uid", 7, Mode.LIVE, 0.5, 10)


def key_of(chunk: Chunk) -> str:
    return chunk_key(chunk.org_id, chunk.document_id, chunk.block_id, chunk.content)


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.shows("S1-TRIG-02", "S1-TRIG-03", "S1-EVT-01")
async def test_it_asks_for_the_first_top_k_in_one_batch() -> None:
    rig = Rig()
    async with rig.trigger:
        assert rig.trigger.offer(Decided(top_k=3), chunks(10), "query", traceparent=TRACE) == 3
        await rig.until(lambda: len(rig.wire.sent) == 3, "three requests")
    assert len(rig.wire.batches) == 1
    message, request = rig.wire.batches[0][0], rig.wire.sent[0]
    assert message.topic == "verify_chunks.interactive"
    assert message.key == request.key()
    assert message.headers == (("traceparent", TRACE.encode()),)
    assert (request.document_id, request.content, request.premises) == ("doc-0", "text 0", ("a premise",))
    assert (request.query_id, request.rollout, request.revision) == ("query", "search/demo", 7)
    assert (request.enqueued_at_ms, request.lane) == (rig.clock.ms, "interactive")
    assert (rig.chunks("queued"), rig.chunks("sent")) == (3, 3)
    assert rig.metric("queries_total", outcome="sampled") == 1
    assert rig.wire.closed


@pytest.mark.shows("S1-FLAG-05")
@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (Decided(verify=False), "unsampled"),
        (Decided(mode=Mode.OFF), "off"),
        (Decided(top_k=0), "unsampled"),
        (Decided(top_k=-1), "unsampled"),
    ],
)
def test_it_asks_for_nothing_when_the_decision_does_not_verify(decision: Decided, outcome: str) -> None:
    rig = Rig()
    assert rig.trigger.offer(decision, chunks(5)) == 0
    assert rig.metric("queries_total", outcome=outcome) == 1
    assert rig.metric("queue_chunks") == 0


@pytest.mark.shows("S1-FLAG-05")
@pytest.mark.parametrize("state", [FlagState(), FlagState("uid", 8, Mode.LIVE, 0.0, 10)])
async def test_what_waits_is_not_sent_once_it_is_off(state: FlagState) -> None:
    now_in_force = [ON]
    rig = Rig(in_force=lambda: now_in_force[0])
    rig.trigger.offer(Decided(), chunks(4))
    now_in_force[0] = state
    async with rig.trigger:
        await rig.until(lambda: rig.dropped("off") == 4, "four to be let go")
        now_in_force[0] = ON
        assert rig.trigger.offer(Decided(), chunks(2)) == 2, "nothing is in progress any more"
        await rig.until(lambda: len(rig.wire.sent) == 2, "two requests")


async def test_when_it_cannot_be_told_what_is_in_force_it_is_off(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> FlagState:
        raise RuntimeError("no flags here")

    rig = Rig(in_force=broken)
    async with rig.trigger:
        rig.trigger.offer(Decided(), chunks(4))
        await rig.until(lambda: rig.dropped("off") == 4, "four to be let go")
    assert "no flags here" in caplog.text


@pytest.mark.shows("S1-TRIG-04")
def test_fresh_verdicts_are_not_asked_for_again() -> None:
    rig = Rig()

    def verified(age_ms: int, **other: str) -> list[Chunk]:
        return [
            Chunk("org", "doc", "0", "a text", known=Known(
                other.get("digest", content_hash("a text")), other.get("verifier", "z3/1+1"), rig.clock.ms - age_ms
            ))
        ]  # fmt: skip

    assert rig.trigger.offer(Decided(), verified(FRESH_MS)) == 0
    assert rig.chunks("fresh") == 1
    for stale in (verified(FRESH_MS + 1), verified(0, digest="b" * 64)):
        assert rig.trigger.offer(Decided(), stale) == 1
        rig.clock.now += PENDING_SECONDS
    event = a_verdict().model_copy(update={"verifier": "z3", "verifier_version": "2", "verified_at_ms": rig.clock.ms})
    rig.trigger.answered(event)
    rig.trigger.answered(event.model_copy(update={"verifier_version": "1", "verified_at_ms": rig.clock.ms - 1}))
    ahead = rig.clock.ms + 400 * 86_400_000
    rig.trigger.answered(event.model_copy(update={"verifier_version": "1", "verified_at_ms": ahead}))
    assert rig.trigger.offer(Decided(), verified(0)) == 1, "the verifier of the newest verdict is another one"


@pytest.mark.shows("S1-TRIG-04")
def test_a_time_in_seconds_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    mixed_up = chunks(3, known=Known("a" * 64, "z3", int(rig.clock.now)))
    assert rig.trigger.offer(Decided(), mixed_up) == 0
    assert rig.dropped("invalid") == 3
    assert caplog.text.count("write seconds times 1000") == 1


@pytest.mark.shows("S1-TRIG-04")
async def test_an_old_verdict_on_the_same_content_asks_for_a_newer_one() -> None:
    rig = Rig()
    old = rig.clock.ms - FRESH_MS - 1
    same, edited = Known(content_hash("text"), "z3", old), Known(content_hash("old text"), "z3", old)
    found = [Chunk("org", f"doc-{place}", "0", "text", known=known) for place, known in enumerate((same, edited, None))]
    async with rig.trigger:
        rig.trigger.offer(Decided(), found)
    asked = {request.document_id: request.newer_than_ms for request in rig.wire.sent}
    assert asked == {"doc-0": old, "doc-1": None, "doc-2": None}


@pytest.mark.shows("S1-TRIG-05")
async def test_the_lane_is_the_topic() -> None:
    rig = Rig()
    old = rig.clock.ms - FRESH_MS - 1
    found = [
        Chunk("org", f"doc-{place}", "0", "text", score=10.0 - place, known=Known(content_hash("text"), "z3", old))
        for place in range(10)
    ]
    async with rig.trigger:
        rig.trigger.offer(Decided(), found)
        await rig.until(lambda: len(rig.wire.sent) == 10, "ten requests")
    lanes = [(one.topic, request.lane) for one, request in zip(rig.wire.batches[0], rig.wire.sent, strict=True)]
    assert lanes == [("verify_chunks.interactive", "interactive")] * 3 + [("verify_chunks.backfill", "backfill")] * 7


@pytest.mark.shows("S1-TRIG-06")
async def test_a_request_in_progress_is_not_repeated() -> None:
    rig = Rig()
    found = chunks(2)
    key = key_of(found[0])
    assert [rig.trigger.offer(Decided(), found) for _ in range(3)] == [2, 0, 0]
    assert rig.chunks("pending") == 4
    assert rig.trigger.is_pending(key)
    assert rig.metric("pending_chunks") == 2
    rig.trigger.answered(a_verdict().model_copy(update={"chunk_key": key}))
    assert not rig.trigger.is_pending(key)
    rig.clock.now += REPEAT_SECONDS
    assert rig.trigger.offer(Decided(), found) == 1, "the answered one has no fresh verdict here, the other is pending"
    rig.clock.now += PENDING_SECONDS
    assert rig.trigger.offer(Decided(), found) == 2


@pytest.mark.shows("S1-TRIG-01")
def test_a_full_queue_drops_and_counts() -> None:
    rig = Rig(capacity=4)
    assert rig.trigger.offer(Decided(), chunks(10)) == 4
    assert rig.dropped("full") == 6
    assert not rig.trigger.is_pending(key_of(chunks(10)[9]))
    assert rig.trigger.offer(Decided(), chunks(10)[5:]) == 0, "full: asked for the least, and that is dropped"
    assert rig.dropped("full") == 7
    assert rig.chunks("spared") == 4
    with pytest.raises(ValueError, match="capacity 0"):
        Rig(capacity=0)


@pytest.mark.shows("S1-TRIG-01")
def test_long_texts_cannot_fill_the_memory() -> None:
    rig = Rig(capacity=1_000)
    long = MAX_CHARACTERS // 4
    found = [Chunk("org", f"doc-{number}", "0", "short", ("x" * long,)) for number in range(10)]
    assert rig.trigger.offer(Decided(), found) == 3
    assert rig.dropped("full") == 7


@pytest.mark.shows("S1-TRIG-03")
def test_backlog_and_budget_ask_for_fewer() -> None:
    rig = Rig(capacity=20)
    assert rig.trigger.offer(Decided(), chunks(10)) == 10
    later = [Chunk("org", f"other-{number}", "0", "text") for number in range(10)]
    assert rig.trigger.offer(Decided(), later[:5]) == 5, "half full: all"
    assert rig.trigger.offer(Decided(), later[5:] + chunks(5)) == 5, "three quarters full: half of them"
    assert rig.chunks("spared") == 5
    left = [0.3]
    thrifty = Rig(share=lambda: left[0])
    assert thrifty.trigger.offer(Decided(), chunks(10)) == 3
    left[0] = 0.0
    assert thrifty.trigger.offer(Decided(), chunks(10)[3:]) == 0
    clear = [Chunk("org", f"doc-{place}", "0", "text", score=100.0 if place == 0 else 1.0) for place in range(10)]
    assert Rig(fewest=2).trigger.offer(Decided(), clear) == 2


@pytest.mark.shows("S1-TRIG-01")
async def test_a_failing_transport_is_logged_and_the_next_batch_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Wire(failures=1))
    first, second = chunks(BATCH + 5)[:BATCH], chunks(BATCH + 5)[BATCH:]
    rig.trigger.offer(Decided(top_k=BATCH), first)
    rig.trigger.offer(Decided(top_k=BATCH), second)
    async with rig.trigger:
        await rig.until(lambda: len(rig.wire.sent) == 5, "the second batch")
    assert (rig.chunks("sent"), rig.dropped("failed")) == (5, BATCH)
    assert "the broker is away" in caplog.text
    assert not rig.trigger.is_pending(key_of(first[0])), "it may be asked for at the next search"


@pytest.mark.shows("S1-TRIG-01")
async def test_a_transport_that_hangs_is_given_up_and_the_end_is_bounded() -> None:
    rig = Rig(Wire(hanging=True), send_seconds=0.01, flush_seconds=0.05)
    async with rig.trigger:
        rig.trigger.offer(Decided(), chunks(4))
        await rig.until(lambda: rig.dropped("failed") == 4, "the batch to be given up")
    stuck = Rig(Wire(hanging=True), flush_seconds=0.05)
    async with stuck.trigger:
        stuck.trigger.offer(Decided(), chunks(4))
        await stuck.until(lambda: stuck.wire.tried == 1, "the transport to hang")
        stuck.trigger.offer(Decided(), chunks(9)[4:])
    assert stuck.dropped("shutdown") == 9
    assert stuck.trigger.offer(Decided(), chunks(20)[10:]) == 0, "closed"
    assert stuck.dropped("shutdown") == 19


@pytest.mark.shows("S1-TRIG-01")
async def test_the_end_sends_what_waits() -> None:
    rig = Rig()
    async with rig.trigger:
        rig.trigger.offer(Decided(top_k=80), chunks(80))
    assert len(rig.wire.sent) == 80


@pytest.mark.parametrize(
    ("what", "chunk", "reason"),
    [
        ("empty", Chunk("org", "doc", "0", ""), "invalid"),
        ("no Unicode", Chunk("org", "doc", "0", "a \ud800 b"), "invalid"),
        ("no Unicode in a premise", Chunk("org", "doc", "0", "a", ("\ud800",)), "invalid"),
        ("an id of two parts", Chunk("org|doc", "1", "0", "a"), "invalid"),
        ("too long a text", Chunk("org", "doc", "0", "x" * (MAX_CONTENT + 1)), "large"),
        ("too long a message", Chunk("org", "doc", "0", "x", ("y" * 950_000,)), "large"),
        ("no text at all", Chunk("org", "doc", "0", None), "invalid"),  # type: ignore[arg-type]
        ("a number for a text", Chunk("org", "doc", "0", 5), "invalid"),  # type: ignore[arg-type]
        ("no organisation", Chunk(None, "doc", "0", "a"), "invalid"),  # type: ignore[arg-type]
        ("no premises at all", Chunk("org", "doc", "0", "a", None), "invalid"),  # type: ignore[arg-type]
        ("a premise without a text", Chunk("org", "doc", "0", "a", (None,)), "invalid"),  # type: ignore[arg-type]
        ("a text for the premises", Chunk("org", "doc", "0", "a", "The mill is red."), "invalid"),  # type: ignore[arg-type]
        ("a score in words", Chunk("org", "doc", "0", "a", score="high"), "invalid"),  # type: ignore[arg-type]
        ("a number for a hash", Chunk("org", "doc", "0", "a", content_hash=5), "invalid"),  # type: ignore[arg-type]
        ("the hash of another text", Chunk("org", "doc", "0", "a", content_hash=content_hash("b")), "invalid"),
        ("no known verdict", Chunk("org", "doc", "0", "a", known="yes"), "invalid"),  # type: ignore[arg-type]
        ("no chunk", None, "invalid"),
        ("another thing", {"org_id": "org"}, "invalid"),
    ],
)
async def test_a_chunk_that_cannot_be_asked_for_harms_nobody(what: str, chunk: Chunk, reason: str) -> None:
    rig = Rig(fewest=10)
    async with rig.trigger:
        rig.trigger.offer(Decided(), [*chunks(1), chunk, *chunks(3)[1:]])
        await rig.until(lambda: len(rig.wire.sent) == 3, "the good ones")
    assert rig.dropped(reason) == 1, what
    assert rig.metric("pending_chunks") == 3


@pytest.mark.parametrize(
    ("chunk", "sentence"),
    [
        (None, "a result of type NoneType is no Chunk"),
        (Chunk("org", "doc", "7", "SECRET", "SECRET"), "premises of type str; write a tuple of texts"),  # type: ignore[arg-type]
        (Chunk("org", "doc", "7", "SECRET", content_hash="A" * 64), "content_hash: String should match pattern"),
        (Chunk("org", "doc", "7", "SECRET", content_hash="a" * 64), "content_hash is not the sha256 of content"),
        (Chunk("org", "doc", "7", "SECRET", ("SECRET \ud800",)), "surrogates not allowed"),
    ],
)
async def test_what_is_wrong_with_a_chunk_is_told_in_one_line_without_its_text(
    caplog: pytest.LogCaptureFixture, chunk: Any, sentence: str
) -> None:
    rig = Rig()
    async with rig.trigger:
        rig.trigger.offer(Decided(), [chunk])
        await rig.until(lambda: rig.dropped("invalid") == 1, "the refusal")
    (line,) = [record.getMessage() for record in caplog.records]
    assert sentence in line
    assert chunk is None or "chunk '7' of document 'doc'" in line
    assert "SECRET" not in line
    assert "http" not in line
    assert len(line.splitlines()) == 1


def test_results_that_fail_do_not_fail_the_search() -> None:
    def failing() -> Any:
        yield chunks(1)[0]
        raise RuntimeError("the index is gone")

    rig = Rig()
    assert rig.trigger.offer(Decided(), failing()) == 0
    assert rig.dropped("invalid") == 1


async def test_long_texts_are_hashed_beside_the_search() -> None:
    rig = Rig()
    found = [Chunk("org", f"doc-{number}", "0", "長" * 15_000) for number in range(3)]
    async with rig.trigger:
        assert [rig.trigger.offer(Decided(), found) for _ in range(2)] == [3, 2], "the first was hashed in the search"
        await rig.until(lambda: len(rig.wire.sent) == 3, "three requests")
        await rig.until(lambda: rig.chunks("pending") == 3, "the repeated ones to be noticed")
    fresh = Rig()
    known = Known(content_hash("長" * 15_000), "z3", fresh.clock.ms)
    given = [Chunk("org", "doc", "0", "長" * 15_000, content_hash=known.content_hash, known=known)] * 3
    assert fresh.trigger.offer(Decided(), given) == 0, "a hash that is given is looked at in the search"


@pytest.mark.parametrize("header", ["", "secret", TRACE + "\n", TRACE.upper(), "ü" * 55])
async def test_only_a_trace_goes_into_the_header(header: str) -> None:
    rig = Rig()
    async with rig.trigger:
        rig.trigger.offer(Decided(), chunks(1), traceparent=header)
        await rig.until(lambda: len(rig.wire.sent) == 1, "the request")
    assert rig.wire.batches[0][0].headers == ()


def test_a_program_without_a_loop_and_with_many_threads() -> None:
    rig = Rig(capacity=2_000)

    def search(thread: int) -> None:
        for number in range(50):
            found = [Chunk("org", f"doc-{thread}-{number}-{place}", "0", "text") for place in range(4)]
            rig.trigger.offer(Decided(), found)

    with rig.trigger:
        searches = [threading.Thread(target=search, args=(number,)) for number in range(4)]
        for one in searches:
            one.start()
        for one in searches:
            one.join()
        wait_for(lambda: len(rig.wire.sent) == 800, 10, "every request")
    assert rig.wire.closed
    assert len({request.chunk_key for request in rig.wire.sent}) == 800


def test_two_rollouts_share_a_registry() -> None:
    registry = CollectorRegistry()
    for name in ("search/one", "search/two"):
        VerificationTrigger(Wire(), rollout=name, registry=registry).offer(Decided(), chunks(2))
    for name in ("one", "two"):
        labels = {"namespace": "search", "rollout": name, "outcome": "queued"}
        assert registry.get_sample_value("veriramp_trigger_chunks_total", labels) == 2
