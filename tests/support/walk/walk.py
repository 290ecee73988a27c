"""A walk: a rollout put somewhere, and then whatever can happen to it; every pass is shown to the judges.

Public: :data:`CASE_SIZE`, :class:`Tick`, :class:`Memory`, :class:`Walk`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.support.builders import START
from tests.support.walk.draws import Draws
from tests.support.walk.specs import DNA_SIZE, spec_of
from tests.support.walk.starts import begin
from tests.support.walk.world import News, Split, WalkWorld
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.status import RolloutStatus, Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine.stages import Plan, plan_of
from veriramp_operator.engine.types import (
    Decision,
    Direction,
    Observation,
    Problem,
    Published,
    PublishFlags,
)
from veriramp_sdk.contract import Mode

START_SIZE: Final = 16
CASE_SIZE: Final = DNA_SIZE + START_SIZE + 72
MOST_PASSES: Final = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """One reconcile pass: the world before, the decision, the world after.

    ``whole``: nothing was cut or refused. ``edited``: no pass before has written down that it saw this generation.
    ``news``: what the evidence of each gate is, whatever the engine made of it.
    """

    spec: RolloutSpec
    plan: Plan
    seen: Observation
    now: float
    before: RolloutStatus
    published_before: Published | None
    decision: Decision
    after: RolloutStatus
    published: Published | None
    whole: bool
    edited: bool
    news: dict[str, News]

    @property
    def was(self) -> Vector:
        """What was published before."""
        return self.published_before.vector if self.published_before else OFF

    @property
    def out(self) -> Vector:
        """What is published now."""
        return self.published.vector if self.published else OFF

    @property
    def arms_before(self) -> bool:
        """True when, beyond doubt, two arms were to be compared before."""
        return self.was == self.before.parameters and has_arms(self.was)

    @property
    def raised(self) -> bool:
        """True when the published vector rose in any parameter."""
        return not self.out.is_at_most(self.was)

    @property
    def reason(self) -> Reason:
        """Why the decision is what it is."""
        return self.decision.reason

    @property
    def lifts(self) -> str:
        """The verb of a request that may lift a latch, if this pass answered one."""
        handled = self.decision.status.last_handled_request
        asked = self.seen.requests.request or ""
        verb = asked.partition(":")[0]
        known = self.before.last_handled_request
        if verb not in ("retry", "restart") or (known is not None and known.request == asked) or handled is None:
            return ""
        return verb if handled.request == asked and (handled.outcome or "").endswith("done") else ""

    @property
    def token(self) -> str:
        """Of the request that is there; empty where there is none."""
        return (self.seen.requests.request or "").rpartition("@")[2]

    def required(self) -> list[GateSpec]:
        """The required gates that apply in the stage where the rollout stood; a comparison needs two arms."""
        asked = [gate for gate in self._asked() if gate.is_required]
        return [gate for gate in asked if self.news[gate.name] is not News.SILENT]

    def comparing(self) -> list[GateSpec]:
        """The gates that compare the arms there and act on it."""
        acting = [gate for gate in self._asked() if gate.on_regression is not OnRegression.REPORT]
        return [gate for gate in acting if gate.comparison is not None]

    def _asked(self) -> list[GateSpec]:
        stage, vector = self.decision.status.stage, self.decision.status.parameters or OFF
        name = self.plan.first.name if stage is None else stage.name
        arms = stage is not None and has_arms(vector)
        return [
            gate
            for gate in self.spec.gates
            if (not gate.stages or name in gate.stages) and (arms or gate.comparison is None)
        ]

    def publication(self) -> PublishFlags | None:
        """The document that the decision publishes."""
        return next((command for command in self.decision.commands if isinstance(command, PublishFlags)), None)


def has_arms(vector: Vector) -> bool:
    """True when both arms have a share of the users."""
    return vector.mode is Mode.LIVE and 0 < vector.canary_percent < 100


Judge = Callable[["Walk", Tick], None]


@dataclass
class Memory:
    """What the judges remember; empty again when nothing is left of a rollout.

    ``latched``: severity and generation of the last latch published. ``fell_at``: when the last latch was published.
    ``blind_since``: when each gate began to have no data, as far as nothing but time has passed since. ``fell``: gates
    that were bad when something fell, since there is a latch. ``anew_from``: when such a latch was lifted, by gate.
    ``tokens``: of the requests that were answered.
    """

    latched: tuple[Severity, int] | None = None
    salts: tuple[str, str] | None = None
    fell_at: float | None = None
    blind_since: dict[str, float] = field(default_factory=dict)
    stage: str = ""
    fell: set[str] = field(default_factory=set)
    anew_from: dict[str, float] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)


class Walk:
    """One case under way."""

    made_of: type[WalkWorld] = WalkWorld

    def __init__(self, data: bytes, judges: Sequence[Judge]) -> None:
        self.dna = bytearray(data[:DNA_SIZE])
        self.draws = Draws(data[DNA_SIZE + START_SIZE :])
        self.judges = judges
        start = Draws(data[DNA_SIZE : DNA_SIZE + START_SIZE])
        self.world: WalkWorld = begin(self.spec_of(bytes(self.dna)), start, self.made_of)
        if start.one_in(6):
            self.world.split = start.pick((Split.DOUBLED, Split.LOST))
        self.edited = False
        self.tokens = 0
        self.rewound = False
        """The clock has gone back, so that times no longer tell what came first."""
        self.passes = 0
        self.disturbed = True
        """Something but time has passed since the last whole pass."""
        self.snapshot: RolloutStatus | None = None
        self.stale: Observation | None = None
        self.on_its_way: tuple[Published | None, PublishFlags] | None = None
        self.looks_twice_at = 1 + self.draws.below(MOST_PASSES)
        """The pass of which the same inputs are put to the engine again."""
        self.memory = Memory()
        published = self.world.published
        if published is not None and published.latch is not None:
            self.memory.latched = (published.latch.severity, published.latch.generation)
            self.memory.fell_at = published.published_at
        self.tally: Counter[str] = Counter()
        self.story: list[object] = [self.world.spec, (self.world.status, self.world.published)]

    def spec_of(self, dna: bytes) -> RolloutSpec:
        """The spec that these bytes stand for in this kind of walk."""
        return spec_of(dna)

    def counts_again_after(self, gate: GateSpec) -> float:
        """Seconds after a fall or a retry before a gate's evidence is all from after it, at the earliest."""
        return gate.window or 0.0

    def tick(self, seconds: float | None = None, cut: int | None = None, seen: Observation | None = None) -> None:
        """One pass, judged; ``seconds`` None = as long as the last decision wished."""
        world = self.world
        if self.passes >= MOST_PASSES:
            return
        self.passes += 1
        planned = world.last.next_decision_at if world.last and world.last.next_decision_at else world.now + 5.0
        world.now = max(world.now, planned) if seconds is None else world.now + seconds
        self.rewound = self.rewound or (seconds or 0.0) < 0
        if self.memory.fell_at is not None:
            # After a clock that went back nobody knows when it was; the engine counts from what it is now.
            self.memory.fell_at = min(self.memory.fell_at, world.now)
        fresh = world.observe()
        seen = seen or fresh
        before, published_before = world.status, world.published
        decision = world.decide_from(seen, world.now)
        world.last = decision
        publish = next((command for command in decision.commands if isinstance(command, PublishFlags)), None)
        refused = publish is not None and seen.published is not published_before
        world.apply(decision, 0 if refused else cut)
        if cut == 1 and publish is not None and decision.direction is Direction.RISE:
            self.on_its_way = (world.published, publish)
        whole = cut is None and seen is fresh
        edited, self.edited = self.edited, self.edited and world.status.observed_generation != world.generation
        tick = Tick(
            world.spec,
            plan_of(world.spec),
            seen,
            world.now,
            before,
            published_before,
            decision,
            world.status,
            world.published,
            whole,
            edited,
            self.news(seen is fresh),
        )
        self._judge(tick, cut)
        world.a_pass_is_over()
        self.stale, self.disturbed = fresh, not whole

    def news(self, _fresh: bool) -> dict[str, News]:
        """What each gate's evidence is in this pass; not ``fresh``: the pass looks at an observation of before."""
        return {gate.name: self.world.news(gate) for gate in self.world.spec.gates}

    def _judge(self, tick: Tick, cut: int | None) -> None:
        decision = tick.decision
        self.tally[f"{decision.direction} {decision.reason}"] += 1
        self.story.append((tick.now, decision, cut))
        for judge in self.judges:
            judge(self, tick)

    def edit(self, spec: RolloutSpec) -> None:
        """A person changes the spec."""
        self.world.edit(spec)
        self.edited = True

    def forget(self) -> None:
        """Neither status nor document are left: as good as a new object."""
        self.snapshot = None
        self.memory = Memory()

    def problem(self, reason: Reason) -> None:
        """Something outside the spec stalls the rollout."""
        self.world.problems = (Problem(reason, "somebody must act"),)


def told(story: Sequence[object]) -> str:
    """The story of a walk for people; put together only when something was found."""
    return "\n".join(_line(part) for part in story)


def _line(part: object) -> str:
    match part:
        case (float(now), Decision() as decision, cut):
            note = "" if cut is None else f" (cut after {cut} writes)"
            return f"+{now - START:g}s {decision.direction} {decision.reason}: {decision.message}{note}"
        case (RolloutStatus() as status, published):
            stage = status.stage
            place = f"{stage.name} ramp {stage.ramp_seconds:g}s bake {stage.bake_seconds:g}s" if stage else "no stage"
            return f"in {place}, in force {status.parameters}, latch {status.rollback}, published {published}"
        case _:
            return str(part)
