"""Keeps the store in step with the API server: the labelled ConfigMaps, and the operator's Lease.

Public: :class:`Watcher`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from veriramp_operator.api.errors import ConfigurationError, Unavailable
from veriramp_operator.flagserver.hub import Hub, close_when_stale
from veriramp_operator.flagserver.kube import Reader
from veriramp_operator.flagserver.store import EVERYWHERE, Store
from veriramp_operator.resources.flags import FlagDocument, config_map_name, parse
from veriramp_operator.resources.flags_configmap import CONTENT_HASH, LABEL
from veriramp_sdk.contract import selector

BACKOFF_SECONDS: Final = (0.2, 5.0)

_log = logging.getLogger("veriramp.flagserver")
Json = dict[str, Any]


class Watcher:
    """List, watch for half a minute, list again; and close every stream when that no longer works."""

    def __init__(
        self,
        reader: Reader,
        store: Store,
        hub: Hub,
        clock: Callable[[], float],
        *,
        namespaces: Iterable[str],
        lease_namespace: str,
        lease_name: str,
    ) -> None:
        self._reader = reader
        self._store = store
        self._hub = hub
        self._clock = clock
        self._scopes = tuple(namespaces) or (EVERYWHERE,)
        self._lease_path = f"/apis/coordination.k8s.io/v1/namespaces/{lease_namespace}/leases"
        self._lease_query = {"fieldSelector": f"metadata.name={lease_name}"}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self._scopes:
                tasks.create_task(self._for_ever(partial(self._documents, scope)))
            tasks.create_task(self._for_ever(self._lease))
            tasks.create_task(close_when_stale(self._store, self._hub, self._clock))

    async def _for_ever(self, once: Callable[[], Awaitable[None]]) -> None:
        least, most = BACKOFF_SECONDS
        pause = least
        while True:
            try:
                await once()
                pause = least
            except Unavailable as error:
                _log.warning("trying again in %.1f s: %s", pause, error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not secrecy
                pause = min(2 * pause, most)

    async def _documents(self, scope: str) -> None:
        path = f"/api/v1/namespaces/{scope}/configmaps" if scope else "/api/v1/configmaps"
        query = {"labelSelector": f"{LABEL}=true"}
        items, version = await self._reader.list(path, query)
        found: dict[str, FlagDocument | None] = {}
        for item in items:
            known = _read(item)
            if known:
                found[known[0]] = known[1]
        self._hub.push(self._store.replace(scope, found, self._clock()))
        async for kind, item in self._reader.watch(path, query, version):
            self._hub.push(self._changed(scope, kind, item))

    def _changed(self, scope: str, kind: str, item: Json) -> set[str]:
        if kind == "BOOKMARK":
            self._store.confirm(scope, self._clock())
            return set()
        known = _read(item)
        if known is None:
            return set()
        return self._store.put(known[0], None if kind == "DELETED" else known[1])

    async def _lease(self) -> None:
        items, version = await self._reader.list(self._lease_path, self._lease_query)
        self._hub.push(self._store.lease_seen(_renew_time(items[0]) if items else None, self._clock()))
        async for kind, item in self._reader.watch(self._lease_path, self._lease_query, version):
            if kind != "BOOKMARK":
                renewed = None if kind == "DELETED" else _renew_time(item)
                self._hub.push(self._store.lease_seen(renewed, self._clock()))


def _read(item: Json) -> tuple[str, FlagDocument | None] | None:
    """Selector and document of a ConfigMap; None in place of the document when it is not what the operator wrote."""
    metadata = item["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        document = parse(item.get("data") or {})
    except ConfigurationError as error:
        _log.error("%s/%s is served as all off: %s", namespace, name, error)
        rollout = name.removesuffix("-flags")
        return (selector(namespace, rollout), None) if rollout != name else None
    if document.namespace != namespace or config_map_name(document.rollout) != name:
        _log.error(
            "%s/%s is ignored: its document is of rollout %s/%s", namespace, name, document.namespace, document.rollout
        )
        return None
    where = selector(namespace, document.rollout)
    if (metadata.get("annotations") or {}).get(CONTENT_HASH) != document.content_hash:
        _log.error("%s/%s is served as all off: its content is not what the operator wrote", namespace, name)
        return where, None
    return where, document


def _renew_time(lease: Json) -> str | None:
    renewed = (lease.get("spec") or {}).get("renewTime")
    return str(renewed) if renewed is not None else None
