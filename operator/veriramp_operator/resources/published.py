"""Between a decision and its flag ConfigMap: what to render, and what a ConfigMap says was decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Final

from veriramp_operator.api.base import format_instant, parse_instant
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.object import Rollout
from veriramp_operator.api.rollout import GROUP, KIND, VERSION, RolloutSpec
from veriramp_operator.api.status import Severity
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import Direction, Latch, Published, PublishFlags
from veriramp_operator.resources import flags
from veriramp_operator.resources.flags_configmap import CONTENT_HASH, DIRECTION, LATCH, REVISION

FLAGS_SUFFIX: Final = "-flags"
STAGE: Final = "veriramp.dev/stage"
PUBLISHED_AT: Final = "veriramp.dev/published-at"
USERS: Final = "veriramp.dev/users"
ALSO_FELL: Final = "veriramp.dev/also-fell"
"""Beside the latch and not in it: older versions take a document for broken whose latch tells more than they know."""
_LATCH_FIELDS: Final = frozenset(field.name for field in fields(Latch))


def document_request(rollout: Rollout, spec: RolloutSpec, command: PublishFlags) -> flags.DocumentRequest:
    """What the document of a command says."""
    return flags.DocumentRequest(
        namespace=rollout.namespace,
        rollout=rollout.name,
        key=spec.flags.key or rollout.name,
        uid=rollout.uid,
        revision=command.revision,
        generation=rollout.generation,
        vector=command.vector,
        salt=command.salt,
        sample_salt=command.sample_salt,
        lease_seconds=spec.flags.lease_seconds,
        include=tuple((rule.attribute, rule.equals) for rule in spec.flags.include),
        exclude=tuple((rule.attribute, rule.equals) for rule in spec.flags.exclude),
        worker_settings={worker.profile: dict(worker.settings) for worker in spec.workers},
    )


def narrowed(request: flags.DocumentRequest, published: Published | None) -> flags.DocumentRequest:
    """The same request exposing nobody whom the published document does not: an edit of the lists waits for a rise."""
    known_include, known_exclude = (published.include, published.exclude) if published else ((), ())
    include = tuple(match for match in request.include if match in known_include)
    exclude = (*request.exclude, *(match for match in known_exclude if match not in request.exclude))
    return replace(request, include=include, exclude=exclude)


def config_map_of(
    rollout: Rollout,
    document: flags.FlagDocument,
    command: PublishFlags,
    now: float,
    precondition: Mapping[str, str],
    request: flags.DocumentRequest | None = None,
) -> dict[str, Any]:
    """The ConfigMap to apply; ``precondition`` holds the uid and resourceVersion it must still have."""
    users = {"include": request.include, "exclude": request.exclude} if request else {}
    notes = {STAGE: command.stage, PUBLISHED_AT: format_instant(now), USERS: json.dumps(users, sort_keys=True)}
    if command.latch is not None and command.latch.also_fell:
        notes[ALSO_FELL] = json.dumps(command.latch.also_fell)
    body = flags.config_map(
        document,
        flags.Owner(f"{GROUP}/{VERSION}", KIND, rollout.name, rollout.uid),
        command.direction.value,
        _latch_text(command.latch),
        notes,
    )
    body["metadata"].update(precondition)
    return body


def published_from(raw: Mapping[str, Any]) -> Published | None:
    """What a flag ConfigMap says; None when it is not one of ours or has been changed by somebody else."""
    notes = raw["metadata"].get("annotations") or {}
    try:
        document = flags.parse(raw.get("data") or {})
        users = json.loads(notes.get(USERS, "{}"))
        return Published(
            uid=document.uid,
            revision=max(document.revision, flags.whole(int(notes[REVISION]), REVISION)),
            content_hash=document.content_hash,
            vector=document.vector,
            direction=Direction(notes[DIRECTION]),
            stage=notes.get(STAGE, ""),
            salt=document.salt,
            sample_salt=document.sample_salt,
            published_at=parse_instant(notes[PUBLISHED_AT]),
            latch=_latch(notes.get(LATCH), notes.get(ALSO_FELL, "[]")),
            generation=document.generation,
            include=_matches(users.get("include", ())),
            exclude=_matches(users.get("exclude", ())),
        )
    except (ConfigurationError, KeyError, ValueError, TypeError, AttributeError):
        return None


def document_from(raw: Mapping[str, Any]) -> flags.FlagDocument | None:
    """The document in a flag ConfigMap; None when it cannot be read or is not the one whose hash we noted beside it."""
    notes = raw["metadata"].get("annotations") or {}
    try:
        document = flags.parse(raw.get("data") or {})
    except ConfigurationError:
        return None
    return document if document.content_hash == notes.get(CONTENT_HASH) else None


def _matches(raw: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(attribute), str(value)) for attribute, value in raw)


def _latch_text(latch: Latch | None) -> str | None:
    if latch is None:
        return None
    told = asdict(latch) | {"severity": latch.severity.value, "target": latch.target.to_api()}
    del told["also_fell"]
    return json.dumps(told, sort_keys=True)


def _latch(text: str | None, also_fell: str) -> Latch | None:
    if text is None:
        return None
    raw = json.loads(text)
    read = {
        "severity": Severity(raw["severity"]),
        "target": Vector.model_validate(raw["target"]),
        "also_fell": tuple(json.loads(also_fell)),
    }
    return Latch(**{name: value for name, value in raw.items() if name in _LATCH_FIELDS} | read)
