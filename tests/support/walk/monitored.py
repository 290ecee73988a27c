"""Walks with real readings and the real judge of evidence between what gates are told and what the engine hears."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.monitored_machine import MonitoredWorld, real
from tests.support.walk.specs import spec_of
from tests.support.walk.walk import Tick, Walk
from tests.support.walk.world import WalkWorld
from veriramp_operator.api.rollout import GateSpec, RolloutSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import Mark


@dataclass
class MonitoredWalkWorld(WalkWorld, MonitoredWorld):
    """Gates are polled; what they are told to say moves what monitoring answers."""


class MonitoredWalk(Walk):
    """A walk through such a world; without comparisons, whose counters nobody counts here."""

    made_of = MonitoredWalkWorld

    def spec_of(self, dna: bytes) -> RolloutSpec:
        spec = spec_of(dna)
        gates = tuple(gate for gate in spec.gates if gate.comparison is None)
        unguarded = spec.allow_unguarded or not any(gate.is_required for gate in gates)
        return real(spec.model_copy(update={"gates": gates, "allow_unguarded": unguarded}))


def asked(walk: Walk, tick: Tick) -> list[tuple[GateSpec, Mark, VerdictKind]]:
    """The gates that applied in a pass: what their newest poll said, and the verdict."""
    assert isinstance(walk.world, MonitoredWorld)
    verdicts = {gate.name: gate.verdict for gate in tick.decision.status.gates}
    return [
        (gate, walk.world.mark(gate), verdicts[gate.name])
        for gate in tick.spec.gates
        if verdicts[gate.name] is not VerdictKind.NOT_APPLICABLE
    ]
