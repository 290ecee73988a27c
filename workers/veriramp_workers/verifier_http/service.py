"""A verifier as an HTTP service, under the contract that the client speaks.

Public names: :class:`VerifierService`, :class:`ServiceMetrics`.

The service takes a bounded number of questions and sends the others away with 503 and ``Retry-After``: who waits in a
queue here would only wait without knowing it.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from veriramp_sdk.events import Verdict
from veriramp_workers.ports import Judgement, Question, Verifier, VerifierUnavailableError
from veriramp_workers.verifier_http.contract import HEALTH_PATH, PREMISES, PROCESS_PATH, Answer, Figures, Proof, Request

LONGEST_BODY: Final = 2 * 1024 * 1024
"""Bytes of a request: the longest text with every character escaped, and as much again."""


class ServiceMetrics:
    """What the service exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "veriramp_verifier_requests",
            "Requests to the verifier, by HTTP status",
            ("status_code",),
            registry=registry,
        )
        self.verdicts = Counter("veriramp_verifier_verdicts", "Verdicts given", ("verdict",), registry=registry)
        self.duration = Histogram(
            "veriramp_verifier_duration_seconds",
            "From taking a question to its verdict",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.busy = Gauge("veriramp_verifier_busy", "Questions that are being judged or wait for it", registry=registry)


class VerifierService:
    """Puts a verifier behind HTTP; at most ``capacity`` questions at once, ``body_seconds`` to send one."""

    def __init__(
        self,
        verifier: Verifier,
        metrics: ServiceMetrics,
        *,
        capacity: int,
        longest_body: int = LONGEST_BODY,
        body_seconds: float = 10.0,
    ) -> None:
        self._verifier = verifier
        self._metrics = metrics
        self._capacity = capacity
        self._longest_body = longest_body
        self._body_seconds = body_seconds
        self._busy = 0

    def routes(self) -> list[Route]:
        """Return the routes of the contract."""
        return [
            Route(PROCESS_PATH, self._process, methods=["POST"]),
            Route(HEALTH_PATH, self._health, methods=["GET"]),
        ]

    async def _health(self, _: HttpRequest) -> Response:
        return JSONResponse(
            {
                "status": "healthy",
                "service": self._verifier.name,
                "version": self._verifier.version,
                "embedding_model": None,
                "extensions": [PREMISES, "verdict"],
            }
        )

    async def _process(self, request: HttpRequest) -> Response:
        if self._busy >= self._capacity:
            response = _come_back(f"{self._capacity} questions are being judged already")
        else:
            self._busy += 1
            self._metrics.busy.set(self._busy)
            try:
                response = await self._answer(request)
            finally:
                self._busy -= 1
                self._metrics.busy.set(self._busy)
        self._metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def _answer(self, request: HttpRequest) -> Response:
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._body(request)
        except TimeoutError:
            return JSONResponse({"error": f"the body did not come within {self._body_seconds:g} s"}, 408)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return JSONResponse({"error": f"the body is longer than {self._longest_body} bytes"}, 413)
        return await self._judge(body)

    async def _judge(self, body: bytes) -> Response:
        try:
            asked = Request.model_validate_json(body)
        except ValidationError as error:
            return _refused(error)
        started = time.perf_counter()
        try:
            judgement = await self._verifier.judge(Question(asked.informal_text, asked.premises))
        except VerifierUnavailableError as error:
            return _come_back(str(error))
        seconds = time.perf_counter() - started
        self._metrics.duration.observe(seconds)
        self._metrics.verdicts.labels(judgement.verdict).inc()
        if judgement.verdict is Verdict.NOT_FORMALISABLE:
            return _not_formalisable(judgement)
        return JSONResponse(_answer_to(asked, judgement).model_dump(mode="json"))

    async def _body(self, request: HttpRequest) -> bytes | None:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._longest_body:
                return None
            parts.append(part)
        return b"".join(parts)


def _answer_to(asked: Request, judgement: Judgement) -> Answer:
    decided = judgement.check_sat in {"sat", "unsat"}
    return Answer(
        informal_text=asked.informal_text,
        enrichment_performed=False,
        formal_text=asked.informal_text,
        # Controlled English means exactly what it says: nothing is lost on the way to the formula.
        formalization_similarity=1.0,
        smt_lib_code=judgement.smt_lib,
        extraction_degradation=0.0,
        check_sat_result=judgement.check_sat,
        unsat_core=json.dumps(judgement.conflict, ensure_ascii=False) if judgement.conflict else None,
        solver_success=decided,
        proof=Proof(raw_output=judgement.check_sat, summary=judgement.reason),
        metrics=Figures(
            formalization_attempts=1,
            final_formalization_similarity=1.0,
            formalization_time_seconds=max(0.0, judgement.total_seconds - judgement.solver_seconds),
            extraction_attempts=1,
            final_extraction_degradation=0.0,
            extraction_time_seconds=0.0,
            validation_attempts=1,
            solver_execution_time_seconds=judgement.solver_seconds,
            total_time_seconds=judgement.total_seconds,
            success=decided,
        ),
        passed_all_checks=True,
        verdict=judgement.verdict,
        reason=judgement.reason,
        skipped=judgement.skipped,
    )


def _not_formalisable(judgement: Judgement) -> Response:
    return JSONResponse(
        {
            "error": judgement.reason,
            "details": {"step": "formalization", "attempts": 1, "final_similarity": None, "threshold": 1.0},
            "diagnostics": {"reason": judgement.reason, "skipped": list(judgement.skipped)},
        },
        422,
    )


def _refused(error: ValidationError) -> Response:
    detail: list[dict[str, Any]] = [
        {"type": one["type"], "loc": ["body", *one["loc"]], "msg": one["msg"]}
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return JSONResponse({"detail": detail}, 422)


def _come_back(reason: str) -> Response:
    return JSONResponse({"error": reason}, 503, headers={"Retry-After": "1"})


_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
