"""What is round the operator in virtual time: the published document, who has applied it, the workers.

Public: :class:`Surroundings`. Synthetic processes apply what is published 50 ms later and are heard of 100 ms later;
synthetic workers are ready after 2 s.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

from veriramp_operator.engine.types import (
    Direction,
    PropagationSeen,
    Published,
    PublishFlags,
    RoleCount,
    ScaleWorkers,
    WorkerSeen,
)
from veriramp_sdk.contract import Role

APPLY_SECONDS: Final = 0.05
REPORT_SECONDS: Final = 0.1
WORKER_SECONDS: Final = 2.0
SEARCH_PROCESSES: Final = 2
UID: Final = "simulated"


class Surroundings:
    """The world as a pass sees it."""

    def __init__(self) -> None:
        self.published: Published | None = None
        self.propagation = PropagationSeen()
        self.safe_at: float | None = None
        self._workers: dict[str, WorkerSeen] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    @property
    def workers(self) -> tuple[WorkerSeen, ...]:
        """The worker Deployments."""
        return tuple(self._workers.values())

    @property
    def next_event(self) -> float:
        """When something happens next; infinite when nothing will."""
        return self._events[0][0] if self._events else math.inf

    def reach(self, now: float) -> None:
        """Let everything happen that is due."""
        while self._events and self._events[0][0] <= now:
            heapq.heappop(self._events)[2]()

    def publish(self, command: PublishFlags, content: str, now: float) -> float:
        """Take a document over; returns when every process runs it."""
        self.published = Published(
            uid=UID,
            revision=command.revision,
            content_hash=content,
            vector=command.vector,
            direction=command.direction,
            stage=command.stage,
            salt=command.salt,
            sample_salt=command.sample_salt,
            published_at=now,
            latch=command.latch,
            generation=1,
        )
        applied_at, is_fall = now + APPLY_SECONDS, command.direction is Direction.FALL
        heard_at = now + REPORT_SECONDS
        self._at(heard_at, lambda: self._confirm(command.revision, applied_at, heard_at, fall=is_fall))
        return applied_at

    def scale(self, command: ScaleWorkers, now: float) -> None:
        """Run so many workers."""
        count = 1 if command.replicas is None else command.replicas
        known = self._workers.get(command.profile)
        ready = min(count, known.ready) if known else 0
        self._workers[command.profile] = WorkerSeen(command.profile, count, ready, now)
        if ready < count:
            then = now + WORKER_SECONDS
            self._at(then, lambda: self._ready(command.profile, count, then))

    def _confirm(self, revision: int, applied_at: float, heard_at: float, *, fall: bool) -> None:
        workers = sum(worker.ready for worker in self._workers.values())
        everybody = {Role.SEARCH: SEARCH_PROCESSES, Role.WORKER: workers}
        self.propagation = PropagationSeen(
            revision=revision,
            uid=UID,
            roles={role: RoleCount(count, count) for role, count in everybody.items() if count},
            p99_seconds=APPLY_SECONDS,
            last_applied_at=applied_at,
            observed_at=heard_at,
        )
        if fall and self.safe_at is None:
            self.safe_at = applied_at

    def _ready(self, profile: str, count: int, at: float) -> None:
        self._workers[profile] = WorkerSeen(profile, count, count, at)

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._events, (when, self._planned, what))
