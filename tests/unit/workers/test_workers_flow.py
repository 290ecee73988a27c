"""What the orchestrator decides: waits, tries, backlog, settings from the flags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.effects import Effects, FailureMode
from veriramp_sdk.events import Topic, Verdict
from veriramp_workers.orchestrator import Backlog, Ladder, Tuning, tuning_from
from veriramp_workers.orchestrator.backlog import Level
from veriramp_workers.orchestrator.flow import (
    BACKFILL,
    Defer,
    Wait,
    after_backlog,
    after_failure,
    after_payment,
    effect_of,
    has_expired,
    share_of,
    trouble_of,
)
from veriramp_workers.orchestrator.limiter import ClosedError, TooManyRequestsError
from veriramp_workers.ports import Bound, BreakerOpenError, Judgement, Taken, VerifierUnavailableError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def taken(seconds: float, by: Bound | None) -> Taken:
    end = NOW + timedelta(hours=12)
    return Taken(by is None, 7, 7, end, NOW + timedelta(seconds=seconds), refused_by=by)


@pytest.mark.shows("S1-ORCH-03", "S1-FAIL-05")
@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (BreakerOpenError("x", 42.0), Wait(42.0, "breaker")),
        (BreakerOpenError("x", 0.0), Wait(0.5, "breaker")),
        (TooManyRequestsError(20.0), Wait(20.0, "rate")),
        (ClosedError(), Wait(60.0, "off")),
        (VerifierUnavailableError("it answers 503", status=503, retry_after=900.0), None),
    ],
)
def test_who_is_not_asked_waits_and_who_does_not_answer_is_tried_later(
    error: VerifierUnavailableError, decision: Wait | None
) -> None:
    assert after_failure(error) == decision


def test_the_trouble_does_not_quote_the_text() -> None:
    quoting = VerifierUnavailableError("the verifier answers 500: cannot read 'A secret.'", status=500)
    assert trouble_of(quoting) == "the verifier answers 500"
    assert trouble_of(VerifierUnavailableError("no answer within 300 s")) == "no answer within 300 s"
    assert trouble_of(ValueError("A secret.")) == "unexpected ValueError"


@pytest.mark.shows("S1-COST-03")
@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (taken(9, None), None),
        (taken(9, Bound.MONTH), Wait(9.0, "budget")),
        (taken(9_000, Bound.MONTH), Wait(300.0, "budget")),
        (taken(-5, Bound.MONTH), Wait(0.5, "budget")),
        (taken(9, Bound.PACE), Defer(9.0, "budget_pace")),
        (taken(-5, Bound.PACE), Defer(0.5, "budget_pace")),
        (taken(43_200, Bound.DAY), Defer(43_200.0, "budget_day")),
        (None, Wait(10.0, "budget_unknown")),
    ],
)
def test_a_bound_of_all_lets_all_wait_and_a_bound_of_one_tenant_its_requests_alone(
    answer: Taken | None, decision: Wait | Defer | None
) -> None:
    assert after_payment(answer, NOW) == decision


def test_what_is_deferred_expires_when_its_topic_would_have_forgotten_it() -> None:
    week_ago = int(NOW.timestamp() * 1000) - 7 * 86_400_000
    assert [has_expired(since, NOW) for since in (0, week_ago, week_ago - 1)] == [False, False, True]


@pytest.mark.shows("S1-COST-04")
def test_backfill_gives_way() -> None:
    wait = Wait(30.0, "backlog", (Topic.BACKFILL,))
    assert [after_backlog(Topic.BACKFILL, level) for level in Level] == [None, wait, wait, wait]
    assert after_backlog(Topic.RETRY_SOON, Level.SEARCHES_ONLY) is None
    assert (share_of(BACKFILL, 0.3), share_of("interactive", 0.3)) == (0.3, 1.0)


@pytest.mark.shows("S1-FAIL-04")
@pytest.mark.parametrize(
    ("verdict", "said", "mode", "published"),
    [
        (Verdict.TOO_HARD, "theory_incomplete: products", FailureMode.THEORY_INCOMPLETE, "theory_incomplete: products"),
        (Verdict.TOO_HARD, "timeout: no answer", FailureMode.TIMEOUT, "timeout: no answer"),
        (Verdict.TOO_HARD, "no verdict within 20 s", FailureMode.TIMEOUT, "timeout: no verdict within 20 s"),
        (Verdict.ENTAILED, "follows", FailureMode.VERIFIED_SAT, "follows"),
        (Verdict.ERROR, "theory_incomplete: no", FailureMode.SERVICE_UNAVAILABLE, "theory_incomplete: no"),
    ],
)
def test_the_reason_says_the_mode_where_the_verdict_does_not(
    verdict: Verdict, said: str, mode: FailureMode, published: str
) -> None:
    effect, reason = effect_of(Judgement(verdict, said), Effects())
    assert (effect.mode, reason) == (mode, published)


def test_the_backlog_is_as_old_as_the_last_request_taken_while_more_wait() -> None:
    clock, lag = Time(), 0.0
    backlog = Backlog(lambda: lag, clock)
    assert backlog.oldest_seconds == 0.0
    backlog.took(970_000)
    assert backlog.oldest_seconds == 0.0
    lag = nan
    assert backlog.oldest_seconds == 0.0
    lag = 3.0
    assert backlog.oldest_seconds == 30.0
    lag = nan
    assert backlog.oldest_seconds == 30.0, "what was known last"
    clock.now = 900.0  # a clock that goes back
    assert backlog.oldest_seconds == 0.0


def test_the_ladder_goes_up_at_once_and_comes_down_in_calm_weather() -> None:
    clock = Time()
    ladder = Ladder(60.0, calm_seconds=30.0, clock=clock)

    def at(after: float, old: float, *, blocked: bool = False, off: bool = False) -> Level:
        clock.now += after
        ahead = ladder.level(oldest_seconds=old, blocked=blocked, off=off)
        for _ in range(9):
            assert ladder.level(oldest_seconds=old, blocked=blocked, off=off) is ahead, "to look changes nothing"
        level = ladder.step(oldest_seconds=old, blocked=blocked, off=off)
        assert level <= ahead
        return level

    assert at(1, 59) is Level.FULL
    assert at(1, 60) is Level.SEARCHES_ONLY
    assert at(600, 31) is Level.SEARCHES_ONLY  # not below half
    assert at(29, 29) is Level.SEARCHES_ONLY
    assert at(1, 29) is Level.FULL
    assert at(1, 0, blocked=True) is Level.KNOWN_VERDICTS_ONLY
    assert at(29, 0) is Level.KNOWN_VERDICTS_ONLY
    assert at(1, 0) is Level.SEARCHES_ONLY
    assert at(1, 70) is Level.SEARCHES_ONLY
    assert at(1, 0, off=True) is Level.OFF
    assert at(1, 0) is Level.FULL


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 120), st.booleans(), st.booleans()), max_size=40))
def test_the_ladder_is_never_below_what_is_wanted_and_falls_by_one(
    steps: list[tuple[float, float, bool, bool]],
) -> None:
    clock, before = Time(), Level.FULL
    ladder = Ladder(60.0, clock=clock)
    for after, old, blocked, off in steps:
        clock.now += after
        level = ladder.step(oldest_seconds=old, blocked=blocked, off=off)
        wanted = 3 if off else 2 if blocked else int(old >= 60.0)
        assert level >= wanted
        assert before is Level.OFF or level >= before - 1
        before = level


@pytest.mark.shows("S1-FLAG-02")
def test_the_settings_come_from_the_flag() -> None:
    assert tuning_from({}) == (Tuning(), ())
    found = tuning_from(
        {
            "maxConcurrentVerifications": 42,
            "circuitBreakerFailureThreshold": 3,
            "circuitBreakerTimeoutSeconds": 7.5,
            "requestsPerMinute": 10,
            "backfillShare": 0.25,
            "backlogSeconds": 120,
            "multiplierVerifiedSat": 1.4,
            "multiplierInvalid": 0.65,
        }
    )
    assert found == (Tuning(42, 3, 7.5, 10.0, 0.25, 120.0, Effects(1.4, 0.65)), ())


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "maxConcurrentVerifications",
            0,
            "the setting maxConcurrentVerifications is 0; write a whole number from 1 to",
        ),
        ("maxConcurrentVerifications", 2.5, "is 2.5; write a whole number"),
        ("maxConcurrentVerifications", True, "is True; write a whole number"),
        ("maxConcurrentVerifications", "10", "is '10'; write a whole number"),
        ("maxConcurrentVerifications", float("nan"), "is nan; write a whole number"),
        ("circuitBreakerFailureThreshold", 0, "from 1 to 1000"),
        ("circuitBreakerTimeoutSeconds", 0.5, "is 0.5; write a number from 1 to 86400"),
        ("requestsPerMinute", -1, "from 0 to 1e+06"),
        ("backfillShare", 1.5, "write a number from 0 to 1"),
        ("backlogSeconds", "60s", "is '60s'; write a number"),
        ("multiplierVerifiedSat", 2.0, "the multiplier of verified_sat is 2; write more than 1, at most 1.8"),
        ("multiplierInvalid", 0.1, "the multiplier of invalid is 0.1; write at least 0.3, less than 1"),
        ("multiplierInvalid", "none", "the setting multiplierInvalid is 'none'; write a number"),
        ("maxConcurrency", 3, 'the setting "maxConcurrency" is not known; known are backfillShare, backlogSeconds'),
    ],
)
def test_a_wrong_setting_is_named_and_its_default_holds(name: str, value: str | float, sentence: str) -> None:
    tuning, (complaint,) = tuning_from(
        {name: value, "requestsPerMinute": 5} if name != "requestsPerMinute" else {name: value}
    )
    assert sentence in complaint
    assert tuning == (Tuning() if name == "requestsPerMinute" else Tuning(requests_per_minute=5.0))
