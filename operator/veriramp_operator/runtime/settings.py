"""Settings of the operator process: environment variables and one configuration file, checked at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.strict_yaml import load_strictly
from veriramp_operator.runtime.journal import JournalSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the process is told from outside.

    ``namespaces``: watched namespaces, empty = all. ``host``: address to bind. ``alert_token``: bearer token that
    Alertmanager must send; empty = the receiver answers 503 to everything.
    """

    config: OperatorConfig
    namespaces: tuple[str, ...]
    host: str
    health_port: int
    alerts_port: int
    alert_token: str
    identity: str
    lease_namespace: str
    lease_name: str
    journal: JournalSettings

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``VERIRAMP_*``.

        Raises ConfigurationError that names the variable or the field, its value and what to write instead.
        """
        env = os.environ if environ is None else environ
        namespace = env.get("POD_NAMESPACE") or "default"
        return cls(
            config=_config(env.get("VERIRAMP_CONFIG", "")),
            namespaces=tuple(
                part.strip() for part in env.get("VERIRAMP_WATCH_NAMESPACES", "").split(",") if part.strip()
            ),
            host=env.get("VERIRAMP_HOST") or env.get("POD_IP") or "127.0.0.1",
            health_port=_port(env, "VERIRAMP_HEALTH_PORT", 8080),
            alerts_port=_port(env, "VERIRAMP_ALERTS_PORT", 8081),
            alert_token=_token(env.get("VERIRAMP_ALERT_TOKEN_FILE", "")),
            identity=f"{env.get('POD_NAME') or os.uname().nodename}_{os.getpid()}",
            lease_namespace=env.get("VERIRAMP_LEASE_NAMESPACE") or namespace,
            lease_name=env.get("VERIRAMP_LEASE_NAME") or "veriramp-operator",
            journal=_journal(env),
        )


def _config(path: str) -> OperatorConfig:
    if not path:
        return OperatorConfig()
    try:
        raw = load_strictly(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"VERIRAMP_CONFIG={path}: {error.strerror}; name a readable YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"VERIRAMP_CONFIG={path}: not YAML: {error}") from error
    return OperatorConfig.parse(raw, path)


def _journal(env: Mapping[str, str]) -> JournalSettings:
    folder = env.get("VERIRAMP_JOURNAL_DIR", "").strip()
    return JournalSettings(
        stdout=_switch(env, "VERIRAMP_JOURNAL_STDOUT", default=True),
        folder=Path(folder) if folder else None,
        most_bytes=_count(env, "VERIRAMP_JOURNAL_FILE_MIB", 32, 1024) * 1024 * 1024,
        most_files=_count(env, "VERIRAMP_JOURNAL_FILES", 8, 1000),
    )


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = (env.get(name) or str(default)).strip().lower()
    if text not in {"true", "false"}:
        raise ConfigurationError(f"{name}={env[name]!r} is no switch; write true or false")
    return text == "true"


def _count(env: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = (env.get(name) or str(default)).strip()
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ConfigurationError(f"{name}={env[name]!r} is out of range; write a whole number from 1 to {most}")
    return int(text)


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdigit() or not 0 <= int(text) <= 65535:  # noqa: PLR2004 the range of ports
        raise ConfigurationError(f"{name}={text!r} is not a port; write a number from 0 (any free one) to 65535")
    return int(text)


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"VERIRAMP_ALERT_TOKEN_FILE={path}: {error.strerror}; mount the token there"
        ) from error
    if not token:
        raise ConfigurationError(f"VERIRAMP_ALERT_TOKEN_FILE={path} is empty; write a random token of 32 characters")
    return token
