"""The published schemas, with an example of each event: what is written and what is read agrees with both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.schema import faults
from tools.event_schemas import asyncapi
from veriramp_sdk.events import (
    EVENTS,
    PagerankRecalc,
    Topic,
    UnreadableEventError,
    VerificationFailed,
    VerifyChunk,
    in_envelope,
    parse_event,
)

FOLDER = Path(__file__).resolve().parents[3] / "docs/schemas"
NAMES = sorted(EVENTS)


def read(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def example(name: str) -> dict[str, Any]:
    return read(f"events/{name}.example")


def parse(name: str, fields: dict[str, Any]) -> Any:
    return parse_event(EVENTS[name], json.dumps(fields).encode())


@pytest.mark.shows("S1-EVT-01", "S1-EVT-02", "S1-EVT-03", "S1-EVT-04", "S1-EVT-05")
@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_read_written_and_of_the_schema(name: str) -> None:
    fields = example(name)
    assert list(faults(fields, read(f"events/{name}"))) == []
    assert json.loads(parse(name, fields).to_bytes()) == fields
    assert list(fields) == [field for field in EVENTS[name].model_fields if field in fields], (
        "in the order of the model"
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_the_schema_requires_is_required(name: str) -> None:
    fields, schema = example(name), read(f"events/{name}")
    for field in schema["required"]:
        without = {key: value for key, value in fields.items() if key != field}
        assert list(faults(without, schema)) == [f"$: {field} is missing"]
        with pytest.raises(UnreadableEventError, match=field):
            parse(name, without)
    optional = {key: value for key, value in fields.items() if key in schema["required"]}
    parse(name, optional)


@pytest.mark.shows("S1-EVT-01")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("version", "read_it"), [("1.0", True), ("1.9", True), ("1", True), ("2.0", False), ("10.0", False), ("", False)]
)
def test_readers_and_schemas_agree_on_versions(name: str, version: str, read_it: bool) -> None:
    fields = example(name) | {"schema_version": version, "mood": "good"}
    assert (list(faults(fields, read(f"events/{name}"))) == []) == read_it
    if read_it:
        assert not hasattr(parse(name, fields), "mood")
    else:
        with pytest.raises(UnreadableEventError, match=f"schema_version '{version}' is not supported"):
            parse(name, fields)


@pytest.mark.shows("S1-EVT-05")
@pytest.mark.parametrize("name", NAMES)
def test_the_envelope_of_another_bus_is_read_and_written(name: str) -> None:
    event = parse(name, example(name))
    envelope = json.loads(in_envelope(event, timestamp_ms=17, request_id="r-1"))
    assert envelope == {"eventType": name, "payload": example(name), "timestamp": 17, "requestId": "r-1"}
    assert parse(name, envelope) == event
    assert "requestId" not in json.loads(in_envelope(event, timestamp_ms=17))


@pytest.mark.parametrize(
    "change",
    [
        {"eventType": "verification_failed"},
        {"eventType": None},
        {"eventType": ["verify_chunks"]},
        {"payload": "text"},
        {"payload": {"eventType": "verify_chunks", "payload": {}}},
        {"payload": {}},
    ],
)
def test_an_envelope_with_something_else_is_refused(change: dict[str, Any]) -> None:
    envelope = {"eventType": "verify_chunks", "payload": example("verify_chunks")} | change
    with pytest.raises(UnreadableEventError, match="VerifyChunk"):
        parse("verify_chunks", envelope)


def test_a_failure_is_the_request_and_why() -> None:
    assert set(VerifyChunk.model_fields) < set(VerificationFailed.model_fields)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e400"])
def test_what_is_no_number_in_json_is_refused_and_never_written(name: str, number: str) -> None:
    fields = example(name)
    for field, said in read(f"events/{name}")["properties"].items():
        if "number" not in said["type"]:
            continue
        text = json.dumps(fields | {field: "@"}).replace('"@"', number)
        with pytest.raises(UnreadableEventError, match=f"{EVENTS[name].__name__}: {field}: Input should be"):
            parse_event(EVENTS[name], text.encode())
        with pytest.raises(ValueError, match=field):
            EVENTS[name].model_validate(fields | {field: float(number)})


@pytest.mark.shows("S1-EVT-04", "S1-SEC-03")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["org_id", "document_id"])
def test_readers_and_schemas_agree_that_ids_have_no_separator(name: str, field: str) -> None:
    fields = example(name) | {field: "a|b"}
    assert len(list(faults(fields, read(f"events/{name}")))) == 1
    with pytest.raises(UnreadableEventError, match=rf"{field}: 'a\|b' has a '\|', which separates"):
        parse(name, fields)


@pytest.mark.shows("S1-EVT-04")
def test_the_key_of_a_recalculation_is_its_document() -> None:
    event = parse_event(PagerankRecalc, json.dumps(example("pagerank_recalc")).encode())
    assert (event.key(), event.reason) == (b"acme|towers", "verification_update")


@pytest.mark.shows("S1-EVT-05")
def test_every_topic_is_in_the_asyncapi_document_with_a_schema_that_exists() -> None:
    document = json.loads(asyncapi())
    assert set(document["channels"]) == set(Topic)
    messages = document["components"]["messages"]
    for channel in document["channels"].values():
        for name, reference in channel["messages"].items():
            assert reference == {"$ref": f"#/components/messages/{name}"}
            assert (FOLDER / messages[name]["payload"]["$ref"]).is_file()
