"""The rollouts of ``examples/rollouts`` in virtual time: their plans as they stand, their evidence as a test says."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.support.builders import World
from tests.support.rollouts import ROOT
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.cli.files import load_rollout
from veriramp_operator.engine.stages import plan_of
from veriramp_operator.engine.types import Decision, Direction
from veriramp_sdk.contract import Mode

EXAMPLES: Final = ROOT / "examples" / "rollouts"
PATTERNS: Final = ("ab-test", "every-trigger", "phases", "short-canary", "three-steps")
"""The patterns to start from; the other files there are for learning and for the demo."""
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
_PASSING: Final = frozenset({Reason.PENDING, Reason.NOT_PROPAGATED, Reason.WORKERS_NOT_READY})
_QUIET_STEP: Final = 600.0


def example(name: str) -> RolloutSpec:
    """The spec of one example."""
    return load_rollout(str(path_of(name))).spec


def path_of(name: str) -> Path:
    """Its file."""
    return EXAMPLES / f"{name}.yaml"


def declared(spec: RolloutSpec, gate: GateSpec, stage: str) -> Vector:
    """Where the gate's onRegression leads from a stage's full vector."""
    rungs = plan_of(spec).rungs
    index = [rung.name for rung in rungs].index(stage)
    if gate.on_regression is OnRegression.KILL_SWITCH:
        return OFF.model_copy(update={"top_k": rungs[index].vector.top_k})
    if gate.on_regression is OnRegression.PREVIOUS_STAGE:
        return rungs[index - 1].vector if index else OFF
    shadow = [rung.vector for rung in rungs if rung.vector.mode is Mode.SHADOW][-1]
    return shadow.model_copy(update={"sampling_rate": min(shadow.sampling_rate, rungs[index].vector.sampling_rate)})


def climbing(name: str, start: float | None = None) -> World:
    """The example, nothing decided yet."""
    world = World(example(name))
    world.now = world.now if start is None else start
    return world


def passes(world: World, seconds: float) -> Iterator[Decision]:
    """Pass after pass for so long, at the moments that the engine names or, while nothing happens, every 10 minutes."""
    end = world.now + seconds
    while world.now < end:
        due = world.last.next_decision_at if world.last else None
        step = max(due or 0.0, world.now + 1.0) - world.now
        clock = world.status.clock
        if world.last is not None and _is_quiet(world.last) and clock is not None:
            # The passes in between would all have found the same: their time counts in full.
            step = max(step, _QUIET_STEP)
            world.status = world.status.model_copy(update={"clock": clock.model_copy(update={"interval": step})})
        yield world.tick(min(step, end - world.now))


def _is_quiet(last: Decision) -> bool:
    return last.direction is Direction.HOLD and last.reason not in _PASSING


def run(world: World, seconds: float) -> list[tuple[float, Vector]]:
    """Let so much time pass; what rose, and when."""
    return [(world.now, world.vector()) for seen in passes(world, seconds) if seen.direction is Direction.RISE]


@functools.cache
def _reached(name: str, stage: str, start: float | None) -> World:
    world = climbing(name, start)
    run_to(world, stage)
    return world


def at(name: str, stage: str, start: float | None = None) -> World:
    """The example at the moment at which a stage has begun."""
    return copy.deepcopy(_reached(name, stage, start))


def run_to(world: World, stage: str, *, full: bool = False, at_most: float = 90 * DAY) -> None:
    """Pass after pass until a stage has begun; ``full``: and its vector is published. Approves what waits for it."""
    for seen in passes(world, at_most):
        approve(world, seen)
        here = world.status.stage
        if here is not None and here.name == stage and (not full or here.ramp_fraction == 1.0):
            return
    raise AssertionError(f"never reached {stage}: {world.status.reason} {world.status.message}")


def approve(world: World, seen: Decision) -> None:
    """A person's ``promote``, where one is waited for."""
    if seen.reason == "ApprovalRequired":
        ask(world, "promote")


def ask(world: World, verb: str, stage: str | None = None) -> None:
    """A request annotation about the present stage, or another."""
    here = world.status.stage
    name = stage or (here.name if here is not None else "")
    world.requests = replace(world.requests, request=f"{verb}:{name}@{world.now}")
