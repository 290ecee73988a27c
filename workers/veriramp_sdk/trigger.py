"""Ask for the verification of what a search just returned, without ever slowing or failing the search.

Public names: :class:`Chunk`, :class:`TriggerDecision`, :class:`Sender`, :class:`VerificationTrigger`,
:class:`TriggerCounts`.

``offer`` only appends to a bounded queue; a task of the event loop sends. A full queue drops the newest request and
counts it: a verdict that comes later, at the next search for the chunk, costs less than a search that waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from veriramp_sdk.contract import Mode
from veriramp_sdk.events import Topic, VerifyChunk, chunk_key, content_hash

FRESH_SECONDS: Final = 7 * 86_400.0
"""A chunk verified less than seven days ago, with the same content, is not asked for again."""

REPEAT_SECONDS: Final = 60.0
"""A chunk that was asked for less than a minute ago is not asked for again: its verdict is on its way."""

_log = logging.getLogger(__name__)


class TriggerDecision(Protocol):
    """The part of a flag decision that the trigger obeys."""

    @property
    def mode(self) -> Mode: ...
    @property
    def verify(self) -> bool: ...
    @property
    def top_k(self) -> int: ...
    @property
    def revision(self) -> int: ...


@dataclass(frozen=True)
class Chunk:
    """A chunk that a search returned; ``verified_at`` (seconds since the epoch) is that of exactly this content."""

    org_id: str
    document_id: str
    block_id: str
    content: str
    premises: tuple[str, ...] = ()
    verified_at: float | None = None


class Sender(Protocol):
    """Where requests go: one awaited call for each message; raises what the transport raises."""

    async def send(self, topic: str, key: bytes, value: bytes) -> None: ...


@dataclass(frozen=True)
class TriggerCounts:
    """What became of the chunks offered so far."""

    queued: int = 0
    sent: int = 0
    dropped: int = 0
    failed: int = 0
    fresh: int = 0


class VerificationTrigger:
    """A bounded queue in front of a :class:`Sender`.

    Call :meth:`run` as a task of the loop that serves searches, and :meth:`offer` after each search. ``clock`` gives
    seconds since the epoch; ``retry_seconds`` is the first wait after a failure.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        rollout: str | None = None,
        capacity: int = 1_000,
        retry_seconds: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} holds nothing; give at least 1")
        self._sender = sender
        self._rollout = rollout
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._queue: asyncio.Queue[VerifyChunk] = asyncio.Queue(capacity)
        self._asked: dict[str, float] = {}
        self._counts = {"queued": 0, "sent": 0, "dropped": 0, "failed": 0, "fresh": 0}

    @property
    def counts(self) -> TriggerCounts:
        """What became of the chunks offered so far."""
        return TriggerCounts(**self._counts)

    def offer(self, decision: TriggerDecision, chunks: Iterable[Chunk], query_id: str | None = None) -> int:
        """Queue at most ``top_k`` chunks that need a verdict; return how many were queued.

        Never blocks and never raises for a full queue. Nothing is queued when the decision does not verify.
        """
        if not decision.verify or decision.mode is Mode.OFF:
            return 0
        queued = 0
        for chunk in list(chunks)[: max(0, decision.top_k)]:
            queued += self._offer_one(chunk, decision.revision, query_id)
        return queued

    async def run(self) -> None:
        """Send what is queued until cancelled; a request that cannot be sent is logged, counted and let go.

        After a failure it waits before it tries the next one, longer each time (up to 30 s).
        """
        delay = self._retry_seconds
        while True:
            event = await self._queue.get()
            try:
                await self._sender.send(Topic.INTERACTIVE, event.key(), event.to_bytes())
            except Exception as error:  # noqa: BLE001 - any transport may fail in its own way; search must not
                self._counts["failed"] += 1
                self._asked.pop(event.chunk_key, None)
                _log.warning("verification request not sent: %s; next try in %g s", error, delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_RETRY)
            else:
                self._counts["sent"] += 1
                delay = self._retry_seconds

    def _offer_one(self, chunk: Chunk, revision: int, query_id: str | None) -> int:
        now = self._clock()
        if chunk.verified_at is not None and now - chunk.verified_at < FRESH_SECONDS:
            self._counts["fresh"] += 1
            return 0
        event = self._request(chunk, revision, query_id, now)
        if now - self._asked.get(event.chunk_key, -math.inf) < REPEAT_SECONDS:
            return 0
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._counts["dropped"] += 1
            return 0
        self._remember(event.chunk_key, now)
        self._counts["queued"] += 1
        return 1

    def _remember(self, key: str, now: float) -> None:
        self._asked.pop(key, None)
        self._asked[key] = now
        while len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]

    def _request(self, chunk: Chunk, revision: int, query_id: str | None, now: float) -> VerifyChunk:
        return VerifyChunk(
            chunk_key=chunk_key(chunk.org_id, chunk.document_id, chunk.block_id, chunk.content),
            org_id=chunk.org_id,
            document_id=chunk.document_id,
            block_id=chunk.block_id,
            content_hash=content_hash(chunk.content),
            content=chunk.content,
            premises=chunk.premises,
            query_id=query_id,
            enqueued_at_ms=int(now * 1000),
            rollout=self._rollout,
            revision=revision,
        )


_REMEMBERED: Final = 10_000
_LONGEST_RETRY: Final = 30.0
