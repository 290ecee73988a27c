"""Why Kafka cannot be reached, in one sentence, and whether new credentials work; needs aiokafka.

Public names: :func:`why_unreachable`, :class:`Credentials`.

aiokafka tells its caller only "Unable to bootstrap", and keeps for ever what it was given: both are found out with a
connection of our own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from veriramp_sdk.environment import ConfigurationError
from veriramp_sdk.kafka_settings import (
    CA_FILE,
    CERTIFICATE_FILE,
    MECHANISM,
    PASSWORD_FILE,
    PROTOCOL,
    USERNAME,
    KafkaSettings,
)

_log = logging.getLogger(__name__)


async def why_unreachable(settings: KafkaSettings, seconds: float = 5.0) -> str:
    """Connect as a client would and say what is wrong; nothing when a broker and those that it names answer.

    Several brokers are asked at once. The text has no secret in it.
    """
    _, wrong = await _survey(settings, seconds)
    return wrong


class Credentials:
    """The files behind one client: whether they have changed since, and Kafka takes what they have now."""

    def __init__(self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._version: tuple[object, ...] = ()
        self._asked_at = -_ASK_SECONDS
        self._told = ""

    def options(self) -> dict[str, Any]:
        """Return aiokafka's arguments for a new client; raises ``ConfigurationError`` for a file of no use."""
        version = self._settings.version()
        options = self._settings.options()
        self._version = version
        return options

    async def renewed(self) -> bool:
        """Return True when a new client would have other credentials, and they work; asks every ten seconds at most."""
        if self._settings.version() == self._version or self._clock() - self._asked_at < _ASK_SECONDS:
            return False
        self._asked_at = self._clock()
        answered, wrong = await _survey(self._settings, _ASK_PATIENCE)
        if not answered and wrong != self._told:
            _log.warning("the credentials for Kafka have changed and are not used yet: %s", wrong)
        self._told = "" if answered else wrong
        return answered


async def _survey(settings: KafkaSettings, seconds: float) -> tuple[bool, str]:
    """Return whether a broker answered, and what is wrong with the others."""
    try:
        options = settings.options()
    except ConfigurationError as error:
        return False, str(error)
    del options["bootstrap_servers"]
    first = await _asked(settings, settings.addresses[:_MOST_ASKED], options, seconds)
    named = {address for answer in first if not isinstance(answer, str) for address in answer}
    if not named:
        return False, _joined(first)
    # Clients go on with the addresses that the brokers have for themselves.
    others = sorted(named - set(settings.addresses))[:_MOST_ASKED]
    return True, _joined(await _asked(settings, others, options, seconds))


_Address = tuple[str, int]
_MOST_ASKED: Final = 5
_ASK_SECONDS: Final = 10.0
_ASK_PATIENCE: Final = 2.0


async def _asked(
    settings: KafkaSettings, addresses: tuple[_Address, ...] | list[_Address], options: dict[str, Any], seconds: float
) -> list[str | list[_Address]]:
    """Ask each; the answers are the addresses of all brokers, or what is wrong."""
    return await asyncio.gather(*(_ask(settings, address, options, seconds) for address in addresses))


async def _ask(
    settings: KafkaSettings, address: _Address, options: dict[str, Any], seconds: float
) -> str | list[_Address]:
    host, port = address
    try:
        async with asyncio.timeout(seconds):
            connection = await create_conn(host, port, request_timeout_ms=int(seconds * 1000), **options)
            try:
                # A listener that wants TLS or a password may let a stranger in until the first question.
                answer = await connection.send(MetadataRequest([]))
            finally:
                connection.close()
            return [(broker[1], broker[2]) for broker in answer.brokers]
    except Exception as error:  # noqa: BLE001 what answers there need not be a Kafka, and nonsense can raise anything
        return f"{host}:{port} {_fault(settings, error)}"


def _joined(answers: list[str | list[_Address]]) -> str:
    return "; ".join(sorted({answer for answer in answers if isinstance(answer, str)}))


def _fault(settings: KafkaSettings, error: BaseException) -> str:
    """What a broker did wrong or did not like; it completes "host:port ..."."""
    if isinstance(error, KafkaConnectionError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_fault(settings, error)
    if isinstance(error, ssl.SSLError):
        return _tls_fault(settings, error)
    for kinds, sentence in _FAULTS:
        if isinstance(error, kinds):
            return sentence.format(settings=settings)
    return f"is not reached: {(error.strerror or error)}" if isinstance(error, OSError) else f"fails: {error!r}"


_FAULTS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    (
        (SaslAuthenticationFailed,),
        (
            'refuses "{settings.username}" with {settings.mechanism}; '
            f"is {USERNAME} right, and the password in {{settings.password_file}} ({PASSWORD_FILE})?"
        ),
    ),
    ((UnsupportedSaslMechanismError,), f"does not take {{settings.mechanism}}; write another {MECHANISM}"),
    ((IllegalSaslStateError,), f"takes no user there; is it the right port, and the right {PROTOCOL}?"),
    ((TimeoutError,), "does not answer in time"),
    ((socket.gaierror,), "is not found: no such name"),
    ((ConnectionRefusedError,), "takes no connection"),
    (
        (KafkaConnectionError, ConnectionError, EOFError),
        f"closes the connection; {PROTOCOL} is {{settings.protocol}}, does that port want another?",
    ),
)


def _certificate_fault(settings: KafkaSettings, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "has a certificate that has expired"
    if error.verify_code in _OTHER_NAME:
        return f"has a certificate for another name ({error.verify_message.rstrip('.')})"
    if error.verify_code in _UNTRUSTED:
        trusted = f"{settings.ca_file} ({CA_FILE})" if settings.ca_file else f"the system; {CA_FILE} is not set"
        return f"has a certificate of an authority that is not trusted by {trusted}"
    return f"has a certificate that is not accepted: {error.verify_message}"


def _tls_fault(settings: KafkaSettings, error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if "ALERT" in reason:
        if settings.certificate_file:
            said = reason.partition("ALERT_")[2].replace("_", " ").lower()
            return f"refuses the certificate in {settings.certificate_file} ({CERTIFICATE_FILE}): {said}"
        return f"wants a client certificate, perhaps; {CERTIFICATE_FILE} is not set ({reason})"
    return f"does not speak TLS there ({reason}); is it the right port, and the right {PROTOCOL}?"


# X509_V_ERR_* of OpenSSL.
_EXPIRED: Final = 10
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME: Final = frozenset({62, 63, 64})
