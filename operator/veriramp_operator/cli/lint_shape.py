"""What the API server refuses of an object that our models read without a word.

Its version and its name, fields that do not exist, durations without a unit.

Public: :func:`misshapen`. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from veriramp_operator.api.base import parse_duration
from veriramp_operator.api.rollout import GROUP, NAME_PATTERN, VERSION, RolloutSpec

MOST_NAME: Final = 40
_DURATION: Final = BeforeValidator(parse_duration)


def misshapen(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, sentence) for each."""
    if (version := document.get("apiVersion")) != f"{GROUP}/{VERSION}":
        yield "apiVersion", f'apiVersion {version!r} is not known; write "{GROUP}/{VERSION}"'
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if name is None:
        yield "metadata.name", "the rollout has no name; write metadata: {name: search-verification} or another"
    elif not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        yield "metadata.name", f"{name!r} is no name for a rollout; write lower case letters, digits and '-'"
    elif len(name) > MOST_NAME:
        yield "metadata.name", f"{name!r} has {len(name)} characters; write at most {MOST_NAME}"
    yield from _unknown(document.get("spec"), RolloutSpec, "spec")


def _unknown(raw: object, model: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(raw, dict):
        return
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    for name, value in raw.items():
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, 1)
            instead = f'write "{near[0]}"' if near else f"known are {', '.join(fields)}"
            yield f"{place}.{name}", f'unknown field "{place}.{name}"; {instead}'
            continue
        if _is_duration(fields[name]) and isinstance(value, int | float) and value >= 0 and not isinstance(value, bool):
            yield f"{place}.{name}", f'{value} has no unit; write "{value}s", "{value}m" or "{value}h"'
        inner = _model_in(fields[name].annotation)
        if inner is not None and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _unknown(item, inner, f"{place}.{name}[{index}]")
        elif inner is not None:
            yield from _unknown(value, inner, f"{place}.{name}")


def _is_duration(info: FieldInfo) -> bool:
    """Alone, or where it may be left out too."""
    annotated = (info.metadata, *(getattr(each, "__metadata__", ()) for each in get_args(info.annotation)))
    return any(_DURATION in metadata for metadata in annotated)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field, of what it may be left out for, or of the items of its list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for each in get_args(annotation) if (model := _model_in(each)) is not None), None)
