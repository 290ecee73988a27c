"""The wire events of the verification pipeline: what search asks, what the workers answer.

Public names: :class:`Topic`, :class:`Verdict`, :class:`VerifyChunk`, :class:`VerificationComplete`,
:class:`VerificationFailed`, :class:`PagerankRecalc`, :func:`chunk_key`, :func:`chunk_key_of`, :func:`content_hash`,
:func:`event_id`, :func:`parse_event`, :func:`in_envelope`.

Every message is one JSON object whose Kafka key is the chunk key. Unknown fields are ignored, so that a newer minor
version may add some; an unknown major version raises :class:`UnreadableEventError` and belongs into the dead letter
queue.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION: Final = "1.1"
"""Version of every message written here: ``major.minor``; a reader refuses another major."""

MAX_CONTENT: Final = 100_000
"""Longest text, in characters, that a verifier accepts."""

PERIOD_MS: Final = 7 * 86_400_000
"""Requests so far apart are questions of their own: their answers never share an :func:`event_id`."""

_SHA256: Final = r"^[0-9a-f]{64}$"
_SEPARATOR: Final = "|"
# Every reader of JSON keeps whole numbers up to here exactly.
_Milliseconds = Annotated[int, Field(ge=0, le=2**53 - 1)]


class Topic(StrEnum):
    """The topics of the pipeline."""

    INTERACTIVE = "verify_chunks.interactive"
    BACKFILL = "verify_chunks.backfill"
    RETRY_SOON = "verify_chunks.retry.1m"
    RETRY_LATE = "verify_chunks.retry.10m"
    DEFERRED = "verify_chunks.deferred"
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


def _whole(part: str) -> str:
    """Return an id that a key may be joined of; raises ``ValueError`` when two chunks could have the same key."""
    if _SEPARATOR in part:
        raise ValueError(f"{part[:_SHOWN]!r} has a {_SEPARATOR!r}, which separates the parts of keys; leave it out")
    return part


_Id = Annotated[str, AfterValidator(_whole), Field(json_schema_extra={"pattern": r"^[^|]*$"})]


class _Event(BaseModel):
    # JSON has no infinity: it would be written as null.
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    schema_version: str = SCHEMA_VERSION
    """major.minor; a reader refuses a major that it does not know."""

    def to_bytes(self) -> bytes:
        """Return the JSON form, UTF-8, without fields that are unset."""
        return self.model_dump_json(exclude_none=True).encode()


class _ChunkEvent(_Event):
    chunk_key: Annotated[str, Field(pattern=_SHA256)]
    """Identity and Kafka key: sha256 of org_id|document_id|block_id|content_hash, 64 hexadecimal digits."""
    org_id: _Id
    """The tenant; no |."""
    document_id: _Id
    """The record of the document that the chunk belongs to; it survives re-indexing. No |."""
    block_id: str
    """The chunk's place within its document."""
    content_hash: Annotated[str, Field(pattern=_SHA256)]
    """sha256 of the UTF-8 text, in hexadecimal digits."""
    query_id: str | None = None
    """The search that asked, if one did."""

    def key(self) -> bytes:
        """Return the Kafka key: one chunk stays in one partition, in order."""
        return self.chunk_key.encode()


class VerifyChunk(_ChunkEvent):
    """Ask for the verification of one chunk, given premises that are taken for true (may be empty)."""

    content: Annotated[str, Field(min_length=1)]
    """The text to judge."""
    premises: tuple[str, ...] = ()
    """Texts that are taken for true."""
    lane: str = "interactive"
    """interactive or backfill; in the topic of backfill it is backfill, whatever this says."""
    enqueued_at_ms: _Milliseconds
    """When it was asked for, in milliseconds since the epoch."""
    newer_than_ms: _Milliseconds | None = None
    """What the asker knows was verified then; only what is judged later is an answer. Milliseconds since the epoch."""
    rollout: str | None = None
    """namespace/name of the rollout under which the request was sampled."""
    revision: int | None = None
    """Revision of the flag document under which the request was sampled."""


class VerificationComplete(_ChunkEvent):
    """The verdict on one chunk."""

    event_id: str
    """Which finding this is; count each once. The same for every delivery of a request that has the same verdict;
    another one for another text, other premises, another verifier, another verdict, or a request of another week."""
    verdict: Verdict
    reason: str | None = None
    """Why, in a sentence."""
    signal: Annotated[float, Field(ge=-1.0, le=1.0)]
    """Influence on ranking: 1 for entailed, -1 for contradicted, 0 for everything else."""
    check_sat_result: str
    """The solver's word: sat, unsat, unknown, or what went wrong."""
    formalization_similarity: float | None = None
    """0..1, what a formaliser says about its own work; decides nothing."""
    extraction_degradation: float | None = None
    """0..1, what a formaliser says about its own work; decides nothing."""
    solver_success: bool
    """Whether the solver said sat or unsat."""
    unsat_core: tuple[str, ...] | None = None
    """The smallest set of sentences found that cannot be true together."""
    smt_lib_code: str
    """The formal text."""
    solver_execution_time_seconds: Annotated[float, Field(ge=0)]
    total_time_seconds: Annotated[float, Field(ge=0)]
    verifier: str
    verifier_version: str
    formaliser_version: str
    cache_hit: bool = False
    """Whether the judgement was made before, for the same text."""
    verified_at_ms: _Milliseconds
    """Milliseconds since the epoch."""


class VerificationFailed(VerifyChunk):
    """The request that could not be judged, and why."""

    error: str
    """What went wrong, in a sentence."""
    error_class: str
    http_status: int | None = None
    """Of the verifier's last answer, if there was one."""
    step: str | None = None
    """Where it went wrong."""
    attempts: Annotated[int, Field(ge=1)] = 1
    final_similarity: float | None = None
    threshold: float | None = None
    retryable: bool
    """Whether asking again may help."""
    failed_at_ms: _Milliseconds
    """Milliseconds since the epoch."""


class PagerankRecalc(_Event):
    """A document's quality moved so far since the last run that PageRank is to be calculated again."""

    org_id: _Id
    document_id: _Id
    old_multiplier: Annotated[float, Field(ge=0)]
    """The document's quality at the last run of PageRank."""
    new_multiplier: Annotated[float, Field(ge=0)]
    """The document's quality now."""
    reason: str = "verification_update"
    emitted_at_ms: _Milliseconds
    """Milliseconds since the epoch."""

    def key(self) -> bytes:
        """Return the Kafka key: of one document only the last event matters."""
        return f"{self.org_id}|{self.document_id}".encode()


EVENTS: Final[Mapping[str, type[_Event]]] = {
    "verify_chunks": VerifyChunk,
    "verification_complete": VerificationComplete,
    "verification_failed": VerificationFailed,
    "pagerank_recalc": PagerankRecalc,
}
"""The events by the names that they have in schemas and in envelopes."""

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
    """Return the same for a content whose :func:`content_hash` is known.

    Raises ``ValueError`` for an organisation or a document with a ``|``: another chunk could have the same key.
    """
    parts = (_whole(org_id), _whole(document_id), block_id, digest)
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()


def event_id(
    request: VerifyChunk, verdict: Verdict, *, verifier: str, verifier_version: str, formaliser_version: str
) -> str:
    """Return the id of a finding: uuid5 over question, verifier, verdict, and the week in which it was asked for.

    The week is that of ``enqueued_at_ms`` in UTC, so the message and the verdict alone decide, whoever answers and
    however often. Premises count in their order. The reasons are in ADR 0009.
    """
    question = [request.chunk_key, request.content_hash, list(request.premises)]
    who = [verifier, verifier_version, formaliser_version]
    parts = [*question, *who, str(verdict), request.enqueued_at_ms // PERIOD_MS]
    # A list in JSON, for joined texts could be parted in several ways.
    return str(uuid.uuid5(_EVENT_NAMESPACE, json.dumps(parts)))


def parse_event(model: type[_EventT], value: bytes) -> _EventT:
    """Read one message, by itself or in the envelope of another bus (see :func:`in_envelope`).

    Raises :class:`UnreadableEventError` when the bytes are no JSON, a field is wrong, the major version is unknown or
    the key does not belong to the content.
    """
    try:
        event = model.model_validate_json(value)
    except ValidationError as error:
        payload = _payload(model, value)
        if payload is not None:
            return parse_event(model, payload)
        raise UnreadableEventError(f"{model.__name__}: {first_problem(error)}") from error
    if event.schema_version.split(".")[0] != _MAJOR:
        raise UnreadableEventError(
            f"{model.__name__}: schema_version {event.schema_version[:20]!r} is not supported; "
            f"this reader knows {_MAJOR}.x"
        )
    _check_identity(event)
    return event


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with an event as ``field: what``, without the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def in_envelope(event: _Event, *, timestamp_ms: int, request_id: str | None = None) -> bytes:
    """Return the event as ``{eventType, payload, timestamp, requestId?}``, for buses whose messages look like that."""
    name = next(name for name, model in EVENTS.items() if model is type(event))
    envelope = {
        "eventType": name,
        "payload": event.model_dump(mode="json", exclude_none=True),
        "timestamp": timestamp_ms,
    }
    return json.dumps(envelope | ({} if request_id is None else {"requestId": request_id})).encode()


def _payload(model: type[_Event], value: bytes) -> bytes | None:
    """What is in an envelope for this event, as JSON; None when it is none."""
    try:
        envelope = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(envelope, dict) or not isinstance(envelope.get("payload"), dict):
        return None
    if EVENTS.get(str(envelope.get("eventType"))) is not model or "eventType" in envelope["payload"]:
        return None
    return json.dumps(envelope["payload"]).encode()


def _check_identity(event: _Event) -> None:
    if not isinstance(event, VerifyChunk):
        return
    if event.content_hash != content_hash(event.content):
        raise UnreadableEventError(f"{type(event).__name__}: content_hash is not the sha256 of content")
    if not _EARLIEST_MS <= event.enqueued_at_ms < _LATEST_MS:
        raise UnreadableEventError(
            f"{type(event).__name__}: enqueued_at_ms {event.enqueued_at_ms} is no time in milliseconds since the epoch"
        )
    if event.chunk_key != chunk_key(event.org_id, event.document_id, event.block_id, event.content):
        raise UnreadableEventError(
            f"{type(event).__name__}: chunk_key is not sha256(org_id|document_id|block_id|content_hash)"
        )


_MAJOR: Final = SCHEMA_VERSION.split(".", maxsplit=1)[0]
_EVENT_NAMESPACE: Final = uuid.UUID("6f0c3d2e-7a51-5d1c-9a0e-3b7f7f1c2a10")
_SHOWN: Final = 100
# From 1973 to 5138: neither seconds nor microseconds of these days, with which weeks would never or always change.
_EARLIEST_MS: Final = 10**11
_LATEST_MS: Final = 10**14
