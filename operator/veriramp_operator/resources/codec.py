"""Frozen values as JSON and back, exactly: dataclasses, API models, tuples, mappings, enums, every float.

Public: :func:`encode`, :func:`decode`, :class:`Undecodable`. Worked out once per type from its annotations, so that a
new field of an observation is recorded without anybody's doing. The rules:

- A field that has its default is left out. API models use their names on the wire, dataclasses theirs in Python.
- A float is a number; NaN, the infinities and -0.0, which JSON lacks or loses, are strings. An int stays an int.
- Of several classes that a field allows, the first is written plainly, the others with ``"kind": "<class>"``.
- Long columns of floats are packed: ``"f64:"`` and the base64 of their 64-bit patterns, each against the one before
  it and deflated byte by byte, which is exact and, for counters and times, a tenth of the text.
"""

from __future__ import annotations

import base64
import math
import sys
import types
import zlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

Encoder = Callable[[Any], Any]
Decoder = Callable[[Any], Any]

PACKED: Final = "f64:"
PACKED_FROM: Final = 32
"""Columns of this length and more are packed."""
MOST_PACKED_BYTES: Final = 8 * 1024 * 1024
_BYTES: Final = 8
_BITS: Final = 64
_KIND: Final = "kind"
_ABSENT: Final = object()


class Undecodable(ValueError):  # noqa: N818 reads as what it is
    """A JSON value that is none of the type; the message names the place in it."""


def encode(kind: Any, value: object) -> Any:
    """The JSON value (dicts, lists, strings, finite numbers, booleans, None) of a value of a type."""
    return _codec(kind)[0](value)


def decode(kind: Any, raw: object) -> Any:
    """The value again, equal in every field to what was encoded. Raises Undecodable."""
    return _codec(kind)[1](raw)


@cache
def _codec(kind: Any) -> tuple[Encoder, Decoder]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is None:
        return _named(kind)
    if origin is Annotated:
        codec = _codec(arguments[0])
    elif origin in {Union, types.UnionType}:
        codec = _union(arguments)
    elif origin is Literal:
        codec = _scalar, _plain(str)
    elif origin is tuple:
        codec = _column() if arguments == (float, ...) else _tuple(arguments)
    elif issubclass(origin, Mapping):
        codec = _mapping(*arguments)
    else:
        raise TypeError(f"a journal cannot hold a {kind}")
    return codec


def _named(kind: Any) -> tuple[Encoder, Decoder]:
    if issubclass(kind, Enum):
        return (lambda value: value.value), _checked(kind)
    if issubclass(kind, BaseModel):
        return _record(kind, _model_fields(kind), lambda values: kind.model_construct(**values))
    if is_dataclass(kind):
        build: Any = kind
        return _record(build, _dataclass_fields(build), lambda values: build(**values))
    if kind in {float, int, str, bool}:
        return _scalar, _plain(kind)
    raise TypeError(f"a journal cannot hold a {kind}")


def _scalar(value: Any) -> Any:
    if type(value) is float and (not math.isfinite(value) or (value == 0.0 and math.copysign(1.0, value) < 0)):
        if math.isnan(value):
            return "NaN"
        return "-0.0" if value == 0.0 else ("Infinity" if value > 0 else "-Infinity")
    return value


def _plain(kind: type) -> Decoder:
    allowed: tuple[type, ...] = (float, int) if kind is float else (kind,)

    def read(raw: Any) -> Any:
        if kind is float and type(raw) is str:
            try:
                return float(raw)
            except ValueError as error:
                raise Undecodable(f": {raw[:40]!r} is no number") from error
        if type(raw) not in allowed:
            raise Undecodable(f": {str(raw)[:40]!r} is no {kind.__name__}")
        return raw

    return read


def _checked(kind: Callable[[Any], Any]) -> Decoder:
    def read(raw: Any) -> Any:
        try:
            return kind(raw)
        except (ValueError, TypeError) as error:
            raise Undecodable(f": {error}") from error

    return read


def _record(
    kind: type, parts: list[tuple[str, str, Any, Any]], build: Callable[[dict[str, Any]], Any]
) -> tuple[Encoder, Decoder]:
    """A class with named fields; ``parts``: (name in Python, name on the wire, type, default or ``_ABSENT``)."""
    known = [(name, wire, *_codec(part), default) for name, wire, part, default in parts]
    left_out = [
        (name, wire, write, _ABSENT if default is _ABSENT else write(default))
        for name, wire, write, _, default in known
    ]

    def encoded(value: Any) -> dict[str, Any]:
        out = {}
        for name, wire, write, default in left_out:
            item = write(getattr(value, name))
            if item.__class__ is not default.__class__ or item != default:
                out[wire] = item
        return out

    def decoded(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise Undecodable(f": {str(raw)[:40]!r} is no {kind.__name__}")
        values = {}
        for name, wire, _, read, default in known:
            item = raw.get(wire, _ABSENT)
            if item is not _ABSENT:
                values[name] = _at(f".{wire}", read, item)
            elif default is _ABSENT:
                raise Undecodable(f".{wire}: a {kind.__name__} needs it")
            else:
                values[name] = default
        return build(values)

    return encoded, decoded


def _dataclass_fields(kind: Any) -> list[tuple[str, str, Any, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, field.name, hints[field.name], _default(field)) for field in fields(kind) if field.init]


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return _ABSENT if field.default is MISSING else field.default


def _model_fields(kind: type[BaseModel]) -> list[tuple[str, str, Any, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        (
            name,
            info.alias or name,
            hints[name],
            _ABSENT if info.is_required() else info.get_default(call_default_factory=True),
        )
        for name, info in kind.model_fields.items()
    ]


def _at(place: str, read: Decoder, raw: Any) -> Any:
    try:
        return read(raw)
    except Undecodable as error:
        raise Undecodable(f"{place}{error}") from error


def _tuple(arguments: tuple[Any, ...]) -> tuple[Encoder, Decoder]:
    repeated = len(arguments) > 1 and arguments[1] is Ellipsis
    codecs = [_codec(argument) for argument in arguments if argument is not Ellipsis]

    def codecs_of(value: Any) -> Any:
        return codecs * len(value) if repeated else codecs

    def encoded(value: Any) -> list[Any]:
        return [write(item) for (write, _), item in zip(codecs_of(value), value, strict=True)]

    def decoded(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list) or (not repeated and len(raw) != len(codecs)):
            raise Undecodable(f": {str(raw)[:40]!r} is no list of that length")
        every = zip(codecs_of(raw), raw, strict=True)
        return tuple(_at(f"[{index}]", read, item) for index, ((_, read), item) in enumerate(every))

    return encoded, decoded


def _mapping(key: Any, item: Any) -> tuple[Encoder, Decoder]:
    (write_key, read_key), (write, read) = _codec(key), _codec(item)

    def encoded(value: Any) -> dict[str, Any]:
        return {write_key(name): write(each) for name, each in value.items()}

    def decoded(raw: Any) -> dict[Any, Any]:
        if not isinstance(raw, dict):
            raise Undecodable(f": {str(raw)[:40]!r} is no object")
        return {_at(f".{name}", read_key, name): _at(f".{name}", read, each) for name, each in raw.items()}

    return encoded, decoded


def _union(arguments: tuple[Any, ...]) -> tuple[Encoder, Decoder]:
    classes = [each for each in arguments if isinstance(each, type) and (is_dataclass(each) or _is_model(each))]
    columns = [each for each in arguments if get_origin(each) is tuple]
    others = [each for each in arguments if each not in classes and each not in columns and each is not type(None)]
    known = {each: _codec(each) for each in classes}
    named = {each.__name__: each for each in classes}
    write_column, read_column = _codec(columns[0]) if columns else (_scalar, _plain(str))
    write_other, read_other = _codec(others[0]) if len(others) == 1 else (_scalar, lambda raw: raw)

    def encoded(value: Any) -> Any:
        if value is None:
            return None
        if value.__class__ in known:
            out = known[value.__class__][0](value)
            return out if value.__class__ is classes[0] else {_KIND: value.__class__.__name__, **out}
        return write_column(value) if isinstance(value, tuple) else write_other(value)

    def decoded(raw: Any) -> Any:
        if raw is None and type(None) in arguments:
            return None
        if isinstance(raw, dict) and classes:
            chosen = named.get(raw.get(_KIND, classes[0].__name__))
            if chosen is None:
                raise Undecodable(f": kind {raw[_KIND]!r} is unknown; known are {', '.join(named)}")
            return known[chosen][1](raw)
        return read_column(raw) if columns and isinstance(raw, list) else read_other(raw)

    return encoded, decoded


def _is_model(kind: type) -> bool:
    return issubclass(kind, BaseModel)


def _column() -> tuple[Encoder, Decoder]:
    read_one = _plain(float)

    def encoded(value: Any) -> Any:
        if len(value) < PACKED_FROM or set(map(type, value)) != {float}:
            return [_scalar(item) for item in value]
        return PACKED + _pack(value)

    def decoded(raw: Any) -> tuple[float, ...]:
        if isinstance(raw, str) and raw.startswith(PACKED):
            return _unpack(raw[len(PACKED) :])
        if not isinstance(raw, list):
            raise Undecodable(f": {str(raw)[:40]!r} is no list of numbers")
        return tuple(_at(f"[{index}]", read_one, item) for index, item in enumerate(raw))

    return encoded, decoded


def _pack(values: tuple[float, ...]) -> str:
    numbers = array("d", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    length = len(numbers) * _BYTES
    patterns = int.from_bytes(numbers.tobytes(), "little")
    # One long integer: each 64-bit pattern against the one before it, at the speed of C.
    steps = (patterns ^ (patterns << _BITS)) & ((1 << length * _BYTES) - 1)
    raw = steps.to_bytes(length, "little")
    return base64.b64encode(zlib.compress(b"".join(raw[byte::_BYTES] for byte in range(_BYTES)), 1)).decode()


def _unpack(text: str) -> tuple[float, ...]:
    try:
        inflate = zlib.decompressobj()
        planes = inflate.decompress(base64.b64decode(text, validate=True), MOST_PACKED_BYTES)
    except (ValueError, zlib.error) as error:
        raise Undecodable(f": a packed column is damaged: {error}") from error
    if not inflate.eof or len(planes) % _BYTES:
        raise Undecodable(": a packed column is damaged or longer than 1,000,000 numbers")
    count = len(planes) // _BYTES
    raw = bytearray(len(planes))
    for byte in range(_BYTES):
        raw[byte::_BYTES] = planes[byte * count : (byte + 1) * count]
    patterns, shift = int.from_bytes(raw, "little"), _BITS
    while shift < count * _BITS:
        patterns ^= patterns << shift
        shift *= 2
    whole = patterns & ((1 << count * _BITS) - 1)
    numbers = array("d", whole.to_bytes(len(planes), "little"))
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)
