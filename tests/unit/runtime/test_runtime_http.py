"""The operator's doors over real sockets: who may push, what is forwarded, what makes Alertmanager try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.support.pipeline import free_port
from veriramp_operator.api.errors import ConfigurationError, Unavailable
from veriramp_operator.runtime import http
from veriramp_operator.runtime.http import (
    FORWARDED,
    MAX_BODY,
    AlertDoor,
    Health,
    JournalDoor,
    alerts_app,
    health_app,
    serve,
)
from veriramp_operator.runtime.metrics import Metrics
from veriramp_operator.sources.alertmanager import BadPayload

TOKEN = "right"
HOST = "127.0.0.1"
NO_JOURNAL = JournalDoor(lambda: True, lambda: "", lambda _: ())


@dataclass
class Replica:
    """One process: ``problem`` is raised by whoever takes a push."""

    leads: bool = True
    leader: str = ""
    token: str = TOKEN
    problem: Exception | None = None
    hangs: bool = False
    taken: list[bytes] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def accept(self, body: bytes) -> Mapping[str, object]:
        self.taken.append(body)
        if self.hangs:
            await asyncio.Event().wait()
        if self.problem is not None:
            raise self.problem
        return {"rollouts": ["search/demo"]}

    async def post(
        self, body: bytes = b"{}", token: str = TOKEN, more: Mapping[str, str] | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **(more or {})}
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return await client.post(f"{self.url}/alerts/v1", content=body, headers=headers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Replica]:
        self.port = free_port()
        door = AlertDoor(self.token, lambda: self.leads, lambda: self.leader, self.accept)
        [runner] = await serve([(alerts_app(door, self.metrics), HOST, self.port)])
        try:
            yield self
        finally:
            await runner.cleanup()

    def answered(self, code: int) -> float:
        value = self.metrics.registry.get_sample_value("veriramp_alert_pushes_total", {"code": str(code)})
        return value or 0.0


async def test_the_leader_acts_and_answers_200_afterwards() -> None:
    async with Replica().running() as leader:
        answer = await leader.post(b'{"version": "4"}')
    assert (answer.status_code, answer.json()) == (200, {"rollouts": ["search/demo"]})
    assert leader.taken == [b'{"version": "4"}']
    assert leader.answered(200) == 1


@pytest.mark.parametrize("token", [None, "wrong", "right-and-more", "RIGHT", "rïght"])
async def test_without_the_token_nothing_is_taken(token: str | None) -> None:
    async with Replica().running() as leader:
        headers = [] if token is None else [(b"Authorization", f"Bearer {token}".encode())]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{leader.url}/alerts/v1", content=b"{}", headers=headers)
    assert (answer.status_code, leader.taken) == (401, [])
    assert TOKEN not in answer.text


async def test_without_a_configured_token_everything_is_refused() -> None:
    async with Replica(token="").running() as leader:
        answer = await leader.post(token="any")
    assert (answer.status_code, leader.taken) == (503, [])
    assert "VERIRAMP_ALERT_TOKEN_FILE" in answer.text


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (BadPayload("alerts is missing"), 400),
        (BadPayload("too many", too_large=True), 413),
        (Unavailable("the API server does not answer"), 503),
    ],
)
async def test_what_the_leader_cannot_do_is_told(problem: Exception, code: int) -> None:
    async with Replica(problem=problem).running() as leader:
        answer = await leader.post()
    assert answer.status_code == code
    assert str(problem) in answer.text
    assert leader.answered(code) == 1


async def test_a_body_beyond_the_limit_is_not_read() -> None:
    async with Replica().running() as leader:
        answer = await leader.post(b"x" * (MAX_BODY + 1))
        assert (await leader.post(b"x" * MAX_BODY)).status_code == 200
    assert answer.status_code == 413
    assert len(leader.taken) == 1


async def test_what_is_not_written_in_time_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.05)
    async with Replica(hangs=True).running() as leader:
        answer = await leader.post()
    assert (answer.status_code, answer.text) == (503, "not written yet; send it again")


async def test_a_standby_forwards_body_and_answer() -> None:
    async with (
        Replica(problem=BadPayload("alerts is missing")).running() as leader,
        Replica(leads=False, leader=leader.url).running() as standby,
    ):
        answer = await standby.post(b"body")
    assert (answer.status_code, answer.text) == (400, "alerts is missing")
    assert (leader.taken, standby.taken) == ([b"body"], [])


async def test_a_standby_checks_the_token_itself() -> None:
    async with Replica().running() as leader, Replica(leads=False, leader=leader.url).running() as standby:
        answer = await standby.post(token="wrong")
    assert (answer.status_code, leader.taken) == (401, [])
    assert leader.answered(401) == 0


async def test_without_a_leader_it_is_to_be_sent_again() -> None:
    async with Replica(leads=False).running() as standby:
        assert (await standby.post()).status_code == 503


async def test_a_leader_that_is_gone_means_send_again() -> None:
    async with Replica(leads=False, leader=f"http://{HOST}:{free_port()}").running() as standby:
        answer = await standby.post()
    assert answer.status_code == 503
    assert "the leader does not answer: ConnectError" in answer.text


async def test_two_standbys_that_take_each_other_for_the_leader_do_not_loop() -> None:
    one, two = Replica(leads=False), Replica(leads=False)
    async with one.running(), two.running():
        one.leader, two.leader = two.url, one.url
        assert (await one.post()).status_code == 503
    assert two.answered(503) == 1


async def test_what_was_forwarded_is_not_forwarded_again() -> None:
    async with Replica().running() as leader, Replica(leads=False, leader=leader.url).running() as standby:
        assert (await standby.post(more={FORWARDED: "1"})).status_code == 503
    assert leader.taken == []


async def test_health_and_metrics() -> None:
    said = {"alive": "", "ready": "not synced yet"}
    metrics = Metrics(CollectorRegistry())
    port = free_port()
    app = health_app(Health(lambda: said["alive"], lambda: said["ready"]), metrics, NO_JOURNAL)
    [runner] = await serve([(app, HOST, port)])
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
        live, ready, series = [await client.get(path) for path in ("/livez", "/readyz", "/metrics")]
        assert (await client.get("/alerts/v1")).status_code == 404
    await runner.cleanup()
    assert (live.status_code, live.text) == (200, "ok")
    assert (ready.status_code, ready.text) == (503, "not synced yet")
    assert "veriramp_queue_depth" in series.text


async def test_an_address_that_is_taken_is_told() -> None:
    async with Replica().running() as first:
        door = AlertDoor(TOKEN, lambda: True, lambda: "", first.accept)
        with pytest.raises(ConfigurationError, match=f"cannot listen on {HOST}:{first.port}: .*VERIRAMP_ALERTS_PORT"):
            await serve([(alerts_app(door, first.metrics), HOST, first.port)])


@pytest.mark.parametrize(
    ("leads", "leader", "code", "said"),
    [
        (True, "", 200, '{"at":1}\n{"at":2}\n'),
        (False, "http://10.0.0.5:8080", 421, "ask the one that does: http://10.0.0.5:8080/journal/search/demo"),
        (False, "", 503, "nobody leads at the moment"),
    ],
)
async def test_the_leader_tells_its_last_decisions(leads: bool, leader: str, code: int, said: str) -> None:
    door = JournalDoor(lambda: leads, lambda: leader, lambda key: ['{"at":1}', '{"at":2}'] * (key[1] == "demo"))
    port = free_port()
    app = health_app(Health(lambda: "", lambda: ""), Metrics(CollectorRegistry()), door)
    [runner] = await serve([(app, HOST, port)])
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
            answer = await client.get("/journal/search/demo")
            unknown = await client.get("/journal/search/other")
    finally:
        await runner.cleanup()
    assert (answer.status_code, said in answer.text) == (code, True)
    if leads:
        assert unknown.status_code == 404
        assert "no decision about search/other is in memory" in unknown.text
