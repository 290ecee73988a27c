"""The message that asks for the verification of one chunk.

Public names: :class:`Message`, :func:`message_of`, :func:`request_of`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from veriramp_sdk.events import Topic, VerifyChunk, chunk_key_of, content_hash
from veriramp_sdk.selection import Chunk, lane_of
from veriramp_sdk.trigger_queue import Ask

LARGEST_MESSAGE: Final = 900_000
"""Longest message in bytes; Kafka takes 1,000,000 with its headers unless told otherwise."""

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker: a JSON object in UTF-8, its key and its headers."""

    topic: Topic
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def message_of(ask: Ask, rollout: str | None) -> Message:
    """Return the message that asks for one verification; raises ``ValueError`` for what no request may have."""
    known = ask.chunk.known if ask.chunk.known is not None and ask.chunk.known.content_hash == ask.digest else None
    topic = lane_of(ask.percentile, verified=known is not None)
    event = request_of(
        ask.chunk,
        int(ask.at * 1000),
        digest=ask.digest,
        query_id=ask.query_id,
        lane=topic.rpartition(".")[2],
        newer_than_ms=int(known.verified_at_ms) if known is not None else None,
        rollout=rollout,
        revision=ask.revision,
    )
    if ask.chunk.content_hash is not None and event.content_hash != content_hash(event.content):
        raise ValueError("content_hash is not the sha256 of content; leave it out where the index does not keep it")
    trace = ask.traceparent if ask.traceparent and _TRACEPARENT.fullmatch(ask.traceparent) else None
    headers = () if trace is None else (("traceparent", trace.encode()),)
    return Message(topic, event.key(), event.to_bytes(), headers)


def request_of(
    chunk: Chunk,
    enqueued_at_ms: int,
    *,
    digest: str | None = None,
    query_id: str | None = None,
    lane: str = "interactive",
    newer_than_ms: int | None = None,
    rollout: str | None = None,
    revision: int | None = None,
) -> VerifyChunk:
    """Return the request for a verdict on a chunk; ``digest`` spares hashing its content.

    Raises ``ValueError`` for what no request may have: an empty content, an id with a ``|``, a text that is no Unicode.
    """
    digest = digest or chunk.content_hash or content_hash(chunk.content)
    return VerifyChunk(
        chunk_key=chunk_key_of(chunk.org_id, chunk.document_id, chunk.block_id, digest),
        org_id=chunk.org_id,
        document_id=chunk.document_id,
        block_id=chunk.block_id,
        content_hash=digest,
        content=chunk.content,
        premises=chunk.premises,
        query_id=query_id,
        lane=lane,
        enqueued_at_ms=enqueued_at_ms,
        newer_than_ms=newer_than_ms,
        rollout=rollout,
        revision=revision,
    )
