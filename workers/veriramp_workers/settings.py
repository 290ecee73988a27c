"""What a worker is told by its environment.

Public names: :class:`WorkerSettings`, :class:`ServiceSettings`, :class:`ConfigurationError`, :class:`TopicSettings`,
:func:`settings_from`, :func:`service_settings_from`, :func:`topic_settings_from`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from veriramp_sdk.environment import MOST_PORT, ConfigurationError, flags_url_from, shown
from veriramp_sdk.kafka_settings import KafkaSettings, kafka_settings_from

__all__ = [
    "ConfigurationError",
    "ServiceSettings",
    "TopicSettings",
    "WorkerSettings",
    "service_settings_from",
    "settings_from",
    "topic_settings_from",
]


@dataclass(frozen=True)
class WorkerSettings:
    """Read from ``VERIRAMP_*``; see ``docs/pipeline.md``.

    The host is ``VERIRAMP_HOST``, else the pod's address, else loopback. An empty flag key means the rollout's name, an
    empty ``verifier_url`` the embedded verifier, an empty ``store_url`` that nothing is kept; ``budget_per_day`` None
    and ``budget_per_month`` 0 no such bound, and an empty ``admin_token`` that nobody may administrate.
    """

    kafka: KafkaSettings
    flags_url: str
    rollout: str
    flag_key: str
    profile: str
    host: str
    port: int
    solvers: int
    verifier_url: str
    verifier_version: str
    verifier_read_seconds: float
    verifier_deadline_seconds: float
    commit_seconds: float
    session_seconds: float
    retry_seconds: tuple[float, float]
    topics: TopicSettings
    store_url: str = field(repr=False)
    budget_per_day: int | None
    budget_per_month: int
    budget_at_once: float
    budget_warning: float
    time_zone: str
    price: float
    admin_token: str = field(repr=False)
    log_level: str
    log_format: str


def settings_from(environment: Mapping[str, str], *, profile: str) -> WorkerSettings:
    """Read the environment; ``profile`` is the default of ``VERIRAMP_PROFILE``. Raises :class:`ConfigurationError`."""
    return WorkerSettings(
        kafka=kafka_settings_from(environment),
        flags_url=flags_url_from(environment),
        rollout=_matching(environment, "VERIRAMP_ROLLOUT", _ROLLOUT, "the rollout to obey, namespace/name"),
        flag_key=environment.get("VERIRAMP_FLAG_KEY", ""),
        profile=_profile(environment, profile),
        host=_host(environment),
        port=_number(environment, "VERIRAMP_PORT", 8080, 0, MOST_PORT),
        solvers=_number(environment, "VERIRAMP_SOLVERS", 2, 1, 64),
        verifier_url=_verifier_url(environment),
        verifier_version=environment.get("VERIRAMP_VERIFIER_VERSION") or "1",
        verifier_read_seconds=_seconds(environment, "VERIRAMP_VERIFIER_READ_SECONDS", 150.0, 0.1, 3_600.0),
        verifier_deadline_seconds=_seconds(environment, "VERIRAMP_VERIFIER_DEADLINE_SECONDS", 300.0, 0.1, 3_600.0),
        commit_seconds=_seconds(environment, "VERIRAMP_COMMIT_SECONDS", 0.5, 0.05, 3_600.0),
        session_seconds=_seconds(environment, "VERIRAMP_SESSION_SECONDS", 10.0, 6.0, 300.0),
        retry_seconds=_two_seconds(environment, "VERIRAMP_RETRY_SECONDS", "60,600"),
        topics=topic_settings_from(environment),
        store_url=_store_url(environment),
        budget_per_day=_budget(environment),
        budget_per_month=_budget_of_month(environment),
        budget_at_once=_real(environment, "VERIRAMP_BUDGET_AT_ONCE", 0.25, 0.0, 1.0),
        budget_warning=_real(environment, "VERIRAMP_BUDGET_WARNING", 0.8, 0.01, 1.0),
        time_zone=_time_zone(environment),
        price=_real(environment, "VERIRAMP_PRICE", 0.0, 0.0, 1e6),
        admin_token=_admin_token(environment),
        log_level=_level(environment),
        log_format=_log_format(environment),
    )


@dataclass(frozen=True)
class ServiceSettings:
    """What the verifier as a service is told; a part of what a worker is told, with the same names and defaults."""

    host: str
    port: int
    solvers: int
    log_level: str
    log_format: str


def service_settings_from(environment: Mapping[str, str]) -> ServiceSettings:
    """Read the environment of ``veriramp-worker verifier``. Raises :class:`ConfigurationError`."""
    return ServiceSettings(
        host=_host(environment),
        port=_number(environment, "VERIRAMP_PORT", 8080, 0, MOST_PORT),
        solvers=_number(environment, "VERIRAMP_SOLVERS", 2, 1, 64),
        log_level=_level(environment),
        log_format=_log_format(environment),
    )


@dataclass(frozen=True)
class TopicSettings:
    """What ``veriramp-worker topics`` is told, and a worker of the topics that it needs."""

    kafka: KafkaSettings
    replication: int
    min_insync: int


def topic_settings_from(environment: Mapping[str, str]) -> TopicSettings:
    """Read the environment of ``veriramp-worker topics``. Raises :class:`ConfigurationError`."""
    replication = _number(environment, "VERIRAMP_TOPIC_REPLICATION", 3, 1, 15)
    min_insync = _number(environment, "VERIRAMP_TOPIC_MIN_INSYNC", min(2, replication), 1, 15)
    if min_insync > replication:
        raise ConfigurationError(
            f"VERIRAMP_TOPIC_MIN_INSYNC is {min_insync}, more than VERIRAMP_TOPIC_REPLICATION ({replication}): nothing "
            f"could be written; write a whole number from 1 to {replication}"
        )
    return TopicSettings(
        kafka=kafka_settings_from(environment),
        replication=replication,
        min_insync=min_insync,
    )


_PROFILE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ROLLOUT: Final = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")
_VERIFIER: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_TWO_NUMBERS: Final = re.compile(r"\d{1,4}(\.\d{1,3})?,\d{1,4}(\.\d{1,3})?")
_LEVEL: Final = re.compile(r"DEBUG|INFO|WARNING|ERROR")
_NO_BUDGET: Final = "none"
_FORMAT: Final = re.compile(r"json|text")
_MOST: Final = 10**9
_SHORTEST_TOKEN: Final = 16


def _profile(environment: Mapping[str, str], default: str) -> str:
    name, what = "VERIRAMP_PROFILE", "the name of a profile: at most 63 lower case letters, digits and inner hyphens"
    return _matching({name: environment.get(name) or default}, name, _PROFILE, what)


def _host(environment: Mapping[str, str]) -> str:
    return environment.get("VERIRAMP_HOST") or environment.get("POD_IP") or "127.0.0.1"


def _verifier_url(environment: Mapping[str, str]) -> str:
    value = environment.get("VERIRAMP_VERIFIER_URL", "")
    if value and not (_VERIFIER.fullmatch(value) and _leads_somewhere(value)):
        raise ConfigurationError(
            f"VERIRAMP_VERIFIER_URL is {shown(value)}; write the verifier's base URL, such as http://verifier:8080, "
            f"with a port from 1 to {MOST_PORT}, without user, query and fragment, or nothing for the embedded verifier"
        )
    return value


def _leads_somewhere(url: str) -> bool:
    """Tell whether host and port are possible; else each request would find out for itself."""
    try:
        parts = urlsplit(url)
        return bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False


def _store_url(environment: Mapping[str, str]) -> str:
    value = environment.get("VERIRAMP_STORE_URL", "")
    bounds = (
        ("daily", _budget(environment) is not None, "VERIRAMP_BUDGET_PER_DAY=none"),
        ("monthly", _budget_of_month(environment) > 0, "VERIRAMP_BUDGET_PER_MONTH=0"),
    )
    for which, is_set, without in bounds:
        if is_set and not value:
            raise ConfigurationError(
                f"VERIRAMP_STORE_URL is not set, but the {which} budget is counted there; write "
                f"sqlite:///folder/file.db, redis://host:6379/0 or postgresql://user@host:5432/database, or {without}"
            )
    return value


def _budget(environment: Mapping[str, str]) -> int | None:
    """The default is a budget for a verifier over HTTP, which costs money, and none for our own solvers."""
    name = "VERIRAMP_BUDGET_PER_DAY"
    text = environment.get(name) or ("10000" if environment.get("VERIRAMP_VERIFIER_URL") else _NO_BUDGET)
    if text == _NO_BUDGET:
        return None
    if not text.isdecimal() or int(text) > _MOST:
        raise ConfigurationError(f'{name} is "{text}"; write a whole number from 0 to {_MOST}, or none')
    return int(text)


def _budget_of_month(environment: Mapping[str, str]) -> int:
    return _number(environment, "VERIRAMP_BUDGET_PER_MONTH", 0, 0, _MOST)


def _time_zone(environment: Mapping[str, str]) -> str:
    value = environment.get("VERIRAMP_TIME_ZONE") or "UTC"
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ConfigurationError(
            f'VERIRAMP_TIME_ZONE is "{value}"; write an IANA time zone, such as Europe/Berlin'
        ) from None
    return value


def _admin_token(environment: Mapping[str, str]) -> str:
    value = environment.get("VERIRAMP_ADMIN_TOKEN", "").strip()
    if 0 < len(value) < _SHORTEST_TOKEN:
        raise ConfigurationError(f"VERIRAMP_ADMIN_TOKEN is too short; write at least {_SHORTEST_TOKEN} characters")
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(
            "VERIRAMP_ADMIN_TOKEN has characters that no client can send; write letters, digits and signs of ASCII"
        )
    return value


def _level(environment: Mapping[str, str]) -> str:
    return _matching(environment, "VERIRAMP_LOG_LEVEL", _LEVEL, "DEBUG, INFO, WARNING or ERROR", "INFO")


def _log_format(environment: Mapping[str, str]) -> str:
    return _matching(environment, "VERIRAMP_LOG_FORMAT", _FORMAT, "json or text", "json")


def _matching(environment: Mapping[str, str], name: str, form: re.Pattern[str], what: str, default: str = "") -> str:
    value = environment.get(name, default)
    if not value:
        raise ConfigurationError(f"{name} is not set; write {what}")
    if not form.fullmatch(value):
        raise ConfigurationError(f'{name} is "{value}"; write {what}')
    return value


def _number(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ConfigurationError(f'{name} is "{text}"; write a whole number from {low} to {high}')
    return int(text)


def _two_seconds(environment: Mapping[str, str], name: str, default: str) -> tuple[float, float]:
    text = environment.get(name, default)
    numbers = [float(number) for number in text.split(",")] if _TWO_NUMBERS.fullmatch(text) else []
    if not numbers or numbers[0] > numbers[1]:
        raise ConfigurationError(
            f'{name} is "{text}"; write two numbers of seconds, the second not below the first, such as {default}'
        )
    return numbers[0], numbers[1]


def _seconds(environment: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    return _real(environment, name, default, low, high, "number of seconds")


def _real(
    environment: Mapping[str, str], name: str, default: float, low: float, high: float, what: str = "number"
) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigurationError(f'{name} is "{text}"; write a {what} from {low:g} to {high:g}')
    return value
