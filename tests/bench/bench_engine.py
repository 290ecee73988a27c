"""How long one decision takes, evidence and judge included.

A rollout with 20 alert gates in the middle of a ramp, CPU time of each pass.
"""

from __future__ import annotations

import gc
import time
from typing import Final

from tests.bench import report
from tests.support.builders import World, a_rollout
from veriramp_operator.api.rollout import RampSpec, RolloutSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine import decide
from veriramp_operator.engine.types import Observation
from veriramp_operator.evidence.types import Reading, Samples, Series
from veriramp_sdk.contract import Mode

GATES: Final = 20
READINGS: Final = 40
PASSES: Final = 5000
EVERY: Final = 15.0


def a_spec() -> RolloutSpec:
    """Six stages and 20 gates."""
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05, bake=0.0)
    for percent in (5, 25, 50, 75, 100):
        ramp = RampSpec(duration=336 * 3600, interval=600)
        builder = builder.with_stage(f"canary-{percent}", canary=percent, weight=0.1, ramp=ramp, bake=86400.0)
    for number in range(GATES):
        builder = builder.with_gate(f"gate-{number}")
    return builder.build()


def samples_at(now: float) -> Samples:
    """Ten minutes of healthy polls."""
    nothing, present = Series(()), Series((40.0,))
    readings = tuple(
        Reading(now - EVERY * back, nothing, present, Series((now - EVERY * back,))) for back in range(READINGS, -1, -1)
    )
    return Samples(readings)


def observation_at(world: World) -> Observation:
    """What a pass sees, with samples for each gate."""
    samples = samples_at(world.now)
    seen = world.observe()
    return Observation(
        namespace=seen.namespace,
        name=seen.name,
        uid=seen.uid,
        generation=seen.generation,
        published=seen.published,
        propagation=seen.propagation,
        samples={gate.name: samples for gate in world.spec.gates},
        salts=seen.salts,
    )


def measure() -> list[float]:
    """Microseconds of CPU of each decision (a shared machine delays, it does not compute); status goes on with each."""
    world = World(a_spec())
    took = []
    for number in range(PASSES + 200):
        world.now += EVERY
        seen, status = observation_at(world), world.status
        before = time.thread_time()
        decision = decide(world.spec, status, seen, world.now)
        if number >= 200:
            took.append((time.thread_time() - before) * 1e6)
        world.apply(decision)
    assert isinstance(world.status, RolloutStatus)
    assert world.status.stage is not None
    return took


def main() -> None:
    """Measure and write build/bench/engine.json."""
    gc.disable()
    took = measure()
    gc.enable()
    figures = [
        report.stated("decide() with 20 gates, p50", report.percentile(took, 0.5), "us"),
        report.at_most("decide() with 20 gates, p99", report.percentile(took, 0.99), "us", 200),
    ]
    settings = {"decisions": PASSES, "readings kept per gate": READINGS + 1}
    report.write("engine", figures, settings)


if __name__ == "__main__":
    main()
