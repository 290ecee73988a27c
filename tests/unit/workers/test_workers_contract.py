"""What the words of a verifier's service mean, and how its strings are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faulty_verifier import SAT, UNSAT
from veriramp_sdk.events import Verdict
from veriramp_workers.verifier_http.contract import Answer, answer_of, core_of, judgement_of, refusal_of


@pytest.mark.shows("S1-FAIL-02", "S1-FAIL-04", "S1-FAIL-05")
@pytest.mark.parametrize(
    ("fields", "verdict", "check_sat", "reason"),
    [
        ({"check_sat_result": "sat"}, Verdict.UNDETERMINED, "sat", "consistent by itself"),
        ({"check_sat_result": " UNSAT\n"}, Verdict.INCONSISTENT, "unsat", "the text contradicts itself"),
        ({"check_sat_result": "unknown"}, Verdict.TOO_HARD, "unknown", "no answer within its limits"),
        ({"check_sat_result": "timeout"}, Verdict.TOO_HARD, "timeout", "no answer within its limits"),
        ({"check_sat_result": "(error 7)"}, Verdict.ERROR, "error", "the solver failed: (error 7)"),
        ({"check_sat_result": ""}, Verdict.ERROR, "error", "the solver failed: it says nothing"),
        ({"check_sat_result": "unsat", "solver_success": False}, Verdict.ERROR, "unsat", "the solver failed"),
        ({**SAT, "passed_all_checks": False}, Verdict.UNDETERMINED, "sat", "consistent by itself"),
        ({**SAT, "formalization_similarity": 0.01}, Verdict.UNDETERMINED, "sat", "consistent by itself"),
        ({**UNSAT, "verdict": "contradicted", "reason": "both"}, Verdict.CONTRADICTED, "unsat", "both"),
        ({"check_sat_result": "sat", "verdict": "entailed"}, Verdict.ENTAILED, "sat", ""),
        ({"check_sat_result": "sat", "verdict": "SAT", "reason": {}}, Verdict.UNDETERMINED, "sat", "consistent"),
        ({"check_sat_result": "sat", "metrics": {"total_time_seconds": "x"}}, Verdict.UNDETERMINED, "sat", ""),
        ({"check_sat_result": "sat", "metrics": 7, "proof": [], "skipped": 1}, Verdict.UNDETERMINED, "sat", ""),
    ],
)
def test_what_an_answer_means(fields: dict[str, object], verdict: Verdict, check_sat: str, reason: str) -> None:
    judgement = judgement_of(answer_of(json.dumps(fields).encode()))
    assert (judgement.verdict, judgement.check_sat) == (verdict, check_sat)
    assert reason in judgement.reason


@pytest.mark.shows("S1-FAIL-03")
@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("(a1 a2)", ("a1", "a2")),
        ("(a1 |the mill is red| a-3)", ("a1", "the mill is red", "a-3")),
        ("[a1, a2]", ("a1", "a2")),
        ("['a1', 'a 2']", ("a1", "a 2")),
        ('["The mill is red.", "It isn\'t."]', ("The mill is red.", "It isn't.")),
        ("a1\n a2 \n", ("a1", "a2")),
        ("the mill's colours conflict", ("the mill's colours conflict",)),
        ("()", ()),
        ("", ()),
        ("(||)", ()),
        ("[" * 100_000, ("[" * 100_000,)),
        ("7", ("7",)),
    ],
)
def test_the_conflict_is_read_from_its_string(text: str, core: tuple[str, ...]) -> None:
    assert core_of(text) == core


def test_figures_that_are_none_are_left_out() -> None:
    fields = '{"check_sat_result": "sat", "formalization_similarity": NaN, "metrics": {"total_time_seconds": -1}}'
    judgement = judgement_of(answer_of(fields.encode()))
    assert (judgement.similarity, judgement.total_seconds) == (None, 0.0)


def test_what_no_message_could_carry_is_left_out() -> None:
    answer = Answer(check_sat_result="unsat", smt_lib_code="x" * 300_000, unsat_core="y" * 300_000, reason="z" * 9_000)
    judgement = judgement_of(answer)
    assert (judgement.smt_lib, judgement.conflict, len(judgement.reason)) == ("", (), 500)


@given(st.text() | st.recursive(st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(json.dumps))
def test_any_string_is_some_conflict(text: str) -> None:
    assert all(isinstance(one, str) for one in core_of(text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "details", "diagnostics", "reason", "step", "loc", "msg", "skipped"]),
            inner,
            max_size=4,
        )
    ),
)


@given(st.just(b"[" * 100_000) | st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_refusal_has_a_reason_on_one_line(body: bytes) -> None:
    judgement = refusal_of(body)
    assert judgement.verdict is Verdict.NOT_FORMALISABLE
    assert "\n" not in judgement.reason
