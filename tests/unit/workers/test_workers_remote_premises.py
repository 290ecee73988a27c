"""How a verifier over HTTP is asked about a text and its premises."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.faulty_verifier import CUT, SAT, UNSAT, Act, answer
from tests.support.remote_client import RED, a_client
from veriramp_sdk.events import MAX_CONTENT, Verdict
from veriramp_workers.orchestrator.limiter import ClosedError
from veriramp_workers.ports import Question, VerifierUnavailableError

PREMISED = Question("The mill is red.", ("The mill is blue.", "Nothing is red and blue."))
PLAIN_HEALTH = answer({"status": "healthy", "service": "x", "version": "1", "embedding_model": "m"})
TOGETHER = "The mill is blue.\nNothing is red and blue.\nThe mill is red."


@pytest.mark.parametrize(
    "health", [PLAIN_HEALTH, answer(b"", 404), answer(b"ok"), answer([]), answer({"extensions": 1})]
)
@pytest.mark.parametrize(
    ("answers", "verdict", "asked"),
    [
        ([SAT], Verdict.UNDETERMINED, 1),
        ([{**SAT, "check_sat_result": "unknown"}], Verdict.TOO_HARD, 1),
        ([UNSAT, UNSAT], Verdict.INCONSISTENT, 2),
        ([UNSAT, SAT, UNSAT], Verdict.INCONSISTENT, 3),
        ([UNSAT, SAT, SAT], Verdict.CONTRADICTED, 3),
        ([UNSAT, SAT, {**SAT, "check_sat_result": "unknown"}], Verdict.TOO_HARD, 3),
        ([UNSAT, {**SAT, "check_sat_result": "(error)"}], Verdict.ERROR, 2),
    ],
)
async def test_a_service_of_one_text_finds_contradictions_and_never_entails(
    health: Act, answers: list[object], verdict: Verdict, asked: int
) -> None:
    async with a_client(health, *map(answer, answers)) as client:
        judgement = await client.verifier.judge(PREMISED)
        assert judgement.verdict is verdict
        texts = [body["informal_text"] for _, body in client.service.asked[1:]]
        assert texts == [TOGETHER, "The mill is blue.\nNothing is red and blue.", "The mill is red."][:asked]
        assert all("premises" not in body for _, body in client.service.asked[1:])
        assert judgement.total_seconds > 0


@pytest.mark.parametrize(
    ("answers", "reason"),
    [([UNSAT], "the premises contradict each other"), ([SAT, UNSAT], "the text contradicts itself")],
)
async def test_the_part_that_contradicts_itself_is_named(answers: list[object], reason: str) -> None:
    async with a_client(PLAIN_HEALTH, answer(UNSAT), *map(answer, answers)) as client:
        assert (await client.verifier.judge(PREMISED)).reason == reason


async def test_a_service_without_a_health_page_is_not_asked_for_it_again() -> None:
    async with a_client(answer(b"", 404), answer(SAT)) as client:
        for _ in range(2):
            await client.verifier.judge(PREMISED)
        assert [path for path, _ in client.service.asked] == ["/health", "/pipeline/process", "/pipeline/process"]


async def test_a_service_that_takes_premises_gets_them_and_is_asked_once_whether() -> None:
    own = {**SAT, "verdict": "entailed", "reason": "follows", "skipped": ["x"], "field_of_tomorrow": 1}
    health = answer({"status": "healthy", "extensions": ["premises", "verdict"]})
    async with a_client(health, answer(own), answer(own)) as client:
        for _ in range(2):
            judgement = await client.verifier.judge(PREMISED)
            assert (judgement.verdict, judgement.reason) == (Verdict.ENTAILED, "follows")
            assert judgement.skipped == ("x",)
        assert [path for path, _ in client.service.asked] == ["/health", "/pipeline/process", "/pipeline/process"]
        assert client.service.asked[1][1]["premises"] == list(PREMISED.premises)


async def test_premises_that_do_not_fit_are_left_out() -> None:
    long = "x" * (MAX_CONTENT - 20)
    async with a_client(PLAIN_HEALTH, answer(SAT)) as client:
        judgement = await client.verifier.judge(Question(RED.text, ("The dam is old.", long, "\udc00", "It rains.")))
        assert judgement.skipped == (long, "\udc00")
        assert client.service.asked[1][1]["informal_text"] == "The dam is old.\nIt rains.\nThe mill is red."


@pytest.mark.parametrize(("length", "sent"), [(MAX_CONTENT - 17, MAX_CONTENT), (MAX_CONTENT - 16, 16)])
async def test_premises_may_fill_the_contracts_text(length: int, sent: int) -> None:
    async with a_client(answer(SAT)) as client:
        await client.verifier.judge(Question(RED.text, ("x" * length,)))
        assert len(client.service.asked[-1][1]["informal_text"]) == sent


async def test_a_health_page_that_fails_is_asked_again_with_the_next_question() -> None:
    away = answer(b"", 503)
    own = answer({**SAT, "verdict": "entailed"})
    async with a_client(away, away, away, answer(SAT), answer({"extensions": ["premises"]}), own) as client:
        assert (await client.verifier.judge(PREMISED)).verdict is Verdict.UNDETERMINED
        assert (await client.verifier.judge(PREMISED)).verdict is Verdict.ENTAILED


async def test_without_a_connection_nothing_is_assumed() -> None:
    async with a_client(CUT) as client:
        with pytest.raises(VerifierUnavailableError):
            await client.verifier.judge(PREMISED)
        assert {path for path, _ in client.service.asked} == {"/health"}


@pytest.mark.parametrize("health", [PLAIN_HEALTH, answer(b"", 404)])
async def test_what_is_switched_off_while_the_health_page_is_asked_for_gets_no_text(health: Act) -> None:
    async def and_off(writer: asyncio.StreamWriter) -> None:
        client.limiter.closed = True
        await health(writer)

    async with a_client(and_off) as client:
        with pytest.raises(ClosedError):
            await client.verifier.judge(PREMISED)
        assert [path for path, _ in client.service.asked] == ["/health"]
