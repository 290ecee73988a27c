"""A rollout whose two arms are compared scrape by scrape, from the first one to a rollback, as its journal tells it.

Public: :func:`a_compared_run`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from tests.support.builders import World, a_rollout
from veriramp_operator.api.rollout import ComparisonGate, GateSpec, OnRegression
from veriramp_operator.engine import decide
from veriramp_operator.evidence.counts import Row, extend
from veriramp_operator.evidence.types import Counts, Occupied, Reading, Samples, Series
from veriramp_operator.resources.journal import JournalEntry
from veriramp_sdk.contract import Mode

_GATE: Final = GateSpec(
    name="vs-control",
    comparison=ComparisonGate(events="errors_total", total="requests_total"),
    on_regression=OnRegression.SHADOW,
)


def a_compared_run(passes: int = 1300, every: int = 13) -> list[JournalEntry]:
    """Every so many decisions, and all with commands. It is long enough that old intervals are merged; in the end the
    treatment is worse."""
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.1, bake=60.0)
    canary = builder.with_stage("canary", canary=20, weight=0.1, bake=86400.0)
    world = World(replace(canary, gates=(_GATE,)).with_(allow_unguarded=True).build())
    chance, entries, counts = random.Random(7), list[JournalEntry](), Counts(world.now, world.now)
    for number in range(passes):
        world.now += 15.0
        counts = extend(counts, [_scrape(world.now, chance, 0.01 if number < passes - 40 else 0.2)], world.now, 15.0)
        readings = (Reading(world.now, Series(()), newest=Series((world.now,))),)
        samples = Samples(readings, counts=counts, occupied=Occupied(world.now, 2000, 8000))
        seen = replace(world.observe(), samples={_GATE.name: samples})
        decision = decide(world.spec, world.status, seen, world.now)
        if number % every == 0 or decision.commands:
            entries.append(JournalEntry(world.now, seen.namespace, seen.name, world.spec, world.status, seen, decision))
        world.apply(decision)
    assert world.status.rollback is not None
    assert len(counts.at) < passes
    return entries


def _scrape(at: float, chance: random.Random, bad: float) -> Row:
    treated, control = chance.randint(100, 140), chance.randint(400, 560)
    events = [
        sum(chance.random() < share for _ in range(requests)) for share, requests in ((bad, treated), (0.01, control))
    ]
    return at, 15.0, float(events[0]), float(treated), float(events[1]), float(control)
