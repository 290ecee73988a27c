"""The embedded verifier as a service: what it answers, and what it refuses before it judges."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from veriramp_sdk.events import MAX_CONTENT, Verdict
from veriramp_workers.health import health_app
from veriramp_workers.ports import Judgement, Question, VerifierUnavailableError
from veriramp_workers.settings import ConfigurationError, service_settings_from, settings_from
from veriramp_workers.verifier import judge
from veriramp_workers.verifier_http import ServiceMetrics, VerifierService
from veriramp_workers.verifier_http.contract import Answer, core_of


class InProcess:
    """The embedded verifier without its processes; waits for the gate first."""

    name, version = "in-process", "1"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.questions: list[Question] = []

    async def judge(self, question: Question) -> Judgement:
        self.questions.append(question)
        await self.gate.wait()
        return judge(question)


class Away(InProcess):
    async def judge(self, question: Question) -> Judgement:
        raise VerifierUnavailableError(f"no solver process can be started to judge {question.text!r}")


def an_app(verifier: InProcess, registry: CollectorRegistry | None = None, capacity: int = 2) -> Starlette:
    registry = registry or CollectorRegistry()
    service = VerifierService(
        verifier, ServiceMetrics(registry), capacity=capacity, longest_body=1_300_000, body_seconds=0.2
    )
    return health_app(registry, lambda: "", service.routes())


def a_client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://verifier")


def asked(text: str, **more: object) -> dict[str, object]:
    return {"informal_text": text, "skip_formalization": False, "enrich": False, **more}


@pytest.mark.shows("S1-VER-02", "S1-VER-03", "S1-VER-10")
async def test_an_answer_has_every_field_of_the_contract_and_the_verdict() -> None:
    async with a_client(an_app(InProcess())) as client:
        reply = await client.post("/pipeline/process", json=asked("Anne is not old.", premises=["Anne is old."]))
    assert reply.status_code == 200
    fields = reply.json()
    assert set(fields) == set(Answer.model_fields)
    assert (fields["verdict"], fields["check_sat_result"]) == ("contradicted", "unsat")
    assert core_of(fields["unsat_core"]) == ("Anne is old.", "Anne is not old.")
    assert "declare" in fields["smt_lib_code"]
    assert fields["metrics"]["success"] is True
    assert fields["passed_all_checks"] is True


async def test_not_formalisable_is_422_with_the_sentence_in_the_contracts_form() -> None:
    async with a_client(an_app(InProcess())) as client:
        reply = await client.post("/pipeline/process", json=asked("Wat ziet men daar?"))
    assert reply.status_code == 422
    assert set(reply.json()) == {"error", "details", "diagnostics"}
    assert "Wat ziet men daar?" in reply.json()["error"]
    assert set(reply.json()["details"]) == {"step", "attempts", "final_similarity", "threshold"}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", ["body"]),
        (b"[]", ["body"]),
        (b'{"informal_text": ""}', ["body", "informal_text"]),
        (json.dumps({"informal_text": "x" * (MAX_CONTENT + 1)}).encode(), ["body", "informal_text"]),
        (b'{"informal_text": "\\ud800"}', ["body"]),
        (b'{"informal_text": "x", "premises": [1]}', ["body", "premises", 0]),
        (b"[" * 100_000, ["body"]),
    ],
)
async def test_a_wrong_request_is_422_with_the_field(body: bytes, where: list[object]) -> None:
    async with a_client(an_app(InProcess())) as client:
        reply = await client.post("/pipeline/process", content=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"] == where


async def test_the_longest_text_gets_in_and_a_longer_body_does_not() -> None:
    verifier = InProcess()
    async with a_client(an_app(verifier)) as client:
        body = json.dumps(asked("𝄞" * MAX_CONTENT)).encode()
        assert len(body) > 12 * MAX_CONTENT
        assert (await client.post("/pipeline/process", content=body)).status_code == 422
        assert len(verifier.questions) == 1
        assert (await client.post("/pipeline/process", content=b" " * 1_300_001)).status_code == 413


async def test_a_body_that_never_ends_costs_its_place_for_a_moment_only() -> None:
    async def slow_body() -> None:
        await asyncio.Event().wait()

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    app = an_app(InProcess(), capacity=1)
    scope = {"type": "http", "method": "POST", "path": "/pipeline/process", "headers": [], "query_string": b""}
    await app(scope, slow_body, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    async with a_client(app) as client:
        assert (await client.post("/pipeline/process", json=asked("Anne is old."))).status_code == 200


async def test_who_finds_no_place_is_sent_away_at_once() -> None:
    verifier, registry = InProcess(), CollectorRegistry()
    verifier.gate.clear()

    async def asks() -> int:
        async with a_client(app) as client:
            reply = await client.post("/pipeline/process", json=asked("Anne is old."))
            assert (reply.status_code == 503) is ("retry-after" in reply.headers)
            return reply.status_code

    app = an_app(verifier, registry)
    tasks = [asyncio.create_task(asks()) for _ in range(6)]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 4:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert registry.get_sample_value("veriramp_verifier_busy") == 2
    verifier.gate.set()
    assert sorted(await asyncio.gather(*tasks)) == [200, 200, 503, 503, 503, 503]
    assert registry.get_sample_value("veriramp_verifier_busy") == 0
    assert registry.get_sample_value("veriramp_verifier_requests_total", {"status_code": "503"}) == 4
    assert registry.get_sample_value("veriramp_verifier_verdicts_total", {"verdict": Verdict.UNDETERMINED}) == 2


async def test_without_solvers_it_asks_to_come_back() -> None:
    async with a_client(an_app(Away())) as client:
        reply = await client.post("/pipeline/process", json=asked("Anne is old."))
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json() == {"error": "no solver process can be started to judge 'Anne is old.'"}


@pytest.mark.shows("S1-VER-08")
async def test_health_is_the_contracts_and_says_what_it_adds() -> None:
    async with a_client(an_app(InProcess())) as client:
        health = (await client.get("/health")).json()
        assert {"status", "service", "version", "embedding_model"} < set(health)
        assert (health["status"], health["service"]) == ("healthy", "in-process")
        assert "premises" in health["extensions"]
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/pipeline/process")).status_code == 405


def test_the_service_needs_no_broker_and_no_flags() -> None:
    settings = service_settings_from({"VERIRAMP_PORT": "1", "POD_IP": "127.9.9.9", "VERIRAMP_SOLVERS": "3"})
    assert (settings.host, settings.port, settings.solvers, settings.log_level) == ("127.9.9.9", 1, 3, "INFO")
    with pytest.raises(ConfigurationError, match="VERIRAMP_SOLVERS"):
        service_settings_from({"VERIRAMP_SOLVERS": "0"})


GOOD = {
    "VERIRAMP_BROKERS": "a:1",
    "VERIRAMP_FLAGS_URL": "flags:8015",
    "VERIRAMP_ROLLOUT": "search/demo",
    "VERIRAMP_STORE_URL": "sqlite:///store.db",
}


@pytest.mark.shows("S1-VER-01")
@pytest.mark.parametrize("url", ["", "http://verifier:8080", "https://verifier.example/base/"])
def test_the_verifiers_address_comes_from_the_configuration_alone(url: str) -> None:
    settings = settings_from({**GOOD, "VERIRAMP_VERIFIER_URL": url}, profile="orchestrator")
    assert settings.verifier_url == url
    assert (settings.verifier_read_seconds, settings.verifier_deadline_seconds) == (150.0, 300.0)


@pytest.mark.parametrize("url", ["verifier:8080", "ftp://verifier", "http://", "http://u:p@verifier", "http://v/?a=b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="VERIRAMP_VERIFIER_URL"):
        settings_from({**GOOD, "VERIRAMP_VERIFIER_URL": url}, profile="orchestrator")
