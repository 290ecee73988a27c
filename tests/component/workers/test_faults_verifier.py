"""A verifier over HTTP that fails, before a real orchestrator and broker: nothing is lost or given up too soon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from tests.support import faulty_verifier as faulty
from tests.support.faulty_verifier import Act, a_faulty_verifier, answer
from tests.support.flags import LIVE, Operator, a_document, obeyed
from tests.support.ledger import Ledger, a_ledger, each_counts_once
from tests.support.pipeline import Program, Topics, an_orchestrator, free_port, numbered, peak_megabytes
from tests.support.waiting import wait_until
from veriramp_sdk.events import Topic, VerificationFailed, parse_event

SECONDS = 60.0
SETTINGS = {"orchestrator": {"maxConcurrentVerifications": 10, "circuitBreakerTimeoutSeconds": 1}}
EVERY_FAULT: tuple[Act, ...] = (
    answer({}, 500),
    answer({}, 503, retry_after="1"),
    answer({}, 429, retry_after="1"),
    faulty.CUT,
    faulty.HALF,
    faulty.NO_HTTP,
    answer(b"<html>"),
    answer({}, 302),
    faulty.hang,
    faulty.trickle,
    faulty.flood,
)


@pytest.fixture(autouse=True)
async def live(operator: Operator) -> AsyncIterator[None]:
    async with obeyed(operator, a_document(revision=1, vector=LIVE, worker_settings=SETTINGS)):
        yield


def with_verifier(env: dict[str, str], url: str) -> dict[str, str]:
    """A worker that soon tries again, and has no budget to ask."""
    return {
        **env,
        "VERIRAMP_VERIFIER_URL": url,
        "VERIRAMP_RETRY_SECONDS": "1,1",
        "VERIRAMP_BUDGET_PER_DAY": "none",
    }


async def paused(worker: Program, reason: str, value: float = 1) -> None:
    await exports(worker, "veriramp_bus_paused", value, reason=reason)


async def exports(worker: Program, name: str, value: float, **labels: str) -> None:
    async def is_so() -> bool:
        return await worker.metric(name, **labels) == value

    await wait_until(is_so, SECONDS, f"{name} {labels} to be {value:g}; see {worker.log}")


@pytest.mark.shows("S1-ORCH-03", "S1-VER-07")
async def test_verifier_down_and_up_again(tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics) -> None:
    port, wanted = free_port(), numbered(60)
    async with a_ledger(brokers) as ledger:
        async with an_orchestrator(tmp_path, with_verifier(env, f"http://127.0.0.1:{port}")) as worker:
            await topics.send(Topic.INTERACTIVE, *wanted)
            await paused(worker, "breaker")
            assert await worker.ready()
            # Each second it is half-open for a moment, and asks.
            await exports(worker, "circuit_breaker_state", 2, service="hupyy_api")
            await exports(worker, "veriramp_degradation_level", 2)
            assert await worker.metric("hupyy_api_errors_total", status_code="transport") > 0
            assert ledger.verdicts == {}
            async with a_faulty_verifier(answer(faulty.SAT), port=port) as verifier:
                await each_are_answered(ledger, wanted)
                await paused(worker, "breaker", 0)
                assert await worker.metric("circuit_breaker_state", service="hupyy_api") == 0
                assert len(verifier.asked) >= len(wanted)
            assert await worker.stop() == 0
        assert ledger.dead == set()


@pytest.mark.shows("S1-VER-04", "S1-VER-05")
async def test_verifier_that_fails_in_every_way_and_then_works(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted = numbered(60)
    faults = [*EVERY_FAULT, *EVERY_FAULT]
    env = {**env, "VERIRAMP_VERIFIER_READ_SECONDS": "2", "VERIRAMP_VERIFIER_DEADLINE_SECONDS": "8"}
    async with (
        a_faulty_verifier(*faults, answer(faulty.SAT)) as verifier,
        a_ledger(brokers) as ledger,
        an_orchestrator(tmp_path, with_verifier(env, verifier.url)) as worker,
    ):
        await topics.send(Topic.INTERACTIVE, *wanted)
        await each_are_answered(ledger, wanted)
        for kind in ("500", "503", "429", "transport", "timeout", "unreadable"):
            assert await worker.metric("hupyy_api_errors_total", status_code=kind) > 0, kind
        assert peak_megabytes(worker) < 256
        assert await worker.stop() == 0
        assert ledger.dead == set()


@pytest.mark.shows("S1-FAIL-05", "S1-VER-04")
async def test_refused_texts_are_answers_and_no_failures(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted = numbered(40)
    acts = [answer(body, 422) for _ in range(10) for body in (faulty.FAILED_STEP, faulty.FAILED_FIELD)]
    async with (
        a_faulty_verifier(*acts) as verifier,
        a_ledger(brokers) as ledger,
        an_orchestrator(tmp_path, with_verifier(env, verifier.url)) as worker,
    ):
        await topics.send(Topic.INTERACTIVE, *wanted)
        await each_counts_once(ledger, topics, wanted)
        assert {verdict for verdict, _, _ in ledger.verdicts.values()} == {"not_formalisable"}
        assert await worker.metric("circuit_breaker_state", service="hupyy_api") == 0
        assert await worker.metric("verification_requests_total", status="invalid") == len(wanted)
        assert len(verifier.asked) == len(wanted), "nothing is asked twice"


@pytest.mark.shows("S1-EVT-03", "S1-ORCH-04")
async def test_one_text_that_breaks_the_verifier_is_given_up_and_no_other(
    tmp_path: Path, env: dict[str, str], brokers: str, topics: Topics
) -> None:
    wanted = numbered(40)
    breaks = wanted[17]

    def choose(_path: str, body: Any) -> Act:
        return answer({}, 500) if body and body["informal_text"] == breaks.content else answer(faulty.SAT)

    async with (
        a_faulty_verifier(choose=choose) as verifier,
        a_ledger(brokers) as ledger,
        an_orchestrator(tmp_path, with_verifier(env, verifier.url)) as worker,
    ):
        await topics.send(Topic.INTERACTIVE, *wanted)
        (failed,) = await topics.read(Topic.FAILED, lambda records: len(records) >= 1, "the one that failed")
        told = parse_event(VerificationFailed, failed.value)
        assert (told.chunk_key, told.http_status, told.attempts) == (breaks.chunk_key, 500, 3)

        def all_there(records: list[ConsumerRecord]) -> bool:
            return len({record.key for record in records}) == len(wanted) - 1

        answered = await topics.read(Topic.COMPLETE, all_there, "all others")
        assert breaks.key() not in {record.key for record in answered}
        assert await worker.stop() == 0

        async def buried() -> bool:
            return ledger.dead == {breaks.to_bytes()}

        await wait_until(buried, SECONDS, "one dead letter")


async def each_are_answered(ledger: Ledger, wanted: list[Any]) -> None:
    """Every request has one answer, from whichever topic it came; and none was given up."""
    keys = {each.key() for each in wanted}

    async def answered() -> bool:
        return {key for _, _, key in ledger.verdicts.values()} == keys

    await wait_until(answered, SECONDS, f"an answer to each of {len(wanted)}; there are {len(ledger.verdicts)}")
    assert len(ledger.verdicts) == len(wanted)
    assert ledger.contradictions == 0
