"""Virtual time round ``decide()``: time jumps from one decision that can matter to the next.

Public: :func:`simulate`, :class:`Options`, :class:`Run`. Synthetic processes apply what is published 50 ms later,
synthetic workers are ready after 2 s, and a stage that waits for approval gets it at once. While a rollout just ramps
or bakes on good evidence, nothing changes until the next step or the end of the bake, so those passes are skipped;
every bad poll is a pass of its own.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, RolloutSpec
from veriramp_operator.api.status import RolloutStatus, VerdictKind
from veriramp_operator.api.vector import Vector
from veriramp_operator.cli.simulation.signals import Injection, Signal, Traffic
from veriramp_operator.engine import after_publish, decide
from veriramp_operator.engine.ramp import pace_of
from veriramp_operator.engine.stages import Plan, plan_of
from veriramp_operator.engine.types import (
    Decision,
    Direction,
    Observation,
    PropagationSeen,
    Published,
    PublishFlags,
    Requests,
    RoleCount,
    ScaleWorkers,
    WorkerSeen,
)
from veriramp_sdk.contract import Role

DEFAULT_START: Final = (
    1_767_225_600.0  # 2026-01-01T00:00:00Z, so that a simulation without --start is the same every day
)
APPLY_SECONDS: Final = 0.05
REPORT_SECONDS: Final = 0.1
WORKER_SECONDS: Final = 2.0
SEARCH_PROCESSES: Final = 2
LEAST_TAIL_SECONDS: Final = 10.0
TAIL_SHARE: Final = 0.08
MOST_IDLE_PASSES: Final = 2000
_UID: Final = "simulated"
PASSES_IN_TAIL: Final = 100
SETTLING_SECONDS: Final = 3600.0
_QUIET: Final = frozenset({Reason.RAMPING, Reason.BAKING, Reason.GUARDING, Reason.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Options:
    """``start``: seconds since the epoch. ``users``: how many people use the search."""

    injections: tuple[Injection, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    users: int = 10_000
    start: float = DEFAULT_START


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline: a change of vector, stage or reason."""

    at: float
    stage: str
    vector: Vector
    direction: Direction
    reason: str
    message: str


@dataclass(slots=True)
class Run:
    """What happened. Times in seconds since the epoch.

    ``verdicts``: changes of each gate's verdict. ``injected_at``: when each injection took effect. ``ending``: why the
    simulation stopped, in words.
    """

    options: Options
    timeline: list[Moment] = field(default_factory=list)
    verdicts: dict[str, list[tuple[float, VerdictKind]]] = field(default_factory=dict)
    injected_at: dict[str, float] = field(default_factory=dict)
    first_bad_at: float | None = None
    detected_at: float | None = None
    published_at: float | None = None
    applied_at: float | None = None
    rollback_gate: str | None = None
    completed: bool = False
    ending: str = ""
    ended_at: float = 0.0
    passes: int = 0

    @property
    def detection_seconds(self) -> float | None:
        """From the onset of the injected regression to the decision to fall; None without either."""
        onset = self.injected_at.get(self.rollback_gate or "")
        return None if onset is None or self.detected_at is None else self.detected_at - onset

    def users_exposed(self) -> int | None:
        """Users of the treatment whose turn came between onset and the safe document, at a steady pace of requests."""
        onset = self.injected_at.get(self.rollback_gate or "")
        if onset is None or self.applied_at is None:
            return None
        requests, most = 0.0, 0.0
        changes = [moment for moment in self.timeline if moment.direction is not Direction.HOLD]
        for number, moment in enumerate(changes):
            until = changes[number + 1].at if number + 1 < len(changes) else self.applied_at
            until = self.applied_at if moment.at <= (self.detected_at or 0.0) <= until else until
            share = moment.vector.canary_percent / 100
            seconds = min(until, self.applied_at) - max(moment.at, onset)
            if seconds > 0 and share > 0:
                requests += seconds * self.options.traffic.rps * share
                most = max(most, self.options.users * share)
        return round(min(requests, most))


def simulate(spec: RolloutSpec, options: Options, progress: Callable[[float, str], None] | None = None) -> Run:
    """Run the plan to its end, its rollback or its standstill. Deterministic: the same inputs give the same run."""
    return _World(spec, options, progress).run()


class _World:
    def __init__(self, spec: RolloutSpec, options: Options, progress: Callable[[float, str], None] | None) -> None:
        self._spec, self._options, self._progress = spec, options, progress
        self._plan: Plan = plan_of(spec)
        self._now = options.start
        self._status = RolloutStatus()
        self._published: Published | None = None
        self._propagation = PropagationSeen()
        self._workers: dict[str, WorkerSeen] = {}
        self._request: str | None = None
        self._signals = {gate.name: Signal(gate, options.traffic) for gate in spec.gates}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self._waiting = list(options.injections)
        self._idle = 0
        self._stop_at = math.inf
        self._ending, self._tail_from = "", self._now
        self.result = Run(options)

    def run(self) -> Run:
        while self._now < self._stop_at and not self.result.ending:
            while self._events and self._events[0][0] <= self._now:
                heapq.heappop(self._events)[2]()
            decision = decide(self._spec, self._status, self._observation(), self._now)
            self._note(decision)
            self._apply(decision)
            self._look_for_the_end(decision)
            self._now = self._next(decision)
        self.result.ending = self.result.ending or self._ending
        self.result.ended_at = min(self._now, self._stop_at)
        return self.result

    def _observation(self) -> Observation:
        return Observation(
            namespace="simulated",
            name="simulated",
            uid=_UID,
            generation=1,
            requests=Requests(request=self._request),
            published=self._published,
            propagation=self._propagation,
            samples={name: signal.samples(self._now) for name, signal in self._signals.items()},
            workers=tuple(self._workers.values()),
            salts=("simulated", "simulated"),
            max_ranking_weight=1.0,
        )

    def _apply(self, decision: Decision) -> None:
        self._status = decision.status
        for command in decision.commands:
            if isinstance(command, PublishFlags):
                self._publish(command)
            elif isinstance(command, ScaleWorkers):
                self._scale(command)

    def _publish(self, command: PublishFlags) -> None:
        content = f"revision-{command.revision}"
        self._status = after_publish(self._status, command, content, self._now)
        self._published = Published(
            uid=_UID,
            revision=command.revision,
            content_hash=content,
            vector=command.vector,
            direction=command.direction,
            stage=command.stage,
            salt=command.salt,
            sample_salt=command.sample_salt,
            published_at=self._now,
            latch=command.latch,
            generation=1,
        )
        applied_at, revision, is_fall = self._now + APPLY_SECONDS, command.revision, command.direction is Direction.FALL
        self._at(self._now + REPORT_SECONDS, lambda: self._confirm(revision, applied_at, fall=is_fall))
        if command.direction is Direction.RISE and self._status.stage is not None:
            self._start_injections(self._status.stage.name)
        if is_fall:
            self.result.published_at = self.result.published_at or self._now
            for signal in self._signals.values():
                # What the fall takes back no longer does harm; the query's range forgets it as it moves on.
                signal.ended = min(signal.ended, applied_at)

    def _confirm(self, revision: int, applied_at: float, *, fall: bool) -> None:
        workers = sum(worker.ready for worker in self._workers.values())
        everybody = {Role.SEARCH: SEARCH_PROCESSES, Role.WORKER: workers}
        self._propagation = PropagationSeen(
            revision=revision,
            uid=_UID,
            roles={role: RoleCount(count, count) for role, count in everybody.items() if count},
            p99_seconds=APPLY_SECONDS,
            last_applied_at=applied_at,
            observed_at=self._now,
        )
        if fall and self.result.applied_at is None:
            self.result.applied_at = applied_at

    def _scale(self, command: ScaleWorkers) -> None:
        count = 1 if command.replicas is None else command.replicas
        known = self._workers.get(command.profile)
        ready = min(count, known.ready) if known else 0
        self._workers[command.profile] = WorkerSeen(command.profile, count, ready, self._now)
        if ready < count:
            self._at(self._now + WORKER_SECONDS, lambda: self._ready(command.profile, count))

    def _ready(self, profile: str, count: int) -> None:
        self._workers[profile] = WorkerSeen(profile, count, count, self._now)

    def _start_injections(self, stage: str) -> None:
        for injection in [waiting for waiting in self._waiting if waiting.stage == stage]:
            self._waiting.remove(injection)
            signal, onset = self._signals[injection.gate], self._now + injection.after
            signal.factor, signal.onset, signal.ended = injection.factor, onset, math.inf
            self.result.injected_at[injection.gate] = onset

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._events, (when, self._planned, what))

    def _next(self, decision: Decision) -> float:
        """The next moment at which a pass can decide something new."""
        due = decision.next_decision_at or self._now + 1.0
        quiet = decision.direction is Direction.HOLD and decision.reason in _QUIET
        until = self._now + max(due - self._now, self._quiet_for(decision)) if quiet else due
        if self._events:
            until = min(until, self._events[0][0])
        told = {gate.name for gate in self._status.gates if gate.verdict is VerdictKind.REGRESSION}
        for name, signal in self._signals.items():
            # A gate that only reports changes nothing by reporting again.
            if name not in told or signal.gate.on_regression is not OnRegression.REPORT:
                until = min(until, signal.next_bad(self._now, until) or until)
        until = min(until, self._stop_at)
        clock = self._status.clock
        if quiet and clock is not None and until > due:
            # The passes in between would all have found the same: their time counts in full.
            clock = clock.model_copy(update={"interval": until - self._now})
            self._status = self._status.model_copy(update={"clock": clock})
        return until

    def _quiet_for(self, decision: Decision) -> float:
        """Seconds for which a quiet row stays what it is, as far as nobody from outside disturbs it."""
        if math.isfinite(self._stop_at):
            return (self._stop_at - self._tail_from) / PASSES_IN_TAIL
        stage = self._status.stage
        if stage is not None and decision.reason is Reason.RAMPING:
            rung = self._plan.at(stage)
            return pace_of(self._plan, rung, stage).next_step_in(stage.ramp_seconds)
        if stage is not None and decision.reason is Reason.BAKING:
            return max(0.0, self._plan.at(stage).bake - stage.bake_seconds)
        return max(0.0, self._settled_at() - self._now) if decision.reason is Reason.GUARDING else 0.0

    def _settled_at(self) -> float:
        """When every injection has had its time to show."""
        return max(self.result.injected_at.values(), default=-math.inf) + SETTLING_SECONDS

    def _look_for_the_end(self, decision: Decision) -> None:
        if math.isfinite(self._stop_at):
            return
        if decision.reason is Reason.APPROVAL_REQUIRED and self._status.stage is not None:
            self._request = f"promote:{self._status.stage.name}@{self._planned}"
        if self.result.detected_at is not None and self.result.applied_at is not None:
            self._stop_soon(f'rolled back by gate "{self.result.rollback_gate}"')
        elif decision.reason is Reason.GUARDING and self._settled_at() <= self._now and not self._breaching():
            self.result.completed = True
            self._stop_soon("all stages done, the gates keep guarding")
        progressing = decision.direction is not Direction.HOLD or decision.reason in {Reason.RAMPING, Reason.BAKING}
        self._idle = 0 if progressing else self._idle + 1
        if self._idle >= MOST_IDLE_PASSES:
            self.result.ending = f"stands still, {decision.reason}: {decision.message}"

    def _breaching(self) -> bool:
        """An injected gate has not passed again: it may still come to a fall."""
        return any(
            gate.verdict not in {VerdictKind.PASS, VerdictKind.NOT_APPLICABLE}
            and self._signals[gate.name].onset is not None
            and self._signals[gate.name].gate.on_regression is not OnRegression.REPORT
            for gate in self._status.gates
        )

    def _stop_soon(self, ending: str) -> None:
        so_far = self._now - self._options.start
        self._stop_at = self._now + max(LEAST_TAIL_SECONDS, TAIL_SHARE * so_far)
        self._ending, self._tail_from = ending, self._now

    def _note(self, decision: Decision) -> None:
        result = self.result
        result.passes += 1
        stage = decision.status.stage.name if decision.status.stage else ""
        pending = decision.status.pending
        if decision.direction is Direction.RISE and pending is not None:
            stage = pending.stage
        moment = Moment(self._now, stage, decision.vector, decision.direction, decision.reason, decision.message)
        last = result.timeline[-1] if result.timeline else None
        if last is None or decision.direction is not Direction.HOLD or last.reason != moment.reason:
            result.timeline.append(moment)
        for gate in decision.status.gates:
            known = result.verdicts.setdefault(gate.name, [])
            if not known or known[-1][1] is not gate.verdict:
                known.append((self._now, gate.verdict))
        rollback = decision.status.rollback
        if decision.direction is Direction.FALL and rollback is not None and result.detected_at is None:
            result.first_bad_at, result.detected_at, result.rollback_gate = rollback.at, self._now, rollback.gate
        if self._progress is not None:
            self._progress(self._now - self._options.start, stage)
