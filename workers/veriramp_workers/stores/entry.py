"""How a judgement is written into a cache.

Public names: :func:`encode`, :func:`decode`, :class:`CorruptEntryError`, :class:`UnwritableError`, :data:`FORMAT`,
:data:`MAX_BYTES`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from veriramp_workers.ports import Judgement

FORMAT: Final = 1
"""Part of each key in a store, so that two versions of the workers never read each other's entries."""

MAX_BYTES: Final = 256 * 1024
"""Largest entry that is kept."""


class UnwritableError(Exception):
    """A judgement that has no JSON form, such as one with half a surrogate pair in a text."""


class CorruptEntryError(Exception):
    """These bytes are no entry."""


def encode(judgement: Judgement, expires_at: float) -> bytes:
    """Return the entry as JSON; ``expires_at`` is in seconds since the epoch. Raises :class:`UnwritableError`."""
    try:
        return _ENTRY.dump_json(_Entry(expires_at, judgement), exclude_defaults=True)
    except PydanticSerializationError as error:
        raise UnwritableError(str(error)) from error


def decode(value: bytes) -> tuple[Judgement, float]:
    """Return the judgement and when it expires; raises :class:`CorruptEntryError`."""
    try:
        entry = _ENTRY.validate_json(value, strict=True)
    except ValidationError as error:
        raise CorruptEntryError(json.dumps(error.errors(include_url=False, include_input=False)[0]["msg"])) from error
    return entry.judgement, entry.expires_at


@dataclass(frozen=True)
class _Entry:
    expires_at: float
    judgement: Judgement


_ENTRY: Final = TypeAdapter(_Entry)
