"""Asks the flag servers who runs which revision: often while something is being rolled out, seldom at rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx

from veriramp_operator.api.config import FlagServer
from veriramp_operator.api.errors import Conflict, NotFound, Refused, Unavailable
from veriramp_operator.cluster.api import PODS, Api
from veriramp_operator.runtime.queue import Key
from veriramp_operator.runtime.world import Entry, World
from veriramp_operator.sources.propagation import read

EAGER_SECONDS: Final = 0.1
WAITING_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 15.0
PODS_SECONDS: Final = 10.0
IN_FLIGHT: Final = 16
WAITING_PER_SECOND: Final = 60.0
SETTLED_PER_SECOND: Final = 20.0
"""Asks of all rollouts together: where there are many, each is asked less often, so that passes keep their turn."""

_log = logging.getLogger("veriramp.propagation")


class PropagationPoller:
    """Fills ``Entry.propagation`` of every rollout."""

    def __init__(self, api: Api, world: World, server: FlagServer, clock: Callable[[], float]) -> None:
        self._api, self._world, self._server, self._clock = api, world, server, clock
        self._pods: tuple[str, ...] = ()
        self._asked: dict[Key, float] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_pods())
            busy: set[Key] = set()
            while True:
                for key in self._due():
                    if key not in busy:
                        busy.add(key)
                        task = tasks.create_task(self._ask(client, key))
                        task.add_done_callback(partial(_no_longer, busy, key))
                await asyncio.sleep(EAGER_SECONDS)

    async def _watch_pods(self) -> None:
        while True:
            try:
                pods = await self._api.list_all(PODS, self._server.namespace, self._server.pod_selector)
                self._pods = tuple(self._url(pod) for pod in pods if _is_ready(pod))
            except (Unavailable, Refused, NotFound, Conflict) as error:
                _log.warning("flag server pods not listed, the last known are asked: %s", error)
            await asyncio.sleep(PODS_SECONDS if self._pods else EAGER_SECONDS * 10)

    def _url(self, pod: dict[str, object]) -> str:
        status = pod["status"]
        assert isinstance(status, dict)  # noqa: S101 the API's type
        address = str(status["podIP"])
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self._server.http_port}"

    def _due(self) -> list[Key]:
        now = self._clock()
        periods = {
            key: _period(entry, now)
            for key in self._world
            if (entry := self._world.get(key)) is not None and entry.status.flags is not None
        }
        self._asked = {key: at for key, at in self._asked.items() if key in periods}
        settled = sum(period == SETTLED_SECONDS for period in periods.values())
        waiting = sum(1 / period for period in periods.values() if period != SETTLED_SECONDS)
        often = {
            True: max(1.0, settled / SETTLED_SECONDS / SETTLED_PER_SECOND),
            False: max(1.0, waiting / WAITING_PER_SECOND),
        }
        return [
            key
            for key, period in periods.items()
            if now - self._asked.get(key, 0.0) >= period * often[period == SETTLED_SECONDS]
        ]

    async def _ask(self, client: httpx.AsyncClient, key: Key) -> None:
        async with self._slots:
            entry = self._world.get(key)
            flags = entry.status.flags if entry else None
            if entry is None or flags is None:
                self._asked.pop(key, None)
                return
            self._asked[key] = self._clock()
            seen = await read(self._pods, key[0], key[1], client, published_at=flags.published_at, now=self._clock())
            self._world.propagation(key, seen)


def _period(entry: Entry, now: float) -> float:
    flags, propagation = entry.status.flags, entry.status.propagation
    waiting = propagation is None or propagation.confirmed_at is None
    rollback = entry.status.rollback
    if not waiting and not (rollback and rollback.applied_at is None):
        return SETTLED_SECONDS
    # The first seconds after a publication are asked densely: that is when the answer changes.
    return EAGER_SECONDS if flags and now - flags.published_at < 5 else WAITING_SECONDS  # noqa: PLR2004 seconds


def _is_ready(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    if not isinstance(status, dict) or not status.get("podIP"):
        return False
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )


def _no_longer(busy: set[Key], key: Key, _: asyncio.Task[None]) -> None:
    busy.discard(key)
