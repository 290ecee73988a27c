"""Executes decisions, in an order that is safe to cut anywhere.

A fall writes the document first (it carries the latch), then the status, then the workers. A rise writes the status
(``pending``), then the workers, then the document, then the status again. Every write carries a precondition.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.errors import Conflict, NotFound, Refused, Unavailable
from veriramp_operator.api.object import FINALIZER, Rollout
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.cluster.api import CONFIG_MAPS, EVENTS, ROLLOUTS, Api, Json
from veriramp_operator.engine import after_publish, needs_write
from veriramp_operator.engine.types import Announce, Decision, Direction, PublishFlags, ReleaseFinalizer
from veriramp_operator.resources import flags
from veriramp_operator.resources.events import event
from veriramp_operator.resources.published import config_map_of, document_request, narrowed
from veriramp_operator.runtime.gather import spec_of
from veriramp_operator.runtime.metrics import Metrics
from veriramp_operator.runtime.workers import Workers
from veriramp_operator.runtime.world import Entry, RefusedDocument, World

UNPROCESSABLE: Final = 422

_log = logging.getLogger("veriramp.applier")


class Applier:
    """The only place that knows how a command is done. Raises what :class:`Api` raises."""

    def __init__(
        self,
        api: Api,
        world: World,
        config: OperatorConfig,
        metrics: Metrics,
        clock: Callable[[], float],
        identity: str,
    ) -> None:
        self._api, self._world, self._metrics = api, world, metrics
        self._clock, self._identity = clock, identity
        self._workers = Workers(api, world, config)

    async def apply(self, entry: Entry, decision: Decision) -> None:
        """Do what was decided."""
        publish = next((command for command in decision.commands if isinstance(command, PublishFlags)), None)
        if decision.direction is Direction.RISE and publish is not None:
            await self._rise(entry, decision, publish)
        else:
            await self._fall_or_hold(entry, decision, publish)
        for command in decision.commands:
            if isinstance(command, Announce) and not _is_let_go(entry.rollout, command):
                await self._announce(entry, command)
        if decision.direction is not Direction.RISE:
            # Last, and only once people were told: nothing about the workers makes a fall less safe.
            await self._workers.apply(entry, spec_of(entry), decision.commands)
        if any(isinstance(command, ReleaseFinalizer) for command in decision.commands):
            await self.release(entry)

    async def hold_finalizer(self, entry: Entry) -> None:
        """Make sure that the object cannot go before its flags are off."""
        rollout = entry.rollout
        if rollout.deleting or FINALIZER in rollout.finalizers:
            return
        await self._patch_finalizers(entry, [*rollout.finalizers, FINALIZER])

    async def release(self, entry: Entry) -> None:
        """Let the object go."""
        if FINALIZER in entry.rollout.finalizers:
            await self._patch_finalizers(entry, [name for name in entry.rollout.finalizers if name != FINALIZER])

    async def flush(self, entry: Entry) -> None:
        """Write the volatile part of the status too: done on SIGTERM."""
        if entry.status != entry.written:
            await self._write_status(entry, entry.status)

    async def republish(self, entry: Entry, command: PublishFlags, request: flags.DocumentRequest) -> None:
        """Publish the same vector again, because what surrounds it (keys, lists, settings) was edited."""
        document = flags.build(request)
        if self._accepted(entry, document, command):
            await self._finish(entry, entry.status, command, request, document)

    async def _fall_or_hold(self, entry: Entry, decision: Decision, publish: PublishFlags | None) -> None:
        if publish is None:
            await self._remember(entry, decision.status)
            return
        published = entry.config_map.published if entry.config_map else None
        request = narrowed(document_request(entry.rollout, spec_of(entry), publish), published)
        await self._finish(entry, decision.status, publish, request, flags.safe_document(request))

    async def _rise(self, entry: Entry, decision: Decision, publish: PublishFlags) -> None:
        spec = spec_of(entry)
        request = document_request(entry.rollout, spec, publish)
        document = flags.build(request)
        if not self._accepted(entry, document, publish):
            return
        status = decision.status
        if status.pending is not None:
            pending = status.pending.model_copy(update={"content_hash": document.content_hash})
            status = status.model_copy(update={"pending": pending})
        await self._write_status(entry, status)
        await self._workers.apply(entry, spec, decision.commands)
        if entry.refused_workers:
            return
        await self._finish(entry, status, publish, request, document)

    def _accepted(self, entry: Entry, document: flags.FlagDocument, command: PublishFlags) -> bool:
        previous = entry.config_map.document if entry.config_map else None
        problems = flags.self_check(document, previous, command.vector)
        now, generation = self._clock(), entry.rollout.generation
        entry.refused = RefusedDocument(problems[0], generation, now) if problems else None
        return not problems

    async def _finish(
        self,
        entry: Entry,
        status: RolloutStatus,
        command: PublishFlags,
        request: flags.DocumentRequest,
        document: flags.FlagDocument,
    ) -> None:
        if not await self._publish(entry, command, request, document):
            await self._remember(entry, status)
            return
        await self._remember(entry, after_publish(status, command, document.content_hash, self._clock()))

    async def _publish(
        self, entry: Entry, command: PublishFlags, request: flags.DocumentRequest, document: flags.FlagDocument
    ) -> bool:
        """False when the name is somebody else's, and that is known already: nothing was written."""
        rollout, seen = entry.rollout, entry.config_map
        name = flags.config_map_name(rollout.name)
        if seen is not None and seen.owner_uid != rollout.uid:
            if f"ConfigMap {name}" in entry.conflicts:
                return False
            entry.conflicts[f"ConfigMap {name}"] = "another owner"
            raise Conflict(f"ConfigMap {rollout.namespace}/{name} is not ours")
        entry.conflicts.pop(f"ConfigMap {name}", None)
        precondition = {"uid": seen.uid, "resourceVersion": seen.resource_version} if seen else {}
        body = config_map_of(rollout, document, command, self._clock(), precondition, request)
        if seen is None:
            answer = await self._api.create(CONFIG_MAPS, rollout.namespace, body)
        else:
            answer = await self._api.apply(CONFIG_MAPS, rollout.namespace, name, body)
        self._world.config_map(answer)
        _log.info("%s/%s: revision %d published: %s", *rollout.key, command.revision, command.vector)
        return True

    async def _remember(self, entry: Entry, status: RolloutStatus) -> None:
        self._metrics.rollback(entry.rollout, entry.status, status)
        bake = _bake_of(spec_of(entry), status)
        if needs_write(entry.written, status, self._clock(), entry.flushed_at, bake):
            await self._write_status(entry, status)
        else:
            entry.status = status

    async def _write_status(self, entry: Entry, status: RolloutStatus) -> None:
        rollout = entry.rollout
        body: Json = {
            "apiVersion": ROLLOUTS.api_version,
            "kind": ROLLOUTS.kind,
            "metadata": {
                "name": rollout.name,
                "namespace": rollout.namespace,
                "uid": rollout.uid,
                "resourceVersion": rollout.resource_version,
            },
            "status": status.to_api(),
        }
        # Kept before the write: whoever decides next, after a conflict too, must know what has been published.
        entry.status = status
        answer = await self._api.apply(ROLLOUTS, rollout.namespace, rollout.name, body, subresource="status")
        entry.written, entry.flushed_at = status, self._clock()
        self._world.rollout(answer)

    async def _patch_finalizers(self, entry: Entry, finalizers: list[str]) -> None:
        rollout = entry.rollout
        patch: list[Json] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": rollout.resource_version},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]
        try:
            answer = await self._api.json_patch(ROLLOUTS, rollout.namespace, rollout.name, patch)
        except Refused as error:
            if error.status != UNPROCESSABLE:
                raise
            # A failed "test" is answered with 422: somebody wrote in between.
            raise Conflict(str(error)) from error
        self._world.rollout(answer)

    async def _announce(self, entry: Entry, command: Announce) -> None:
        body = event(entry.rollout, command.type, command.reason, command.message, self._clock(), self._identity)
        try:
            await self._api.create(EVENTS, entry.rollout.namespace, body)
        except (Unavailable, Conflict, Refused, NotFound) as error:
            # An Event is a courtesy: what it says is in the status too.
            _log.warning("Event %s on %s/%s not written: %s", command.reason, *entry.rollout.key, error)


def _is_let_go(rollout: Rollout, command: Announce) -> bool:
    """Whether people were told when the object was let go; the finalizer of somebody else may hold it for long."""
    return command.reason is Reason.SAFE_OFF and FINALIZER not in rollout.finalizers


def _bake_of(spec: RolloutSpec, status: RolloutStatus) -> float:
    names = {stage.name: stage.bake for stage in spec.stages}
    bake = names.get(status.stage.name) if status.stage else None
    return bake if bake is not None else 86400.0
