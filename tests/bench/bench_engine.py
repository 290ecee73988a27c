"""How long one decision takes, evidence and judge included.

A rollout with 20 alert gates in the middle of a ramp. Each pass finds a new reading of every gate, or of one gate, as
most do. Two figures of each: the pass as it comes, in CPU time, and the same decision again, the best of some repeats
apart in time, which is what it takes where nobody else is on the core. One and the same decision over and over, timed
as the passes are, tells how much of the first figure is the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from tests.bench import report
from tests.support.builders import World, a_rollout
from veriramp_operator.api.rollout import RampSpec, RolloutSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine import decide
from veriramp_operator.engine.types import Decision, Observation
from veriramp_operator.evidence.types import Reading, Samples, Series
from veriramp_sdk.contract import Mode

GATES: Final = 20
READINGS: Final = 41
PASSES: Final = 5000
WARM_UP: Final = 200
EVERY: Final = 15.0
REPEATED: Final = 10
REPEATS: Final = 9
BAR: Final = 200.0


def a_spec() -> RolloutSpec:
    """Six stages and 20 gates."""
    builder = a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05, bake=0.0)
    for percent in (5, 25, 50, 75, 100):
        ramp = RampSpec(duration=336 * 3600, interval=600)
        builder = builder.with_stage(f"canary-{percent}", canary=percent, weight=0.1, ramp=ramp, bake=86400.0)
    for number in range(GATES):
        builder = builder.with_gate(f"gate-{number}")
    return builder.build()


def a_reading(at: float) -> Reading:
    """A healthy poll."""
    return Reading(at, Series(()), Series((40.0,)), Series((at,)))


@dataclass(frozen=True, slots=True)
class Input:
    """What one decision is made of."""

    spec: RolloutSpec
    status: RolloutStatus
    seen: Observation
    now: float

    def decide(self) -> Decision:
        """Make it."""
        return decide(self.spec, self.status, self.seen, self.now)


@dataclass
class Monitored:
    """A rollout with ten minutes of polls of each gate; ``fresh``: how many gates have a new one in each pass."""

    fresh: int
    world: World = field(default_factory=lambda: World(a_spec()))
    samples: dict[str, Samples] = field(default_factory=dict)

    def __post_init__(self) -> None:
        polls = [self.world.now - EVERY * back for back in reversed(range(READINGS))]
        self.samples = {gate.name: Samples(tuple(map(a_reading, polls))) for gate in self.world.spec.gates}

    def passes(self, count: int) -> Iterator[Input]:
        """So many passes; each decision must be applied before the next."""
        names = list(self.samples)
        for number in range(count):
            self.world.now += EVERY * self.fresh / GATES
            for name in names[number * self.fresh % GATES :][: self.fresh]:
                self.samples[name] = Samples((*self.samples[name].readings[1:], a_reading(self.world.now)))
            seen = replace(self.world.observe(), samples=dict(self.samples))
            yield Input(self.world.spec, self.world.status, seen, self.world.now)


def measure(fresh: int) -> tuple[list[float], list[float]]:
    """Microseconds of each pass as it comes (CPU time), and of every tenth the best of the repeats (by the clock)."""
    monitored = Monitored(fresh)
    taken, kept = [], []
    for number, each in enumerate(monitored.passes(WARM_UP + PASSES)):
        before = time.thread_time()
        decision = each.decide()
        if number >= WARM_UP:
            taken.append((time.thread_time() - before) * 1e6)
            kept += [each] if number % REPEATED == 0 else []
        monitored.world.apply(decision)
    assert monitored.world.status.stage is not None
    rounds = [[_microseconds(each.decide) for each in kept] for _ in range(REPEATS)]
    return taken, [min(times) for times in zip(*rounds, strict=True)]


def _microseconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return (time.perf_counter() - before) * 1e6


def over_and_over() -> list[float]:
    """Microseconds of CPU of one and the same decision, again and again: all that differs is the machine."""
    *_, each = Monitored(GATES).passes(1)
    taken = []
    for _ in range(PASSES):
        before = time.thread_time()
        each.decide()
        taken.append((time.thread_time() - before) * 1e6)
    return taken


def main() -> None:
    """Measure and write build/bench/engine.json."""
    figures = []
    for fresh, bar in ((GATES, True), (1, False)):
        name = f"decide() with {GATES} gates, " + (f"{fresh} new readings" if fresh > 1 else "one new reading")
        taken, best = measure(fresh)
        figures += [
            report.stated(f"{name}, p50", report.percentile(taken, 0.5), "us"),
            _held(f"{name}, p99", report.percentile(taken, 0.99), bar=bar),
            _held(f"{name}, best of {REPEATS} repeats, p99 of the inputs", report.percentile(best, 0.99), bar=bar),
        ]
    same = over_and_over()
    figures += [
        report.stated("the same decision over and over, p50", report.percentile(same, 0.5), "us"),
        report.stated("the same decision over and over, p99", report.percentile(same, 0.99), "us"),
    ]
    settings = {"decisions": PASSES, "readings kept per gate": READINGS, "inputs repeated": PASSES // REPEATED}
    report.write("engine", figures, settings)


def _held(what: str, value: float, *, bar: bool) -> report.Figure:
    return report.at_most(what, value, "us", BAR) if bar else report.stated(what, value, "us")


if __name__ == "__main__":
    main()
