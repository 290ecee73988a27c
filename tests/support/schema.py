"""Check a value against the part of JSON Schema that the documents in docs/schemas use.

Public: :func:`faults`. An unknown keyword is a fault of the schema, so nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_KNOWN: Final = {
    "$schema",
    "title",
    "description",
    "type",
    "enum",
    "default",
    "pattern",
    "minLength",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
}


def faults(value: Any, schema: Mapping[str, Any], path: str = "$") -> Iterator[str]:
    """A sentence for each place where the value is not what the schema says."""
    if unknown := set(schema) - _KNOWN:
        yield f"{path}: the schema uses {sorted(unknown)}, which is not checked"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if "type" in schema and not _has_type(value, schema["type"]):
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if isinstance(value, str | int | float):
        yield from _scalar(value, schema, path)
    elif isinstance(value, dict):
        yield from _object(value, schema, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{path}[{number}]")


def _scalar(value: str | float, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0) or not re.search(schema.get("pattern", ""), value):
            yield f"{path}: {value!r} has not the form {schema.get('pattern', 'of a text')}"
    elif value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield f"{path}: {value!r} is out of range"


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}: {name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from faults(item, properties[name], f"{path}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{path}: {name} is unknown"


def _has_type(value: Any, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(isinstance(value, _TYPES[name]) and isinstance(value, bool) == (name == "boolean") for name in names)
