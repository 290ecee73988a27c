"""What a value that cannot be read is told: the field, the value, and what to write instead. Pure.

Public: :func:`unreadable`. Where a rule of the definition has a sentence for it, that sentence.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from veriramp_operator.api.rules import PATTERN_RULES

Details = Mapping[str, Any]

_OF_SETTING: Final = 3
_SETTING: Final = "write a text, a finite number, true or false"


def unreadable(error: ValidationError) -> Iterator[tuple[str, str]]:
    """(field, sentence) for each value that cannot be read."""
    every = error.errors()
    for item in every:
        place = item["loc"]
        if item["type"] == "too_short" and any(each["loc"][: len(place)] == place for each in every if each != item):
            continue  # its items are there, and cannot be read themselves
        if len(place) >= _OF_SETTING and place[-3] == "settings":
            if place[-1] == "str":
                yield _field(place[:-1]), f"{reprlib.repr(item['input'])} is no setting; {_SETTING}"
            continue  # told once, and not for each type that it could have been
        yield _field(place), _sentence(item)


def _field(place: tuple[int | str, ...]) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _sentence(item: Details) -> str:
    told = _SENTENCES.get(item["type"])
    found = reprlib.repr(item["input"])
    return (told and told(found, item)) or f"{item['msg']} (found {found})"


def _pattern(found: str, item: Details) -> str:
    rules = PATTERN_RULES.get(item["ctx"]["pattern"])
    return rules[0].message.replace("this is", f"{found} is", 1) if rules else ""


def _choice(found: str, item: Details) -> str:
    choices = item["ctx"]["expected"]
    if item["input"] is False and "'Off'" in choices:
        return 'false is how YAML reads Off without quotes; write "Off", with the quotes'
    return f"{found} is not known; write {choices.replace(chr(39), '')}"


def _text(found: str, item: Details) -> str:
    written = isinstance(item["input"], bool | int | float)
    return f"{found} is no text; write it in quotes" if written else f"{found} is no text; write one"


def _number(found: str, item: Details) -> str:
    kind = "whole number" if item["type"].startswith("int") else "number"
    return f"{found} is no {kind}; write one without quotes" if isinstance(item["input"], str) else ""


_SENTENCES: Final[Mapping[str, Callable[[str, Details], str]]] = {
    "missing": lambda _found, _item: "this field is missing",
    "value_error": lambda _found, item: item["msg"].removeprefix("Value error, "),
    "finite_number": lambda found, _item: f"{found} is no number to hold anything against; write a finite number",
    "less_than_equal": lambda found, item: f"{found} is too much; write at most {item['ctx']['le']:g}",
    "less_than": lambda found, item: f"{found} is too much; write less than {item['ctx']['lt']:g}",
    "greater_than_equal": lambda found, item: f"{found} is too little; write at least {item['ctx']['ge']:g}",
    "greater_than": lambda found, item: f"{found} is too little; write more than {item['ctx']['gt']:g}",
    "enum": _choice,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "float_type": _number,
    "int_type": _number,
    "bool_type": lambda found, _item: f"{found} is neither true nor false; write one of them, without quotes",
    "tuple_type": lambda found, _item: f"{found} is no list; write its items in [ ], or each on a line after a dash",
    "model_type": lambda found, _item: f"{found} has no fields; write them as name: value",
    "model_attributes_type": lambda found, _item: f"{found} has no fields; write them as name: value",
    "dict_type": lambda found, _item: f"{found} has no fields; write them as name: value",
    "too_short": lambda _found, item: f"the list has too few items; write at least {item['ctx']['min_length']}",
    "too_long": lambda _found, item: (
        f"the list has {item['ctx']['actual_length']} items; write at most {item['ctx']['max_length']}"
    ),
    "string_too_short": lambda found, _item: f"{found} is empty; write a text, or leave the field out",
    "string_too_long": lambda _found, item: (
        f"the text has {len(item['input'])} characters; write at most {item['ctx']['max_length']}"
    ),
}
"""Sentences by pydantic's type of the error; an empty one: pydantic's own words."""
