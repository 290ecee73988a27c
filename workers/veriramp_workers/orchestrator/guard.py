"""What stands before a verifier: the rate limiter, the breaker, and a deadline.

Public names: :class:`GuardedVerifier` (implements the port ``Verifier``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from veriramp_sdk.events import Verdict
from veriramp_workers.breaker import BreakerState, CircuitBreaker
from veriramp_workers.orchestrator.limiter import ClosedError, RateLimiter, TooManyRequestsError
from veriramp_workers.ports import BreakerOpenError, Judgement, Question, Verifier, VerifierUnavailableError


class GuardedVerifier:
    """Asks a verifier as often as the limiter allows, not while the breaker is open, and at most ``deadline`` seconds.

    After an outage the breaker is closed by a fixed little text and not by questions in work: a question that breaks
    the verifier could keep it open for ever, and questions would use up their tries in an outage.
    """

    def __init__(
        self,
        verifier: Verifier,
        breaker: CircuitBreaker,
        limiter: RateLimiter | None = None,
        *,
        deadline: float = 300.0,
        patience: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._verifier = verifier
        self._breaker = breaker
        self._limiter = limiter or RateLimiter()
        self._deadline = deadline
        self._patience = patience
        self._sleep = sleep

    @property
    def name(self) -> str:
        """The name of the verifier behind it."""
        return self._verifier.name

    @property
    def version(self) -> str:
        """The version of the verifier behind it."""
        return self._verifier.version

    async def judge(self, question: Question) -> Judgement:
        """Ask; raises ``VerifierUnavailableError``.

        It was not asked when that is a ``BreakerOpenError``, ``TooManyRequestsError`` or ``ClosedError``.
        """
        while self._breaker.state is not BreakerState.CLOSED:
            await self._probe()
        await self._free()
        return await self._ask(question)

    async def _probe(self) -> None:
        try:
            await self._ask(_PROBE, beforehand=self._limiter.overdraw)
        except (BreakerOpenError, ClosedError):
            raise
        except Exception as error:  # whatever it is, no request has been tried
            raise BreakerOpenError(self._breaker.name, self._breaker.retry_after) from error

    async def _free(self) -> None:
        left = self._patience
        while wait := self._limiter.take():
            if wait > left:
                raise TooManyRequestsError(wait)
            left -= wait
            await self._sleep(wait)

    async def _ask(self, question: Question, beforehand: Callable[[], None] = lambda: None) -> Judgement:
        async def ask() -> Judgement:
            beforehand()
            return await self._in_time(question)

        return await self._breaker.call(
            ask, neutral=lambda one: one.verdict is Verdict.NOT_FORMALISABLE, given_up=(ClosedError,)
        )

    async def _in_time(self, question: Question) -> Judgement:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._verifier.judge(question)
        except TimeoutError as error:
            raise VerifierUnavailableError(f"the verifier gave no answer within {self._deadline:g} s") from error


_PROBE: Final = Question("The mill is red.")
