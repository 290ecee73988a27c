"""The chart's values.schema.json, made from values.yaml: its keys, the types of its defaults, and its comments.

Public: :func:`values_schema`.

A comment above a key is its description. Two kinds of comment say more: ``# @schema {json}`` adds to the key's schema,
``# @models Name`` says that the key maps names to values of a model of the operator's configuration. Every other
key that is not written in values.yaml is refused, so that a typing error does not install something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from pydantic import BaseModel

from veriramp_operator.api.config import Endpoint, Profile

Schema = dict[str, Any]

MODELS: Final[Mapping[str, type[BaseModel]]] = {"Endpoint": Endpoint, "Profile": Profile}
_KEY: Final = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")
_INDENT: Final = 2
_NAME: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


@dataclass
class _Note:
    """What the comments above one key say."""

    text: list[str] = field(default_factory=list)
    extra: Schema = field(default_factory=dict)
    model: str = ""


def values_schema(values: str) -> Schema:
    """JSON schema of a values.yaml given as text.

    Raises ValueError for an ``@models`` that is not in :data:`MODELS` and for an ``@schema`` that is not JSON.
    """
    notes = dict(_notes(values))
    schema = _object(yaml.safe_load(values), (), notes)
    # Helm adds `global` where the chart is a dependency of another.
    schema["properties"]["global"] = {"type": "object", "description": "Values of a parent chart; not used."}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the Veriramp chart"} | schema


def _notes(values: str) -> Iterator[tuple[tuple[str, ...], _Note]]:
    path: list[str] = []
    note = _Note()
    for line in values.splitlines():
        comment = line.strip()
        if comment.startswith("#"):
            _take(note, comment.removeprefix("#").strip())
        elif found := _KEY.match(line):
            depth = len(found[1]) // _INDENT
            path = [*path[:depth], found[2]]
            yield tuple(path), note
            note = _Note()
        else:
            note = _Note()


def _take(note: _Note, comment: str) -> None:
    kind, _, rest = comment.partition(" ")
    if kind == "@schema":
        note.extra |= json.loads(rest)
    elif kind == "@models":
        if rest not in MODELS:
            raise ValueError(f"@models {rest}: write one of {', '.join(MODELS)}")
        note.model = rest
    else:
        note.text.append(comment)


def _value(value: object, path: tuple[str, ...], notes: Mapping[tuple[str, ...], _Note]) -> Schema:
    note = notes.get(path, _Note())
    if note.model:
        made: Schema = {
            "type": "object",
            "additionalProperties": _model(MODELS[note.model]),
            "propertyNames": {"pattern": _NAME},
        }
    elif isinstance(value, dict) and value and (*path, next(iter(value))) in notes:
        made = _object(value, path, notes)
    else:
        made = {"type": _type(value)}
    text = {"description": " ".join(note.text)} if note.text else {}
    return text | made | note.extra


def _object(values: Mapping[str, object], path: tuple[str, ...], notes: Mapping[tuple[str, ...], _Note]) -> Schema:
    properties = {key: _value(value, (*path, key), notes) for key, value in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _model(model: type[BaseModel]) -> Schema:
    """The schema of a configuration model; the chart fills in an empty image."""
    schema = model.model_json_schema(by_alias=True)
    for value in (schema, *schema["properties"].values()):
        value.pop("title", None)
        value.pop("default", None)
    if image := schema["properties"].get("image"):
        image.pop("minLength", None)
        schema["required"] = [name for name in schema.get("required", []) if name != "image"]
        if not schema["required"]:
            del schema["required"]
    return schema
