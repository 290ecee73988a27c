"""Ask for the verification of what a search just returned, without ever slowing or failing the search.

Public names: :class:`VerificationTrigger`, :class:`TriggerDecision`, :class:`Sender`; :class:`Message` of ``message``,
and :class:`Chunk`, :class:`Known` of ``selection``.

    async with VerificationTrigger(KafkaSender(brokers), rollout=..., in_force=flags.state) as trigger:
        ...
        trigger.offer(decision, chunks, query_id)

``offer`` puts chunks into a bounded queue; a task makes the messages and sends them in batches. A full queue drops the
newest and counts it: a verdict that comes at the next search for the chunk costs less than a search that waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self

from prometheus_client import REGISTRY, CollectorRegistry
from pydantic import ValidationError

from veriramp_sdk.background import Background
from veriramp_sdk.budget import BudgetShares, affordable
from veriramp_sdk.contract import Mode
from veriramp_sdk.decision import FlagState
from veriramp_sdk.events import (
    MAX_CONTENT,
    VerificationComplete,
    VerificationFailed,
    chunk_key_of,
    content_hash,
    first_problem,
)
from veriramp_sdk.message import LARGEST_MESSAGE, Message, message_of
from veriramp_sdk.pending import Pending
from veriramp_sdk.selection import (
    Chunk,
    Known,
    how_many,
    is_fresh,
    percentiles,
    type_problem,
    unit_problem,
    verifier_of,
)
from veriramp_sdk.trigger_metrics import Drop, Outcome, Query, TriggerMetrics
from veriramp_sdk.trigger_queue import Ask, AskQueue

__all__ = ["Chunk", "Known", "Message", "Sender", "TriggerDecision", "VerificationTrigger"]

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


class Sender(Protocol):
    """Where requests go. Both raise what the transport raises; a cancelled ``send`` may have sent some."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all of them; return when they are accepted."""
        ...

    async def close(self) -> None:
        """Let go of the connection; called once, in the loop that sent."""
        ...


class VerificationTrigger:
    """A bounded queue in front of a :class:`Sender`; ``async with`` in an asyncio program, ``with`` in any other.

    ``offer``, ``answered`` and ``is_pending`` may be called from any thread, and before and after the context. Make one
    for each process, after the fork in a pre-forking server.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        rollout: str | None = None,
        in_force: Callable[[], FlagState] | None = None,
        fewest: int | None = None,
        share: Callable[[], float] | None = None,
        capacity: int = 1_000,
        send_seconds: float = 10.0,
        flush_seconds: float = 5.0,
        retry_seconds: float = 1.0,
        registry: CollectorRegistry | None = REGISTRY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Send for ``rollout`` ("namespace/name") as long as ``in_force`` (``flags.state``) says that it is on.

        ``fewest`` lets clear queries ask for fewer than ``top_k``, but for that many (:func:`selection.how_many`);
        ``share`` (0..1) is what a budget of yours leaves at the moment. ``capacity`` is in chunks; ``send_seconds``
        bounds one batch, ``flush_seconds`` the end, ``retry_seconds`` is the first wait after a failure. ``clock``
        gives seconds since the epoch. Raises ``ValueError`` for a capacity below 1.
        """
        if capacity < 1:
            raise ValueError(f"capacity {capacity} holds nothing; give at least 1")
        self._sender = sender
        self._rollout = rollout
        self._in_force = in_force
        self._fewest = fewest
        self._share = share
        self._send_seconds = send_seconds
        self._flush_seconds = flush_seconds
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._pending = Pending()
        self._budgets = BudgetShares()
        self._verifier: tuple[int, str] | None = None
        self._queue = AskQueue(capacity)
        self._complained_at = -math.inf
        self._metrics = TriggerMetrics(registry, rollout)
        self._metrics.follow(
            queue=lambda: float(len(self._queue)),
            pending=lambda: float(self._pending.count(self._clock())),
            budget=lambda: self._budgets.lowest(self._clock()),
        )
        self._task: asyncio.Task[None] | None = None
        self._background: Background | None = None

    def offer(
        self,
        decision: TriggerDecision,
        results: Iterable[Chunk],
        query_id: str | None = None,
        *,
        traceparent: str | None = None,
    ) -> int:
        """Queue the chunks of a search, all of its results best first, that need a verdict; return how many.

        Never raises and never waits. Nothing is queued when the decision does not verify; at most ``top_k`` are.
        ``traceparent`` (W3C; anything else is left out) goes with the messages as a header.
        """
        started = time.perf_counter()
        try:
            query = _query(decision)
            self._metrics.asked(query)
            if query is not Query.SAMPLED:
                return 0
            chunks = [one for one in islice(results, _CONSIDERED) if self._is_chunk(one)]
            return self._offer(decision, chunks, query_id, traceparent)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the results, the search goes on
            self._refuse(_said(error))
            return 0
        finally:
            self._metrics.took(time.perf_counter() - started)

    def answered(
        self, event: VerificationComplete | VerificationFailed, headers: Iterable[tuple[str, bytes | None]] = ()
    ) -> None:
        """Take in what came back for a chunk: it is in progress no longer, and who verifies at present is learned.

        From the message's ``headers`` it learns what the tenant's budget has left; without them all is asked for.
        """
        now = self._clock()
        self._pending.answered(event.chunk_key, now)
        if isinstance(event, VerificationComplete) and unit_problem(Known.of(event), int(now * 1000)) is None:
            told = (event.verified_at_ms, verifier_of(event))
            if self._verifier is None or told > self._verifier:
                self._verifier = told
            self._budgets.heard(event.org_id, headers, min(now, event.verified_at_ms / 1000))

    def is_pending(self, chunk_key: str) -> bool:
        """Tell whether this process asked for a verdict on a chunk not long ago and has no answer yet."""
        return self._pending.is_pending(chunk_key, self._clock())

    async def __aenter__(self) -> Self:
        self._queue.open()
        self._task = asyncio.create_task(self._run(), name="verification trigger")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, for at most ``flush_seconds``; what is left is dropped and counted."""
        self._queue.close()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._flush_seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop(self._queue.take(len(self._queue)), Drop.SHUTDOWN)
        try:
            await asyncio.wait_for(self._sender.close(), self._flush_seconds)
        except Exception as trouble:  # noqa: BLE001 - the end of the process must not depend on a transport
            _log.warning("the connection to the broker was not closed in order: %r", trouble)

    def __enter__(self) -> Self:
        self._background = Background(self, "verification trigger")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            self._background.stop()

    def _offer(
        self, decision: TriggerDecision, results: Sequence[Chunk], query_id: str | None, traceparent: str | None
    ) -> int:
        scores = [one.score for one in results]
        share = self._queue.room() if self._share is None else min(self._queue.room(), self._share())
        count = how_many(scores, decision.top_k, fewest=self._fewest, share=share)
        self._metrics.count(Outcome.SPARED, max(0, min(decision.top_k, len(results)) - count))
        now, left, wanted = self._clock(), _HASHED_IN_SEARCH, list[Ask]()
        for chunk, percentile in zip(results[:count], percentiles(scores), strict=False):
            ask = Ask(chunk, percentile, decision.revision, query_id, traceparent, now)
            cost = 0 if chunk.content_hash is not None else len(chunk.content or "")
            if cost <= left:
                left -= cost
                if not self._is_wanted(ask):
                    continue
            wanted.append(ask)
        paid = affordable(wanted, lambda tenant: self._budgets.of(tenant, now), query_id or repr(now))
        self._metrics.count(Outcome.BUDGET, len(wanted) - len(paid))
        return sum([self._put(ask) for ask in paid if not ask.key or self._is_due(ask)])

    def _put(self, ask: Ask) -> bool:
        if self._queue.put(ask):
            self._metrics.count(Outcome.QUEUED)
            return True
        self._drop([ask], Drop.SHUTDOWN if self._queue.closed else Drop.FULL)
        return False

    def _is_chunk(self, one: object) -> bool:
        problem = type_problem(one)
        if problem is not None:
            self._refuse(f"{_named(one)}{problem}")
        return problem is None

    def _is_wanted(self, ask: Ask) -> bool:
        """Tell whether a verdict is needed, and give the request its key then; count why when not."""
        try:
            return self._identify(ask)
        except Exception as error:  # noqa: BLE001 - one bad chunk must not stop the others
            self._refuse(f"{_named(ask.chunk)}{_said(error)}")
            return False

    def _identify(self, ask: Ask) -> bool:
        chunk, now_ms = ask.chunk, int(ask.at * 1000)
        problem = unit_problem(chunk.known, now_ms) if chunk.content else "the content is empty"
        if problem is not None:
            self._refuse(f"{_named(chunk)}{problem}")
            return False
        if len(chunk.content) > MAX_CONTENT:
            self._metrics.dropped(Drop.LARGE)
            return False
        ask.digest = chunk.content_hash or content_hash(chunk.content)
        ask.key = chunk_key_of(chunk.org_id, chunk.document_id, chunk.block_id, ask.digest)
        if is_fresh(chunk.known, ask.digest, self._verifier[1] if self._verifier else None, now_ms):
            self._metrics.count(Outcome.FRESH)
            return False
        return True

    def _is_due(self, ask: Ask) -> bool:
        """Note that a wanted verdict is asked for now; False when it is in progress or was answered a moment ago."""
        due = self._pending.ask(ask.key, ask.at)
        if not due:
            self._metrics.count(Outcome.PENDING)
        return due

    async def _run(self) -> None:
        """Send batch after batch; a batch that cannot be sent is logged, counted and let go."""
        delay = self._retry_seconds
        while await self._queue.wait():
            batch = self._queue.take(BATCH)
            if not self._is_on():
                self._drop(batch, Drop.OFF)
            elif await self._sent(batch, delay):
                delay = self._retry_seconds
            else:
                await self._queue.pause(delay)
                delay = min(2 * delay, _LONGEST_RETRY)

    def _is_on(self) -> bool:
        if self._in_force is None:
            return True
        try:
            state = self._in_force()
        except Exception as error:  # noqa: BLE001 - in doubt off, and this task must not end
            self._complain(f"what is in force cannot be asked: {error!r}")
            return False
        return state.mode is not Mode.OFF and state.sampling_rate > 0.0

    async def _sent(self, batch: Sequence[Ask], delay: float) -> bool:
        left, asked = deque(batch), list[Ask]()
        messages: list[Message] = []
        try:
            while left:
                ask = left.popleft()
                if (message := self._message(ask)) is not None:
                    asked.append(ask)
                    messages.append(message)
                await asyncio.sleep(0)  # a search that waits in this loop goes first
            async with asyncio.timeout(self._send_seconds):
                await self._sender.send(messages)
        except asyncio.CancelledError:
            self._drop([*asked, *left], Drop.SHUTDOWN)
            raise
        except Exception as error:  # noqa: BLE001 - any transport may fail in its own way; search must not
            self._drop(asked, Drop.FAILED)
            _log.warning("%d requests for verification not sent: %r; next try in %g s", len(asked), error, delay)
            return False
        self._metrics.count(Outcome.SENT, len(asked))
        return True

    def _message(self, ask: Ask) -> Message | None:
        if not ask.key and not (self._is_wanted(ask) and self._is_due(ask)):
            return None
        try:
            message = message_of(ask, self._rollout)
        except Exception as error:  # noqa: BLE001 - one bad chunk must not stop the others
            self._pending.forget(ask.key)
            self._refuse(f"{_named(ask.chunk)}{_said(error)}")
            return None
        if len(message.value) <= LARGEST_MESSAGE:
            return message
        self._drop([ask], Drop.LARGE)
        return None

    def _drop(self, asks: Sequence[Ask], reason: Drop) -> None:
        for ask in asks:
            self._pending.forget(ask.key)
        self._metrics.dropped(reason, len(asks))

    def _refuse(self, sentence: str) -> None:
        self._metrics.dropped(Drop.INVALID)
        self._complain(f"not asked for: {sentence}")

    def _complain(self, sentence: str) -> None:
        now = self._clock()
        if not 0.0 <= now - self._complained_at < _QUIET_SECONDS:
            self._complained_at = now
            _log.warning("verification trigger: %s (told once a minute)", sentence)


BATCH: Final = 50
"""Requests that are sent together at most."""

_HASHED_IN_SEARCH: Final = 20_000
"""Characters that one search hashes at most (0.05 ms at 400 MB/s, 80 kB at worst); the task hashes what is beyond."""
_CONSIDERED: Final = 200
"""Results of one search that are looked at."""
_LONGEST_RETRY: Final = 30.0
_QUIET_SECONDS: Final = 60.0
_LONGEST_SENTENCE: Final = 200


def _named(chunk: object) -> str:
    return f"chunk {chunk.block_id!r} of document {chunk.document_id!r}: " if isinstance(chunk, Chunk) else ""


def _said(error: Exception) -> str:
    """Return what an error says in one line, without the text that was wrong: it has no place in a log."""
    if isinstance(error, ValidationError):
        return first_problem(error)
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_SENTENCE]


def _query(decision: TriggerDecision) -> Query:
    if decision.mode is Mode.OFF:
        return Query.OFF
    return Query.SAMPLED if decision.verify and decision.top_k > 0 else Query.UNSAMPLED
