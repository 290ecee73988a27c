"""The stage list as a ladder of whole vectors, with a rollout's place on it when the list is edited.

Public: :class:`Rung`, :class:`Asking`, :class:`Plan`, :func:`plan_of`, :func:`enter`, :func:`at_first`,
:func:`reanchor`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.problems import problems
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec, StageSpec
from veriramp_operator.api.status import StageStatus
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.evidence import window_of
from veriramp_operator.evidence.memo import by_identity
from veriramp_sdk.contract import Mode

MAX_BAKE_FACTOR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage with everything it leaves out filled in. ``bake`` and ``max_bake`` in healthy seconds.

    ``hash``: two parts, ``<stage list>-<this stage's path>``; the second holds name, vector and ramp.
    """

    index: int
    name: str
    spec: StageSpec
    vector: Vector
    bake: float
    max_bake: float
    hash: str

    @property
    def path_hash(self) -> str:
        """The part of the hash that tells whether the way to this stage's vector is still the same."""
        return self.hash.partition("-")[2]


@dataclass(frozen=True, slots=True)
class Asking:
    """A gate with what a pass would otherwise work out again.

    ``stages``: that it is for, empty for all. ``window`` in seconds. ``required``: promotion needs its Pass. ``acts``:
    it does not only report. ``compares``: it acts, on a comparison of the arms.
    """

    gate: GateSpec
    name: str
    stages: tuple[str, ...]
    window: float
    required: bool
    acts: bool
    compares: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a spec means, worked out once.

    ``every``: seconds after which the first gate is asked again. ``compares``: some gate compares the arms.
    ``unguarded``: a Live stage may begin although no required gate applies.
    ``broken``: a sentence per rule of the CRD that the spec breaks (an object may be older than a rule).
    """

    rungs: tuple[Rung, ...]
    gates: tuple[Asking, ...]
    every: float = math.inf
    compares: bool = False
    unguarded: bool = False
    broken: tuple[str, ...] = ()

    @property
    def first(self) -> Rung:
        """The stage in which every rollout starts."""
        return self.rungs[0]

    def named(self, name: str) -> Rung | None:
        """The stage of this name."""
        return next((rung for rung in self.rungs if rung.name == name), None)

    def at(self, stage: StageStatus) -> Rung:
        """The rung that an anchored stage stands on."""
        return self.rungs[stage.index]

    def after(self, stage: StageStatus | None) -> Rung | None:
        """The stage to enter next; None after the last."""
        index = 0 if stage is None else stage.index + 1
        return self.rungs[index] if index < len(self.rungs) else None

    def below(self, index: int) -> Rung | None:
        """The stage before this one; None below the first."""
        return self.rungs[index - 1] if index > 0 else None

    def shadow_below(self, index: int) -> Rung | None:
        """The last Shadow stage at or below this one."""
        found = [rung for rung in self.rungs[: index + 1] if rung.vector.mode is Mode.SHADOW]
        return found[-1] if found else None


def enter(rung: Rung, in_force: Vector, now: float, *, reentry: bool = False) -> StageStatus:
    """Stand at the start of a stage: what must fall to be within its vector has fallen, nothing has risen."""
    return StageStatus(
        name=rung.name,
        index=rung.index,
        hash=rung.hash,
        entered_at=now,
        start=in_force.meet(rung.vector),
        reentry=reentry,
    )


def at_first(plan: Plan, in_force: Vector, now: float) -> StageStatus | None:
    """Start over: before the first stage when everything is off, else at its start."""
    return None if in_force.mode is Mode.OFF else enter(plan.first, in_force, now)


def reanchor(plan: Plan, stage: StageStatus | None, in_force: Vector, now: float) -> StageStatus | None:
    """Find the place in an edited stage list by name and vector; never a stage further on than was reached.

    The same stage on the same path keeps its clocks; otherwise its ramp begins again at what is in force.
    """
    if stage is None:
        return None
    named = plan.named(stage.name)
    if named is not None and named.hash == stage.hash and named.index == stage.index:
        return stage
    if named is None:
        return enter(_reached(plan, in_force), in_force, now)
    rung = named
    while (before := plan.below(rung.index)) and not before.vector.meet(rung.vector).is_at_most(in_force):
        rung = before
    if rung is named and named.path_hash == stage.hash.partition("-")[2]:
        return stage.model_copy(update={"index": rung.index, "hash": rung.hash})
    return enter(rung, in_force, now)


def _reached(plan: Plan, in_force: Vector) -> Rung:
    """The first stage of this very vector; without one the last that the vector has passed."""
    reached = plan.first
    for rung in plan.rungs:
        if rung.vector == in_force:
            return rung
        if not rung.vector.is_at_most(in_force):
            break
        reached = rung
    return reached


def _plan(spec: RolloutSpec) -> Plan:
    vectors = _vectors(spec.stages)
    whole = _digest([stage.to_api() for stage in spec.stages])
    gates = tuple(_asking(gate) for gate in spec.gates)
    return Plan(
        tuple(_rung(index, spec.stages[index], vectors[index], whole) for index in range(len(vectors))),
        gates,
        min((gate.every for gate in spec.gates), default=math.inf),
        any(asking.compares for asking in gates),
        spec.allow_unguarded,
        problems(spec),
    )


plan_of: Final = by_identity(_plan)
"""Work a spec out; remembered per spec object, because every pass asks."""


def _asking(gate: GateSpec) -> Asking:
    acts = gate.on_regression is not OnRegression.REPORT
    return Asking(
        gate=gate,
        name=gate.name,
        stages=gate.stages,
        window=window_of(gate),
        required=gate.is_required,
        acts=acts,
        compares=acts and gate.comparison is not None,
    )


def _rung(index: int, stage: StageSpec, vector: Vector, whole: str) -> Rung:
    bake = stage.bake_seconds
    path = [stage.name, vector.to_api(), stage.ramp.to_api() if stage.ramp else None]
    return Rung(
        index,
        stage.name,
        stage,
        vector,
        bake,
        MAX_BAKE_FACTOR * bake if stage.max_bake is None else stage.max_bake,
        f"{whole}-{_digest(path)}",
    )


def _vectors(stages: tuple[StageSpec, ...]) -> list[Vector]:
    vectors: list[Vector] = []
    before = OFF
    for stage in stages:
        before = Vector(
            mode=stage.mode,
            sampling_rate=_or(stage.sampling_rate, before.sampling_rate),
            canary_percent=_or(stage.canary_percent, before.canary_percent),
            ranking_weight=_or(stage.ranking_weight, before.ranking_weight),
            top_k=before.top_k if stage.top_k is None else stage.top_k,
        )
        before = before.settled().quantised()
        vectors.append(before)
    return vectors


def _or(value: float | None, inherited: float) -> float:
    return inherited if value is None else value


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
