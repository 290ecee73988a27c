"""The rate limiter and the guard before a verifier."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_verifier import SAT, Act, answer, hang
from tests.support.remote_client import RED, a_client
from veriramp_sdk.events import Verdict
from veriramp_workers.breaker import BreakerSettings, BreakerState, CircuitBreaker, Outcome
from veriramp_workers.orchestrator.guard import GuardedVerifier
from veriramp_workers.orchestrator.limiter import ClosedError, RateLimiter, TooManyRequestsError
from veriramp_workers.ports import BreakerOpenError, Judgement, Question, VerifierUnavailableError


class Time:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Verifier:
    """Fails while ``down``, always on ``poison``."""

    name, version = "named", "7"

    def __init__(self, poison: str = "") -> None:
        self.down = False
        self.poison = poison
        self.asked: list[str] = []

    async def judge(self, question: Question) -> Judgement:
        self.asked.append(question.text)
        if self.down or question.text == self.poison:
            raise VerifierUnavailableError("the verifier answers 500", status=500)
        return Judgement(Verdict.UNDETERMINED, "consistent")


def test_a_full_bucket_is_what_ten_seconds_bring() -> None:
    clock = Time()
    limiter = RateLimiter(30.0, clock=clock)
    assert [limiter.take() for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.0, pytest.approx(2.0)]
    clock.now += 2.0
    assert [limiter.take() for _ in range(2)] == [0.0, pytest.approx(2.0)]
    clock.now += 3600.0
    assert [limiter.take() for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.0, pytest.approx(2.0)]


def test_a_slow_limit_lets_one_go_at_a_time_and_attempts_make_a_debt() -> None:
    limiter = RateLimiter(1.0, clock=Time())
    assert limiter.take() == 0.0
    limiter.overdraw()
    assert limiter.take() == pytest.approx(120.0)


def test_without_a_limit_everything_goes_and_a_limit_may_come_and_go() -> None:
    limiter = RateLimiter(clock=Time())
    assert {limiter.take() for _ in range(1_000)} == {0.0}
    limiter.resize(6.0)
    assert [limiter.take() for _ in range(2)] == [0.0, pytest.approx(10.0)]
    limiter.resize(60.0)
    assert limiter.take() == pytest.approx(1.0)
    limiter.resize(0.0)
    assert limiter.take() == 0.0


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="requests a minute; write 0"):
        RateLimiter(wrong)


@pytest.mark.shows("S1-VER-09")
@given(st.floats(0.1, 600.0), st.lists(st.floats(0.0, 30.0), max_size=60))
def test_no_window_has_more_than_the_rate_and_one_bucket(per_minute: float, gaps: list[float]) -> None:
    clock = Time()
    limiter = RateLimiter(per_minute, clock=clock)
    began, taken = clock.now, 0
    for gap in gaps:
        clock.now += gap
        while not (wait := limiter.take()):
            taken += 1
        assert 0.0 < wait <= 60.0 / per_minute + 1e-6
        allowed = max(1.0, per_minute / 6.0) + (clock.now - began) * per_minute / 60.0
        assert taken <= allowed + 1e-6


@pytest.mark.shows("S1-VER-09")
async def test_questions_wait_for_their_turn_but_not_for_long() -> None:
    async with a_client(answer(SAT)) as client:
        client.limiter.resize(12.0)
        for _ in range(3):
            await client.verifier.judge(RED)
        assert client.waits == [pytest.approx(5.0)]
        client.limiter.resize(1.0)
        with pytest.raises(TooManyRequestsError, match="no request is free for 60 s"):
            await client.verifier.judge(RED)
        assert len(client.service.asked) == 3
        assert client.breaker.state is BreakerState.CLOSED


@pytest.mark.shows("S1-VER-09")
async def test_attempts_count_for_the_limit() -> None:
    async with a_client(answer(b"", 503), answer(b"", 503), answer(SAT)) as client:
        client.limiter.resize(6.0)
        await client.verifier.judge(RED)
        # Three requests, of which the 4 s of their waits have brought back less than a half.
        assert client.limiter.take() == pytest.approx(26.0)


@pytest.mark.shows("S1-FLAG-05")
async def test_closed_nothing_is_asked_and_nothing_is_asked_again() -> None:
    async with a_client(answer(b"", 503)) as client:

        def close(_: str, __: object) -> Act:
            client.limiter.closed = True
            return answer(b"", 503)

        client.service.choose = close
        with pytest.raises(ClosedError, match="verification is off"):
            await client.verifier.judge(RED)
        with pytest.raises(ClosedError):
            await client.verifier.judge(RED)
        assert len(client.service.asked) == 1
        client.breaker.configure(BreakerSettings(failures=1))
        client.breaker.admit().done(Outcome.FAILURE)
        client.pass_time(60.0)
        with pytest.raises(ClosedError):  # no probe either
            await client.verifier.judge(RED)
        assert len(client.service.asked) == 1


async def test_a_question_that_is_given_up_in_its_tries_says_nothing_about_the_verifier() -> None:
    async with a_client(answer(b"", 503)) as client:
        client.breaker.configure(BreakerSettings(failures=1))

        def close(_: str, __: object) -> Act:
            client.limiter.closed = True
            return answer(b"", 503)

        client.service.choose = close
        with pytest.raises(ClosedError):
            await client.verifier.judge(RED)
        assert client.breaker.state is BreakerState.CLOSED


async def test_after_an_outage_no_question_in_work_is_a_probe() -> None:
    clock, verifier = Time(), Verifier()
    breaker = CircuitBreaker("named", BreakerSettings(failures=2), clock=clock, chance=lambda: 0.0)
    guard = GuardedVerifier(verifier, breaker)
    verifier.down = True
    for _ in range(2):
        with pytest.raises(VerifierUnavailableError):
            await guard.judge(Question("The dam is old."))
    verifier.asked.clear()
    for _ in range(60):  # an hour
        clock.now += 60.0
        with pytest.raises(BreakerOpenError) as refused:
            await guard.judge(Question("The dam is old."))
        assert refused.value.retry_after == 60.0
    assert set(verifier.asked) == {RED.text}
    assert breaker.not_closed_seconds == 3600.0
    verifier.down = False
    clock.now += 60.0
    assert (await guard.judge(Question("The dam is old."))).verdict is Verdict.UNDETERMINED
    assert (breaker.state, breaker.not_closed_seconds) == (BreakerState.CLOSED, 0.0)


async def test_a_probe_that_fails_in_an_unexpected_way_is_no_try_of_a_request() -> None:
    class Odd(Verifier):
        async def judge(self, question: Question) -> Judgement:
            self.asked.append(question.text)
            raise OverflowError("port must be 0-65535")

    clock, verifier = Time(), Odd()
    breaker = CircuitBreaker("named", BreakerSettings(failures=1), clock=clock, chance=lambda: 0.0)
    guard = GuardedVerifier(verifier, breaker)
    with pytest.raises(OverflowError):
        await guard.judge(Question("The dam is old."))
    for _ in range(3):
        clock.now += 60.0
        with pytest.raises(BreakerOpenError):
            await guard.judge(Question("The dam is old."))
    assert verifier.asked == ["The dam is old.", *[RED.text] * 3]


@pytest.mark.shows("S1-VER-09")
async def test_what_an_open_breaker_refuses_costs_nothing_of_the_limit() -> None:
    clock, verifier = Time(), Verifier()
    breaker = CircuitBreaker("named", BreakerSettings(failures=1), clock=clock, chance=lambda: 0.0)
    limiter = RateLimiter(6.0, clock=clock)
    guard = GuardedVerifier(verifier, breaker, limiter)
    breaker.admit().done(Outcome.FAILURE)
    for _ in range(100):
        with pytest.raises(BreakerOpenError):
            await guard.judge(RED)
    assert verifier.asked == []
    assert limiter.take() == 0.0


async def test_a_text_that_breaks_the_verifier_does_not_keep_the_breaker_open() -> None:
    clock, verifier = Time(), Verifier(poison="poison")
    breaker = CircuitBreaker("named", BreakerSettings(failures=1), clock=clock)
    guard = GuardedVerifier(verifier, breaker)
    for _ in range(3):
        with pytest.raises(VerifierUnavailableError) as failed:
            await guard.judge(Question("poison"))
        assert not isinstance(failed.value, BreakerOpenError)
        assert breaker.state is BreakerState.OPEN
        clock.now += 70.0
    assert (await guard.judge(Question("The dam is old."))).verdict is Verdict.UNDETERMINED


async def test_a_verifier_that_hangs_is_left_after_the_deadline() -> None:
    async with a_client(hang) as client:
        guard = GuardedVerifier(client.verifier, CircuitBreaker("x"), deadline=0.2)
        with pytest.raises(VerifierUnavailableError, match=r"gave no answer within 0\.2 s"):
            await guard.judge(RED)


async def test_the_guard_has_the_verifiers_name() -> None:
    guard = GuardedVerifier(Verifier(), CircuitBreaker("x"))
    assert (guard.name, guard.version) == ("named", "7")


def test_a_breaker_is_reset_and_configured_while_it_works() -> None:
    clock = Time()
    breaker = CircuitBreaker("x", BreakerSettings(failures=1), clock=clock, chance=lambda: 0.0)

    async def fail() -> None:
        raise VerifierUnavailableError("down")

    def failing() -> None:
        with pytest.raises(VerifierUnavailableError):
            asyncio.run(breaker.call(fail, neutral=lambda _: False))

    failing()
    assert (breaker.state, breaker.retry_after) == (BreakerState.OPEN, 60.0)
    breaker.reset()
    assert (breaker.state, breaker.retry_after) == (BreakerState.CLOSED, 0.0)
    breaker.configure(BreakerSettings(failures=2, open_seconds=5.0))
    failing()
    assert breaker.state is BreakerState.CLOSED
    failing()
    assert (breaker.state, breaker.retry_after) == (BreakerState.OPEN, 5.0)
    clock.now += 5.0
    assert (breaker.state, breaker.retry_after) == (BreakerState.HALF_OPEN, 5.0)
