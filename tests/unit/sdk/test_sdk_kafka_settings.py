"""How Kafka is reached, as the environment says it: what is refused, with which sentence, and what is never shown."""

from __future__ import annotations

import dataclasses
import logging
import re
import ssl
from pathlib import Path

import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import Authority
from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_settings import KafkaSettings, kafka_settings_from

SECRET = "hush-0123"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    authority = Authority(folder)
    authority.issue("client")
    authority.issue("other")
    authority.issue("locked", password=b"secret")
    for name, content in (
        ("password", f"{SECRET}\n"),
        ("empty", "\n"),
        ("lines", f"{SECRET}\n{SECRET}"),
        ("text", "x"),
    ):
        (folder / name).write_text(content)
    (folder / "bytes").write_bytes(b"\xff\xfe")
    return folder


def read(folder: Path, **values: str) -> KafkaSettings:
    """Read VERIRAMP_BROKERS and VERIRAMP_KAFKA_*; a file is named without its folder."""
    paths = {name: str(folder / value) if name.endswith("FILE") and value else value for name, value in values.items()}
    environment = {"VERIRAMP_BROKERS": paths.pop("BROKERS", "kafka:9093")}
    return kafka_settings_from(environment | {f"VERIRAMP_KAFKA_{name}": value for name, value in paths.items()})


SASL = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_MECHANISM": "SCRAM-SHA-512",
    "USERNAME": "alice",
    "PASSWORD_FILE": "password",
    "CA_FILE": "authority.crt",
}
TLS = {"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_FILE": "client.crt", "KEY_FILE": "client.key"}


def test_without_anything_it_is_plaintext(folder: Path) -> None:
    settings = read(folder)
    assert settings.options() == {"bootstrap_servers": ["kafka:9093"], "security_protocol": "PLAINTEXT"}
    assert (settings.version(), settings.warning) == ((), "")


def test_a_password_comes_from_its_file_without_the_end_of_the_line(folder: Path) -> None:
    options = read(folder, **SASL).options()
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("alice", SECRET)
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert SECRET not in repr(read(folder, **SASL))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD_FILE", SECRET),
        ("PASSWORD_FILE", f"{SECRET}/with=slash"),
        ("KEY_FILE", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n"),
        ("KEY_FILE", f"{SECRET}\0"),
    ],
)
def test_a_secret_in_the_place_of_its_path_is_not_shown(folder: Path, name: str, value: str) -> None:
    settings = read(folder, **(SASL if name == "PASSWORD_FILE" else TLS))
    wrong = dataclasses.replace(settings, **{name.lower(): value})
    with pytest.raises(ConfigurationError) as refused:
        wrong.options()
    said = str(refused.value)
    assert SECRET not in said
    assert said.startswith(f"VERIRAMP_KAFKA_{name} names no file")
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__, "its traceback would show it"


def test_what_the_client_logs_of_a_password_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "aiokafka.conn")  # its own: a command may have made its parent quiet
    read(folder, **SASL | {"SASL_MECHANISM": "PLAIN"}).options()
    client = logging.getLogger("aiokafka.conn")
    request = SaslAuthenticateRequest(f"\0alice\0{SECRET}".encode()).prepare({SaslAuthenticateRequest.API_KEY: (0, 1)})
    assert SECRET in repr(request)
    client.debug("Request to %s:%d %d: %s", "kafka", 9093, 1, request)
    client.debug("Closing connection at %s:%s (%s, %s)", "kafka", 9093, None, None)
    assert caplog.messages == ["Closing connection at kafka:9093 (None, None)"]


@pytest.mark.parametrize("values", [SASL, TLS, SASL | TLS | {"SECURITY_PROTOCOL": "SASL_SSL"}])
def test_certificates_and_names_are_always_verified(folder: Path, values: dict[str, str]) -> None:
    context = read(folder, **values).options()["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_another_file_is_another_version(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one")
    settings = KafkaSettings("kafka:9093", "SASL_SSL", password_file=str(file))
    first = settings.version()
    assert settings.version() == first
    # As Kubernetes does it: a link that is put in the place of the other.
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(file)
    second = settings.version()
    file.unlink()
    assert len({first, second, settings.version()}) == 3


@pytest.mark.parametrize(
    ("brokers", "mechanism", "warning"),
    [
        ("kafka:9094", "PLAIN", "everything, also the password, can be read on the way to kafka:9094; write SASL_SSL"),
        ("127.0.0.1:1,kafka:2", "SCRAM-SHA-256", "everything but the password can be read on the way"),
        ("127.1.2.3:9094,localhost:1,[::1]:2", "PLAIN", ""),
    ],
)
def test_a_password_in_the_clear_is_warned_of_outside_of_loopback(
    folder: Path, brokers: str, mechanism: str, warning: str
) -> None:
    clear = {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "BROKERS": brokers, "SASL_MECHANISM": mechanism, "CA_FILE": ""}
    said = read(folder, **(SASL | clear)).warning
    assert warning in said
    assert bool(said) == bool(warning)


WRONG: tuple[tuple[dict[str, str], str], ...] = (
    (
        {"SECURITY_PROTOCOL": "sasl_ssl"},
        'VERIRAMP_KAFKA_SECURITY_PROTOCOL is "sasl_ssl"; write PLAINTEXT, SSL, SASL_PL',
    ),
    (SASL | {"SASL_MECHANISM": ""}, "_SASL_MECHANISM is not set; write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    (SASL | {"SASL_MECHANISM": "GSSAPI"}, '_SASL_MECHANISM is "GSSAPI"; write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512'),
    (SASL | {"SASL_MECHANISM": "OAUTHBEARER"}, 'is "OAUTHBEARER", and nothing here fetches tokens; write PLAIN, SCRAM'),
    (SASL | {"USERNAME": ""}, "VERIRAMP_KAFKA_USERNAME is not set; write the name of the user"),
    (SASL | {"PASSWORD_FILE": ""}, "VERIRAMP_KAFKA_PASSWORD_FILE is not set; write the path of the file that has it"),
    (SASL | {"PASSWORD": SECRET}, "VERIRAMP_KAFKA_PASSWORD is not read; put the password into a file"),
    (SASL | {"PASSWORD_FILE": "none"}, '/none": no such file or directory; is the Secret mounted there?'),
    (SASL | {"PASSWORD_FILE": "."}, ": is a directory; is the Secret mounted there?"),
    (SASL | {"PASSWORD_FILE": "empty"}, '/empty": it is empty; put the password and nothing else there'),
    (SASL | {"PASSWORD_FILE": "lines"}, '/lines": one line is needed; put the password and nothing else there'),
    (
        SASL | {"PASSWORD_FILE": "bytes"},
        '/bytes": it cannot be read; put the password and nothing else, in UTF-8 there',
    ),
    (SASL | {"CA_FILE": "none"}, "VERIRAMP_KAFKA_CA_FILE is "),
    (SASL | {"CA_FILE": "text"}, "put the certificates of the broker's authority, in PEM there"),
    (
        SASL | {"SECURITY_PROTOCOL": "SSL"},
        "_SASL_MECHANISM is set, but VERIRAMP_KAFKA_SECURITY_PROTOCOL is SSL, which ask",
    ),
    (
        {"USERNAME": "alice"},
        "_USERNAME is set, but VERIRAMP_KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which asks for no passw",
    ),
    ({"CA_FILE": "authority.crt"}, "is PLAINTEXT, which is without TLS; write SSL there"),
    (
        SASL | {"SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
        "_CA_FILE is set, but VERIRAMP_KAFKA_SECURITY_PROTOCOL is SASL_PLAIN",
    ),
    (TLS | {"KEY_FILE": ""}, "_KEY_FILE is not set, but VERIRAMP_KAFKA_CERTIFICATE_FILE is; write both, or neither"),
    (TLS | {"CERTIFICATE_FILE": ""}, "_CERTIFICATE_FILE is not set, but VERIRAMP_KAFKA_KEY_FILE is; write both"),
    (TLS | {"KEY_FILE": "none"}, "VERIRAMP_KAFKA_KEY_FILE is "),
    (TLS | {"KEY_FILE": "other.key"}, "the key belongs to another certificate"),
    (TLS | {"CERTIFICATE_FILE": "locked.crt", "KEY_FILE": "locked.key"}, "the key is encrypted; put"),
    (TLS | {"CERTIFICATE_FILE": "text"}, "put a certificate in PEM and its own key, not encrypted there"),
    ({"BROKERS": ""}, "VERIRAMP_BROKERS is not set; write host:port, several separated by commas"),
    ({"BROKERS": " "}, "VERIRAMP_BROKERS is not set"),
    ({"BROKERS": "a:1,,b:2"}, 'VERIRAMP_BROKERS is "a:1,,b:2", with an empty entry; write host:port'),
    ({"BROKERS": "a:1,"}, "with an empty entry"),
    ({"BROKERS": "kafka"}, 'VERIRAMP_BROKERS is "kafka"; write host:port, several separated by commas'),
    ({"BROKERS": "a:1,b"}, 'VERIRAMP_BROKERS is "a:1,b", with "b"; write host:port'),
    ({"BROKERS": "a:1,b:0"}, 'with "b:0"; write host:port, several separated by commas, with ports from 1 to 65535'),
    ({"BROKERS": "a:65536"}, "with ports from 1 to 65535"),
    ({"BROKERS": "a:100000"}, "write host:port"),
    ({"BROKERS": "SASL_SSL://a:1"}, "and the protocol in VERIRAMP_KAFKA_SECURITY_PROTOCOL"),
    ({"BROKERS": f"alice:{SECRET}@a:1"}, 'VERIRAMP_BROKERS is "...@a:1"; write host:port'),
    ({"BROKERS": "x" * 5_000}, "write host:port"),
)


@pytest.mark.shows("S1-SEC-01")
@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=[sentence[-40:] for _, sentence in WRONG])
def test_what_is_wrong_is_one_sentence_without_a_secret(folder: Path, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(folder, **values)
    said = str(refused.value)
    assert sentence in said
    assert "VERIRAMP_" in said
    assert "\n" not in said
    assert len(said) < 500
    assert SECRET not in said


def test_spaces_around_a_broker_do_no_harm(folder: Path) -> None:
    settings = read(folder, BROKERS=" a:1 , b-1.example:9092,[::1]:2")
    assert settings.brokers == "a:1,b-1.example:9092,[::1]:2"
    assert settings.addresses == (("a", 1), ("b-1.example", 9092), ("::1", 2))


@given(st.text(max_size=60))
def test_whatever_the_brokers_are_they_are_taken_or_refused_with_a_sentence(text: str) -> None:
    try:
        addresses = kafka_settings_from({"VERIRAMP_BROKERS": text}).addresses
    except ConfigurationError as error:
        said = str(error)
    else:
        said = ""
        assert all(host and 1 <= port <= 65_535 for host, port in addresses)
    assert re.fullmatch("(VERIRAMP_BROKERS is .*; write .*)?", said)
