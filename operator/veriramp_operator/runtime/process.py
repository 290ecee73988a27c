"""The operator process without its event source: composes the parts, keeps them running, stops them in order."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry

from veriramp_operator.api.errors import ConfigurationError, Conflict, NotFound, Refused, Unavailable
from veriramp_operator.cluster.api import CONFIG_MAPS, DEPLOYMENTS, ROLLOUTS, Api
from veriramp_operator.cluster.lease import Identity, LeaderElection
from veriramp_operator.engine import trial_of
from veriramp_operator.resources.deployments import ROLLOUT_LABEL
from veriramp_operator.resources.flags_configmap import LABEL as FLAGS_LABEL
from veriramp_operator.runtime.applier import Applier
from veriramp_operator.runtime.gather import spec_of
from veriramp_operator.runtime.http import AlertDoor, Health, JournalDoor, alerts_app, health_app, serve
from veriramp_operator.runtime.journal import Journal
from veriramp_operator.runtime.metrics import Metrics
from veriramp_operator.runtime.propagation import PropagationPoller
from veriramp_operator.runtime.queue import Key, WorkQueue
from veriramp_operator.runtime.reconciler import Reconciler
from veriramp_operator.runtime.settings import Settings
from veriramp_operator.runtime.world import World
from veriramp_operator.sources.alertmanager import parse_body
from veriramp_operator.sources.prometheus import PrometheusEndpoint
from veriramp_operator.sources.samplers import Samplers

RESYNC_SECONDS: Final = 300.0
STUCK_SECONDS: Final = 60.0
LAG_SECONDS: Final = 5.0
STALE_SECONDS: Final = 1800.0
URGENT: Final = frozenset({"deletion", "request", "spec", "flags", "push", "evidence", "gone"})
"""Wake reasons that may mean a fall: they overtake everything that waits for its time."""

_log = logging.getLogger("veriramp.process")


class OperatorProcess:
    """One replica. ``run`` ends when leadership is lost or it is cancelled; ``stop`` then flushes and lets go."""

    def __init__(self, settings: Settings, api: Api) -> None:
        self._settings, self._api = settings, api
        self.metrics = Metrics(CollectorRegistry())
        self.queue = WorkQueue(self._process)
        self.world = World(self.wake, time.time)
        self.samplers = Samplers(
            {
                name: PrometheusEndpoint(
                    endpoint.url,
                    scrape_interval=endpoint.scrape_interval,
                    external_labels=tuple(endpoint.external_labels),
                )
                for name, endpoint in settings.config.endpoints.items()
            },
            self.wake,
            time.time,
        )
        identity = Identity(settings.identity, f"http://{settings.host}:{settings.alerts_port}")
        self.leader = LeaderElection(
            api, settings.lease_namespace, settings.lease_name, identity, self._is_moving, time.monotonic
        )
        self.applier = Applier(api, self.world, settings.config, self.metrics, time.time, settings.identity)
        self.journal = Journal(settings.journal, settings.identity, self.metrics, time.time)
        self.reconciler = Reconciler(
            api,
            self.world,
            self.samplers,
            self.applier,
            settings.config,
            self.metrics,
            self.leader,
            self.journal,
            time.time,
        )
        self.propagation = PropagationPoller(api, self.world, settings.config.flag_server, time.time)
        self._synced_at: float | None = None
        self._begun = False
        self._loop_at = time.monotonic()

    def wake(self, key: Key, reason: str) -> None:
        """Ask for a pass; a standby works for nobody, and whoever begins to lead wakes every rollout."""
        if self._begun:
            self.queue.wake(key, reason, urgent=reason in URGENT)

    async def run(self) -> None:
        """Serve, watch, compete, lead; returns when leadership was lost."""
        health = Health(self._not_alive, self._not_ready)
        runners = await serve(
            [
                (
                    health_app(health, self.metrics, self._journal_door()),
                    self._settings.host,
                    self._settings.health_port,
                ),
                (alerts_app(self._door(), self.metrics), self._settings.host, self._settings.alerts_port),
            ]
        )
        try:
            await self._first_sync()
            await self._lead()
        finally:
            for runner in runners:
                await runner.cleanup()

    async def stop(self) -> None:
        """Write what only memory knows, and give the Lease up; does nothing where this process does not lead."""
        for key in self.world:
            entry = self.world.get(key)
            if entry is not None and self.leader.is_leader:
                try:
                    await self.applier.flush(entry)
                except (Unavailable, Conflict, NotFound, Refused) as error:
                    _log.warning("%s/%s: clocks not flushed: %s", *key, error)
        await self.leader.release()
        await asyncio.to_thread(self.journal.stop)

    async def resync(self) -> None:
        """List everything, and take known minus listed for deleted: watches may miss a deletion."""
        known = set(self.world)
        listed: set[Key] = set()
        for namespace in self._settings.namespaces or (None,):
            listed |= await self._resync_in(namespace)
        for key in known - listed:
            self.world.gone(key)
        self._synced_at = time.monotonic()

    async def _resync_in(self, namespace: str | None) -> set[Key]:
        listed: set[Key] = set()
        for raw in await self._api.list_all(ROLLOUTS, namespace):
            listed.add((raw["metadata"]["namespace"], raw["metadata"]["name"]))
            self.world.rollout(raw)
        before = {key: entry.config_map for key in listed if (entry := self.world.get(key)) is not None}
        documents = set()
        for raw in await self._api.list_all(CONFIG_MAPS, namespace, f"{FLAGS_LABEL}=true"):
            documents.add((raw["metadata"]["namespace"], raw["metadata"]["name"].removesuffix("-flags")))
            self.world.config_map(raw)
        for key in listed - documents:
            # Only what was known before the list was asked for: a document may have been written meanwhile.
            entry = self.world.get(key)
            if entry is not None and entry.config_map is before.get(key):
                self.world.config_map_missing(key)
        for raw in await self._api.list_all(DEPLOYMENTS, namespace, ROLLOUT_LABEL):
            self.world.deployment(raw)
        return listed

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._beat(), name="beat"),
                tasks.create_task(self._resync_forever(), name="resync"),
            ]
            election = tasks.create_task(self.leader.run(), name="lease")
            won = asyncio.create_task(self.leader.changed.wait())
            await asyncio.wait({election, won}, return_when=asyncio.FIRST_COMPLETED)
            if not election.done():
                background += await self._begin(tasks)
                await election
            for task in (*background, won):
                task.cancel()

    async def _begin(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        await self._until_done("reading everything as the new leader", self.resync)
        self.world.forget_memory()
        self.metrics.leader.set(1)
        self._begun = True
        for key in self.world:
            entry = self.world.get(key)
            if entry is not None:
                self.samplers.watch(key, spec_of(entry), trial_of(entry.status))
            self.wake(key, "spec")
        return [
            tasks.create_task(self.queue.run(), name="queue"),
            tasks.create_task(self.samplers.run(), name="samplers"),
            tasks.create_task(self.propagation.run(), name="propagation"),
        ]

    async def _first_sync(self) -> None:
        try:
            await self._until_done("first list", self.resync)
        except NotFound as error:
            raise ConfigurationError(
                "the API server does not know VerificationRollouts: apply the CRD first (kubectl apply -f crds/)"
            ) from error

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 jitter
            try:
                await self._until_done("resync", self.resync)
            except NotFound as error:
                _log.warning("resync: %s; tried again at the next", error)

    async def _until_done(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        delay = 0.2
        while True:
            try:
                await attempt()
            except (Unavailable, Refused, Conflict) as error:
                _log.warning("%s: %s; next try in %.1f s", what, error, delay)
            else:
                return
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 jitter
            delay = min(30.0, delay * 2)

    async def _beat(self) -> None:
        while True:
            self._loop_at = time.monotonic()
            self.metrics.queue_depth.set(self.queue.depth)
            self.metrics.queue_age.set(self.queue.age)
            self.metrics.rollouts.set(len(self.world))
            await asyncio.sleep(0.5)

    async def _process(self, key: Key, reason: str) -> float | None:
        return await self.reconciler.process(key, reason)

    def _is_moving(self) -> bool:
        return self.queue.age < STUCK_SECONDS

    def _not_alive(self) -> str:
        lag = time.monotonic() - self._loop_at
        if self._synced_at is not None and lag > LAG_SECONDS:
            return f"the event loop is {lag:.0f} s late"
        if self._synced_at is not None and time.monotonic() - self._synced_at > STALE_SECONDS:
            return f"nothing was listed for {STALE_SECONDS / 60:.0f} minutes"
        if not self._is_moving():
            return f"the queue has not moved for {self.queue.age:.0f} s"
        return ""

    def _not_ready(self) -> str:
        return "" if self._synced_at is not None else "not synced yet"

    def _journal_door(self) -> JournalDoor:
        return JournalDoor(lambda: self.leader.is_leader and self._begun, self._leader_url, self.journal.lines)

    def _leader_url(self) -> str:
        """Of the leader's health port, which is ours too: replicas differ in their hosts only."""
        host, _, _ = self.leader.leader_address.rpartition(":")
        return f"{host}:{self._settings.health_port}" if host else ""

    def _door(self) -> AlertDoor:
        return AlertDoor(
            token=self._settings.alert_token,
            # A leader that has not read everything yet would know nobody whom an alert means.
            leads=lambda: self.leader.is_leader and self._begun,
            leader_address=lambda: "" if self.leader.is_leader else self.leader.leader_address,
            accept=self._accept_push,
        )

    async def _accept_push(self, body: bytes) -> Mapping[str, object]:
        payload = parse_body(body, time.time())
        outcome = self.samplers.push(payload)
        passes = [self.queue.next_pass(key) for key in outcome]
        for key in outcome:
            self.wake(key, "push")
        await asyncio.gather(*passes)
        if not self.leader.is_leader:
            raise Unavailable("leadership was lost meanwhile")
        return {"rollouts": sorted("/".join(key) for key in outcome), "problems": list(payload.problems)}
