"""Builders of rollouts and a small world to run them in: what the runtime does, in virtual time and without I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from veriramp_operator.api.rollout import (
    AlertGate,
    GateSpec,
    OnNoData,
    OnRegression,
    PresenceSpec,
    RampSpec,
    ReplicasSpec,
    RolloutSpec,
    StageSpec,
    WorkerSpec,
)
from veriramp_operator.api.status import RolloutStatus, VerdictKind
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine import after_publish, decide_by
from veriramp_operator.engine.types import (
    Announce,
    Decision,
    Direction,
    Observation,
    Problem,
    PropagationSeen,
    Published,
    PublishFlags,
    ReleaseFinalizer,
    Requests,
    RoleCount,
    ScaleWorkers,
    WorkerSeen,
)
from veriramp_operator.evidence.types import Samples, Trial, Verdict
from veriramp_sdk.contract import Mode, Role

START = 1_800_000_000.0
UID = "5f0c"
SALTS = ("5a", "a5")


@dataclass(frozen=True)
class RolloutBuilder:
    """Grows a spec: ``a_rollout().with_stage("canary", canary=5).with_gate("errors").spec``."""

    spec: RolloutSpec | None = None
    stages: tuple[StageSpec, ...] = ()
    gates: tuple[GateSpec, ...] = ()
    workers: tuple[WorkerSpec, ...] = ()
    rest: Mapping[str, Any] = field(default_factory=dict)

    def with_stage(
        self,
        name: str,
        mode: Mode = Mode.LIVE,
        *,
        rate: float | None = None,
        canary: float | None = None,
        weight: float | None = None,
        bake: float | None = 600.0,
        ramp: RampSpec | None = None,
        **more: Any,
    ) -> Self:
        """Add a stage; ``more``: the other fields of StageSpec."""
        stage = StageSpec(
            name=name,
            mode=mode,
            sampling_rate=rate,
            canary_percent=canary,
            ranking_weight=weight,
            bake=bake,
            ramp=ramp,
            **more,
        )
        return replace(self, stages=(*self.stages, stage))

    def with_gate(
        self, name: str, on_regression: OnRegression = OnRegression.SHADOW, *, window: float = 60.0, **more: Any
    ) -> Self:
        """Add an alert gate."""
        gate = GateSpec(
            name=name,
            alert=AlertGate(expr="errors > 1", presence=PresenceSpec(query="requests", min=0.1)),
            selector="requests",
            window=window,
            on_regression=on_regression,
            **more,
        )
        return replace(self, gates=(*self.gates, gate))

    def with_worker(self, profile: str, replicas: ReplicasSpec | None = None) -> Self:
        """Add a worker."""
        return replace(self, workers=(*self.workers, WorkerSpec(profile=profile, replicas=replicas or ReplicasSpec())))

    def with_(self, **fields: Any) -> Self:
        """Set other fields of the spec."""
        return replace(self, rest={**self.rest, **fields})

    def build(self) -> RolloutSpec:
        """The spec."""
        return RolloutSpec(stages=self.stages, gates=self.gates, workers=self.workers, **self.rest)


def a_rollout() -> RolloutBuilder:
    """An empty plan to grow."""
    return RolloutBuilder()


def a_ladder() -> RolloutBuilder:
    """Shadow, a ramped canary of 5 %, then 50 %; one gate that switches everything off."""
    return (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05)
        .with_stage("canary", canary=5, weight=0.1, ramp=RampSpec(duration=600, interval=60))
        .with_stage("half", canary=50)
        .with_gate("errors")
    )


def passes(at: float) -> Verdict:
    """Good news."""
    return Verdict(VerdictKind.PASS, "Healthy", "all good", 0.0, observed_at=at)


def regresses(at: float) -> Verdict:
    """Bad news."""
    return Verdict(VerdictKind.REGRESSION, "Breach", "5 is above 1", 5.0, observed_at=at, breached_at=at)


def no_data(at: float) -> Verdict:
    """No news."""
    return Verdict(VerdictKind.NO_DATA, "Empty", "no series", observed_at=at)


def inconclusive(at: float, *, leans_bad: bool = False) -> Verdict:
    """Unclear news."""
    return Verdict(VerdictKind.INCONCLUSIVE, "TooFew", "too few requests", observed_at=at, leans_bad=leans_bad)


@dataclass
class World:
    """One rollout with everything round it; ``tick`` is one reconcile pass, applied in the safe order.

    ``says``: the verdict of each gate (default Pass), as a function of the instant. Evidence from before ``since``
    plus window is ``Inconclusive(WarmingUp)``, as the real judge has it.
    """

    spec: RolloutSpec
    now: float = START
    status: RolloutStatus = field(default_factory=RolloutStatus)
    published: Published | None = None
    says: dict[str, Any] = field(default_factory=dict)
    generation: int = 1
    deleting: bool = False
    requests: Requests = field(default_factory=Requests)
    problems: tuple[Problem, ...] = ()
    consumers: int = 3
    workers: dict[str, WorkerSeen] = field(default_factory=dict)
    applied_revision: int | None = None
    salts: tuple[str, str] = SALTS
    gone: bool = False
    events: list[Announce] = field(default_factory=list)
    last: Decision | None = None

    def judge(self, gate: GateSpec, _samples: Samples, now: float, since: float | None, _trial: Trial) -> Verdict:
        """What the gate says now."""
        verdict: Verdict = self.says.get(gate.name, passes)(now)
        counts_from = 0.0 if since is None else since + (gate.window or 0.0)
        if verdict.kind in (VerdictKind.PASS, VerdictKind.REGRESSION) and now < counts_from:
            return Verdict(VerdictKind.INCONCLUSIVE, "WarmingUp", "too early to tell", observed_at=now)
        return verdict

    def observe(self) -> Observation:
        """One snapshot."""
        return Observation(
            namespace="search",
            name="rollout",
            uid=UID,
            generation=self.generation,
            deleting=self.deleting,
            requests=self.requests,
            published=self.published,
            propagation=self.propagation(),
            workers=tuple(self.workers.values()),
            problems=self.problems,
            salts=self.salts,
        )

    def propagation(self) -> PropagationSeen:
        """Everybody applies what is published, or what ``applied_revision`` says."""
        out = self.published.revision if self.published else 0
        revision = out if self.applied_revision is None else self.applied_revision
        roles = {Role.SEARCH: RoleCount(self.consumers, self.consumers)} if self.consumers else {}
        return PropagationSeen(revision, UID, roles, observed_at=self.now, last_applied_at=self.now)

    def decide(self) -> Decision:
        """Decide without doing anything."""
        return self.decide_from(self.observe(), self.now)

    def decide_from(self, seen: Observation, now: float) -> Decision:
        """Decide on a snapshot taken earlier."""
        return decide_by(self.judge, self.spec, self.status, seen, now)

    def tick(self, seconds: float = 0.0, *, cut: int | None = None) -> Decision:
        """Let time pass, decide, and do what was decided; ``cut``: crash after so many writes (0, 1 or 2)."""
        self.now += seconds
        decision = self.decide()
        self.last = decision
        self.apply(decision, cut)
        return decision

    def run(self, seconds: float, step: float = 5.0) -> Decision:
        """Pass after pass until so much time is over."""
        end = self.now + seconds
        while self.now < end:
            decision = self.tick(min(step, end - self.now))
        return decision

    def run_to(self, stage: str, *, at_most: float = 100_000.0, full: bool = False) -> Decision:
        """Pass after pass until the rollout has entered a stage (``full``: and ramped to its vector)."""
        end = self.now + at_most
        while self.now < end:
            decision = self.tick(5.0)
            at = self.status.stage
            if at is not None and at.name == stage and (not full or at.ramp_fraction == 1.0):
                return decision
        raise AssertionError(f"never reached {stage}: {self.status.reason} {self.status.message}")

    def apply(self, decision: Decision, cut: int | None = None) -> None:
        """Execute the commands in the runtime's order."""
        self.events += [command for command in decision.commands if isinstance(command, Announce)]
        self.gone = self.gone or any(isinstance(command, ReleaseFinalizer) for command in decision.commands)
        self._scale(decision)
        publish = next((command for command in decision.commands if isinstance(command, PublishFlags)), None)
        if publish is None:
            self.status = decision.status if cut != 0 else self.status
        elif decision.direction is Direction.RISE:
            self._rise(decision, publish, cut)
        else:
            self._fall(decision, publish, cut)

    def vector(self) -> Vector:
        """What is published; Off when nothing is."""
        return self.published.vector if self.published else Vector()

    def edit(self, spec: RolloutSpec) -> None:
        """A person changes the spec."""
        self.spec = spec
        self.generation += 1

    def _rise(self, decision: Decision, publish: PublishFlags, cut: int | None) -> None:
        pending = decision.status.pending
        assert pending is not None
        if cut == 0:
            return
        hashed = content_hash(publish)
        self.status = decision.status.model_copy(
            update={"pending": pending.model_copy(update={"content_hash": hashed})}
        )
        if cut == 1:
            return
        self._write(publish)
        if cut != 2:
            self.status = after_publish(self.status, publish, hashed, self.now)

    def _fall(self, decision: Decision, publish: PublishFlags, cut: int | None) -> None:
        if cut == 0:
            return
        self._write(publish)
        if cut is None:
            self.status = after_publish(decision.status, publish, content_hash(publish), self.now)

    def _write(self, publish: PublishFlags) -> None:
        self.published = Published(
            UID,
            publish.revision,
            content_hash(publish),
            publish.vector,
            publish.direction,
            publish.stage,
            publish.salt,
            publish.sample_salt,
            self.now,
            publish.latch,
        )

    def _scale(self, decision: Decision) -> None:
        for command in decision.commands:
            if isinstance(command, ScaleWorkers):
                count = 1 if command.replicas is None else command.replicas
                self.workers[command.profile] = WorkerSeen(command.profile, count, count)


def content_hash(publish: PublishFlags) -> str:
    """A hash that tells two documents apart."""
    return hashlib.sha256(f"{publish.vector!r} {publish.stage}".encode()).hexdigest()[:16]


def a_running(builder: RolloutBuilder | None = None, **fields: Any) -> World:
    """A fresh rollout, nothing decided yet."""
    return World((builder or a_ladder()).with_(**fields).build())


def a_no_data_policy(after: float, action: str) -> OnNoData:
    """``onNoData``."""
    return OnNoData.model_validate({"after": after, "action": action})
