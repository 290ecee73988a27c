"""The wire events of the verification pipeline: what search asks, what the workers answer.

Public names: :class:`Topic`, :class:`Verdict`, :class:`VerifyChunk`, :class:`VerificationComplete`,
:class:`VerificationFailed`, :func:`chunk_key`, :func:`chunk_key_of`, :func:`content_hash`,
:func:`event_id`, :func:`parse_event`.

Every message is one JSON object whose Kafka key is the chunk key. Unknown fields are ignored, so that a newer minor
version may add some; an unknown major version raises :class:`UnreadableEventError` and belongs into the dead letter
queue.
"""

from __future__ import annotations

import hashlib
import uuid
from enum import StrEnum
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION: Final = "1.0"
"""Version of every message written here: ``major.minor``; a reader refuses another major."""

MAX_CONTENT: Final = 100_000
"""Longest text, in characters, that a verifier accepts."""


class Topic(StrEnum):
    """The topics of the pipeline."""

    INTERACTIVE = "verify_chunks.interactive"
    BACKFILL = "verify_chunks.backfill"
    RETRY_SOON = "verify_chunks.retry.1m"
    RETRY_LATE = "verify_chunks.retry.10m"
    DEAD_LETTERS = "verify_chunks.dlq"
    COMPLETE = "verification_complete"
    FAILED = "verification_failed"
    PAGERANK = "pagerank_recalc"


class Verdict(StrEnum):
    """What a verifier says about a chunk; wire value and metric label."""

    ENTAILED = "entailed"
    CONTRADICTED = "contradicted"
    UNDETERMINED = "undetermined"
    INCONSISTENT = "inconsistent"
    NOT_FORMALISABLE = "not_formalisable"
    TOO_HARD = "too_hard"
    ERROR = "error"


class UnreadableEventError(ValueError):
    """A message that this version cannot read; its text says which field is wrong."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: str = SCHEMA_VERSION
    chunk_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    org_id: str
    document_id: str
    block_id: str
    content_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    query_id: str | None = None

    def to_bytes(self) -> bytes:
        """Return the JSON form, UTF-8, without fields that are unset."""
        return self.model_dump_json(exclude_none=True).encode()

    def key(self) -> bytes:
        """Return the Kafka key: one chunk stays in one partition, in order."""
        return self.chunk_key.encode()


class VerifyChunk(_Event):
    """Ask for the verification of one chunk, given ``premises`` that are taken for true (may be empty).

    ``enqueued_at_ms`` is in milliseconds since the epoch; ``rollout`` is ``namespace/name`` and ``revision`` the flag
    document under which the request was sampled.
    """

    content: Annotated[str, Field(min_length=1)]
    premises: tuple[str, ...] = ()
    lane: str = "interactive"
    enqueued_at_ms: Annotated[int, Field(ge=0)]
    rollout: str | None = None
    revision: int | None = None


class VerificationComplete(_Event):
    """The verdict on one chunk; ``event_id`` is the same for every delivery of the same judgement.

    Times are in seconds but ``verified_at_ms``, which is in milliseconds since the epoch.
    """

    event_id: str
    verdict: Verdict
    reason: str | None = None
    signal: Annotated[float, Field(ge=-1.0, le=1.0)]
    check_sat_result: str
    formalization_similarity: float | None = None
    extraction_degradation: float | None = None
    solver_success: bool
    unsat_core: tuple[str, ...] | None = None
    smt_lib_code: str
    solver_execution_time_seconds: Annotated[float, Field(ge=0)]
    total_time_seconds: Annotated[float, Field(ge=0)]
    verifier: str
    verifier_version: str
    formaliser_version: str
    cache_hit: bool = False
    verified_at_ms: Annotated[int, Field(ge=0)]


class VerificationFailed(VerifyChunk):
    """The request that could not be judged and why; ``retryable`` says whether asking again may help."""

    error: str
    error_class: str
    http_status: int | None = None
    step: str | None = None
    attempts: Annotated[int, Field(ge=1)] = 1
    final_similarity: float | None = None
    threshold: float | None = None
    retryable: bool
    failed_at_ms: Annotated[int, Field(ge=0)]


_EventT = TypeVar("_EventT", bound=_Event)


def content_hash(content: str) -> str:
    """Return the sha256 of the UTF-8 text as 64 hexadecimal digits."""
    return hashlib.sha256(content.encode()).hexdigest()


def chunk_key(org_id: str, document_id: str, block_id: str, content: str) -> str:
    """Return the identity of a chunk: sha256 of ``org|document|block|sha256(content)``, 64 hexadecimal digits.

    It survives re-indexing (point ids of a vector store do not) and changes when the content does.
    """
    return chunk_key_of(org_id, document_id, block_id, content_hash(content))


def chunk_key_of(org_id: str, document_id: str, block_id: str, digest: str) -> str:
    """Return the same for a content whose :func:`content_hash` is known."""
    return hashlib.sha256(f"{org_id}|{document_id}|{block_id}|{digest}".encode()).hexdigest()


def event_id(key: str, verifier_version: str, digest: str) -> str:
    """Return the id of a judgement: uuid5 over chunk key, verifier version and content hash; redelivery repeats it."""
    return str(uuid.uuid5(_EVENT_NAMESPACE, f"{key}|{verifier_version}|{digest}"))


def parse_event(model: type[_EventT], value: bytes) -> _EventT:
    """Read one message.

    Raises :class:`UnreadableEventError` when the bytes are no JSON, a field is wrong, the major version is unknown or
    the key does not belong to the content.
    """
    try:
        event = model.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise UnreadableEventError(f"{model.__name__}: {where}: {first['msg']}") from error
    if event.schema_version.split(".")[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
        raise UnreadableEventError(
            f"{model.__name__}: schema_version {event.schema_version!r} is not supported; this reader knows "
            f"{SCHEMA_VERSION.split('.', maxsplit=1)[0]}.x"
        )
    _check_identity(event)
    return event


def _check_identity(event: _Event) -> None:
    if not isinstance(event, VerifyChunk):
        return
    if event.content_hash != content_hash(event.content):
        raise UnreadableEventError(f"{type(event).__name__}: content_hash is not the sha256 of content")
    if event.chunk_key != chunk_key(event.org_id, event.document_id, event.block_id, event.content):
        raise UnreadableEventError(
            f"{type(event).__name__}: chunk_key is not sha256(org_id|document_id|block_id|content_hash)"
        )


_EVENT_NAMESPACE: Final = uuid.UUID("6f0c3d2e-7a51-5d1c-9a0e-3b7f7f1c2a10")
