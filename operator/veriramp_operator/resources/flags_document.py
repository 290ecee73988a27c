"""The text of a rollout's flag document: one flagd definition in which every parameter switches at the same instant.

Public: :class:`DocumentRequest`, :class:`FlagDocument`, :func:`build`, :func:`all_off`, :func:`all_off_after`,
:func:`parse`, :func:`stamp`, :func:`canary_buckets`, :func:`whole`.

A document with a lease is *unstamped* as published: its lease rule compares with 0, so it is off. Only a flag server
that hears the operator stamps the time until which it may be on. The content hash is that of the unstamped text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.vector import Vector
from veriramp_operator.resources.flags_rules import Match, search_rule, settings_rule
from veriramp_sdk.contract import BUCKETS, Arm, Mode, settings_key
from veriramp_sdk.document import lease_rules

DATA_KEY: Final = "flags.json"
"""Key of the document in the ConfigMap's data."""

SCHEMA: Final = "https://flagd.dev/schema/v0/flags.json"

MOST_LEVELS: Final = 32
"""Nesting of a document; ours need about a dozen."""

MOST_REVISIONS: Final = 2**53
MOST_LEASE_SECONDS: Final = 24 * 3600

Setting = str | int | float | bool
Settings = Mapping[str, Mapping[str, Setting]]


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """Everything that a document says."""

    namespace: str
    rollout: str
    key: str
    uid: str
    revision: int
    generation: int
    vector: Vector
    salt: str
    sample_salt: str
    lease_seconds: int
    """0 = no lease."""
    include: tuple[Match, ...] = ()
    """(attribute, equals): always treatment in Live stages, outside all statistics."""
    exclude: tuple[Match, ...] = ()
    """(attribute, equals): never verified, ranking never changed."""
    worker_settings: Settings = field(default_factory=lambda: MappingProxyType({}))
    """Settings by worker profile."""


@dataclass(frozen=True, slots=True)
class FlagDocument:
    """One published (or to be published) document: its canonical, unstamped text and what identifies it."""

    text: str
    content_hash: str
    """sha256 of the text, which leaves ``leaseUntil`` out by being unstamped."""
    namespace: str
    rollout: str
    key: str
    uid: str
    revision: int
    generation: int
    vector: Vector
    salt: str
    sample_salt: str
    lease_seconds: int


def build(request: DocumentRequest) -> FlagDocument:
    """Render the document of a request; the same request gives the same bytes."""
    lease = request.lease_seconds > 0
    mode = request.vector.mode
    flags = {
        request.key: _flag(
            _variants(request),
            search_rule(mode, canary_buckets(request.vector), lease, request.include, request.exclude),
            default=Arm.OFF.value,
        ),
        settings_key(request.key): _flag(
            _settings_variants(request),
            settings_rule(mode, lease),
            # Without a lease rule nothing is left to ask: the document itself says on or off.
            default="off" if lease or mode is Mode.OFF else "on",
        ),
    }
    metadata: dict[str, Setting] = {
        "namespace": request.namespace,
        "rollout": request.rollout,
        "uid": request.uid,
        "revision": request.revision,
        "generation": request.generation,
        "leaseSeconds": request.lease_seconds,
    }
    return _document(_canonical({"$schema": SCHEMA, "flags": flags, "metadata": metadata}), request)


def all_off(request: DocumentRequest) -> FlagDocument:
    """The constant document: everything off, no rule, no attribute, no worker setting that could be malformed."""
    vector = Vector(top_k=request.vector.top_k)
    return build(replace(request, vector=vector, include=(), exclude=(), worker_settings={}))


def all_off_after(document: FlagDocument) -> FlagDocument:
    """What follows a document whose ConfigMap is gone: everything off, at its revision + 1."""
    return all_off(
        DocumentRequest(
            namespace=document.namespace,
            rollout=document.rollout,
            key=document.key,
            uid=document.uid,
            revision=document.revision + 1,
            generation=document.generation,
            vector=document.vector,
            salt=document.salt,
            sample_salt=document.sample_salt,
            lease_seconds=document.lease_seconds,
        )
    )


def stamp(document: FlagDocument, lease_until: int) -> str:
    """The document's text as a client gets it: on until ``lease_until`` (whole seconds since 1970) at most."""
    if document.lease_seconds == 0:
        return document.text
    raw = json.loads(document.text)
    for rule in lease_rules(raw["flags"]):
        rule[1] = lease_until
    return _canonical(raw)


def parse(data: Mapping[str, str]) -> FlagDocument:
    """Read the document of a ConfigMap's data; raise ConfigurationError with the reason when it is not one of ours."""
    text = data.get(DATA_KEY)
    if text is None:
        raise ConfigurationError(f'the ConfigMap has no key "{DATA_KEY}"; keys: {", ".join(data) or "none"}')
    try:
        return _read(text)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ConfigurationError(f'"{DATA_KEY}" is not a flag document of ours: {error!r}') from error


def whole(value: object, name: str, most: int = MOST_REVISIONS) -> int:
    """A whole number from 0 to ``most``, as read from what anybody may have written; raise ValueError for others."""
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} is not a whole number from 0 to {most}")
    return value


def canary_buckets(vector: Vector) -> int:
    """Buckets below this number are in treatment."""
    return round(vector.canary_percent * (BUCKETS // 100)) if vector.mode is Mode.LIVE else 0


def _variants(request: DocumentRequest) -> dict[str, dict[str, Setting]]:
    vector, revision = request.vector, request.revision
    off = _value(Mode.OFF, Arm.OFF, 0.0, 0.0, vector.top_k, revision)
    if vector.mode is Mode.OFF:
        return {Arm.OFF.value: off}
    variants = {
        Arm.OFF.value: off,
        Arm.EXCLUDED.value: _value(Mode.OFF, Arm.EXCLUDED, 0.0, 0.0, vector.top_k, revision),
        Arm.CONTROL.value: _value(vector.mode, Arm.CONTROL, vector.sampling_rate, 0.0, vector.top_k, revision),
    }
    if vector.mode is Mode.LIVE:
        for arm in (Arm.TREATMENT, Arm.FORCED):
            variants[arm.value] = _value(
                vector.mode, arm, vector.sampling_rate, vector.ranking_weight, vector.top_k, revision
            )
    return variants


def _value(mode: Mode, arm: Arm, rate: float, weight: float, top_k: int, revision: int) -> dict[str, Setting]:
    return {
        "mode": mode.value,
        "arm": arm.value,
        "samplingRate": rate,
        "rankingWeight": weight,
        "topK": top_k,
        "revision": revision,
    }


def _settings_variants(request: DocumentRequest) -> dict[str, dict[str, Any]]:
    settings = {profile: dict(values) for profile, values in request.worker_settings.items()}
    common = {
        "topK": request.vector.top_k,
        "salt": request.salt,
        "sampleSalt": request.sample_salt,
        "revision": request.revision,
        "settings": settings,
    }
    off = {
        "mode": Mode.OFF.value,
        "samplingRate": 0.0,
        "canaryPercent": 0.0,
        "rankingWeight": 0.0,
        **common,
    }
    if request.vector.mode is Mode.OFF:
        return {"off": off}
    on = {
        "mode": request.vector.mode.value,
        "samplingRate": request.vector.sampling_rate,
        "canaryPercent": request.vector.canary_percent,
        "rankingWeight": request.vector.ranking_weight,
        **common,
    }
    return {"on": on, "off": off}


def _flag(variants: Mapping[str, Any], targeting: Mapping[str, Any] | None, default: str) -> dict[str, Any]:
    flag: dict[str, Any] = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
    return {**flag, "targeting": targeting} if targeting is not None else flag


def _canonical(raw: Mapping[str, Any]) -> str:
    return json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _document(text: str, request: DocumentRequest) -> FlagDocument:
    return FlagDocument(
        text=text,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        namespace=request.namespace,
        rollout=request.rollout,
        key=request.key,
        uid=request.uid,
        revision=request.revision,
        generation=request.generation,
        vector=request.vector,
        salt=request.salt,
        sample_salt=request.sample_salt,
        lease_seconds=request.lease_seconds,
    )


def _read(text: str) -> FlagDocument:
    raw = json.loads(text)
    metadata = raw["metadata"]
    key = _key_of(raw["flags"])
    variants = raw["flags"][settings_key(key)]["variants"]
    settings = variants.get("on", variants["off"])
    # Whoever may write ConfigMaps may write anything; it must not reach arithmetic or recursion of ours.
    _check_depth(raw)
    return FlagDocument(
        text=text,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        namespace=str(metadata["namespace"]),
        rollout=str(metadata["rollout"]),
        key=key,
        uid=str(metadata["uid"]),
        revision=whole(metadata["revision"], "revision"),
        generation=whole(metadata["generation"], "generation"),
        vector=_vector(settings),
        salt=str(settings["salt"]),
        sample_salt=str(settings["sampleSalt"]),
        lease_seconds=whole(metadata["leaseSeconds"], "leaseSeconds", MOST_LEASE_SECONDS),
    )


def _check_depth(raw: object) -> None:
    level: list[object] = [raw]
    for _ in range(MOST_LEVELS):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MOST_LEVELS} levels")


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _vector(settings: Mapping[str, Any]) -> Vector:
    vector = Vector.model_validate(settings)
    shares = (vector.sampling_rate, vector.canary_percent / 100, vector.ranking_weight)
    if not all(0 <= share <= 1 for share in shares) or vector.top_k < 0:
        raise ValueError(f"{vector} is out of range (rate and weight 0..1, percent 0..100, topK from 0)")
    return vector


def _key_of(flags: Mapping[str, Any]) -> str:
    for key in flags:
        if settings_key(key) in flags:
            return key
    raise ValueError(f"no flag with its settings among {', '.join(flags) or 'none'}")
