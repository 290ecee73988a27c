"""The client of a verifier over HTTP, against a service that fails in every way."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tests.support.faulty_verifier import (
    CUT,
    FAILED_FIELD,
    FAILED_STEP,
    HALF,
    NO_HTTP,
    SAT,
    UNSAT,
    Act,
    answer,
    flood,
    hang,
    trickle,
)
from tests.support.pipeline import free_port
from tests.support.remote_client import RED, a_client
from veriramp_sdk.events import MAX_CONTENT, Verdict
from veriramp_workers.breaker import BreakerState
from veriramp_workers.ports import BreakerOpenError, Question, VerifierUnavailableError
from veriramp_workers.verifier_http import RemoteMetrics, RemoteSettings, RemoteVerifier
from veriramp_workers.verifier_http.retry import backoff, retry_after


@pytest.mark.shows("S1-VER-01")
async def test_the_request_is_the_contracts() -> None:
    async with a_client(answer(SAT)) as client:
        await client.verifier.judge(RED)
        body = {"informal_text": "The mill is red.", "skip_formalization": False, "enrich": False}
        assert client.service.asked == [("/pipeline/process", body)]


@pytest.mark.shows("S1-VER-01")
@pytest.mark.parametrize("text", ["", "x" * (MAX_CONTENT + 1)])
async def test_a_text_outside_the_contract_is_judged_before_the_call(text: str) -> None:
    async with a_client(answer(SAT)) as client:
        judgement = await client.verifier.judge(Question(text))
        assert judgement.verdict is Verdict.NOT_FORMALISABLE
        assert f"{len(text)} characters; the verifier takes 1 to 100000" in judgement.reason
        assert client.service.asked == []


async def test_half_a_character_is_judged_before_the_call() -> None:
    async with a_client(answer(SAT)) as client:
        judgement = await client.verifier.judge(Question("The mill \ud800."))
        assert judgement.reason == "the text is no Unicode: surrogates not allowed at character 9"
        assert client.service.asked == []


async def test_the_longest_text_is_sent_whatever_it_is_written_in() -> None:
    text = "𝄞" * MAX_CONTENT
    async with a_client(answer(SAT)) as client:
        await client.verifier.judge(Question(text))
        assert client.service.asked[0][1]["informal_text"] == text


@pytest.mark.shows("S1-VER-02", "S1-VER-03", "S1-FAIL-02")
async def test_the_answer_is_read_into_a_judgement_and_metrics() -> None:
    async with a_client(answer(UNSAT)) as client:
        judgement = await client.verifier.judge(RED)
        assert (judgement.verdict, judgement.check_sat) == (Verdict.INCONSISTENT, "unsat")
        assert judgement.conflict == ("a1", "a2")
        assert judgement.smt_lib == UNSAT["smt_lib_code"]
        assert (judgement.similarity, judgement.degradation) == (0.93, 0.04)
        assert (judgement.solver_seconds, judgement.total_seconds) == (0.125, 21.0)
        sample = client.registry.get_sample_value
        assert sample("hupyy_api_step_attempts_total", {"step": "formalization"}) == 2
        assert sample("hupyy_api_step_seconds_sum", {"step": "extraction"}) == 9.25
        assert sample("hupyy_api_step_seconds_sum", {"step": "solver"}) == 0.125
        assert sample("hupyy_api_latency_seconds_count") == 1


@pytest.mark.parametrize("figure", ['"formalization_attempts": ' + "9" * 400, '"formalization_time_seconds": 1e999'])
async def test_figures_beyond_all_measure_cost_no_verdict(figure: str) -> None:
    body = json.dumps({**SAT, "metrics": None}).replace('"metrics": null', f'"metrics": {{{figure}}}').encode()
    async with a_client(answer(body)) as client:
        assert (await client.verifier.judge(RED)).verdict is Verdict.UNDETERMINED
        sample = client.registry.get_sample_value
        assert not sample("hupyy_api_step_seconds_sum", {"step": "formalization"})


@pytest.mark.shows("S1-VER-04", "S1-FAIL-05")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (FAILED_STEP, "the formalisation is too far from the text (step formalization, attempts: 3)"),
        (FAILED_FIELD, "informal_text: String should have at least 1 character"),
        ({"detail": FAILED_STEP}, "the formalisation is too far from the text (step formalization, attempts: 3)"),
        ({"detail": "no thanks"}, "no thanks"),
        ({"error": "no", "details": None, "diagnostics": []}, "no"),
        ({"detail": []}, "the verifier refuses the text and gives no reason"),
        ({"error": {"code": 7}}, "the verifier refuses the text and gives no reason"),
        (b"<html>", "the verifier refuses the text and gives no reason"),
        (b"[]", "the verifier refuses the text and gives no reason"),
        (b"\xff", "the verifier refuses the text and gives no reason"),
    ],
)
async def test_a_refused_text_is_a_verdict_asked_once_and_never_counted(body: object, reason: str) -> None:
    async with a_client(answer(body, 422)) as client:
        for _ in range(7):
            judgement = await client.verifier.judge(RED)
            assert (judgement.verdict, judgement.reason) == (Verdict.NOT_FORMALISABLE, reason)
        assert len(client.service.asked) == 7
        assert client.breaker.state is BreakerState.CLOSED
        assert client.errors("422") == 7


async def test_a_refused_text_ends_no_row_of_failures() -> None:
    down, refusal = answer(b"", 404), answer(FAILED_STEP, 422)
    async with a_client(down, down, down, down, refusal, down) as client:
        for _ in range(6):
            with suppress(VerifierUnavailableError):
                await client.verifier.judge(RED)
        assert client.breaker.state is BreakerState.OPEN


PASSING = [
    pytest.param(answer(b"", 429), 429, "429", id="429"),
    pytest.param(answer({"error": "x"}, 500), 500, "500", id="500"),
    pytest.param(answer(b"<html>", 502), 502, "502", id="502"),
    pytest.param(answer(b"", 503), 503, "503", id="503"),
    pytest.param(answer(b"", 504), 504, "504", id="504"),
    pytest.param(hang, None, "timeout", id="hangs"),
    pytest.param(HALF, None, "transport", id="half a body"),
    pytest.param(CUT, None, "transport", id="cut"),
    pytest.param(NO_HTTP, None, "transport", id="no HTTP"),
]
IMPATIENT = RemoteSettings("", read=0.2)


@pytest.mark.shows("S1-VER-04", "S1-VER-05", "S1-VER-06")
@pytest.mark.parametrize(("fault", "status", "kind"), PASSING)
async def test_what_may_pass_is_tried_three_times_with_growing_waits(fault: Act, status: int | None, kind: str) -> None:
    async with a_client(fault, settings=IMPATIENT) as client:
        with pytest.raises(VerifierUnavailableError) as failed:
            await client.verifier.judge(RED)
        assert (failed.value.status, failed.value.attempts) == (status, 3)
        assert client.waits == [1.5, 2.5]
        assert len(client.service.asked) == 3
        assert client.errors(kind) == 3


@pytest.mark.shows("S1-VER-06")
@pytest.mark.parametrize(("fault", "status", "kind"), PASSING)
async def test_what_has_passed_leaves_a_verdict(fault: Act, status: int | None, kind: str) -> None:
    async with a_client(fault, fault, answer(SAT), settings=IMPATIENT) as client:
        assert (await client.verifier.judge(RED)).verdict is Verdict.UNDETERMINED
        assert len(client.service.asked) == 3


@pytest.mark.shows("S1-VER-04")
@pytest.mark.parametrize("status", [201, 301, 307, 400, 401, 403, 404, 413, 501, 505])
async def test_other_statuses_are_final_and_named(status: int) -> None:
    async with a_client(answer(b"go away", status, location="/elsewhere")) as client:
        with pytest.raises(VerifierUnavailableError, match=f"answers {status}: go away") as failed:
            await client.verifier.judge(RED)
        assert (failed.value.status, failed.value.attempts) == (status, 1)
        assert len(client.service.asked) == 1


@pytest.mark.shows("S1-VER-02")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body"),
        (b"<html>", "body"),
        (b"[1]", "body"),
        (b"{}", "check_sat_result: Field required"),
        ({**SAT, "check_sat_result": None}, "check_sat_result"),
        ({**SAT, "check_sat_result": ["sat"]}, "check_sat_result"),
    ],
)
async def test_an_answer_that_is_none_is_final_and_counts(body: object, words: str) -> None:
    async with a_client(answer(body)) as client:
        for _ in range(5):
            with pytest.raises(VerifierUnavailableError, match=f"cannot be read: {words}"):
                await client.verifier.judge(RED)
        assert len(client.service.asked) == 5
        assert client.breaker.state is BreakerState.OPEN
        assert client.errors("unreadable") == 5


async def test_an_answer_without_end_is_cut_off() -> None:
    async with a_client(flood, settings=RemoteSettings("", longest_answer=100_000)) as client:
        with pytest.raises(VerifierUnavailableError, match="longer than 100000 bytes"):
            await client.verifier.judge(RED)
        assert len(client.service.asked) == 1


@pytest.mark.shows("S1-VER-05")
async def test_the_deadline_ends_an_answer_that_never_does() -> None:
    async with a_client(trickle, settings=RemoteSettings("", deadline=0.3)) as client:
        with pytest.raises(VerifierUnavailableError, match=r"no answer within 0\.3 s"):
            await client.verifier.judge(RED)


@pytest.mark.shows("S1-VER-05")
def test_the_times_are_those_of_a_service_that_takes_minutes() -> None:
    settings = RemoteSettings("http://verifier")
    assert (settings.connect, settings.read, settings.write, settings.pool) == (5.0, 150.0, 5.0, 5.0)
    assert settings.deadline == 300.0


@pytest.mark.shows("S1-VER-06")
async def test_no_wait_reaches_over_the_deadline() -> None:
    async with a_client(answer(b"", 500), settings=RemoteSettings("", deadline=3.0)) as client:
        with pytest.raises(VerifierUnavailableError) as failed:
            await client.verifier.judge(RED)
        assert failed.value.attempts == 2
        assert client.waits == [1.5]  # another 2.5 s would end after 3 s


@pytest.mark.shows("S1-VER-04")
@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("20", [20.0]),
        ("0", [1.5]),
        ("Sun, 09 Sep 2001 01:47:10 GMT", [30.0]),
        ("Sun, 09 Sep 2001 01:46:00 GMT", [1.5]),
        ("soon", [1.5]),
    ],
)
async def test_retry_after_is_obeyed(header: str, waits: list[float]) -> None:
    async with a_client(answer(b"", 429, retry_after=header), answer(SAT)) as client:
        assert (await client.verifier.judge(RED)).verdict is Verdict.UNDETERMINED
        assert client.waits == waits


async def test_who_asks_to_wait_too_long_is_not_asked_again() -> None:
    async with a_client(answer(b"", 503, retry_after="3600")) as client:
        with pytest.raises(VerifierUnavailableError) as failed:
            await client.verifier.judge(RED)
        assert (failed.value.attempts, failed.value.retry_after) == (1, 3600.0)


@pytest.mark.shows("S1-VER-06", "S1-VER-07")
async def test_a_question_counts_once_and_an_open_breaker_asks_nothing() -> None:
    async with a_client(answer(b"", 500)) as client:
        for _ in range(5):
            assert client.breaker.state is BreakerState.CLOSED
            with pytest.raises(VerifierUnavailableError):
                await client.verifier.judge(RED)
        with pytest.raises(BreakerOpenError) as refused:
            await client.verifier.judge(RED)
        assert refused.value.retry_after == 60
        assert len(client.service.asked) == 15


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    gone = RemoteSettings(f"http://127.0.0.1:{free_port()}", attempts=1)
    async with RemoteVerifier(gone, RemoteMetrics(CollectorRegistry())) as verifier:
        with pytest.raises(VerifierUnavailableError, match="cannot be reached: ConnectError"):
            await verifier.judge(RED)


@pytest.mark.shows("S1-VER-07")
async def test_after_an_outage_two_probes_go_through_and_one_question_behind_them() -> None:
    async with a_client(answer(b"", 500)) as client:
        await asyncio.gather(*(client.verifier.judge(RED) for _ in range(5)), return_exceptions=True)
        assert client.breaker.state.name == "OPEN"
        client.service.asked.clear()
        client.service.acts = [answer(SAT)]
        client.pass_time(60.0)
        question = Question("The dam is old.")
        answers = await asyncio.gather(*(client.verifier.judge(question) for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(one, BreakerOpenError) for one in answers) == 19
        texts = [body["informal_text"] for _, body in client.service.asked]
        assert texts == ["The mill is red."] * 2 + [question.text]
        assert client.breaker.state.name == "CLOSED"
        assert client.breaker.retry_after == 0


@given(st.integers(1, 2_000), st.floats(0, 1, exclude_max=True))
def test_each_wait_is_between_one_and_ten_seconds(attempt: int, chance: float) -> None:
    assert 1.0 <= backoff(attempt, chance) <= 10.0


@given(st.text() | st.integers().map(str), st.floats(0, 4e9))
def test_retry_after_reads_anything(value: str, now: float) -> None:
    wait = retry_after(value, now)
    assert wait is None or 0 <= wait < 1e13
