"""A state machine that does to a rollout whatever can be done: verdicts, edits, requests, losses, crashes, clocks.

Subclasses add one ``judge_tick`` each: what must hold for every reconcile pass.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.builders import START, World, a_rollout, inconclusive, no_data, passes, regresses
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import (
    OnNoData,
    OnRegression,
    Promotion,
    RampSpec,
    ReplicasSpec,
    RolloutSpec,
    Scaling,
)
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import (
    Decision,
    Direction,
    Latch,
    Observation,
    Problem,
    Published,
    PublishFlags,
    Requests,
    WorkerSeen,
)
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

SOAK: Final = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
PROFILE: Final = settings(
    max_examples=int(os.environ.get("ENGINE_EXAMPLES", "2000" if SOAK else "25")),
    stateful_step_count=60 if SOAK else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
GATES: Final = ("errors", "latency", "quality")
STAGES: Final = ("a", "b", "c", "d")
VERBS: Final = ("promote", "skip-bake", "shadow", "retry", "restart", "nonsense")


def leans_bad(at: float) -> Verdict:
    """Unclear, and pointing the wrong way."""
    return inconclusive(at, leans_bad=True)


SAYINGS: Final = (passes, passes, passes, regresses, no_data, inconclusive, leans_bad)


@st.composite
def ramps(draw: st.DrawFn) -> RampSpec | None:
    """No ramp, or one of a few steps."""
    if draw(st.booleans()):
        return None
    # Now and then one that admission refuses: the object may be older than the rule.
    if draw(st.integers(0, 15)) == 15:
        return RampSpec(duration=0.0, interval=0.0)
    return RampSpec(duration=draw(st.sampled_from([50.0, 100.0])), interval=draw(st.sampled_from([10.0, 45.0])))


@st.composite
def specs(draw: st.DrawFn) -> RolloutSpec:
    """A plan that admission lets pass: modes and percents never fall."""
    builder = a_rollout()
    names = draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=4, unique=True))
    modes = sorted((draw(st.sampled_from(list(Mode))) for _ in names), key=lambda mode: mode.rank)
    percents = sorted(draw(st.sampled_from([1.0, 5.0, 33.33, 100.0])) for _ in names)
    for name, mode, percent in zip(names, modes, percents, strict=True):
        live = mode is Mode.LIVE
        builder = builder.with_stage(
            name,
            mode,
            rate=draw(st.sampled_from([None, 0.0, 0.05, 0.5])),
            canary=percent if live else None,
            weight=draw(st.sampled_from([None, 0.0, 0.05, 0.15])) if live else None,
            bake=draw(st.sampled_from([0.0, 20.0, 60.0])),
            ramp=draw(ramps()),
            top_k=draw(st.sampled_from([None, 0, 5, 40])),
            promotion=draw(st.sampled_from([Promotion.AUTO, Promotion.AUTO, Promotion.MANUAL])),
        )
    for gate in draw(st.lists(st.sampled_from(GATES), max_size=3, unique=True)):
        builder = builder.with_gate(
            gate,
            draw(st.sampled_from(list(OnRegression))),
            window=draw(st.sampled_from([0.0, 10.0, 30.0])),
            stages=tuple(draw(st.lists(st.sampled_from(names), max_size=1))),
            required=None,
        )
    replicas = draw(
        st.sampled_from(
            [
                ReplicasSpec(min=1),
                ReplicasSpec(scaling=Scaling.EXTERNAL),
                ReplicasSpec(min=1, max=8, scaling=Scaling.SAMPLING_RATE),
            ]
        )
    )
    if draw(st.booleans()):
        builder = builder.with_worker("orchestrator", replicas)
    policy = {"after": 40.0, "action": draw(st.sampled_from(["Hold", "PreviousStage", "Shadow"]))}
    unguarded = draw(st.booleans()) or not any(gate.is_required for gate in builder.gates)
    return builder.with_(allow_unguarded=unguarded, on_no_data=OnNoData.model_validate(policy)).build()


@dataclass(frozen=True)
class Tick:
    """One reconcile pass: the world before, the decision, the world after."""

    spec: RolloutSpec
    seen: Observation
    now: float
    before: RolloutStatus
    published_before: Published | None
    decision: Decision
    after: RolloutStatus
    published: Published | None
    whole: bool
    edited: bool

    @property
    def raised(self) -> bool:
        """True when the published vector rose in any parameter."""
        was = self.published_before.vector if self.published_before else Vector()
        return self.published is not None and not self.published.vector.is_at_most(was)

    @property
    def lifts(self) -> bool:
        """True when a person asked for something that may lift a latch, in this pass."""
        handled = self.decision.status.last_handled_request
        asked = self.seen.requests.request or ""
        answered = handled is not None and handled.request == asked and (handled.outcome or "").endswith("done")
        return asked.startswith(("retry", "restart")) and answered


class RolloutMachine(RuleBasedStateMachine):
    """Everything that happens to a rollout; each pass is handed to ``judge_tick``."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(a_rollout().with_stage("a", Mode.SHADOW).build())
        self.edited = False
        self.tokens = 0
        self.snapshot: RolloutStatus | None = None
        self.on_its_way: tuple[Published | None, PublishFlags] | None = None

    def judge_tick(self, tick: Tick) -> None:
        """What must hold; overridden per invariant."""

    def world_of(self, spec: RolloutSpec) -> World:
        """The world to begin in."""
        return World(spec)

    def forgotten(self) -> None:
        """Neither status nor document are left: as good as a new object."""

    def _forget(self) -> None:
        self.snapshot = None
        self.forgotten()

    def may_lose_document(self) -> bool:
        """Whether losing the document now still leaves a record of a latch."""
        return True

    @initialize(spec=specs())
    def begin(self, spec: RolloutSpec) -> None:
        self.world = self.world_of(spec)
        self.tick(1.0, None)
        self.tick(1.0, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 10.0, 30.0, 61.0]), times=st.integers(1, 6))
    def time_passes(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.tick(seconds, None)

    @rule(seconds=st.sampled_from([-3600.0, -1.0, 3600.0, 1e6]))
    def clock_jumps(self, seconds: float) -> None:
        self.tick(seconds if self.world.now + seconds > START / 2 else 0.0, None)

    @rule(seconds=st.sampled_from([1.0, 10.0, 61.0]), cut=st.integers(0, 2))
    def crash_between_writes(self, seconds: float, cut: int) -> None:
        self.tick(seconds, cut)

    @precondition(lambda self: self.on_its_way is not None)
    @rule()
    def a_write_given_up_arrives_late(self) -> None:
        """Every write names the version that it replaces, so it arrives only if nothing else was written since."""
        if self.on_its_way is not None and self.world.published is self.on_its_way[0]:
            self.world._write(self.on_its_way[1])
        self.on_its_way = None

    @rule()
    def restart(self) -> None:
        self.world.status = RolloutStatus.model_validate(self.world.status.to_api())

    @rule(gate=st.sampled_from(GATES), saying=st.sampled_from(SAYINGS), times=st.integers(0, 8))
    def gate_says(self, gate: str, saying: Any, times: int) -> None:
        self.world.says[gate] = saying
        for _ in range(times):
            self.tick(10.0, None)

    @rule(times=st.integers(1, 12))
    def somebody_sets_it_right(self, times: int) -> None:
        """Without this nearly every run would end held or latched, and nothing would ever rise."""
        if self.world.spec.paused or self.world.spec.kill_switch:
            self._edit(self.world.spec.model_copy(update={"paused": False, "kill_switch": False}))
        if self.world.status.rollback is not None:
            self.ask("restart", used=False)
        self.world.says.clear()
        self.world.consumers, self.world.applied_revision, self.world.problems = 3, None, ()
        self.world.workers = {name: replace(seen, ready=seen.desired or 0) for name, seen in self.world.workers.items()}
        for _ in range(times):
            self.tick(10.0, None)

    @rule(spec=specs())
    def edit(self, spec: RolloutSpec) -> None:
        self._edit(spec)

    @rule(field=st.sampled_from(["paused", "kill_switch"]))
    def toggle(self, field: str) -> None:
        spec = self.world.spec
        self._edit(spec.model_copy(update={field: not getattr(spec, field)}))

    @rule(verb=st.sampled_from(VERBS), used=st.booleans())
    def ask(self, verb: str, used: bool) -> None:
        self.tokens += 0 if used else 1
        status = self.world.status
        stage = status.rollback.from_stage if status.rollback else (status.stage.name if status.stage else "a")
        self.world.requests = replace(self.world.requests, request=f"{verb}:{stage}@t{self.tokens}")
        self.tick(1.0, None)

    @rule(happens=st.integers(0, 4))
    def ask_to_abort(self, happens: int) -> None:
        if happens:
            return
        self.tokens += 1
        self.world.requests = replace(self.world.requests, abort=f"t{self.tokens}")

    @rule()
    def status_is_lost(self) -> None:
        self.world.status = RolloutStatus()
        if self.world.published is None:
            self._forget()

    @rule()
    def document_is_lost(self) -> None:
        if not self.may_lose_document():
            return
        self.world.published = None
        if self.world.status.flags is None:
            self._forget()

    @rule()
    def remember_status(self) -> None:
        self.snapshot = self.world.status

    @precondition(lambda self: self.snapshot is not None and self.world.published is not None)
    @rule()
    def older_status_comes_back(self) -> None:
        if self.snapshot is not None:
            self.world.status = self.snapshot

    @rule(vector=st.sampled_from([Vector(), Vector(mode=Mode.LIVE, canary_percent=100, ranking_weight=1.0)]))
    def somebody_writes_the_document(self, vector: Vector) -> None:
        if self.world.published is not None:
            self.world.published = replace(self.world.published, vector=vector, content_hash="other")

    @rule(consumers=st.integers(0, 3), lag=st.booleans())
    def consumers_change(self, consumers: int, lag: bool) -> None:
        self.world.consumers = consumers
        self.world.applied_revision = 0 if lag else None

    @rule()
    def workers_break(self) -> None:
        for name in self.world.workers:
            self.world.workers[name] = WorkerSeen(name, 1, 0, since=self.world.now)

    @rule(reason=st.sampled_from([Reason.UNKNOWN_PROFILE, Reason.INVALID_SPEC]))
    def problem_appears(self, reason: Reason) -> None:
        self.world.problems = (Problem(reason, "somebody must act"),)

    @rule(happens=st.integers(0, 20))
    def object_is_deleted(self, happens: int) -> None:
        self.world.deleting = self.world.deleting or happens == 0

    def tick(self, seconds: float, cut: int | None) -> None:
        """One pass, judged."""
        world = self.world
        world.now += seconds
        seen, before, published_before = world.observe(), world.status, world.published
        decision = world.decide()
        world.apply(decision, cut)
        publish = publication(decision)
        if cut == 1 and publish is not None and decision.direction is Direction.RISE:
            self.on_its_way = (world.published, publish)
        edited = self.edited
        self.edited = edited and world.status.observed_generation != world.generation
        tick = Tick(
            world.spec,
            seen,
            world.now,
            before,
            published_before,
            decision,
            world.status,
            world.published,
            cut is None,
            edited,
        )
        self.judge_tick(tick)

    def _edit(self, spec: RolloutSpec) -> None:
        self.world.edit(spec)
        self.edited = True


def publication(decision: Decision) -> PublishFlags | None:
    """The document that a decision publishes."""
    return next((command for command in decision.commands if isinstance(command, PublishFlags)), None)


def latch_of(published: Published | None) -> Latch | None:
    """The latch that a document carries."""
    return published.latch if published else None


NO_REQUESTS: Final = Requests()
