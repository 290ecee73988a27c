"""What happens to a rollout in engine tests, and where it then stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.support.builders import (
    RolloutBuilder,
    World,
    a_ladder,
    a_rollout,
    a_running,
    inconclusive,
    regresses,
)
from veriramp_operator.api.rollout import OnRegression, Promotion
from veriramp_operator.engine.types import (
    Decision,
    WorkerSeen,
)
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode

Change = Callable[[World], None]


def ask(world: World, verb: str, stage: str, token: str = "t1") -> Decision:  # noqa: S107 no password
    world.requests = replace(world.requests, request=f"{verb}:{stage}@{token}")
    return world.tick(1)


def asking(verb: str, stage: str) -> Change:
    def change(world: World) -> None:
        world.requests = replace(world.requests, request=f"{verb}:{stage}@t1")

    return change


def stage_of(world: World) -> str:
    return world.status.stage.name if world.status.stage else ""


def outcome(world: World) -> str:
    handled = world.status.last_handled_request
    return (handled.outcome if handled else None) or ""


def fallen(action: OnRegression, stage: str = "half") -> World:
    """Rolled back from a stage, the gate healthy again."""
    world = a_running(a_rollout_of(action))
    world.run_to(stage, full=True)
    world.says["errors"] = regresses
    world.tick(5)
    world.says.clear()
    return world


def a_rollout_of(action: OnRegression) -> RolloutBuilder:
    return replace(a_ladder(), gates=()).with_gate("errors", action)


def baking() -> World:
    """In the Live stage "half", at its full vector."""
    world = a_running(a_ladder().with_stage("full", canary=100).with_worker("orchestrator"))
    world.run_to("half")
    world.run(60)
    return world


def kill(world: World) -> None:
    world.edit(world.spec.model_copy(update={"kill_switch": True}))


def lag(world: World) -> None:
    world.applied_revision = 0
    assert world.status.propagation is not None
    unconfirmed = world.status.propagation.model_copy(update={"confirmed_at": None, "laggards": ("search-1",)})
    world.status = world.status.model_copy(update={"propagation": unconfirmed})


def break_worker(world: World) -> None:
    world.workers["orchestrator"] = WorkerSeen("orchestrator", 1, 0, since=world.now)


def leaning(at: float) -> Verdict:
    return inconclusive(at, leans_bad=True)


def four_stages(promotion: Promotion = Promotion.AUTO, action: OnRegression = OnRegression.SHADOW) -> RolloutBuilder:
    """Shadow, 5 %, 10 % (bake 10 min, maxBake 20 min), everybody; watched by one gate."""
    return (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05, bake=60.0)
        .with_stage("five", canary=5, weight=0.1, bake=60.0)
        .with_stage("ten", canary=10, bake=600.0, max_bake=1200.0, promotion=promotion)
        .with_stage("all", canary=100)
        .with_gate("errors", action)
    )
