"""The JSON Schemas of the events, and an AsyncAPI document of the topics, made from the models.

Public names: :func:`event_schema`, :func:`asyncapi`.

A schema says what a reader accepts: fields that it does not name are allowed and ignored, and so is any minor version
of the major that it knows.
"""

from __future__ import annotations

import json
from typing import Any, Final

from veriramp_sdk.budget import BUDGET_LEFT, BUDGET_UNTIL
from veriramp_sdk.events import EVENTS, SCHEMA_VERSION, Topic
from veriramp_workers.bus.plan import TopicPlan, wanted_topics
from veriramp_workers.bus.retry import (
    ATTEMPT,
    DEFERRED_SINCE,
    ERROR_CLASS,
    LEFT_OUT,
    NOT_BEFORE,
    ORIGIN,
    REASON,
    SOURCE,
)

Json = dict[str, Any]


def event_schema(name: str) -> str:
    """The JSON Schema of one event, as text."""
    schema = _schema(name)
    return _text({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema})


def asyncapi() -> str:
    """The AsyncAPI 3.0 document of all topics, as text; the payloads are the schemas in the folder beside it."""
    channels = {str(plan.name): _channel(plan) for plan in wanted_topics(3, 2)}
    messages = {name: _message(name, _schema(name)["description"], _TRACE | _HEADERS.get(name, {})) for name in EVENTS}
    messages["verify_chunks_again"] = _message("verify_chunks", "A request that could not be done.", _TRACE | _AGAIN)
    return _text(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "Veriramp verification pipeline", "version": SCHEMA_VERSION},
            "channels": channels,
            "components": {"messages": messages},
        }
    )


def _channel(plan: TopicPlan) -> Json:
    message, description = _CHANNELS[Topic(plan.name)]
    kept = {"cleanup.policy": plan.facts.cleanup.split(","), "retention.ms": plan.facts.retention_ms}
    return {
        "address": str(plan.name),
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": {"partitions": plan.facts.partitions, "topicConfiguration": kept}},
    }


def _message(event: str, summary: str, headers: dict[str, str]) -> Json:
    properties = {name: {"type": "string", "description": text} for name, text in headers.items()}
    return {
        "contentType": "application/json",
        "summary": summary,
        "headers": {"type": "object", "properties": properties},
        "payload": {"$ref": f"events/{event}.json"},
    }


def _schema(name: str) -> Json:
    made = EVENTS[name].model_json_schema()
    definitions = made.pop("$defs", {})
    fields = {field: _plain(said, definitions) for field, said in made["properties"].items()}
    fields["schema_version"]["pattern"] = rf"^{SCHEMA_VERSION.split('.')[0]}(\.[0-9]+)*$"
    return {
        "description": made["description"],
        "type": "object",
        "required": made["required"],
        "properties": fields,
    }


def _plain(said: Json, definitions: Json) -> Json:
    """One field without references, titles and alternatives that only say that it may be null."""
    if "$ref" in said:
        said = {**definitions[said["$ref"].removeprefix("#/$defs/")], **said}
    result = {key: value for key, value in said.items() if key not in {"$ref", "title", "anyOf"}}
    if "anyOf" in said:
        (real,) = (choice for choice in said["anyOf"] if choice["type"] != "null")
        result = {**real, "type": [real["type"], "null"], **result}
    return result


def _text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


_CHANNELS: Final[dict[Topic, tuple[str, str]]] = {
    Topic.INTERACTIVE: ("verify_chunks", "Requests of searches; served first."),
    Topic.BACKFILL: ("verify_chunks", "Requests that can wait."),
    Topic.RETRY_SOON: ("verify_chunks_again", "Requests to try again after a minute."),
    Topic.RETRY_LATE: ("verify_chunks_again", "Requests to try again after ten minutes."),
    Topic.DEFERRED: ("verify_chunks_again", "Requests of a tenant whose budget is spent; they wait for the next."),
    Topic.DEAD_LETTERS: ("verify_chunks_again", "Requests that nobody tries again, and bytes that are none."),
    Topic.COMPLETE: ("verification_complete", "Verdicts."),
    Topic.FAILED: ("verification_failed", "Requests without a verdict."),
    Topic.PAGERANK: ("pagerank_recalc", "Documents whose quality moved."),
}
_TRACE: Final = {"traceparent": "W3C trace context; kept from the request to the verdict"}
_HEADERS: Final[dict[str, dict[str, str]]] = {
    "verification_complete": {
        BUDGET_LEFT: "what share (0..1) of its demand the tenant's budget can bear now; only where there is a budget",
        BUDGET_UNTIL: "until when that holds without further news, in milliseconds since the epoch",
    }
}
_AGAIN: Final = {
    ATTEMPT: "how often it was tried",
    NOT_BEFORE: "milliseconds since the epoch before which it is not tried again; in the topics with a delay",
    ORIGIN: "the topic that it was in first",
    SOURCE: "topic/partition@offset that it was read from last",
    ERROR_CLASS: "the class of the error",
    REASON: "the error in a sentence, at most 1000 characters",
    DEFERRED_SINCE: "milliseconds since the epoch when it first had to wait for a budget",
    LEFT_OUT: "size of a value that was too large for this topic and was left out",
}
