"""The flag server's settings, from VERIRAMP_* in the environment.

Public: :class:`Settings`, :func:`read_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from veriramp_operator.api.errors import ConfigurationError

PORTS = range(1 << 16)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, what to watch, and whom to serve."""

    host: str = "127.0.0.1"
    grpc_port: int = 8015
    http_port: int = 8016
    """0 takes a free port."""
    watch_namespaces: tuple[str, ...] = ()
    """Empty watches all."""
    lease_namespace: str = "veriramp-system"
    lease_name: str = "veriramp-operator"
    token: str = ""
    """Bearer token that clients send; empty asks for none."""
    log_level: str = "INFO"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; raise :class:`ConfigurationError` naming the variable and what to write."""
    default = Settings()
    return Settings(
        host=environment.get("VERIRAMP_HOST") or environment.get("POD_IP") or default.host,
        grpc_port=_port(environment, "VERIRAMP_GRPC_PORT", default.grpc_port),
        http_port=_port(environment, "VERIRAMP_HTTP_PORT", default.http_port),
        watch_namespaces=_names(environment.get("VERIRAMP_WATCH_NAMESPACES", "")),
        lease_namespace=environment.get("VERIRAMP_LEASE_NAMESPACE")
        or environment.get("POD_NAMESPACE")
        or default.lease_namespace,
        lease_name=environment.get("VERIRAMP_LEASE_NAME") or default.lease_name,
        token=_token(environment),
        log_level=_level(environment.get("VERIRAMP_LOG_LEVEL", default.log_level)),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) not in PORTS:
        raise ConfigurationError(f'{name}="{text}": write a port number, 0..65535 (0 takes a free one)')
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _token(environment: Mapping[str, str]) -> str:
    file = environment.get("VERIRAMP_FLAGS_TOKEN_FILE")
    if not file:
        return ""
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f'VERIRAMP_FLAGS_TOKEN_FILE="{file}": {error}') from error
    if not token:
        raise ConfigurationError(f'VERIRAMP_FLAGS_TOKEN_FILE="{file}": the file is empty; write the token into it')
    return token


def _level(text: str) -> str:
    level = text.upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ConfigurationError(f'VERIRAMP_LOG_LEVEL="{text}": write DEBUG, INFO, WARNING or ERROR')
    return level
