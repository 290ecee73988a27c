"""How every client of ours reaches Kafka: brokers, TLS and SASL, from ``VERIRAMP_BROKERS`` and ``VERIRAMP_KAFKA_*``.

Public names: :class:`KafkaSettings`, :func:`kafka_settings_from`.

Secrets come from files (mounted Secrets) and are read whenever a client is made, so that a new client has new ones.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Never

from veriramp_sdk.environment import MOST_PORT, ConfigurationError, shown


@dataclass(frozen=True)
class KafkaSettings:
    """Brokers ("host:port,host:port") and how to be safe with them; an empty text means that it is not used.

    Without ``ca_file`` the system's authorities are trusted. The name in the broker's certificate is always compared.
    """

    brokers: str
    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether connections are TLS."""
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def authenticated(self) -> bool:
        """Whether a user and a password are sent."""
        return self.protocol.startswith("SASL_")

    @property
    def warning(self) -> str:
        """What to say at the start: a password that goes through a network in the clear; else nothing."""
        if self.encrypted or not self.authenticated or all(_is_loopback(host) for host, _ in self.addresses):
            return ""
        return (
            f"{PROTOCOL} is {self.protocol}: {_OVERHEARD[self.mechanism]} can be read on the way to {self.brokers}; "
            "write SASL_SSL"
        )

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of the brokers."""
        return tuple(map(_address, self.brokers.split(",")))

    def options(self) -> dict[str, Any]:
        """Return the arguments of aiokafka's clients; raises :class:`ConfigurationError` for a file of no use."""
        options: dict[str, Any] = {"bootstrap_servers": self.brokers.split(","), "security_protocol": self.protocol}
        if self.encrypted:
            options["ssl_context"] = self._context()
        if self.authenticated:
            logging.getLogger("aiokafka.conn").addFilter(_has_no_secret)
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = _password(self.password_file)
        return options

    def version(self) -> tuple[object, ...]:
        """Return what changes when one of the files does; a file that is not there is a version too."""
        files = (self.password_file, self.ca_file, self.certificate_file, self.key_file)
        return tuple(_stamp(Path(file)) for file in files if file)

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ValueError) as error:
            _refuse_file(CA_FILE, self.ca_file, error, "the certificates of the broker's authority, in PEM")
        if self.certificate_file:
            for name, file in ((CERTIFICATE_FILE, self.certificate_file), (KEY_FILE, self.key_file)):
                _read(name, file)
            try:
                # Without a password at hand OpenSSL would ask a terminal for it.
                context.load_cert_chain(self.certificate_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                what = "a certificate in PEM and its own key, not encrypted"
                _refuse_file(f"{CERTIFICATE_FILE} or {KEY_FILE}", self.certificate_file, error, what)
        return context


def kafka_settings_from(environment: Mapping[str, str]) -> KafkaSettings:
    """Read the environment, and the files once; raises :class:`ConfigurationError`. No secret is in its text."""
    protocol = environment.get(PROTOCOL) or "PLAINTEXT"
    if protocol not in _PROTOCOLS:
        raise ConfigurationError(f"{PROTOCOL} is {shown(protocol)}; write {_either(_PROTOCOLS)}")
    if environment.get(_PASSWORD):
        raise ConfigurationError(
            f"{_PASSWORD} is not read; put the password into a file and its path into {PASSWORD_FILE}"
        )
    sasl, tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    _check_unused(environment, protocol, _OF_SASL if not sasl else (), "asks for no password", "SASL_SSL")
    _check_unused(environment, protocol, _OF_TLS if not tls else (), "is without TLS", "SASL_SSL" if sasl else "SSL")
    certificate, key = environment.get(CERTIFICATE_FILE, ""), environment.get(KEY_FILE, "")
    if bool(certificate) != bool(key):
        there, missing = (CERTIFICATE_FILE, KEY_FILE) if certificate else (KEY_FILE, CERTIFICATE_FILE)
        raise ConfigurationError(f"{missing} is not set, but {there} is; write both, or neither")
    settings = KafkaSettings(
        brokers=_brokers(environment),
        protocol=protocol,
        mechanism=_mechanism(environment) if sasl else "",
        username=_required(environment, USERNAME, "the name of the user") if sasl else "",
        password_file=_required(environment, PASSWORD_FILE, "the path of the file that has it") if sasl else "",
        ca_file=environment.get(CA_FILE, ""),
        certificate_file=certificate,
        key_file=key,
    )
    settings.options()
    return settings


BROKERS: Final = "VERIRAMP_BROKERS"
PROTOCOL: Final = "VERIRAMP_KAFKA_SECURITY_PROTOCOL"
MECHANISM: Final = "VERIRAMP_KAFKA_SASL_MECHANISM"
USERNAME: Final = "VERIRAMP_KAFKA_USERNAME"
PASSWORD_FILE: Final = "VERIRAMP_KAFKA_PASSWORD_FILE"  # noqa: S105 - the name of a variable
CA_FILE: Final = "VERIRAMP_KAFKA_CA_FILE"
CERTIFICATE_FILE: Final = "VERIRAMP_KAFKA_CERTIFICATE_FILE"
KEY_FILE: Final = "VERIRAMP_KAFKA_KEY_FILE"
_PASSWORD: Final = "VERIRAMP_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
_OF_SASL: Final = (MECHANISM, USERNAME, PASSWORD_FILE)
_OF_TLS: Final = (CA_FILE, CERTIFICATE_FILE, KEY_FILE)
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_OVERHEARD: Final = {
    "PLAIN": "everything, also the password,",
    "SCRAM-SHA-256": "everything but the password",
    "SCRAM-SHA-512": "everything but the password",
}
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):(?P<port>[0-9]{1,5})")
_WHAT: Final = "host:port, several separated by commas"
_MOST_BYTES: Final = 65_536
_USUAL_PORT: Final = 9092  # as aiokafka


def _brokers(environment: Mapping[str, str]) -> str:
    value = environment.get(BROKERS, "")
    if not value.strip():
        raise ConfigurationError(f"{BROKERS} is not set; write {_WHAT}")
    entries = [entry.strip() for entry in value.split(",")]
    for entry in entries:
        if not entry:
            raise ConfigurationError(f"{BROKERS} is {shown(value)}, with an empty entry; write {_WHAT}")
        which = "" if len(entries) == 1 else f", with {shown(entry)}"
        if "://" in entry:
            raise ConfigurationError(
                f"{BROKERS} is {shown(value)}{which}; write {_WHAT}, and the protocol in {PROTOCOL}"
            )
        if not (found := _BROKER.fullmatch(entry)):
            raise ConfigurationError(f"{BROKERS} is {shown(value)}{which}; write {_WHAT}")
        if not 1 <= int(found["port"]) <= MOST_PORT:
            raise ConfigurationError(
                f"{BROKERS} is {shown(value)}{which}; write {_WHAT}, with ports from 1 to {MOST_PORT}"
            )
    return ",".join(entries)


def _mechanism(environment: Mapping[str, str]) -> str:
    value = _required(environment, MECHANISM, _either(tuple(_OVERHEARD)))
    if value == "OAUTHBEARER":
        raise ConfigurationError(
            f"{MECHANISM} is {shown(value)}, and nothing here fetches tokens; write {_either(tuple(_OVERHEARD))}, "
            f"or use a client certificate with {PROTOCOL}=SSL"
        )
    if value not in _OVERHEARD:
        raise ConfigurationError(f"{MECHANISM} is {shown(value)}; write {_either(tuple(_OVERHEARD))}")
    return value


def _check_unused(environment: Mapping[str, str], protocol: str, names: tuple[str, ...], why: str, other: str) -> None:
    for name in names:
        if environment.get(name):
            raise ConfigurationError(f"{name} is set, but {PROTOCOL} is {protocol}, which {why}; write {other} there")


def _required(environment: Mapping[str, str], name: str, what: str) -> str:
    if value := environment.get(name, ""):
        return value
    raise ConfigurationError(f"{name} is not set; write {what}")


def _has_no_secret(record: logging.LogRecord) -> bool:
    """Leave out what the client logs at DEBUG of a login: with PLAIN it is the password."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(type(one).__name__.startswith("SaslAuthenticateRequest") for one in arguments)


def _password(file: str) -> str:
    what = "the password and nothing else"
    content = _read(PASSWORD_FILE, file)
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        _refuse_file(PASSWORD_FILE, file, error, f"{what}, in UTF-8")
    if not password or not password.isprintable():
        fault = "one line is needed" if password else "it is empty"
        raise ConfigurationError(f"{PASSWORD_FILE} is {shown(file)}: {fault}; put {what} there")
    return password


def _read(name: str, file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        if not Path(file).is_absolute():
            # A password or a key in the place of its path is a common mistake.
            raise ConfigurationError(
                f"{name} names no file; write the file's whole path, from / on. What is there may be the secret itself "
                "and is not shown"
            ) from None
        raise ConfigurationError(f"{name} is {shown(file)}: {_said(error)}; is the Secret mounted there?") from None


def _refuse_file(name: str, file: str, error: Exception, what: str) -> Never:
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        raise ConfigurationError(f"{name} is {shown(file)}: {_said(error)}; is the Secret mounted there?") from None
    raise ConfigurationError(f"{name} is {shown(file)}: {_said(error)}; put {what} there") from None


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return _TLS_FAULTS.get(error.reason or "", (error.reason or "it is no PEM").replace("_", " ").lower())
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "the key is encrypted" if isinstance(error, _EncryptedError) else "it cannot be read"


_TLS_FAULTS: Final = {
    "": "it is no PEM",
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it has no certificate",
    "NO_START_LINE": "it is no PEM",
}


class _EncryptedError(ValueError):
    pass


def _no_password() -> Never:
    raise _EncryptedError


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _address(broker: str) -> tuple[str, int]:
    host, colon, port = broker.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdecimal() else (broker, _USUAL_PORT)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
