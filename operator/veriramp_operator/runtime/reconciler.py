"""One reconcile pass: gather, decide, apply."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.errors import Conflict, NotFound, Unavailable
from veriramp_operator.api.reasons import Reason
from veriramp_operator.cluster.api import CONFIG_MAPS, ROLLOUTS, Api
from veriramp_operator.engine import decide, trial_of
from veriramp_operator.engine.types import Decision, Direction, PublishFlags
from veriramp_operator.engine.windows import is_open
from veriramp_operator.resources import flags
from veriramp_operator.resources.journal import JournalEntry
from veriramp_operator.resources.published import document_request, narrowed
from veriramp_operator.runtime.applier import Applier
from veriramp_operator.runtime.gather import observe, spec_of
from veriramp_operator.runtime.journal import Journal
from veriramp_operator.runtime.metrics import Metrics
from veriramp_operator.runtime.queue import Key
from veriramp_operator.runtime.world import Entry, World
from veriramp_operator.sources.samplers import Samplers
from veriramp_sdk.contract import Mode

TRIES: Final = 5
RISE_NEEDS_SECONDS: Final = 3.0
_SETTLED: Final = frozenset(
    {
        Reason.RAMPING,
        Reason.RAMP_STEP,
        Reason.BAKING,
        Reason.APPROVAL_REQUIRED,
        Reason.INCONCLUSIVE,
        Reason.GUARDING,
    }
)

_log = logging.getLogger("veriramp.reconciler")


class Leadership(Protocol):
    """Whether, and for how many seconds more, this process may write."""

    @property
    def remaining(self) -> float: ...


class Reconciler:
    """Decides on the caches, never waits for Prometheus, flag servers or anything but the API server's own answers."""

    def __init__(
        self,
        api: Api,
        world: World,
        samplers: Samplers,
        applier: Applier,
        config: OperatorConfig,
        metrics: Metrics,
        leadership: Leadership,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        self._api, self._world, self._samplers, self._applier = api, world, samplers, applier
        self._config, self._metrics, self._leadership, self._clock = config, metrics, leadership, clock
        self._journal = journal

    async def process(self, key: Key, reason: str) -> float | None:
        """One pass; seconds until the next look.

        Raises Unavailable, Refused or (after several tries in a row) Conflict when the API server would not let it end.
        """
        started = time.perf_counter()
        try:
            delay = await self._until_written(key, reason)
        except Exception as error:
            self._metrics.passes.labels("error").inc()
            self._metrics.errors.labels(type(error).__name__).inc()
            raise
        self._metrics.passes.labels("ok").inc()
        self._metrics.pass_seconds.observe(time.perf_counter() - started)
        return delay

    async def refresh(self, key: Key) -> None:
        """Quorum reads of the rollout and its flag ConfigMap."""
        try:
            self._world.rollout(await self._api.get(ROLLOUTS, *key))
        except NotFound:
            self._world.gone(key)
            return
        try:
            self._world.config_map(await self._api.get(CONFIG_MAPS, key[0], flags.config_map_name(key[1])))
        except NotFound:
            self._world.config_map_missing(key)

    async def _until_written(self, key: Key, reason: str) -> float | None:
        last: Exception | None = None
        for _ in range(TRIES):
            entry = self._world.get(key)
            if entry is None:
                self._samplers.forget(key)
                self._metrics.forget(key)
                self._journal.forget(key)
                return None
            if self._leadership.remaining <= 0:
                return None
            try:
                return await self._pass(entry, reason)
            except (Conflict, NotFound) as error:
                _log.info("%s/%s: read again: %s", *key, error)
                last = error
                await self.refresh(key)
        raise Conflict(f"{TRIES} conflicts in a row, the last: {last}") from last

    async def _pass(self, entry: Entry, reason: str) -> float | None:
        self._samplers.watch(entry.rollout.key, spec_of(entry), trial_of(entry.status))
        before, considered = entry.status, self._decide(entry)
        decision = considered.decision
        if decision.direction is not Direction.FALL:
            # A fall waits for nothing; whatever rises was held before.
            if entry.conflicts or entry.unsure:
                # What is not ours is not watched, and a write without an answer may have landed: both must be asked.
                await self.refresh(entry.rollout.key)
                entry.unsure = False
                considered = self._decide(entry)
                decision = considered.decision
            await self._applier.hold_finalizer(entry)
        if decision.direction is Direction.RISE:
            await self.refresh(entry.rollout.key)
            if self._leadership.remaining < RISE_NEEDS_SECONDS:
                return 1.0
            considered = self._decide(entry)
            decision = considered.decision
        # Before its writes: what a crash cuts short was decided all the same.
        self._journal.note(considered)
        if decision.reason.value != before.reason:
            _log.info(
                "%s/%s (%s): %s %s: %s",
                *entry.rollout.key,
                reason,
                decision.direction,
                decision.reason,
                decision.message,
            )
        await self._apply(entry, decision)
        self._metrics.after(entry.rollout, before, decision)
        await self._republish_if_edited(entry, decision)
        if decision.next_decision_at is None:
            return None
        return max(0.0, decision.next_decision_at - self._clock())

    async def _apply(self, entry: Entry, decision: Decision) -> None:
        if decision.direction is not Direction.RISE:
            await self._applier.apply(entry, decision)
            return
        try:
            # Between its writes too, a rise ends when the right to write does: a paused process must not go on with it.
            async with asyncio.timeout(self._leadership.remaining):
                await self._applier.apply(entry, decision)
        except Unavailable:
            entry.unsure = True
            raise
        except TimeoutError as error:
            raise Unavailable("the Lease ended during a rise; it is left to the next leader") from error

    def _decide(self, entry: Entry) -> JournalEntry:
        now, spec = self._clock(), spec_of(entry)
        seen = observe(entry, self._samplers.samples(entry.rollout.key), self._config, now)
        decision = decide(spec, entry.status, seen, now)
        return JournalEntry(now, *entry.rollout.key, spec, entry.status, seen, decision)

    async def _republish_if_edited(self, entry: Entry, decision: Decision) -> None:
        published = entry.config_map.published if entry.config_map else None
        status = entry.status
        if decision.direction is not Direction.HOLD or published is None or status.flags is None or status.pending:
            return
        if any(isinstance(command, PublishFlags) for command in decision.commands) or entry.rollout.deleting:
            return
        command = PublishFlags(
            vector=decision.vector,
            revision=max(published.revision, status.flags.revision),
            direction=Direction.HOLD,
            stage=published.stage,
            salt=published.salt,
            sample_salt=published.sample_salt,
            latch=published.latch,
        )
        wanted = document_request(entry.rollout, spec_of(entry), command)
        may_widen = decision.reason in _SETTLED and is_open(spec_of(entry).windows, self._clock())
        if decision.vector.mode is Mode.LIVE and not may_widen:
            # An edited list of users may widen who is exposed: that part waits until a rise could happen too.
            wanted = narrowed(wanted, published)
        same_generation = flags.build(replace(wanted, generation=published.generation))
        if same_generation.content_hash != published.content_hash:
            revision = command.revision + 1
            await self._applier.republish(
                entry, replace(command, revision=revision), replace(wanted, revision=revision)
            )
