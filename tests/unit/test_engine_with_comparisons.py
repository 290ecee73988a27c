"""A rollout whose arms are compared: its way back after a retry, its history not yet read, a process that was away."""

from __future__ import annotations

import pytest

from tests.support.builders import a_no_data_policy, a_rollout, no_data, passes, regresses
from tests.support.engine_acts import ask
from tests.support.evidence import comparison_gate
from tests.support.walk.world import WalkWorld
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import OnRegression, RampSpec, RolloutSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.engine.types import Direction
from veriramp_operator.evidence import VerdictReason
from veriramp_operator.evidence.types import Verdict
from veriramp_sdk.contract import Mode


def compared(at: float, *, leans_bad: bool = False) -> Verdict:
    """What a comparison says on a ramp at best: a Pass is only of the bake."""
    return Verdict(
        VerdictKind.INCONCLUSIVE, VerdictReason.UNCERTAIN, "no Pass on the ramp", 1.0, 9, at, leans_bad=leans_bad
    )


def unread(at: float) -> Verdict:
    return Verdict(VerdictKind.NO_DATA, NoDataReason.CATCHING_UP, "reading the history", observed_at=at)


def never_asked(_at: float) -> Verdict:
    return Verdict(VerdictKind.NO_DATA, NoDataReason.NEVER_ASKED, "monitoring has not been asked yet")


def a_world(action: str = "Hold", **fields: object) -> WalkWorld:
    spec: RolloutSpec = (
        a_rollout()
        .with_stage("shadow", Mode.SHADOW, rate=0.05)
        .with_stage("canary", canary=6, weight=0.1, ramp=RampSpec(duration=600, interval=60))
        .with_stage("half", canary=50)
        .with_gate("errors", OnRegression.SHADOW)
        .with_(on_no_data=a_no_data_policy(300.0, action), **fields)
        .build()
    )
    versus = comparison_gate(name="versus", onRegression="Shadow")
    return WalkWorld(spec.model_copy(update={"gates": (*spec.gates, versus)}))


def fallen_and_retried() -> WalkWorld:
    world = a_world()
    world.run_to("half")
    world.says["errors"] = regresses
    world.run(30)
    assert world.vector().mode is Mode.SHADOW
    world.says.clear()
    world.says["versus"] = compared
    ask(world, "retry", "half")
    return world


def test_the_way_back_needs_no_pass_that_only_a_bake_can_give() -> None:
    world = fallen_and_retried()
    rises = []
    for _ in range(400):
        decision = world.tick(5)
        rises += [world.vector().canary_percent] if decision.direction is Direction.RISE else []
    assert world.vector().canary_percent == 6, (world.status.reason, world.status.message)
    assert len(rises) >= 3


@pytest.mark.parametrize(
    "versus",
    [
        lambda at: compared(at, leans_bad=True),
        lambda at: Verdict(VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP, "first scrapes", observed_at=at),
        unread,
    ],
)
def test_the_way_back_still_waits_for_what_a_comparison_can_say(versus: object) -> None:
    world = fallen_and_retried()
    for _ in range(400):
        world.tick(5)
        if world.vector().canary_percent > 0:
            break
    begun = world.vector().canary_percent
    world.says["versus"] = versus
    world.run(1200)
    assert world.vector().canary_percent == begun < 6


def test_nothing_rises_on_a_history_that_is_not_read_and_nothing_falls_for_it() -> None:
    world = a_world("Shadow", on_inconclusive="Promote")
    world.run_to("canary", full=True)
    world.says["versus"] = unread
    begun = world.vector()
    for _ in range(200):
        world.tick(5)
    assert world.vector() == begun
    assert world.status.reason == Reason.NO_DATA
    assert world.status.rollback is None


def test_time_without_anybody_who_asks_is_no_time_without_data() -> None:
    world = a_world("Shadow")
    world.run_to("canary", full=True)
    world.says["errors"] = no_data
    world.run(30)
    world.now += 3600  # nobody runs the operator
    world.says["errors"] = never_asked
    assert world.tick(5).direction is Direction.HOLD
    world.says["errors"] = passes
    world.run(30)
    assert world.status.rollback is None


def test_a_new_process_that_never_gets_data_falls_after_its_own_wait() -> None:
    world = a_world("Shadow")
    world.run_to("canary", full=True)
    world.says["errors"] = no_data
    world.run(290)
    world.says["errors"] = never_asked
    world.tick(5)
    world.says["errors"] = no_data
    world.run(320)
    assert world.status.rollback is not None
    assert world.vector().mode is Mode.SHADOW
