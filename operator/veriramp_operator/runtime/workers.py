"""Keeps the worker Deployments of a rollout as its spec and the operator's profiles say."""

from __future__ import annotations

from collections.abc import Sequence

from veriramp_operator.api.config import OperatorConfig, Profile
from veriramp_operator.api.errors import Conflict, Refused
from veriramp_operator.api.rollout import RolloutSpec, Scaling, WorkerSpec
from veriramp_operator.cluster.api import DEPLOYMENTS, Api, Json
from veriramp_operator.engine.types import Command, ScaleWorkers
from veriramp_operator.resources.deployments import SPEC_HASH, deployment_name, worker_deployment
from veriramp_operator.runtime.world import DeploymentSeen, Entry, World


class Workers:
    """Creates, applies and scales; never adopts, never deletes (owner references do)."""

    def __init__(self, api: Api, world: World, config: OperatorConfig) -> None:
        self._api, self._world, self._config = api, world, config

    async def apply(self, entry: Entry, spec: RolloutSpec, commands: Sequence[Command]) -> None:
        """Bring every worker of the spec to the decided count, and those no longer in it to zero."""
        if entry.rollout.deleting:
            return
        decided = {command.profile: command.replicas for command in commands if isinstance(command, ScaleWorkers)}
        for worker in spec.workers:
            profile = self._config.profiles.get(worker.profile)
            if profile is not None:
                await self._one_or_why_not(entry, worker, profile, decided)
        if entry.rollout.spec is None:
            return  # a worker that cannot be read in the spec is no worker that left it
        wanted = {worker.profile for worker in spec.workers}
        for seen in tuple(entry.deployments.values()):
            if seen.profile not in wanted and seen.owner_uid == entry.rollout.uid and seen.desired:
                await self._stop(entry, seen)

    async def _one_or_why_not(
        self, entry: Entry, worker: WorkerSpec, profile: Profile, decided: dict[str, int | None]
    ) -> None:
        try:
            await self._one(entry, worker, profile, decided)
        except Refused as error:
            # A quota or an admission rule says no for as long as nobody changes it: told in status, asked again later.
            entry.refused_workers[worker.profile] = str(error)
        else:
            entry.refused_workers.pop(worker.profile, None)

    async def _one(self, entry: Entry, worker: WorkerSpec, profile: Profile, decided: dict[str, int | None]) -> None:
        rollout = entry.rollout
        name = deployment_name(rollout, worker.profile)
        seen = entry.deployments.get(name)
        replicas = decided.get(worker.profile, seen.desired if seen else 0)
        if worker.replicas.scaling is Scaling.EXTERNAL:
            replicas = None
        body = worker_deployment(rollout, worker.profile, profile, self._config.flag_server, replicas)
        if seen is None:
            await self._create(entry, name, body)
        elif _differs(seen, body, replicas):
            body["metadata"]["uid"] = seen.uid
            self._world.deployment(await self._api.apply(DEPLOYMENTS, rollout.namespace, name, body))

    async def _create(self, entry: Entry, name: str, body: Json) -> None:
        label = f"Deployment {name}"
        try:
            answer = await self._api.create(DEPLOYMENTS, entry.rollout.namespace, body)
        except Conflict:
            raw = await self._api.get(DEPLOYMENTS, entry.rollout.namespace, name)
            owners = raw["metadata"].get("ownerReferences") or ()
            if not any(owner["uid"] == entry.rollout.uid for owner in owners):
                entry.conflicts[label] = "another owner"
                return
            answer = raw
        entry.conflicts.pop(label, None)
        self._world.deployment(answer)

    async def _stop(self, entry: Entry, seen: DeploymentSeen) -> None:
        patch: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": seen.uid},
            {"op": "replace", "path": "/spec/replicas", "value": 0},
        ]
        answer = await self._api.json_patch(DEPLOYMENTS, entry.rollout.namespace, seen.name, patch)
        self._world.deployment(answer)


def _differs(seen: DeploymentSeen, body: Json, replicas: int | None) -> bool:
    return seen.spec_hash != body["metadata"]["annotations"][SPEC_HASH] or (
        replicas is not None and seen.desired != replicas
    )
