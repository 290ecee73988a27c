"""The orchestrator's handler, and what a worker is told by its environment."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import a_request
from veriramp_sdk.events import Topic, Verdict, VerificationComplete, VerificationFailed, parse_event
from veriramp_workers.orchestrator import Orchestrator, OrchestratorMetrics
from veriramp_workers.ports import Judgement, PoisonError, Question, Record, RetryLaterError, VerifierUnavailableError
from veriramp_workers.settings import ConfigurationError, settings_from
from veriramp_workers.verifier import judge

GOOD = {"VERIRAMP_BROKERS": "a:1,b:2", "VERIRAMP_FLAGS_URL": "flags:8015", "VERIRAMP_ROLLOUT": "search/demo"}


class InProcess:
    """The embedded verifier without its processes."""

    name, version = "in-process", "1"

    async def judge(self, question: Question) -> Judgement:
        return judge(question)


class Away(InProcess):
    async def judge(self, question: Question) -> Judgement:
        raise VerifierUnavailableError(f"the verifier answers 503 to {question.text!r}", status=503, attempts=3)


class Broken(InProcess):
    async def judge(self, question: Question) -> Judgement:
        raise ZeroDivisionError(question.text)


def an_orchestrator(verifier: InProcess, registry: CollectorRegistry | None = None) -> Orchestrator:
    metrics = OrchestratorMetrics(registry or CollectorRegistry())
    return Orchestrator(verifier, metrics, formaliser_version="1", clock=lambda: 12.5)


def a_record(value: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record(Topic.INTERACTIVE, 0, 0, b"key", value, (("traceparent", b"00-1"), ("other", b"x"), *headers))


@pytest.mark.shows("S1-EVT-02", "S1-FAIL-03", "S2-OBS-05")
async def test_a_verdict_answers_its_request() -> None:
    request = a_request("Anne is not old.", "Anne is old.")
    registry = CollectorRegistry()
    (message,) = await an_orchestrator(InProcess(), registry)(a_record(request.to_bytes()))
    answer = parse_event(VerificationComplete, message.value)
    assert (message.topic, message.key) == (Topic.COMPLETE, request.key())
    assert message.headers == (("traceparent", b"00-1"),)
    assert (answer.verdict, answer.signal) == (Verdict.CONTRADICTED, -1.0)
    assert answer.unsat_core == ("Anne is old.", "Anne is not old.")
    assert (answer.chunk_key, answer.content_hash) == (request.chunk_key, request.content_hash)
    assert answer.verified_at_ms == 12_500
    assert registry.get_sample_value("verification_verdicts_total", {"verdict": "contradicted"}) == 1


@pytest.mark.shows("S1-EVT-03", "S1-ORCH-04")
async def test_an_absent_verifier_is_tried_later_and_reported_when_that_has_not_helped() -> None:
    request = a_request("Anne is old.")
    record = a_record(request.to_bytes(), ("veriramp-attempt", b"2"))
    with pytest.raises(RetryLaterError, match="VerifierUnavailableError: the verifier answers 503") as later:
        await an_orchestrator(Away())(record)
    (message,) = later.value.last
    failed = parse_event(VerificationFailed, message.value)
    assert (message.topic, message.key, message.headers) == (Topic.FAILED, request.key(), (("traceparent", b"00-1"),))
    assert (failed.error_class, failed.retryable) == ("VerifierUnavailableError", True)
    assert (failed.http_status, failed.attempts) == (503, 3)
    assert failed.content == request.content


@pytest.mark.shows("S1-ORCH-04")
async def test_an_unexpected_error_is_counted_and_its_log_has_no_content(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    with pytest.raises(RetryLaterError) as later:
        await an_orchestrator(Broken(), registry)(a_record(a_request("A secret.").to_bytes()))
    failed = parse_event(VerificationFailed, later.value.last[0].value)
    assert (failed.error_class, failed.retryable, failed.attempts) == ("ZeroDivisionError", False, 1)
    assert registry.get_sample_value("verification_requests_total", {"status": "error"}) == 1
    (line,) = caplog.records
    assert "secret" not in repr(vars(line))
    assert vars(line)["error_class"] == "ZeroDivisionError"
    assert vars(line)["at"].startswith("test_workers_orchestrator.py:")


async def test_what_cannot_be_read_is_poison() -> None:
    with pytest.raises(PoisonError, match="VerifyChunk"):
        await an_orchestrator(InProcess())(a_record(b"{}"))


def test_settings_have_defaults() -> None:
    settings = settings_from(GOOD, profile="orchestrator")
    assert (settings.brokers, settings.host, settings.port, settings.solvers) == ("a:1,b:2", "127.0.0.1", 8080, 2)
    assert settings_from({**GOOD, "POD_IP": "127.10.0.1"}, profile="x").host == "127.10.0.1"
    assert settings_from({**GOOD, "POD_IP": "127.10.0.1", "VERIRAMP_HOST": "h"}, profile="x").host == "h"


@pytest.mark.shows("S1-DEP-02")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"VERIRAMP_BROKERS": ""}, "VERIRAMP_BROKERS is not set; write host:port"),
        ({"VERIRAMP_BROKERS": "kafka"}, 'VERIRAMP_BROKERS is "kafka"; write host:port'),
        ({"VERIRAMP_FLAGS_URL": "http://flags"}, "VERIRAMP_FLAGS_URL"),
        ({"VERIRAMP_ROLLOUT": "demo"}, "namespace/name"),
        ({"VERIRAMP_PORT": "80800"}, 'VERIRAMP_PORT is "80800"; write a whole number from 0 to 65535'),
        ({"VERIRAMP_SOLVERS": "0"}, "from 1 to 64"),
        ({"VERIRAMP_COMMIT_SECONDS": "soon"}, 'VERIRAMP_COMMIT_SECONDS is "soon"; write a number of seconds'),
        ({"VERIRAMP_SESSION_SECONDS": "1"}, "from 6 to 300"),
        ({"VERIRAMP_LOG_LEVEL": "loud"}, "DEBUG, INFO"),
    ],
)
def test_wrong_settings_say_what_to_write(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_from({**GOOD, **change}, profile="orchestrator")
    assert sentence in str(refused.value)
