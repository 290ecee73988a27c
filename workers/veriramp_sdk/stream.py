"""The connection of one process to the flag server: documents in, reports of what was applied out.

Public: :class:`FlagStream`, :class:`Endpoint`, :class:`Report`.

This is a thin client of ``flagd.sync.v1`` instead of the stock OpenFeature provider, because that provider ties the
time of one connection attempt to its stream deadline (ten minutes by default: a black hole is noticed late), ends its
thread for good on a document that surprises it, cannot refuse an older revision, and does not survive a fork.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import grpc
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2

from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, REPORT_METHOD, REPORT_SERVICE, SYNC_SERVICE

KEEPALIVE_SECONDS: Final = 30
KEEPALIVE_TIMEOUT_SECONDS: Final = 20
MAX_BACKOFF_SECONDS: Final = 1.0
CALL_TIMEOUT_SECONDS: Final = 2.0
"""A report that hangs must not keep the end of the lease from being told in time."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", int(MAX_BACKOFF_SECONDS * 1000)),
    # One connection per client: a process that follows two rollouts must not have both cut by one keepalive.
    ("grpc.use_local_subchannel_pool", 1),
)

_log = logging.getLogger("veriramp.flags")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the flag server listens, and how to speak to it."""

    address: str
    """``host:port`` or ``grpc://host:port``; ``grpcs://host:port`` for TLS."""
    selector: str
    """``namespace/rollout``."""
    process: str
    token: str = ""
    """Bearer token; empty for none."""
    credentials: grpc.ChannelCredentials | None = None
    """Credentials for TLS or mutual TLS; ``grpcs://`` without them trusts the system's authorities."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` when the address says nothing."""
        parts = self._parts()
        if parts.scheme not in ("grpc", "grpcs") or not parts.hostname or not _port(parts) or parts.path:
            raise ValueError(f'flag server "{self.address}": write host:port, grpc://host:port or grpcs://host:port')

    def channel(self) -> grpc.Channel:
        """A new channel; nothing is sent before the first call."""
        parts = self._parts()
        credentials = self.credentials
        if credentials is None and parts.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
        if credentials is None:
            return grpc.insecure_channel(parts.netloc, options=_CHANNEL_OPTIONS)
        return grpc.secure_channel(parts.netloc, credentials, options=_CHANNEL_OPTIONS)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Headers of every call."""
        headers: tuple[tuple[str, str], ...] = (("flagd-selector", self.selector),)
        return (*headers, ("authorization", f"Bearer {self.token}")) if self.token else headers

    def _parts(self) -> SplitResult:
        return urlsplit(self.address if "://" in self.address else f"grpc://{self.address}")


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


Report = Callable[[], dict[str, object]]
"""What to tell the flag server now."""


class FlagStream:
    """Two daemon threads: one follows the stream for ever, one reports and watches the lease.

    ``on_document(text)`` is called for each document, ``on_skew(seconds)`` with the server's clock minus ours after a
    report, ``on_tick()`` at the latest after ``until_tick()`` seconds. None of them may raise.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_document: Callable[[str], None],
        report: Report,
        on_skew: Callable[[float], None],
        on_tick: Callable[[], None],
        until_tick: Callable[[], float],
        clock: Callable[[], float],
        report_interval: float = REPORT_INTERVAL_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._on_document = on_document
        self._report = report
        self._on_skew = on_skew
        self._on_tick = on_tick
        self._until_tick = until_tick
        self._clock = clock
        self._report_interval = report_interval
        self._channel: grpc.Channel | None = None
        self._closed = threading.Event()
        self._due = threading.Event()
        self._call: Any = None
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self) -> None:
        """Start following; returns at once. gRPC is not touched before."""
        channel = self._channel = self._endpoint.channel()
        self._threads = (
            threading.Thread(target=self._follow, args=(channel,), name="veriramp-flags", daemon=True),
            threading.Thread(target=self._keep, args=(channel,), name="veriramp-flags-report", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def report_now(self) -> None:
        """Report without waiting for the interval; returns at once."""
        self._due.set()

    def close(self, timeout: float = 2.0) -> None:
        """Stop both threads and close the channel (seconds to wait for each)."""
        self._closed.set()
        self._due.set()
        call = self._call
        if call is not None:
            call.cancel()
        if self._channel is not None:
            self._channel.close()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(timeout)

    def _follow(self, channel: grpc.Channel) -> None:
        sync = channel.unary_stream(
            f"/{SYNC_SERVICE}/SyncFlags",
            request_serializer=sync_pb2.SyncFlagsRequest.SerializeToString,
            response_deserializer=sync_pb2.SyncFlagsResponse.FromString,
        )
        request = sync_pb2.SyncFlagsRequest(provider_id=self._endpoint.process, selector=self._endpoint.selector)
        refused = 0
        while not self._closed.is_set():
            try:
                self._call = sync(request, metadata=self._endpoint.metadata())
                for response in cast("Iterator[sync_pb2.SyncFlagsResponse]", self._call):
                    if refused >= _TOLD_AT:
                        _log.info("the flag server at %s answers again", self._endpoint.address)
                    refused = 0
                    self._on_document(response.flag_configuration)
            except grpc.RpcError as error:
                refused += 1
                if refused == _TOLD_AT and not self._closed.is_set():
                    _log.warning(_GONE, self._endpoint.address, _reason(error))
            except ValueError:
                # The channel was closed by close() between two attempts.
                if not self._closed.is_set():
                    raise
            self._closed.wait(random.uniform(0.2, MAX_BACKOFF_SECONDS))  # noqa: S311 - jitter, not secrecy

    def _keep(self, channel: grpc.Channel) -> None:
        send: Any = channel.unary_unary(f"/{REPORT_SERVICE}/{REPORT_METHOD}")
        next_report = time.monotonic() + self._report_interval
        while not self._closed.is_set():
            wait = min(next_report - time.monotonic(), self._until_tick())
            due = self._due.wait(max(0.0, wait))
            self._due.clear()
            if self._closed.is_set():
                return
            self._on_tick()
            if due or time.monotonic() >= next_report:
                self._send(send)
                next_report = time.monotonic() + self._report_interval

    def _send(self, send: Any) -> None:
        body = self._report()
        if not body.get("uid"):
            return
        try:
            started = self._clock()
            answer = send(json.dumps(body).encode(), metadata=self._endpoint.metadata(), timeout=CALL_TIMEOUT_SECONDS)
            ended = self._clock()
            self._on_skew(float(json.loads(answer)["now"]) - (started + ended) / 2)
        except grpc.RpcError as error:
            _log.debug("report not delivered: %s", _reason(error))
        except (ValueError, KeyError, TypeError) as error:
            if not self._closed.is_set():
                _log.warning("the flag server's answer to a report is malformed: %r", error)


_TOLD_AT: Final = 3
"""Attempts in a row without a document: a server that starts anew is no news."""
_GONE: Final = "no flags from the flag server at %s, verification is off when the lease of the last ones ends: %s"


def _reason(error: grpc.RpcError) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    return f"{code()} {details()}" if callable(code) and callable(details) else repr(error)
