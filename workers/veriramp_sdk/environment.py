"""What every process of ours reads from its environment in the same way.

Public names: :class:`ConfigurationError`, :func:`flags_url_from`, :func:`shown`, :data:`MOST_PORT`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MOST_PORT: Final = 65_535


class ConfigurationError(Exception):
    """The environment is wrong; the text names the variable, its value and what to write instead."""


def flags_url_from(environment: Mapping[str, str]) -> str:
    """Return ``VERIRAMP_FLAGS_URL``; raises :class:`ConfigurationError`."""
    name, what = "VERIRAMP_FLAGS_URL", "the flag server's gRPC address, host:port"
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(f"{name} is not set; write {what}")
    if not (found := _URL.fullmatch(value)):
        raise ConfigurationError(f"{name} is {shown(value)}; write {what}")
    if not 1 <= int(found["port"]) <= MOST_PORT:
        raise ConfigurationError(f"{name} is {shown(value)}; write {what}, with a port from 1 to {MOST_PORT}")
    return value


def shown(value: str) -> str:
    """Return a value as messages show it: in quotes, without what may be a password before an @, and not endless."""
    user, at, rest = value.rpartition("@")
    short = f"...@{rest}" if at and user else value
    short = "".join(sign if sign.isprintable() else "?" for sign in short[: _MOST_SHOWN + 1])
    return f'"{short[:_MOST_SHOWN]}..."' if len(short) > _MOST_SHOWN else f'"{short}"'


_URL: Final = re.compile(r"(grpcs?://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@]+):(?P<port>[0-9]{1,5})")
_MOST_SHOWN: Final = 200
