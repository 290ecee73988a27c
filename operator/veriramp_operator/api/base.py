"""Base model and scalar types of the API: camelCase on the wire, frozen values inside."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
MAX_DURATION_SECONDS: Final = 90 * 24 * 3600.0
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


_Value = TypeVar("_Value", bound=BaseModel)


class Frozen(BaseModel):  # noqa: PLW1641 pydantic gives each frozen model its hash
    """A frozen API value. Unknown fields are dropped, as the API server prunes them."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        ser_json_inf_nan="null",
    )
    field_names: ClassVar[set[str]] = set()

    def to_api(self) -> dict[str, Any]:
        """Render for the API server: camelCase, JSON types, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Remember the names of all fields for :meth:`typed`."""
        cls.field_names = set(cls.model_fields)

    @classmethod
    def typed(cls, values: dict[str, Any]) -> Self:
        """Make a value of fields that have their types already, all of them: a fifth of the time of validating them.

        For values that every pass makes anew; ``values`` names each field of the model, and is the value's from now on.
        """
        return _made(cls, cls.field_names, values)

    @classmethod
    def maker(cls) -> Callable[[dict[str, Any]], Self]:
        """:meth:`typed` of this class with what it looks up: for what a pass makes once per gate."""
        return partial(_made, cls, cls.field_names)

    def __eq__(self, other: object) -> bool:
        """Equal where all fields are, as pydantic has it for values that are nothing but their fields."""
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def says(self, values: dict[str, Any]) -> bool:
        """True when :meth:`typed` would make the same value again."""
        return self.__dict__ == values

    def changed(self, **fields: Any) -> Self:
        """The same value but for some fields, which have their types already: ``model_copy`` in a third of its time."""
        return self.typed(self.__dict__ | fields)


class Declared(Frozen):
    """A frozen value that a person writes: its numbers are finite, because no number can be held against NaN."""

    model_config = ConfigDict(allow_inf_nan=False)


_new: Final = object.__new__
_put_values, _put_names, _put_extra, _put_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
"""What a validated value has beside its type; set by hand, because a frozen model refuses plain assignment."""


def _made(cls: type[_Value], names: set[str], values: dict[str, Any]) -> _Value:
    made = _new(cls)
    _put_values(made, values)
    _put_names(made, names)
    _put_extra(made, None)
    _put_private(made, None)
    return made


def parse_duration(text: object) -> float:
    """Seconds of a Go style duration such as ``1h30m``; numbers are taken as seconds.

    Raises ValueError when the text is no duration or longer than 90 days.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 15m or 24h")  # noqa: TRY004 pydantic wants ValueError
    if isinstance(text, str):
        if not re.fullmatch(DURATION_PATTERN, text):
            raise ValueError(
                f"{text!r} is not a duration; write for example 90s, 15m or 24h (days as hours: 14 days = 336h)"
            )
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        seconds = float(text)
    if not seconds >= 0:
        raise ValueError(f"{text!r} is no time that can pass; write 0s or more, for example 15m")
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError(f"{text!r} is longer than 90 days; write at most 2160h")
    return seconds


def format_duration(seconds: float) -> str:
    """Render seconds the way Go does, without zero parts: ``1h30m``, ``1.5s``, ``0s``."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    text = f"{hours}h" * bool(hours) + f"{minutes}m" * bool(minutes)
    if rest:
        text += f"{rest // 1000}s" if rest % 1000 == 0 else f"{rest / 1000:g}s"
    return text or "0s"


def parse_instant(value: object) -> float:
    """Seconds since the epoch of an RFC 3339 text; numbers pass through."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    raise ValueError(f"{value!r} is not an RFC 3339 instant")


def format_instant(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds, as metav1.MicroTime has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
"""A duration: Go style on the wire, seconds as float inside."""

Instant = Annotated[
    float,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment: RFC 3339 on the wire, seconds since the epoch as float inside."""
