"""The few calls that the node agent makes to the API server, and lists that a watch keeps up to date."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tools.devcluster.configuration import AgentConfig

Object = dict[str, Any]
"""A Kubernetes object as JSON: the agent passes specs through and reads single fields of them."""

log = logging.getLogger(__name__)

STRATEGIC: Final = "application/strategic-merge-patch+json"
WATCH_SECONDS: Final = 300
CONFLICT: Final = 409
NOT_FOUND: Final = 404
GONE: Final = 410


class ApiError(Exception):
    """The API server refused: HTTP status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """JSON requests with the agent's client certificate; raises ApiError, or httpx.TransportError when it is away."""

    def __init__(self, config: AgentConfig) -> None:
        context = ssl.create_default_context(cafile=config.ca)
        context.load_cert_chain(config.certificate, config.key)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._client = httpx.AsyncClient(base_url=config.api, verify=context, timeout=10, limits=limits)

    async def get(self, path: str, **params: str) -> Object:
        return _body(await self._client.get(path, params=params))

    async def create(self, path: str, body: Object) -> Object:
        return _body(await self._client.post(path, json=body))

    async def patch(self, path: str, body: Object) -> Object:
        """Apply a strategic merge patch."""
        content = json.dumps(body)
        return _body(await self._client.patch(path, content=content, headers={"Content-Type": STRATEGIC}))

    async def delete(self, path: str, body: Object) -> None:
        _body(await self._client.request("DELETE", path, json=body))

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[tuple[str, Object]]:
        """Yield (type, object) until the server ends the watch."""
        query = {**params, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        timeout = httpx.Timeout(10, read=WATCH_SECONDS + 30)
        async with self._client.stream("GET", path, params=query, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                _body(response)
            async for line in response.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", GONE), event["object"].get("message", ""))
                yield event["type"], event["object"]

    async def close(self) -> None:
        await self._client.aclose()


class Informer:
    """All objects of one kind (and selector), kept up to date.

    Each of `listeners` is called with every object that is new, changed, or deleted (second argument True).
    """

    def __init__(self, api: Api, path: str, **selectors: str) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.synced = asyncio.Event()
        self.listeners: list[Callable[[Object, bool], None]] = []
        self._api = api
        self._path = path
        self._selectors = selectors

    def get(self, namespace: str, name: str) -> Object | None:
        return self.objects.get((namespace, name))

    async def run(self) -> None:
        """List and watch for ever; the API server may be away for any time."""
        pause = 0.1
        while True:
            try:
                version = await self._list()
                pause = 0.1
                while True:
                    version = await self._follow(version)
            except (ApiError, httpx.HTTPError, ValueError) as problem:
                log.warning("watch of %s: %s: %s; listing again", self._path, type(problem).__name__, problem)
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
                pause = min(pause * 2, 5.0)

    def _announce(self, item: Object, gone: bool) -> None:
        for listener in self.listeners:
            listener(item, gone)

    async def _list(self) -> str:
        listing = await self._api.get(self._path, **self._selectors)
        found = {key_of(item): item for item in listing.get("items", [])}
        for key in self.objects.keys() - found.keys():
            self._announce(self.objects.pop(key), gone=True)
        for key, item in found.items():
            known = self.objects.get(key)
            if known is not None and known["metadata"]["uid"] != item["metadata"]["uid"]:
                self._announce(known, gone=True)
            self.objects[key] = item
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._announce(item, gone=False)
        self.synced.set()
        return str(listing["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> str:
        async for kind, item in self._api.watch(self._path, {**self._selectors, "resourceVersion": version}):
            version = item["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self.objects.pop(key_of(item), None)
                self._announce(item, gone=True)
            elif kind in ("ADDED", "MODIFIED"):
                self.objects[key_of(item)] = item
                self._announce(item, gone=False)
        return version


def key_of(item: Object) -> tuple[str, str]:
    """Name an object by namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _body(response: httpx.Response) -> Object:
    if response.is_success:
        return dict(response.json())
    try:
        message = response.json().get("message", response.text)
    except ValueError:
        message = response.text
    raise ApiError(response.status_code, message)
