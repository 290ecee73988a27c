"""The gRPC side: ``flagd.sync.v1`` for every in-process provider, and the SDK's reports of what it applied.

Public: :func:`grpc_server`, :class:`SyncService`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.struct_pb2 import Struct
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2

from veriramp_operator.api.errors import Refused
from veriramp_operator.flagserver.hub import UNCONFIRMED, Hub, StreamsClosed
from veriramp_operator.flagserver.reports import Reports
from veriramp_operator.flagserver.store import Store
from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, REPORT_METHOD, REPORT_SERVICE, SYNC_SERVICE

SEND_SECONDS: Final = 5.0
"""A stream that does not take a payload within this time is dropped; its client comes back for the latest."""

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", 65_536),
    # After a restart every client comes back at once; by default gRPC turns some of them away beyond a thousand.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
)
_log = logging.getLogger("veriramp.flagserver")

Context = grpc.aio.ServicerContext[Any, Any]


class SyncService:
    """Serves streams from a hub, single answers from the store, and takes reports."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        reports: Reports,
        clock: Callable[[], float],
        token: str = "",
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self._store = store
        self._hub = hub
        self._reports = reports
        self._clock = clock
        self._token = token
        self.send_seconds = send_seconds
        self.dropped = 0
        """Streams dropped because their client was too slow."""

    async def sync_flags(self, request: sync_pb2.SyncFlagsRequest, context: Context) -> None:
        """Send the rollout's document at once, then every new one."""
        selector = await self._admit(request.selector, context)
        subscription = self._hub.subscribe(selector)
        try:
            while True:
                payload = await subscription.next()
                async with asyncio.timeout(self.send_seconds):
                    await context.write(payload.message)
        except StreamsClosed as end:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(end))
        except TimeoutError:
            self.dropped += 1
            _log.warning("dropped a slow stream of %s (%s)", selector, context.peer())
            # Before the status, which itself waits until the client reads or its connection is given up.
            self._hub.unsubscribe(selector, subscription)
            await _end_slow(context)
        finally:
            self._hub.unsubscribe(selector, subscription)

    async def fetch_all_flags(
        self, request: sync_pb2.FetchAllFlagsRequest, context: Context
    ) -> sync_pb2.FetchAllFlagsResponse:
        """The rollout's document as it is now."""
        selector = await self._admit(request.selector, context)
        return sync_pb2.FetchAllFlagsResponse(flag_configuration=self._store.payload(selector).text)

    async def get_metadata(self, _: bytes, context: Context) -> sync_pb2.GetMetadataResponse:
        """What older providers ask for before they open a stream; never empty, as some of them insist."""
        await self._authorise(context)
        metadata = Struct()
        metadata.update({"source": "veriramp"})
        return sync_pb2.GetMetadataResponse(metadata=metadata)

    async def report(self, body: bytes, context: Context) -> bytes:
        """Take in what a process applied; the answer carries our clock, so that it knows its skew."""
        await self._authorise(context)
        now = self._clock()
        try:
            self._reports.record(body, now)
        except Refused as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return json.dumps({"now": now, "reportIntervalSeconds": REPORT_INTERVAL_SECONDS}).encode()

    async def _admit(self, requested: str, context: Context) -> str:
        await self._authorise(context)
        selector = _header(context, "flagd-selector") or requested
        namespace, _, rollout = selector.partition("/")
        if not namespace or not rollout or "/" in rollout:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f'selector "{selector}": write "namespace/rollout"')
        if not self._store.is_fresh(self._clock()):
            await _abort(context, grpc.StatusCode.UNAVAILABLE, UNCONFIRMED)
        return selector

    async def _authorise(self, context: Context) -> None:
        if self._token and not authorised(_header(context, "authorization"), self._token):
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, 'send "authorization: Bearer <token>"')


def authorised(header: str, token: str) -> bool:
    """Tell whether an Authorization header carries the token (compared in constant time)."""
    return hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


def grpc_server(service: SyncService) -> grpc.aio.Server:
    """A server with the service's methods; the caller adds ports and starts it."""
    server = grpc.aio.server(options=_OPTIONS)
    # Streams are sent as bytes that were serialised once for all of them.
    sync: dict[str, Any] = {
        "SyncFlags": grpc.unary_stream_rpc_method_handler(
            service.sync_flags, request_deserializer=sync_pb2.SyncFlagsRequest.FromString
        ),
        "FetchAllFlags": grpc.unary_unary_rpc_method_handler(
            service.fetch_all_flags,
            request_deserializer=sync_pb2.FetchAllFlagsRequest.FromString,
            response_serializer=sync_pb2.FetchAllFlagsResponse.SerializeToString,
        ),
        "GetMetadata": grpc.unary_unary_rpc_method_handler(
            service.get_metadata, response_serializer=sync_pb2.GetMetadataResponse.SerializeToString
        ),
    }
    report: dict[str, Any] = {REPORT_METHOD: grpc.unary_unary_rpc_method_handler(service.report)}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SYNC_SERVICE, sync),
            grpc.method_handlers_generic_handler(REPORT_SERVICE, report),
        )
    )
    return server


async def _end_slow(context: Context) -> None:
    try:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too slow to take a document; come back for the latest")
    except grpc.aio.InternalError as error:
        _log.debug("a slow client left before it was told: %s", error)


async def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    await context.abort(code, details)
    raise AssertionError("abort returned")


def _header(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""
