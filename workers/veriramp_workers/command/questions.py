"""Read questions for the verifier from lines that people wrote: one JSON object a line.

Public names: :func:`read_question`, :class:`NamedQuestion`, :class:`BadLineError`, ``FORMS``, ``LONGEST_LINE``.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any, Final

from veriramp_workers.ports import Question

FORMS: Final = '{"id": ..., "text": ...} or {"id": ..., "premises": [...], "claim": ...}'
LONGEST_LINE: Final = 1024 * 1024
"""In bytes; a longer line is refused without keeping it."""


@dataclass(frozen=True)
class NamedQuestion:
    """A question and what its line calls it."""

    id: str
    question: Question


class BadLineError(ValueError):
    """A line that is no question; the text names the field and what to write instead."""


def read_question(line: bytes, number: int) -> NamedQuestion:
    """Read one line; without a field ``id`` the line's number is its name. Raises :class:`BadLineError`."""
    if len(line) > LONGEST_LINE:
        raise BadLineError(f"the line is longer than {LONGEST_LINE} bytes; write one short text a line")
    fields = _object(line)
    for field in fields:
        meant = difflib.get_close_matches(field, _FIELDS, n=1, cutoff=0.75)
        if field not in _FIELDS and meant:
            raise BadLineError(f'the field "{field}" is not known; write "{meant[0]}"')
    if ("text" in fields) == ("claim" in fields):
        said = 'both "text" and "claim" are there' if "text" in fields else 'neither "text" nor "claim" is there'
        raise BadLineError(f"{said}; write {FORMS}")
    if "text" in fields and "premises" in fields:
        raise BadLineError(
            'the field "premises" belongs to a "claim", not to a "text"; write "claim" instead of "text"'
        )
    name = "claim" if "claim" in fields else "text"
    return NamedQuestion(_id(fields, number), Question(_text(fields[name], name), _premises(fields)))


_FIELDS: Final = ("id", "text", "premises", "claim")


def _object(line: bytes) -> dict[str, Any]:
    try:
        # Some editors begin a file with a byte order mark.
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadLineError(f"byte {error.start + 1} is no UTF-8; save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadLineError(f"this is no JSON ({error.msg} at column {error.colno}); write {FORMS}") from error
    except RecursionError as error:
        raise BadLineError(f"this is nested too deep; write {FORMS}") from error
    if not isinstance(fields, dict):
        raise BadLineError(f"{_kind(fields)} is no question; write {FORMS}")
    return fields


def _id(fields: dict[str, Any], number: int) -> str:
    given = fields.get("id", number)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise BadLineError(f'the field "id" is {_kind(given)}; write a text or a whole number')
    return _encodable(str(given), "id")


def _encodable(given: str, field: str) -> str:
    try:
        given.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(given[error.start]):04x}"
        raise BadLineError(f'the field "{field}" holds {half}, half a character; write the whole one') from error
    return given


def _text(given: Any, field: str) -> str:
    if isinstance(given, str):
        return _encodable(given, field)
    if isinstance(given, dict) or (isinstance(given, list) and all(isinstance(one, dict) for one in given) and given):
        # Structured facts may stand in the line as they are.
        return _encodable(json.dumps(given, ensure_ascii=False), field)
    raise BadLineError(f'the field "{field}" is {_kind(given)}; write a text')


def _premises(fields: dict[str, Any]) -> tuple[str, ...]:
    given = fields.get("premises", [])
    if not isinstance(given, list):
        given = [given]
    return tuple(_text(one, "premises") for one in given)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
