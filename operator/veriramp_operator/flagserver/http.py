"""The HTTP side: the document with an ETag, propagation, health and metrics.

Public: :func:`http_app`, :class:`Parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from veriramp_operator.flagserver.hub import Hub
from veriramp_operator.flagserver.reports import Reports
from veriramp_operator.flagserver.store import UNKNOWN, Store
from veriramp_operator.flagserver.sync import SyncService, authorised
from veriramp_sdk.contract import REPORT_INTERVAL_SECONDS, selector

_NOT_READY = "nothing confirmed the documents within a minute: neither API server nor file could be read"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the HTTP side shows."""

    store: Store
    hub: Hub
    reports: Reports
    service: SyncService
    clock: Callable[[], float]
    token: str = ""


def http_app(parts: Parts) -> Starlette:
    """The application; documents and propagation ask for the token when there is one, health and metrics never."""

    def flags(request: Request) -> Response:
        if refusal := _refusal(parts, request):
            return refusal
        payload = parts.store.payload(_selector(request))
        headers = {"ETag": payload.etag, "Cache-Control": "no-cache"}
        if payload is UNKNOWN:
            return PlainTextResponse("no document for this rollout", 404)
        if request.headers.get("if-none-match") == payload.etag:
            return Response(status_code=304, headers=headers)
        return Response(payload.text, media_type="application/json", headers=headers)

    def propagation(request: Request) -> Response:
        if refusal := _refusal(parts, request):
            return refusal
        rollout = _selector(request)
        document = parts.store.document(rollout)
        parts.reports.forget(parts.clock())
        return JSONResponse(
            {
                "uid": document.uid if document else "",
                "revision": document.revision if document else 0,
                "reportIntervalSeconds": REPORT_INTERVAL_SECONDS,
                "now": parts.clock(),
                "processes": [report.to_api() for report in parts.reports.of(rollout)],
                "streams": parts.hub.count(rollout),
            }
        )

    return Starlette(
        routes=[
            Route("/flags/{namespace}/{rollout}", _in_loop(flags)),
            Route("/propagation/{namespace}/{rollout}", _in_loop(propagation)),
            *_operation(parts),
        ]
    )


def _operation(parts: Parts) -> list[Route]:
    registry = _metrics(parts)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        fresh = parts.store.is_fresh(parts.clock())
        return PlainTextResponse("ok" if fresh else _NOT_READY, 200 if fresh else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def _in_loop(answer: Callable[[Request], Response]) -> Callable[[Request], object]:
    # A plain function would run in a thread, and the store belongs to the loop.
    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _refusal(parts: Parts, request: Request) -> Response | None:
    if parts.token and not authorised(request.headers.get("authorization", ""), parts.token):
        return PlainTextResponse('send "Authorization: Bearer <token>"', 401)
    if not parts.store.is_fresh(parts.clock()):
        return PlainTextResponse(_NOT_READY, 503)
    return None


def _selector(request: Request) -> str:
    return selector(request.path_params["namespace"], request.path_params["rollout"])


def _metrics(parts: Parts) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(f"veriramp_flagserver_{name}", text, registry=registry).set_function(read)

    def age(instant: float | None) -> float:
        return float("inf") if instant is None else parts.clock() - instant

    gauge("streams", "Open flag streams", parts.hub.count)
    gauge("documents", "Rollouts with a document", lambda: len(parts.store))
    gauge("payloads_pushed", "Payloads handed to streams since the start", lambda: parts.hub.pushed)
    gauge("streams_dropped", "Slow streams dropped since the start", lambda: parts.service.dropped)
    gauge("documents_refused", "Documents older than what clients have, since the start", lambda: parts.store.refused)
    gauge("confirmed_age_seconds", "Time since the documents were confirmed", lambda: age(parts.store.confirmed_at()))
    gauge("lease_age_seconds", "Time since the operator's Lease changed", lambda: age(parts.store.lease_changed_at))
    return registry
