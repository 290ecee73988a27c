"""A real Kafka with TLS, passwords and client certificates: what works, what is said else, what is renewed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from tests.support.certificates import Authority
from tests.support.flags import LIVE, Operator, a_document
from tests.support.pipeline import Program, Topics, a_request, an_orchestrator, make_fresh_topics
from tests.support.waiting import wait_until
from tools.kafka.cluster import Kafka, Secured, a_kafka
from veriramp_sdk.events import Topic
from veriramp_sdk.kafka import KafkaSender
from veriramp_sdk.kafka_settings import kafka_settings_from
from veriramp_sdk.kafka_trouble import Credentials, why_unreachable
from veriramp_sdk.trigger import Message
from veriramp_search.broker import follow_verdicts
from veriramp_workers.bus import publisher as publisher_module
from veriramp_workers.bus.contact import Contact
from veriramp_workers.bus.publisher import Publisher
from veriramp_workers.bus.settings import BusMetrics
from veriramp_workers.ports import Message as Published
from veriramp_workers.topics import topics_command

HOST = "127.12.31.9"
USER, PASSWORD = "alice", "right-password"
SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """The cluster and the folder of the certificates; ``changed`` are the users with another password than at first."""

    kafka: Kafka
    folder: Path
    changed: set[str] = field(default_factory=set)

    def set_password(self, user: str, password: str) -> None:
        """Give a user another password."""
        self.changed.add(user)
        self.kafka.set_password(user, password)

    def reset_password(self, user: str) -> None:
        """Give a user the first password again, where a test that was tried before has changed it."""
        if user in self.changed:
            self.set_password(user, PASSWORD)

    def environment(self, protocol: str, **changes: str) -> dict[str, str]:
        """What a process of ours is told; `changes` are VERIRAMP_KAFKA_*, an empty text leaves one out."""
        of_sasl = {"SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": USER, "PASSWORD_FILE": self.file("password")}
        of_tls = {"CA_FILE": self.file("authority.crt")}
        values = {"SECURITY_PROTOCOL": protocol}
        values |= of_sasl if protocol.startswith("SASL") else {}
        values |= of_tls if protocol.endswith("SSL") else {}
        named = {f"VERIRAMP_KAFKA_{name}": value for name, value in (values | changes).items()}
        return {"VERIRAMP_BROKERS": self.kafka.secured(protocol), **named}

    def certificate(self, name: str) -> dict[str, str]:
        """A client's certificate and key."""
        return {"CERTIFICATE_FILE": self.file(f"{name}.crt"), "KEY_FILE": self.file(f"{name}.key")}

    def file(self, name: str) -> str:
        """The path of a file."""
        return str(self.folder / name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("secured")
    authority, other = Authority(folder), Authority(folder, "other")
    store = authority.issue("broker", HOST)
    authority.issue("client")
    authority.issue("outdated", expired=True)
    other.issue("stranger")
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "wrong").write_text("wrong-password")
    users = dict.fromkeys((USER, "bob", "dora"), PASSWORD)
    with a_kafka(folder, secured=Secured(HOST, store, authority.file, users)) as kafka:
        yield Site(kafka, folder)


@pytest.fixture
def brokers(site: Site) -> str:
    """The open listener, for the test itself."""
    make_fresh_topics(site.kafka.bootstrap)
    return site.kafka.bootstrap


@pytest.fixture
def live(operator: Operator) -> None:
    operator.publish(a_document(revision=1, vector=LIVE))
    operator.renew()


def with_certificate(site: Site) -> dict[str, str]:
    return site.environment("SSL", **site.certificate("client"))


async def answered(topics: Topics, text: str) -> None:
    """A request goes in and its verdict comes out."""
    request = a_request(text)
    await topics.send(Topic.INTERACTIVE, request)
    await topics.read(
        Topic.COMPLETE, lambda found: any(one.key == request.key() for one in found), f"a verdict: {text}"
    )


@pytest.mark.usefixtures("live")
@pytest.mark.shows("S1-SEC-01")
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SSL", "SASL_PLAINTEXT"])
async def test_a_request_goes_through_the_whole_orchestrator(
    tmp_path: Path, site: Site, env: dict[str, str], topics: Topics, protocol: str
) -> None:
    kafka = with_certificate(site) if protocol == "SSL" else site.environment(protocol)
    async with an_orchestrator(tmp_path, env | kafka) as worker:
        await answered(topics, "The mill is red.")
        assert await worker.stop() == 0
    assert PASSWORD not in (log := worker.log.read_text())
    assert "Traceback" not in log
    assert "can be read on the way" not in log, "loopback is no network"


async def lines_of(program: Program, text: str) -> list[str]:
    """The lines of a program's log that have a text."""
    return [line for line in program.log.read_text().splitlines() if text in line]


@pytest.mark.usefixtures("live")
@pytest.mark.shows("S1-SEC-01")
async def test_a_wrong_password_is_told_in_one_line_and_a_right_one_is_taken_without_a_restart(
    tmp_path: Path, site: Site, env: dict[str, str], topics: Topics
) -> None:
    password = tmp_path / "password"
    password.write_text("wrong-password")
    kafka = site.environment("SASL_SSL", PASSWORD_FILE=str(password))
    sentence = 'refuses \\"alice\\" with SCRAM-SHA-512; is VERIRAMP_KAFKA_USERNAME right, and the password in'
    async with an_orchestrator(tmp_path, env | kafka, wait=False) as worker:

        async def failed_often() -> bool:
            return (
                await worker.alive() and await worker.metric("veriramp_bus_broker_failures_total", step="connect") >= 4
            )

        async def refused() -> list[str]:
            return [line for line in await lines_of(worker, "no broker yet") if sentence in line]

        await wait_until(failed_often, SECONDS, "four tries")
        (line,) = await wait_until(refused, SECONDS, "the reason")
        assert f"{HOST}:" in line
        assert not await worker.ready()
        password.write_text(PASSWORD)
        await wait_until(worker.ready, SECONDS, "the worker to be ready")
        await answered(topics, "The mill is red.")
        assert await worker.stop() == 0
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert "wrong-password" not in log


@pytest.mark.usefixtures("live")
async def test_a_password_that_is_rotated_is_taken_at_once_and_not_before_kafka_takes_it(
    tmp_path: Path, site: Site, env: dict[str, str], topics: Topics
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    site.reset_password("bob")
    kafka = site.environment("SASL_SSL", USERNAME="bob", PASSWORD_FILE=str(password))
    async with an_orchestrator(tmp_path, env | kafka) as worker:

        async def refused() -> list[str]:
            return await lines_of(worker, "have changed and are not used yet")

        async def joined_anew() -> list[str]:
            return await lines_of(worker, "Kafka takes the new credentials")

        await answered(topics, "The mill is red.")
        password.write_text("next-password")
        await wait_until(refused, SECONDS, "the new password to be refused")
        await answered(topics, "The mill is old.")
        assert not await joined_anew(), "what is open goes on"
        await asyncio.to_thread(site.set_password, "bob", "next-password")
        await wait_until(joined_anew, SECONDS, "the new password to be used")
        await answered(topics, "The mill is tall.")
        # All connections are made anew, with what the worker has now.
        site.kafka.nodes[0].kill()
        site.kafka.nodes[0].start()
        await asyncio.to_thread(site.kafka.wait)
        await answered(topics, "The mill is wide.")
        assert await worker.stop() == 0
    assert "next-password" not in worker.log.read_text()


async def test_what_was_being_published_while_a_password_was_rotated_is_published_with_the_new_one(
    tmp_path: Path, site: Site, topics: Topics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publisher_module, "_FORMER_SECONDS", 1.0)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    site.reset_password("dora")
    settings = kafka_settings_from(site.environment("SASL_SSL", USERNAME="dora", PASSWORD_FILE=str(password)))
    publisher = Publisher(settings, BusMetrics(CollectorRegistry()), Contact(settings))
    await publisher.start()
    await publisher(Published(Topic.COMPLETE, b"before", b"{}"))
    await asyncio.to_thread(site.set_password, "dora", "next-password")
    site.kafka.nodes[0].kill()
    site.kafka.nodes[0].start()
    await asyncio.to_thread(site.kafka.wait)
    publishing = asyncio.create_task(publisher(Published(Topic.COMPLETE, b"between", b"{}")))

    async def refused() -> bool:
        return "SaslAuthenticationFailed" in caplog.text

    async def published() -> bool:
        await publisher.refresh()
        return publishing.done()

    await wait_until(refused, SECONDS, "the connection that breaks to be refused")
    assert not publishing.done()
    password.write_text("next-password")
    await wait_until(published, SECONDS, "the message to be published")
    await publishing
    found = await topics.read(Topic.COMPLETE, lambda records: len(records) >= 2, "both messages")
    assert {record.key for record in found} == {b"before", b"between"}
    await publisher.stop(5.0)


FAULTS = {
    "a wrong password": ("SASL_SSL", {"PASSWORD_FILE": "wrong"}, 'refuses "alice" with SCRAM-SHA-512'),
    "the same, PLAIN": (
        "SASL_SSL",
        {"PASSWORD_FILE": "wrong", "SASL_MECHANISM": "PLAIN"},
        'refuses "alice" with PLAIN',
    ),
    "nobody": (
        "SASL_SSL",
        {"USERNAME": "carol", "SASL_MECHANISM": "SCRAM-SHA-256"},
        'refuses "carol" with SCRAM-SHA-256',
    ),
    "another authority": ("SASL_SSL", {"CA_FILE": "other.crt"}, "of an authority that is not trusted by"),
    "the system's": ("SASL_SSL", {"CA_FILE": ""}, "not trusted by the system; VERIRAMP_KAFKA_CA_FILE is not set"),
    "no certificate": ("SSL", {}, "wants a client certificate, perhaps; VERIRAMP_KAFKA_CERTIFICATE_FILE is not set"),
    "another's": (
        "SSL",
        {"CERTIFICATE_FILE": "stranger.crt", "KEY_FILE": "stranger.key"},
        "refuses the certificate in",
    ),
    "an expired one": (
        "SSL",
        {"CERTIFICATE_FILE": "outdated.crt", "KEY_FILE": "outdated.key"},
        "refuses the certificate",
    ),
}


@pytest.mark.parametrize(("protocol", "changes", "sentence"), FAULTS.values(), ids=FAULTS)
async def test_what_is_wrong_is_told(site: Site, protocol: str, changes: dict[str, str], sentence: str) -> None:
    files = {name: site.file(value) if name.endswith("FILE") and value else value for name, value in changes.items()}
    settings = kafka_settings_from(site.environment(protocol, **files))
    why = await why_unreachable(settings, SECONDS)
    assert why.startswith(f"{HOST}:")
    assert sentence in why
    assert PASSWORD not in why
    sender = KafkaSender(settings)
    with pytest.raises(KafkaConnectionError) as refused:
        await sender.send([Message(Topic.INTERACTIVE, b"key", b"value", ())])
    assert sentence in str(refused.value)
    await sender.close()


async def test_a_listener_of_another_kind_is_told(site: Site) -> None:
    ports = {name: site.kafka.secured(name) for name in ("SASL_SSL", "SASL_PLAINTEXT", "SSL")}
    ports["PLAINTEXT"] = site.kafka.bootstrap
    for protocol in ("SASL_SSL", "SASL_PLAINTEXT", "PLAINTEXT"):
        wanted = site.environment(protocol) if protocol != "PLAINTEXT" else {}
        for listener, address in ports.items():
            if listener == protocol:
                continue
            why = await why_unreachable(kafka_settings_from({**wanted, "VERIRAMP_BROKERS": address}))
            assert "VERIRAMP_KAFKA_" in why, (protocol, listener)


@pytest.mark.usefixtures("live")
async def test_the_trigger_and_the_reader_of_verdicts_use_the_same_settings(
    tmp_path: Path, site: Site, env: dict[str, str]
) -> None:
    seen: set[str] = set()
    request = a_request("The mill is red.")
    sender = KafkaSender(kafka_settings_from(site.environment("SASL_SSL", SASL_MECHANISM="PLAIN")))
    following = asyncio.create_task(
        follow_verdicts(kafka_settings_from(with_certificate(site)), lambda event, _: seen.add(event.chunk_key))
    )

    async def followed() -> bool:
        assert not following.done(), following.result()
        return request.chunk_key in seen

    async with an_orchestrator(tmp_path, env | site.environment("SASL_SSL")) as worker:
        await sender.send([Message(Topic.INTERACTIVE, request.key(), request.to_bytes(), ())])
        await wait_until(followed, SECONDS, "the verdict")
        assert await worker.stop() == 0
    await sender.close()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.usefixtures("brokers")
async def test_the_topics_are_made_over_tls(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    replicas = {"VERIRAMP_TOPIC_REPLICATION": "1"}
    environment = site.environment("SASL_SSL") | replicas
    assert await asyncio.to_thread(topics_command, ["--check"], environment) in {0, 1}
    wrong = site.environment("SASL_SSL", PASSWORD_FILE=site.file("wrong")) | replicas
    assert await asyncio.to_thread(topics_command, ["--check"], wrong) == 2
    assert f'refuses "{USER}" with SCRAM-SHA-512' in capsys.readouterr().err


async def test_credentials_are_renewed_when_the_files_have_changed_and_work(tmp_path: Path, site: Site) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    now = 0.0
    settings = kafka_settings_from(site.environment("SASL_SSL", PASSWORD_FILE=str(password)))
    credentials = Credentials(settings, clock=lambda: now)
    assert credentials.options()["sasl_plain_password"] == PASSWORD
    assert not await credentials.renewed()
    password.write_text("wrong-password")
    assert not await credentials.renewed()
    password.unlink()
    now += 10.0
    assert not await credentials.renewed()
    password.write_text(f"{PASSWORD}\r\n")
    assert not await credentials.renewed(), "asked a moment ago"
    now += 10.0
    assert await credentials.renewed()
    assert credentials.options()["sasl_plain_password"] == PASSWORD
    assert not await credentials.renewed()
