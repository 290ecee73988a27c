"""Wire events: identity, round trips, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pipeline import a_request
from veriramp_sdk.events import (
    UnreadableEventError,
    Verdict,
    VerificationComplete,
    VerificationFailed,
    VerifyChunk,
    chunk_key,
    content_hash,
    event_id,
    parse_event,
)

texts = st.text(min_size=1, max_size=80)


def a_verdict() -> VerificationComplete:
    request = a_request("The mill is red.")
    return VerificationComplete(
        **request.model_dump(include={"chunk_key", "org_id", "document_id", "block_id", "content_hash"}),
        event_id=event_id(request, Verdict.ENTAILED, verifier="test", verifier_version="1", formaliser_version="1"),
        verdict=Verdict.ENTAILED,
        signal=1.0,
        check_sat_result="sat",
        solver_success=True,
        smt_lib_code="(check-sat)",
        solver_execution_time_seconds=0.01,
        total_time_seconds=0.02,
        verifier="test",
        verifier_version="1",
        formaliser_version="1",
        verified_at_ms=1,
    )


@pytest.mark.shows("S1-EVT-01", "S1-SEC-03")
def test_the_chunk_key_is_what_the_specification_says() -> None:
    inner = hashlib.sha256(b"text").hexdigest()
    assert (
        chunk_key("org", "record", "block", "text") == hashlib.sha256(f"org|record|block|{inner}".encode()).hexdigest()
    )


@pytest.mark.shows("S1-EVT-01", "S1-EVT-05")
@given(content=texts, premises=st.lists(texts, max_size=3))
def test_a_request_survives_the_wire(content: str, premises: list[str]) -> None:
    request = a_request(content, *premises)
    assert parse_event(VerifyChunk, request.to_bytes()) == request
    assert request.key() == request.chunk_key.encode()


@pytest.mark.shows("S1-EVT-02", "S1-EVT-03", "S1-EVT-05")
def test_a_verdict_and_a_failure_survive_the_wire() -> None:
    verdict = a_verdict()
    assert parse_event(VerificationComplete, verdict.to_bytes()) == verdict
    failed = VerificationFailed(
        **a_request("text").model_dump(), error="no", error_class="Gone", retryable=True, failed_at_ms=1
    )
    assert parse_event(VerificationFailed, failed.to_bytes()) == failed


def test_unknown_fields_and_newer_minor_versions_are_ignored() -> None:
    request = a_request("text")
    newer = json.loads(request.to_bytes()) | {"schema_version": "1.7", "mood": "good"}
    assert parse_event(VerifyChunk, json.dumps(newer).encode()).content == "text"


@pytest.mark.shows("S1-EVT-01")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": "2.0"}, "'2.0' is not supported"),
        ({"content": ""}, "content"),
        ({"content": "other"}, "content_hash is not the sha256"),
        ({"document_id": "other"}, "chunk_key is not"),
        ({"enqueued_at_ms": -1}, "enqueued_at_ms"),
        ({"enqueued_at_ms": 1_790_000_000}, "enqueued_at_ms 1790000000 is no time in milliseconds since the epoch"),
        ({"enqueued_at_ms": 1_790_000_000_000_000}, "1790000000000000 is no time in milliseconds"),
        ({"org_id": "a|b"}, r"org_id: 'a\|b' has a '\|', which separates the parts of keys; leave it out"),
        ({"document_id": "a|b"}, r"document_id: 'a\|b' has a '\|', which separates"),
        ({"enqueued_at_ms": 2**53}, "enqueued_at_ms: Input should be less than or equal to 9007199254740991"),
        ({"enqueued_at_ms": 10**400}, "enqueued_at_ms: Input should be less than or equal to 9007199254740991"),
        ({"chunk_key": "short"}, "chunk_key"),
    ],
)
def test_wrong_messages_are_refused_with_the_field(change: dict[str, object], sentence: str) -> None:
    fields = json.loads(a_request("text").to_bytes()) | change
    with pytest.raises(UnreadableEventError, match=sentence):
        parse_event(VerifyChunk, json.dumps(fields).encode())


@given(st.binary(max_size=40))
def test_bytes_that_are_no_event_are_refused(value: bytes) -> None:
    with pytest.raises(UnreadableEventError):
        parse_event(VerifyChunk, value)


def test_content_hash_is_of_the_utf8_text() -> None:
    assert content_hash("é") == hashlib.sha256("é".encode()).hexdigest()
