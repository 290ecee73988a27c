"""The HTTP face of the search service.

Public names: :func:`search_app`. Paths: ``/search``, ``/documents/{id}``, ``/livez`` (also ``/healthz``), ``/readyz``,
``/metrics`` and, with debugging on, ``/debug/regression``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from veriramp_search.faults import InjectedError, Regression, RegressionSwitch
from veriramp_search.quality import Quality
from veriramp_search.service import Answer, Result, SearchService

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def search_app(
    service: SearchService,
    registry: CollectorRegistry,
    *,
    debug_switch: RegressionSwitch | None = None,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Return the app; ``debug_switch`` adds ``/debug/regression``."""
    face = _Face(service, registry)
    routes = [
        Route("/search", face.search),
        Route("/documents/{id}", face.document),
        *(Route(path, _ok) for path in ("/livez", "/healthz", "/readyz")),
        Route("/metrics", face.metrics),
    ]
    if debug_switch is not None:
        routes.append(Route("/debug/regression", _Debug(debug_switch).handle, methods=["GET", "POST"]))
    return Starlette(routes=routes, lifespan=lifespan)


MAX_LIMIT: Final = 30
MAX_QUERY: Final = 500


class _Face:
    def __init__(self, service: SearchService, registry: CollectorRegistry) -> None:
        self._service = service
        self._registry = registry

    async def search(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        limit = request.query_params.get("limit", "10")
        if not query or len(query) > MAX_QUERY:
            return _problem(f"q has {len(query)} characters; write /search?q=... with 1 to {MAX_QUERY}")
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LIMIT:
            return _problem(f'limit is "{limit}"; write a whole number from 1 to {MAX_LIMIT}')
        user = request.query_params.get("user") or request.headers.get("x-user-id", "")
        query_id = request.headers.get("x-query-id") or str(uuid.uuid4())
        try:
            answer = await self._service.search(
                query, user, query_id, int(limit), traceparent=request.headers.get("traceparent")
            )
        except InjectedError as error:
            return JSONResponse({"error": str(error), "arm": error.arm}, 500)
        return JSONResponse(_rendered(answer))

    async def document(self, request: Request) -> Response:
        found = self._service.document(request.path_params["id"])
        if found is None:
            return _problem(f'there is no document "{request.path_params["id"]}"', 404)
        document, quality, pending = found
        fields = {"id": document.id, "topic": document.topic, "title": document.title, "text": document.text}
        return JSONResponse({**fields, "stance": document.stance, "verification": _verification(quality, pending)})

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class _Debug:
    def __init__(self, switch: RegressionSwitch) -> None:
        self._switch = switch

    async def handle(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self._switch.set(Regression.model_validate_json(await request.body()))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in first["loc"]) or "body"
                example = json.dumps({"arm": "treatment", "errorRate": 0.3, "extraLatencySeconds": 0.5})
                return _problem(f"{where}: {first['msg']}; write for example {example}")
        current = self._switch.current
        return JSONResponse({"regression": None if current is None else current.model_dump(by_alias=True, mode="json")})


async def _ok(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def _problem(sentence: str, status: int = 400) -> Response:
    return JSONResponse({"error": sentence}, status)


def _rendered(answer: Answer) -> dict[str, Any]:
    decision = answer.decision
    return {
        "query": answer.query,
        "queryId": answer.query_id,
        "mode": decision.mode,
        "arm": decision.arm,
        "revision": decision.revision,
        "rankingWeight": decision.weight,
        "orderChanged": answer.order_changed,
        "results": [_rendered_result(result) for result in answer.results],
    }


def _rendered_result(result: Result) -> dict[str, Any]:
    document, breakdown = result.document, result.ranked.breakdown
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "stance": document.stance,
        "score": round(result.score, 6),
        "moved": result.ranked.moved,
        "verification": _verification(result.quality, result.pending),
        "breakdown": {
            "original": round(breakdown.original, 6),
            "blend": round(breakdown.blend, 6),
            "final": round(breakdown.final, 6),
            "influence": breakdown.influence,
            "relevance": round(breakdown.relevance, 6),
            "pagerank": breakdown.pagerank,
            "verification": breakdown.verification,
            "history": breakdown.history,
            "weights": dict(breakdown.weights),
        },
    }


def _verification(quality: Quality | None, pending: bool) -> dict[str, Any]:
    """Render ``state``: unverified, pending (in progress), or verified; an old verdict may be pending again."""
    if quality is None:
        return {"state": "pending" if pending else "unverified", "pending": pending}
    return {
        "state": "verified",
        "pending": pending,
        "verdict": quality.verdict,
        "signal": quality.signal,
        "verifiedAt": quality.verified_at,
    }
