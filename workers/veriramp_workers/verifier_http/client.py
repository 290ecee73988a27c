"""Ask a verifier over HTTP: retries inside one deadline, every answer a judgement.

Public names: :class:`RemoteVerifier` (implements the port ``Verifier``), :class:`RemoteSettings`,
:class:`RemoteMetrics`.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, NoReturn, Self

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram

from veriramp_sdk.events import MAX_CONTENT, Verdict
from veriramp_workers.ports import Judgement, Question, VerifierUnavailableError
from veriramp_workers.verifier_http.contract import (
    HEALTH_PATH,
    PREMISES,
    PROCESS_PATH,
    Figures,
    Request,
    answer_of,
    any_json,
    judgement_of,
    refusal_of,
)
from veriramp_workers.verifier_http.retry import RETRIED, backoff, retry_after


@dataclass(frozen=True)
class RemoteSettings:
    """Where the verifier is and how long to wait for it; times in seconds.

    ``version`` is part of the identity of each verdict: change it when the service changes. ``deadline`` bounds one
    question with all its attempts and waits; ``longest_answer`` is in bytes.
    """

    url: str
    version: str = "1"
    connect: float = 5.0
    read: float = 150.0
    write: float = 5.0
    pool: float = 5.0
    deadline: float = 300.0
    attempts: int = 3
    longest_answer: int = 8 * 1024 * 1024


class RemoteMetrics:
    """What the client exports; the names are those of the service that it was first written for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.latency = Histogram(
            "hupyy_api_latency_seconds", "One request to the verifier", buckets=_LATENCY_BUCKETS, registry=registry
        )
        self.errors = Counter(
            "hupyy_api_errors",
            "Requests to the verifier that brought no verdict, by HTTP status, or timeout, transport, unreadable",
            ("status_code",),
            registry=registry,
        )
        self.steps = Histogram(
            "hupyy_api_step_seconds",
            "What the verifier says about the time of its steps",
            ("step",),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.step_attempts = Counter(
            "hupyy_api_step_attempts", "Attempts that the verifier made, by step", ("step",), registry=registry
        )

    def observe(self, figures: Figures) -> None:
        """Take in the figures of one answer."""
        for step, seconds, attempts in (
            ("formalization", figures.formalization_time_seconds, figures.formalization_attempts),
            ("extraction", figures.extraction_time_seconds, figures.extraction_attempts),
            ("validation", None, figures.validation_attempts),
            ("solver", figures.solver_execution_time_seconds, None),
        ):
            if seconds is not None and 0 <= seconds < math.inf:
                self.steps.labels(step).observe(seconds)
            if attempts is not None and 0 <= attempts <= _MOST_ATTEMPTS:
                self.step_attempts.labels(step).inc(attempts)


class RemoteVerifier:
    """The port ``Verifier`` over HTTP; an async context manager.

    ``again`` is told of each request beyond the first one of a question. ``clock`` is monotonic, ``now`` since the
    epoch, both in seconds; ``chance`` is in [0, 1).
    """

    name: Final = "remote"

    def __init__(
        self,
        settings: RemoteSettings,
        metrics: RemoteMetrics,
        *,
        again: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._again = again
        self._clock = clock
        self._now = now
        self._chance = chance
        self._sleep = sleep
        self._takes_premises: bool | None = None
        self._client = httpx.AsyncClient(
            base_url=settings.url,
            timeout=httpx.Timeout(
                connect=settings.connect, read=settings.read, write=settings.write, pool=settings.pool
            ),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # Without compression the bound on an answer's size is one on memory too.
            headers={"accept": "application/json", "accept-encoding": "identity"},
            follow_redirects=False,
        )

    @property
    def version(self) -> str:
        """The configured version of the service."""
        return self._settings.version

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def judge(self, question: Question) -> Judgement:
        """Ask; raises :class:`VerifierUnavailableError`."""
        if trouble := _trouble(question.text):
            return Judgement(Verdict.NOT_FORMALISABLE, trouble)
        fitting, skipped = _fitting(question)
        judgement = await self._in_time(fitting)
        return replace(judgement, skipped=judgement.skipped + skipped) if skipped else judgement

    async def _in_time(self, question: Question) -> Judgement:
        seconds = self._settings.deadline
        end = self._clock() + seconds
        try:
            async with asyncio.timeout(seconds):
                if question.premises and not await self._has_premises(end):
                    return await self._compare(question, end)
                return await self._ask(question.text, question.premises, end)
        except TimeoutError as error:
            self._metrics.errors.labels("timeout").inc()
            raise VerifierUnavailableError(f"the verifier gave no answer within {seconds:g} s") from error

    async def _has_premises(self, end: float) -> bool:
        """Ask once whether the service takes premises; one without that page does not."""
        if self._takes_premises is not None:
            return self._takes_premises
        try:
            health = any_json((await self._exchange("GET", HEALTH_PATH, None, end)).content)
        except VerifierUnavailableError as error:
            if error.status is None:
                raise
            if error.status not in RETRIED:
                self._takes_premises = False
            self._again()
            return False
        self._again()
        extensions = health.get("extensions") if isinstance(health, dict) else None
        self._takes_premises = isinstance(extensions, list) and PREMISES in extensions
        return self._takes_premises

    async def _compare(self, question: Question, end: float) -> Judgement:
        """Compare a claim with premises by a service that takes one text.

        Together unsatisfiable and each satisfiable alone is a contradiction. That a claim follows cannot be asked:
        it would need the claim's negation, and nobody can negate free text safely.
        """
        premises = "\n".join(question.premises)
        together = await self._ask(f"{premises}\n{question.text}", (), end)
        if together.verdict is Verdict.UNDETERMINED:
            return replace(
                together, reason="consistent with the premises; this verifier cannot tell whether it follows"
            )
        if together.verdict is not Verdict.INCONSISTENT:
            return together
        for part, reason in (
            (premises, "the premises contradict each other"),
            (question.text, "the text contradicts itself"),
        ):
            self._again()
            alone = await self._ask(part, (), end)
            seconds = together.total_seconds + alone.total_seconds
            together = replace(
                together, total_seconds=seconds, solver_seconds=together.solver_seconds + alone.solver_seconds
            )
            if alone.verdict is Verdict.INCONSISTENT:
                return replace(together, reason=reason, conflict=alone.conflict)
            if alone.verdict is not Verdict.UNDETERMINED:
                return replace(alone, reason=f"conflicts with the premises, but one part alone: {alone.reason}")
        return replace(together, verdict=Verdict.CONTRADICTED, reason="cannot be true together with the premises")

    async def _ask(self, text: str, premises: tuple[str, ...], end: float) -> Judgement:
        body = Request(informal_text=text, premises=premises).to_bytes()
        began = self._clock()
        reply = await self._exchange("POST", PROCESS_PATH, body, end)
        if reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            self._metrics.errors.labels("422").inc()
            judgement = refusal_of(reply.content)
        else:
            try:
                answer = answer_of(reply.content)
            except ValueError as error:
                self._metrics.errors.labels("unreadable").inc()
                raise VerifierUnavailableError(
                    f"the verifier's answer cannot be read: {error}", status=reply.status_code
                ) from error
            judgement = judgement_of(answer)
            self._metrics.observe(answer.metrics or Figures())
        return replace(judgement, total_seconds=judgement.total_seconds or max(0.0, self._clock() - began))

    async def _exchange(self, method: str, path: str, body: bytes | None, end: float) -> httpx.Response:
        """Return an answer that is final, 200 or 422; what may pass is tried again while the deadline allows it."""
        for attempt in itertools.count(1):
            if attempt > 1:
                self._again()
            try:
                return await self._once(method, path, body)
            except VerifierUnavailableError as error:
                passes = error.status is None or error.status in RETRIED
                if not passes or attempt >= self._settings.attempts:
                    _give_up(error, attempt)
                wait = max(backoff(attempt, self._chance()), error.retry_after or 0.0)
                if self._clock() + wait >= end:
                    _give_up(error, attempt)
            await self._sleep(wait)
        raise AssertionError

    async def _once(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        headers = {"content-type": "application/json"} if body is not None else None
        try:
            with self._metrics.latency.time():
                async with self._client.stream(method, path, content=body, headers=headers) as response:
                    content = await self._content(response)
        except httpx.RequestError as error:
            kind = "timeout" if isinstance(error, httpx.TimeoutException) else "transport"
            self._metrics.errors.labels(kind).inc()
            raise VerifierUnavailableError(
                f"the verifier cannot be reached: {type(error).__name__} {error}".strip()
            ) from error
        status = response.status_code
        if status in {httpx.codes.OK, httpx.codes.UNPROCESSABLE_ENTITY}:
            return httpx.Response(status, content=content)
        self._metrics.errors.labels(str(status)).inc()
        raise VerifierUnavailableError(
            f"the verifier answers {status}: {' '.join(content.decode(errors='replace').split())[:200]}",
            status=status,
            retry_after=retry_after(response.headers.get("retry-after"), self._now()),
        )

    async def _content(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._settings.longest_answer:
                self._metrics.errors.labels("unreadable").inc()
                raise VerifierUnavailableError(
                    f"the verifier's answer is longer than {self._settings.longest_answer} bytes",
                    status=response.status_code,
                )
            parts.append(part)
        return b"".join(parts)


def _trouble(text: str) -> str:
    """Say why a text cannot be sent, or nothing when it can."""
    if not 0 < len(text) <= MAX_CONTENT:
        return f"the text has {len(text)} characters; the verifier takes 1 to {MAX_CONTENT}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"the text is no Unicode: {error.reason} at character {error.start}"
    return ""


def _fitting(question: Question) -> tuple[Question, tuple[str, ...]]:
    """Leave out the premises that cannot be sent, or with which all would be longer than the contract allows."""
    room = MAX_CONTENT - len(question.text)
    fitting: list[str] = []
    skipped: list[str] = []
    for premise in question.premises:
        fits = len(premise) < room and not _trouble(premise)
        (fitting if fits else skipped).append(premise)
        room -= len(premise) + 1 if fits else 0
    return replace(question, premises=tuple(fitting)), tuple(skipped)


def _give_up(error: VerifierUnavailableError, attempts: int) -> NoReturn:
    raise VerifierUnavailableError(
        str(error), status=error.status, attempts=attempts, retry_after=error.retry_after
    ) from error


_MOST_ATTEMPTS: Final = 1_000
_LATENCY_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 150.0, 300.0)
