"""A retry after an alert by name: what goes on from before waits for its window, what begins anew trips at once."""

from __future__ import annotations

from tests.support.builders import a_ladder, passes, regresses
from tests.support.monitored_machine import MonitoredWorld, real
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.engine.types import Requests
from veriramp_sdk.contract import Mode

WINDOW = 300.0


def retried() -> MonitoredWorld:
    """Fallen by an alert, which then ended, retried, and Live again within the window."""
    plan = real(a_ladder().with_gate("quality", OnRegression.SHADOW).build())
    gates = tuple(gate.model_copy(update={"window": WINDOW}) if gate.firing else gate for gate in plan.gates)
    world = MonitoredWorld(plan.model_copy(update={"gates": gates}))
    world.run_to("half")
    world.says["quality"] = regresses
    world.run(30)
    assert world.vector().mode is Mode.SHADOW
    world.says["quality"] = passes
    world.requests = Requests(request="retry:half@t1")
    for _ in range(200):
        world.run(1)
        if world.vector().mode is Mode.LIVE:
            break
    assert world.status.rollback is None
    assert world.now < world.status.anchors[0].at + WINDOW
    return world


def test_an_alert_that_begins_after_the_retry_trips_within_its_window() -> None:
    world = retried()
    world.says["quality"] = regresses
    decision = world.tick(1)
    assert decision.reason is Reason.REGRESSION
    world.run(30)
    assert world.vector().mode is Mode.SHADOW


def test_an_alert_from_before_the_retry_only_holds_for_its_window() -> None:
    world = retried()
    world.began["quality"] = world.status.anchors[0].at - 1
    world.says["quality"] = regresses
    assert world.tick(1).reason is Reason.EVIDENCE_LEANS_BAD
    world.run(400)
    assert world.vector().mode is Mode.SHADOW
    assert world.status.rollback is not None
