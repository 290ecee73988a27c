"""Which verifications are in progress: bounded in time and number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.pending import PENDING_SECONDS, REPEAT_SECONDS, Pending


@pytest.mark.shows("S1-TRIG-06")
def test_it_is_pending_until_an_answer_comes() -> None:
    pending = Pending()
    assert not pending.is_pending("a", 100.0)
    assert pending.ask("a", 100.0)
    assert pending.is_pending("a", 100.0)
    assert not pending.ask("a", 101.0), "in progress"
    pending.answered("a", 102.0)
    assert not pending.is_pending("a", 102.0)
    assert not pending.ask("a", 102.0 + REPEAT_SECONDS - 1), "a failing verifier is not asked at every search"
    assert pending.ask("a", 102.0 + REPEAT_SECONDS)


@pytest.mark.shows("S1-TRIG-06")
def test_it_is_pending_for_a_bounded_time() -> None:
    pending = Pending()
    pending.ask("a", 100.0)
    assert pending.is_pending("a", 100.0 + PENDING_SECONDS - 1)
    assert not pending.is_pending("a", 100.0 + PENDING_SECONDS)
    assert pending.ask("a", 100.0 + PENDING_SECONDS)


def test_what_never_left_may_be_asked_for_at_once() -> None:
    pending = Pending()
    pending.ask("a", 100.0)
    pending.forget("a")
    assert not pending.is_pending("a", 100.0)
    assert pending.ask("a", 100.0)
    pending.forget("unknown")


def test_answers_to_others_are_no_news() -> None:
    pending = Pending()
    pending.answered("a", 100.0)
    assert pending.ask("a", 100.0)


def test_a_clock_that_was_set_back_does_not_keep_it_in_progress() -> None:
    pending = Pending()
    pending.ask("a", 1_000.0)
    assert not pending.is_pending("a", 900.0)
    assert pending.ask("a", 900.0)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["ask", "answered", "forget"]))))
def test_it_remembers_a_bounded_number(acts: list[tuple[str, str]]) -> None:
    pending = Pending(remembered=3)
    for step, (key, act) in enumerate(acts):
        if act == "ask":
            pending.ask(key, float(step))
            assert pending.is_pending(key, float(step)) or not pending.ask(key, float(step))
        elif act == "answered":
            pending.answered(key, float(step))
        else:
            pending.forget(key)
        assert pending.count(float(step)) <= 3
