"""From a request to a verdict: read the event, have it judged, say what to publish.

Public names: :class:`Orchestrator` (a bus ``Handler``), :class:`OrchestratorMetrics`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from veriramp_sdk.effects import Effects
from veriramp_sdk.events import (
    Topic,
    UnreadableEventError,
    Verdict,
    VerificationComplete,
    VerificationFailed,
    VerifyChunk,
    event_id,
    parse_event,
)
from veriramp_workers.ports import Judgement, Message, PoisonError, Question, Record, Verifier, VerifierUnavailableError

_log = logging.getLogger(__name__)


class OrchestratorMetrics:
    """What the orchestrator exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "verification_requests", "Requests for verification, by outcome", ("status",), registry=registry
        )
        self.verdicts = Counter("verification_verdicts", "Verdicts given", ("verdict",), registry=registry)
        self.duration = Histogram(
            "verification_duration_seconds",
            "From taking a request to its verdict",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.waiting = Histogram(
            "verification_queue_seconds",
            "From asking to taking the request",
            buckets=_WAITING_BUCKETS,
            registry=registry,
        )
        for status in ("success", "invalid", "error"):
            self.requests.labels(status)
        for verdict in Verdict:
            self.verdicts.labels(verdict)


class Orchestrator:
    """Judges ``verify_chunks`` and answers with ``verification_complete`` or ``verification_failed``.

    ``clock`` gives seconds since the epoch. The answer to a redelivered request carries the same ``event_id``.
    """

    def __init__(
        self,
        verifier: Verifier,
        metrics: OrchestratorMetrics,
        *,
        formaliser_version: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._metrics = metrics
        self._formaliser_version = formaliser_version
        self._clock = clock

    async def __call__(self, record: Record) -> tuple[Message, ...]:
        """Return the one message that answers a request; raises ``PoisonError`` for one that cannot be read."""
        try:
            request = parse_event(VerifyChunk, record.value)
        except UnreadableEventError as error:
            raise PoisonError(str(error)) from error
        trace = tuple(header for header in record.headers if header[0] == "traceparent")
        self._metrics.waiting.observe(max(0.0, self._clock() - request.enqueued_at_ms / 1000))
        started = time.perf_counter()
        try:
            judgement = await self._verifier.judge(Question(request.content, request.premises))
        except VerifierUnavailableError as error:
            self._metrics.requests.labels("error").inc()
            _log.warning("chunk %s was not judged: %s", request.chunk_key[:12], error)
            failed = self._failed(request, error)
            return (Message(Topic.FAILED, failed.key(), failed.to_bytes(), trace),)
        self._metrics.duration.observe(time.perf_counter() - started)
        self._metrics.verdicts.labels(judgement.verdict).inc()
        self._metrics.requests.labels(_STATUS.get(judgement.verdict, "success")).inc()
        complete = self._complete(request, judgement)
        return (Message(Topic.COMPLETE, complete.key(), complete.to_bytes(), trace),)

    def _complete(self, request: VerifyChunk, judgement: Judgement) -> VerificationComplete:
        version = f"{self._verifier.version}+{self._formaliser_version}"
        return VerificationComplete(
            event_id=event_id(request.chunk_key, version, request.content_hash),
            chunk_key=request.chunk_key,
            org_id=request.org_id,
            document_id=request.document_id,
            block_id=request.block_id,
            content_hash=request.content_hash,
            query_id=request.query_id,
            verdict=judgement.verdict,
            reason=judgement.reason,
            signal=Effects().of(judgement.verdict).signal,
            check_sat_result=judgement.check_sat,
            formalization_similarity=judgement.similarity,
            extraction_degradation=judgement.degradation,
            solver_success=judgement.check_sat in {"sat", "unsat"},
            unsat_core=judgement.conflict or None,
            smt_lib_code=judgement.smt_lib,
            solver_execution_time_seconds=judgement.solver_seconds,
            total_time_seconds=judgement.total_seconds,
            verifier=self._verifier.name,
            verifier_version=self._verifier.version,
            formaliser_version=self._formaliser_version,
            verified_at_ms=int(self._clock() * 1000),
        )

    def _failed(self, request: VerifyChunk, error: VerifierUnavailableError) -> VerificationFailed:
        return VerificationFailed(
            **request.model_dump(),
            error=str(error),
            error_class=type(error).__name__,
            http_status=error.status,
            attempts=error.attempts,
            step="verify",
            retryable=True,
            failed_at_ms=int(self._clock() * 1000),
        )


_STATUS: Final = {Verdict.NOT_FORMALISABLE: "invalid", Verdict.ERROR: "error"}
_DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
_WAITING_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
