"""What a verdict does to ranking: the table that workers and ranker share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriramp_sdk.contract import Arm, Mode
from veriramp_sdk.decision import VerificationDecision
from veriramp_sdk.effects import NOMINAL, Effect, Effects, FailureMode, bounded_multiplier, bounded_signal
from veriramp_sdk.events import Verdict
from veriramp_sdk.ranker import Candidate, VerificationRanker


@pytest.mark.shows("S1-FAIL-01", "S1-FAIL-02", "S1-FAIL-05")
def test_every_verdict_has_a_mode_and_only_two_act() -> None:
    found = {verdict: Effects().of(verdict) for verdict in Verdict}
    assert found == {
        Verdict.ENTAILED: Effect(FailureMode.VERIFIED_SAT, 1.0 + 0.15 * (1.8 - 1.0), 1.0),
        Verdict.CONTRADICTED: Effect(FailureMode.INVALID, 1.0 - 0.15 * (1.0 - 0.3), -1.0),
        Verdict.UNDETERMINED: Effect(FailureMode.INCOMPLETE, 1.0, 0.0),
        Verdict.INCONSISTENT: Effect(FailureMode.AMBIGUOUS, 1.0, 0.0),
        Verdict.NOT_FORMALISABLE: Effect(FailureMode.NEVER_VERIFIED, 1.0, 0.0),
        Verdict.TOO_HARD: Effect(FailureMode.TIMEOUT, 1.0, 0.0),
        Verdict.ERROR: Effect(FailureMode.SERVICE_UNAVAILABLE, 1.0, 0.0),
    }
    hard = Effects().of(Verdict.TOO_HARD, beyond_theory=True)
    assert hard == Effect(FailureMode.THEORY_INCOMPLETE, 1.0, 0.0)
    assert {effect.mode for effect in (*found.values(), hard)} == set(FailureMode) == set(NOMINAL)


@given(
    st.floats(1.0, 1.8, exclude_min=True),
    st.floats(0.3, 1.0, exclude_max=True),
    st.sampled_from(Verdict),
    st.booleans(),
)
def test_no_configuration_leaves_the_bounds(up: float, down: float, verdict: Verdict, beyond: bool) -> None:
    effect = Effects(up, down).of(verdict, beyond_theory=beyond)
    assert effect.multiplier == pytest.approx(bounded_multiplier(effect.signal))
    if verdict is Verdict.ENTAILED:
        assert effect.multiplier == pytest.approx(1 + 0.15 * (up - 1))
        assert 0 < effect.signal <= 1
    elif verdict is Verdict.CONTRADICTED:
        assert effect.multiplier == pytest.approx(1 + 0.15 * (down - 1))
        assert -1 <= effect.signal < 0
    else:
        assert (effect.multiplier, effect.signal) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"verified_sat": 1.9}, "the multiplier of verified_sat is 1.9; write more than 1, at most 1.8"),
        ({"verified_sat": 1.0}, "more than 1"),
        ({"verified_sat": math.nan}, "verified_sat is nan"),
        ({"invalid": 0.29}, "the multiplier of invalid is 0.29; write at least 0.3, less than 1"),
        ({"invalid": 1.0}, "less than 1"),
        ({"invalid": -math.inf}, "invalid is -inf"),
    ],
)
def test_multipliers_beyond_the_bounds_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Effects(**wrong)


def test_a_signal_that_is_no_number_is_neutral() -> None:
    signals = (None, math.nan, math.inf, 7.0, -7.0, 0.25)
    assert [bounded_signal(signal) for signal in signals] == [0.0, 0.0, 0.0, 1.0, -1.0, 0.25]
    assert bounded_multiplier(math.nan) == 1.0


@pytest.mark.shows("S1-FAIL-01")
@pytest.mark.parametrize("verdict", Verdict)
def test_the_ranker_moves_a_result_the_way_the_table_says(verdict: Verdict) -> None:
    effect = Effects().of(verdict)
    middle = Candidate("judged", 1.0, verification=effect.signal)
    others = [Candidate(f"other {number}", 1.0, verification=0.0) for number in range(2)]
    live = VerificationDecision(Mode.LIVE, Arm.TREATMENT, True, 0.15, 10, 1)
    ranked = VerificationRanker().rank([others[0], middle, others[1]], live, now=0.0)
    (moved,) = [one.moved for one in ranked if one.candidate is middle]
    assert (moved > 0, moved < 0) == (effect.multiplier > 1, effect.multiplier < 1)
