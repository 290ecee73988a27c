"""Faults that the walks of ``test_engine_invariants.py`` have found, each pinned by a case of its own."""

from __future__ import annotations

from dataclasses import replace

from tests.support.builders import World, a_ladder, a_rollout, a_running, regresses
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression, RampSpec, WindowSpec
from veriramp_operator.api.status import EvidenceAnchor
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode


def test_nothing_rises_on_a_missing_document_though_it_said_off() -> None:
    """The flag servers make Off of it at the next revision: that number must not be used for a rise."""
    world = World(a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).build())
    world.tick(5)
    world.tick(0)
    assert world.vector() == OFF
    world.published = None

    decision = world.tick(5)

    assert decision.direction is not Direction.RISE
    assert world.published is not None
    assert (world.published.vector, world.published.revision) == (OFF, 2)
    world.run(30)
    assert world.vector().mode is Mode.SHADOW


def ramping(interval: float) -> World:
    """One step up the ramp of a Live stage with ten of them."""
    ramp = RampSpec(duration=10 * interval, interval=interval)
    world = World(a_rollout().with_stage("canary", canary=10, ramp=ramp).with_(allow_unguarded=True).build())
    while world.vector() == OFF:
        world.tick(1)
    assert world.vector().canary_percent == 1
    return world


def test_a_late_pass_takes_one_step_of_a_ramp_and_not_two() -> None:
    world = ramping(interval=10)
    world.tick(1)

    world.tick(30)

    assert world.vector().canary_percent == 2


def test_a_step_that_a_crash_kept_from_being_published_is_taken_again_and_not_skipped() -> None:
    world = ramping(interval=1)
    world.tick(0)
    world.tick(1, cut=1)
    assert world.vector().canary_percent == 1

    world.tick(1)

    assert world.vector().canary_percent == 2


def test_a_second_pass_at_the_same_instant_tells_the_same_closed_window() -> None:
    saturday = WindowSpec(days=("Sat",), from_="09:00", to="16:00")
    world = World(a_rollout().with_stage("shadow", Mode.SHADOW).with_(windows=(saturday,)).build())
    world.tick(1)
    first = world.tick(5)

    again = world.tick(0)

    assert (first.reason, again.reason) == (Reason.WINDOW_CLOSED, Reason.WINDOW_CLOSED)
    assert first.status == again.status


def test_a_step_that_waits_for_a_window_stays_due() -> None:
    world = ramping(interval=10)
    world.tick(1)
    saturday = WindowSpec(days=("Sat",), from_="09:00", to="16:00")
    world.edit(world.spec.model_copy(update={"windows": (saturday,)}))

    world.tick(1)
    reasons = [world.tick(seconds).reason for seconds in (9, 0, 5, 10, 30)]

    assert set(reasons) == {Reason.WINDOW_CLOSED}
    world.edit(world.spec.model_copy(update={"windows": ()}))
    world.tick(1)
    world.tick(1)
    assert world.vector().canary_percent == 2


def test_a_step_that_an_edit_kept_waiting_is_taken_before_the_next_one() -> None:
    world = ramping(interval=10)
    world.tick(1)
    world.edit(world.spec.model_copy(update={"allow_unguarded": True}))

    world.tick(9)
    world.tick(10)

    assert world.vector().canary_percent == 2


def test_evidence_from_before_a_retry_does_not_begin_to_count_when_another_gate_falls() -> None:
    ladder = replace(a_ladder(), gates=()).with_gate("errors", OnRegression.KILL_SWITCH, window=300.0)
    world = a_running(ladder.with_gate("latency", OnRegression.SHADOW, window=10.0))
    world.run_to("half")
    world.status = world.status.model_copy(update={"anchors": (EvidenceAnchor(gate="errors", at=world.now),)})
    world.says |= {"errors": regresses, "latency": regresses}

    world.run(100)

    assert world.vector().mode is Mode.SHADOW
    world.run(300)
    assert world.vector() == OFF, "now it counts"
