"""What the API server refuses of an object that our models read without a word: its name, and fields that do not exist.

Public: :func:`misshapen`. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel

from veriramp_operator.api.rollout import NAME_PATTERN, RolloutSpec

MOST_NAME: Final = 40


def misshapen(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, sentence) for each."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        yield "metadata.name", f"{name!r} is no name for a rollout; write lower case letters, digits and '-'"
    elif len(name) > MOST_NAME:
        yield "metadata.name", f"{name!r} has {len(name)} characters; write at most {MOST_NAME}"
    yield from _unknown(document.get("spec"), RolloutSpec, "spec")


def _unknown(raw: object, model: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(raw, dict):
        return
    known = {info.alias or name: info.annotation for name, info in model.model_fields.items()}
    for name, value in raw.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            instead = f'write "{near[0]}"' if near else f"known are {', '.join(known)}"
            yield f"{place}.{name}", f'unknown field "{place}.{name}"; {instead}'
            continue
        inner = _model_in(known[name])
        if inner is not None and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _unknown(item, inner, f"{place}.{name}[{index}]")
        elif inner is not None:
            yield from _unknown(value, inner, f"{place}.{name}")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field, of what it may be left out for, or of the items of its list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for each in get_args(annotation) if (model := _model_in(each)) is not None), None)
