"""From a request to a verdict: ask cache, budget and verifier in turn, say what to publish.

Public names: :class:`Orchestrator` (a bus ``Handler``). What to do with each answer is decided in
:mod:`veriramp_workers.orchestrator.flow`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn, TypedDict

from veriramp_sdk.effects import Effect
from veriramp_sdk.events import (
    Topic,
    UnreadableEventError,
    VerificationComplete,
    VerificationFailed,
    VerifyChunk,
    event_id,
    parse_event,
)
from veriramp_workers.caching import answers, cache_key, lifetime_seconds, payment_key
from veriramp_workers.orchestrator.backlog import Backlog, Ladder, Level
from veriramp_workers.orchestrator.flow import (
    BACKFILL,
    BREAKER,
    OFF,
    RATE,
    Wait,
    after_backlog,
    after_failure,
    effect_of,
    lane_of,
    share_of,
    trouble_of,
)
from veriramp_workers.orchestrator.metrics import OrchestratorMetrics
from veriramp_workers.orchestrator.purse import NoBudgetError, Purse
from veriramp_workers.orchestrator.tuning import Tuning
from veriramp_workers.orchestrator.turns import Turns
from veriramp_workers.ports import (
    Budget,
    DeferError,
    Judgement,
    Message,
    PauseError,
    PoisonError,
    Question,
    Record,
    RetryLaterError,
    VerdictCache,
    Verifier,
    VerifierUnavailableError,
)

_log = logging.getLogger(__name__)


class _Who(TypedDict):
    """What answers; part of the identity of everything that it says."""

    verifier: str
    verifier_version: str
    formaliser_version: str


class Orchestrator:
    """Judges ``verify_chunks`` and answers with ``verification_complete`` or, at last, ``verification_failed``.

    Without a cache everything is judged anew, without a budget nothing is paid for. ``clock`` gives seconds since the
    epoch. The same answer to a redelivered request carries the same ``event_id``.
    """

    def __init__(
        self,
        verifier: Verifier,
        metrics: OrchestratorMetrics,
        *,
        formaliser_version: str,
        cache: VerdictCache | None = None,
        budget: Budget | None = None,
        backlog: Backlog | None = None,
        ladder: Ladder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._metrics = metrics
        self._formaliser_version = formaliser_version
        self._cache = cache
        self._purse = None if budget is None else Purse(budget, metrics, clock)
        self._backlog = backlog or Backlog(clock=clock)
        self._ladder = ladder or Ladder()
        self._clock = clock
        self._turns = Turns()
        self._tuning = Tuning()
        self._off = False
        self._blocked: dict[str, float] = {}
        metrics.degradation.set_function(lambda: float(self.level))
        metrics.oldest.set_function(lambda: self.oldest_seconds)

    def tune(self, tuning: Tuning, *, off: bool) -> None:
        """Use other settings from the next request on; ``off`` says that the flags have paused the worker."""
        self._tuning = tuning
        self._ladder.old_seconds = tuning.backlog_seconds
        self._off = off

    def unblock(self) -> None:
        """Note that the verifier may be asked again; what waits for budget goes on waiting."""
        for reason in (BREAKER, OFF):
            self._blocked.pop(reason, None)

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest request of a search that waits."""
        return self._backlog.oldest_seconds

    @property
    def level(self) -> Level:
        """How far the worker is degraded now."""
        return self._ladder.level(oldest_seconds=self.oldest_seconds, blocked=self._is_blocked, off=self._off)

    def tick(self) -> None:
        """Let the level fall when it is time; to be called about once a second."""
        self._ladder.step(oldest_seconds=self.oldest_seconds, blocked=self._is_blocked, off=self._off)

    @property
    def _is_blocked(self) -> bool:
        now = self._clock()
        return any(now < until for until in self._blocked.values()) or (self._purse is not None and self._purse.blocked)

    async def __call__(self, record: Record) -> tuple[Message, ...]:
        """Return the one message that answers a request; raises as the port ``Handler`` says."""
        try:
            request = parse_event(VerifyChunk, record.value)
        except UnreadableEventError as error:
            raise PoisonError(str(error)) from error
        waited = max(0.0, self._clock() - request.enqueued_at_ms / 1000)
        if record.topic == Topic.INTERACTIVE:
            self._backlog.took(request.enqueued_at_ms)
        started = time.perf_counter()
        try:
            judgement, known = await self._judged(request, record)
        except (PauseError, DeferError):
            raise
        except NoBudgetError as error:
            return (self._expired(request, record, error),)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request is tried again and then reported
            self._given_up(request, record, error)
        effect, reason = effect_of(judgement, self._tuning.effects)
        self._metrics.waiting.observe(waited)
        seconds = time.perf_counter() - started
        self._metrics.answered(judgement, effect, known=known, seconds=seconds)
        _log.debug("verdict on a chunk", extra=_fields(request, record, verdict=judgement.verdict, mode=effect.mode))
        complete = self._complete(request, replace(judgement, reason=reason), effect, known=known)
        news = () if self._purse is None else self._purse.news(request.org_id)
        return (Message(Topic.COMPLETE, complete.key(), complete.to_bytes(), (*_trace(record), *news)),)

    async def _judged(self, request: VerifyChunk, record: Record) -> tuple[Judgement, bool]:
        """Return the verdict, and whether it was known before."""
        if self._cache is None:
            return await self._asked(request, record), False
        key = self._key(request)
        # The same text is often in many chunks: whoever comes second finds what the first has paid for.
        async with self._turns.of(key):
            known = await self._cache.get(key)
            if known is not None and answers(known, request):
                return known, True
            judgement = await self._asked(request, record)
            judgement = replace(judgement, judged_at_ms=int(self._clock() * 1000))
            if seconds := lifetime_seconds(judgement.verdict):
                await self._cache.put(key, judgement, seconds)
            return judgement, False

    async def _asked(self, request: VerifyChunk, record: Record) -> Judgement:
        lane = lane_of(request.lane, record.topic, record.origin)
        if lane == BACKFILL:
            self._obey(after_backlog(record.topic, self.level))
        if self._purse is not None:
            key = payment_key(request, **self._who)
            await self._purse.pay(request.org_id, key, record, share=share_of(lane, self._tuning.backfill_share))
        try:
            judgement = await self._verifier.judge(Question(request.content, request.premises))
        except VerifierUnavailableError as error:
            self._obey(after_failure(error))
            raise
        self.unblock()
        return judgement

    def _obey(self, wait: Wait | None) -> None:
        if wait is None:
            return
        # Our own limit is no trouble: what it lets through is judged.
        if not wait.topics and wait.reason != RATE:
            self._blocked[wait.reason] = self._clock() + wait.seconds
        self._metrics.waits.labels(wait.reason).inc()
        raise PauseError(wait.seconds, wait.reason, topics=wait.topics)

    def _expired(self, request: VerifyChunk, record: Record, error: NoBudgetError) -> Message:
        self._metrics.requests.labels("expired").inc()
        failed = self._failed(request, record, error)
        return Message(Topic.FAILED, failed.key(), failed.to_bytes(), _trace(record))

    def _given_up(self, request: VerifyChunk, record: Record, error: Exception) -> NoReturn:
        """Let the bus try again; what it publishes when it has tried often enough is made here."""
        self._metrics.requests.labels("error").inc()
        fields = _fields(request, record, error_class=type(error).__name__)
        if isinstance(error, VerifierUnavailableError):
            _log.warning("no verdict on a chunk", extra={**fields, "status": error.status, "attempts": error.attempts})
        else:
            # Its text may hold the content, which has no place in a log.
            _log.error("unexpected error at a chunk", extra={**fields, "at": _place(error)})
        failed = self._failed(request, record, error)
        last = Message(Topic.FAILED, failed.key(), failed.to_bytes(), _trace(record))
        raise RetryLaterError(trouble_of(error), last=(last,)) from error

    def _key(self, request: VerifyChunk) -> str:
        return cache_key(
            tenant=request.org_id,
            content_hash=request.content_hash,
            premises=request.premises,
            **self._who,
        )

    @property
    def _who(self) -> _Who:
        return {
            "verifier": self._verifier.name,
            "verifier_version": self._verifier.version,
            "formaliser_version": self._formaliser_version,
        }

    def _complete(
        self, request: VerifyChunk, judgement: Judgement, effect: Effect, *, known: bool
    ) -> VerificationComplete:
        return VerificationComplete(
            event_id=event_id(request, judgement.verdict, **self._who),
            chunk_key=request.chunk_key,
            org_id=request.org_id,
            document_id=request.document_id,
            block_id=request.block_id,
            content_hash=request.content_hash,
            query_id=request.query_id,
            verdict=judgement.verdict,
            reason=judgement.reason,
            signal=effect.signal,
            check_sat_result=judgement.check_sat,
            formalization_similarity=judgement.similarity,
            extraction_degradation=judgement.degradation,
            solver_success=judgement.check_sat in {"sat", "unsat"},
            unsat_core=judgement.conflict or None,
            smt_lib_code=judgement.smt_lib,
            solver_execution_time_seconds=judgement.solver_seconds,
            total_time_seconds=judgement.total_seconds,
            cache_hit=known,
            verified_at_ms=int(self._clock() * 1000),
            **self._who,
        )

    def _failed(self, request: VerifyChunk, record: Record, error: Exception) -> VerificationFailed:
        status = error.status if isinstance(error, VerifierUnavailableError) else None
        return VerificationFailed(
            **request.model_dump(),
            error=str(error),
            error_class=type(error).__name__,
            http_status=status,
            attempts=record.attempt,
            step="verify",
            retryable=isinstance(error, VerifierUnavailableError | NoBudgetError),
            failed_at_ms=int(self._clock() * 1000),
        )


def _trace(record: Record) -> tuple[tuple[str, bytes], ...]:
    return tuple(header for header in record.headers if header[0] == _TRACEPARENT)


def _traceparent(record: Record) -> str:
    return next((value.decode(errors="replace") for _, value in _trace(record)), "")


def _fields(request: VerifyChunk, record: Record, **more: str) -> dict[str, object]:
    return {"chunk": request.chunk_key, "trace": _traceparent(record), **more}


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else ""


_TRACEPARENT: Final = "traceparent"
