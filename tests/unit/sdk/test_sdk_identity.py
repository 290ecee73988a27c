"""Who a chunk and a finding are: equal exactly when every part is."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pipeline import a_request
from tests.unit.sdk.test_event_schemas import example
from veriramp_sdk.events import (
    PERIOD_MS,
    Verdict,
    VerificationComplete,
    VerifyChunk,
    chunk_key,
    chunk_key_of,
    content_hash,
    event_id,
)
from veriramp_sdk.message import request_of
from veriramp_sdk.selection import FRESH_MS, Chunk

MONDAY_MS = 1_790_000_000_000
WEEK_MS = 7 * 24 * 3600 * 1000

# Few signs, most of them separators of some notation, so that different parts often look alike when joined.
sly = st.text(alphabet='|",[]\\+/ a\u0000', max_size=4)
ids = st.text(alphabet='",[]\\+/ a', max_size=3)
times = st.integers(min_value=10**11, max_value=10**14 - 1)


@st.composite
def findings(draw: st.DrawFn) -> dict[str, Any]:
    """What makes a finding, part by part."""
    return {
        "org": draw(ids),
        "document": draw(ids),
        "block": draw(sly),
        "content": draw(st.sampled_from(["a", "a|", "b"])),
        "premises": tuple(draw(st.lists(sly, max_size=3))),
        "verifier": draw(sly),
        "verifier_version": draw(sly),
        "formaliser_version": draw(sly),
        "verdict": draw(st.sampled_from(Verdict)),
        "enqueued_at_ms": draw(times),
    }


def requested(parts: dict[str, Any]) -> VerifyChunk:
    org, document, block, content = (parts[name] for name in ("org", "document", "block", "content"))
    return request_of(Chunk(org, document, block, content, parts["premises"]), parts["enqueued_at_ms"])


def id_of(parts: dict[str, Any]) -> str:
    who = {name: parts[name] for name in ("verifier", "verifier_version", "formaliser_version")}
    return event_id(requested(parts), parts["verdict"], **who)


def in_weeks(parts: dict[str, Any]) -> dict[str, Any]:
    return parts | {"enqueued_at_ms": parts["enqueued_at_ms"] // WEEK_MS}


def a_finding() -> dict[str, Any]:
    return {
        "org": "org",
        "document": "document",
        "block": "0",
        "content": "The mill is red.",
        "premises": ("The mill is old.", "The dam is old."),
        "verifier": "embedded",
        "verifier_version": "1",
        "formaliser_version": "2",
        "verdict": Verdict.ENTAILED,
        "enqueued_at_ms": MONDAY_MS,
    }


@pytest.mark.shows("S1-EVT-02")
@given(findings(), findings())
def test_two_findings_have_one_id_exactly_when_every_part_is_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (id_of(one) == id_of(other)) == (in_weeks(one) == in_weeks(other))


@pytest.mark.shows("S1-EVT-02", "S1-TRIG-04")
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("org", "other"),
        ("document", "other"),
        ("block", "1"),
        ("content", "The mill is blue."),
        ("premises", ()),
        ("premises", ("The mill is old.",)),
        ("premises", ("The mill is old.The dam is old.",)),
        ("premises", ("The dam is old.", "The mill is old.")),
        ("verifier", "hupyy"),
        ("verifier_version", "2"),
        ("formaliser_version", "3"),
        ("verdict", Verdict.UNDETERMINED),
        ("enqueued_at_ms", MONDAY_MS + FRESH_MS),
    ],
)
def test_each_part_makes_another_finding(part: str, value: object) -> None:
    assert id_of(a_finding() | {part: value}) != id_of(a_finding())


@given(findings(), st.data())
def test_what_touches_in_two_parts_is_not_moved_from_one_to_the_other(
    parts: dict[str, Any], data: st.DataObject
) -> None:
    names = ("verifier", "verifier_version", "formaliser_version")
    joined = data.draw(st.sampled_from(["|", "+", "/", '","', '", "'])).join(parts[name] for name in names)
    cut = data.draw(st.integers(0, len(joined)))
    moved = parts | {"verifier": joined[:cut], "verifier_version": joined[cut:], "formaliser_version": ""}
    assert (id_of(parts) == id_of(moved)) == all(parts[name] == moved[name] for name in names)


@pytest.mark.shows("S1-EVT-02")
def test_an_id_is_a_uuid5_and_what_only_tells_about_the_request_has_no_part_in_it() -> None:
    request = a_request("The mill is red.")
    who = {"verifier": "embedded", "verifier_version": "1", "formaliser_version": "1"}
    known = event_id(request, Verdict.ENTAILED, **who)
    assert uuid.UUID(known).version == 5
    other = request.model_copy(
        update={"query_id": "q", "lane": "backfill", "rollout": "a/b", "revision": 7, "schema_version": "1.7"}
    )
    assert event_id(other, Verdict.ENTAILED, **who) == known


@pytest.mark.shows("S1-TRIG-04")
@given(asked=times, later=st.integers(min_value=0, max_value=PERIOD_MS - 1))
def test_what_is_asked_anew_when_the_verdict_is_no_longer_fresh_is_another_finding(asked: int, later: int) -> None:
    first = id_of(a_finding() | {"enqueued_at_ms": asked})
    assert id_of(a_finding() | {"enqueued_at_ms": asked + FRESH_MS + later}) != first
    start = asked - asked % PERIOD_MS
    assert id_of(a_finding() | {"enqueued_at_ms": start + later}) == first, "copies within the week count once"


@pytest.mark.shows("S1-EVT-01", "S1-SEC-03")
@given(ids, ids, sly, ids, ids, sly)
def test_two_chunks_have_one_key_only_when_all_their_ids_are_the_same(
    org: str, document: str, block: str, org2: str, document2: str, block2: str
) -> None:
    same = (org, document, block) == (org2, document2, block2)
    assert (chunk_key(org, document, block, "text") == chunk_key(org2, document2, block2, "text")) == same


@pytest.mark.shows("S1-SEC-03")
@pytest.mark.parametrize(("org", "document"), [("a|b", "c"), ("a", "b|c")])
def test_ids_that_could_be_those_of_another_tenants_chunk_are_refused(org: str, document: str) -> None:
    with pytest.raises(ValueError, match=r"has a '\|', which separates the parts of keys; leave it out"):
        chunk_key_of(org, document, "0", content_hash("text"))


@pytest.mark.shows("S1-EVT-02")
def test_the_formula_has_not_changed() -> None:
    """A change makes every finding a new one: sinks count what they have once more. So it needs a decision record."""
    answer = VerificationComplete.model_validate_json(json.dumps(example("verification_complete")))
    request = VerifyChunk.model_validate_json(json.dumps(example("verify_chunks")))
    who = {"verifier": "embedded", "verifier_version": "1", "formaliser_version": "1"}
    assert answer.event_id == event_id(request, answer.verdict, **who) == "67c5615d-1536-5b35-bbb2-a187a53c39ce"
