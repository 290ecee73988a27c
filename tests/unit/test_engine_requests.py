"""What people ask by annotation: answered once, refused with a reason."""

from __future__ import annotations

import pytest

from tests.support.builders import (
    a_running,
    inconclusive,
)
from tests.support.engine_acts import (
    ask,
    fallen,
    outcome,
    stage_of,
)
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import (
    Requests,
)
from veriramp_sdk.contract import Mode


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("promote:canary@t", "the rollout is in stage 'half'"),
        ("promote:half@t", "this is the last stage"),
        ("retry:half@t", "nothing is rolled back"),
        ("explode:half@t", "'explode' is none of promote, skip-bake, shadow, retry, restart"),
        ("promote", 'write "<verb>:<stage>@<token>"'),
    ],
)
def test_requests_that_are_refused(text: str, why: str) -> None:
    world = a_running()
    world.run_to("half")
    world.events.clear()
    world.requests = Requests(request=text)

    world.tick(1)
    world.tick(1)

    assert why in outcome(world)
    assert [(event.type, event.reason) for event in world.events] == [("Warning", "RequestRefused")]


def test_more_requests_that_are_refused() -> None:
    world = a_running()
    world.requests = Requests(request="promote:shadow@old")
    world.tick(1)
    assert "no memory" in outcome(world)
    ask(world, "promote", "shadow", "old2")
    assert "has not entered its first stage" in outcome(world)
    world.run_to("shadow")
    ask(world, "shadow", "shadow", "t2")
    assert "nothing to lower: the mode is Shadow" in outcome(world)
    ask(world, "promote", "shadow", "t2")
    assert "was used before" in outcome(world)
    world.deleting = True
    ask(world, "promote", "shadow", "t3")
    assert "being deleted" in outcome(world)
    rolled_back = fallen(OnRegression.SHADOW)
    ask(rolled_back, "promote", "shadow")
    assert "rolled back" in outcome(rolled_back)


def test_skip_bake_skips_time_and_no_gates() -> None:
    world = a_running()
    world.run_to("shadow")
    world.says["errors"] = inconclusive
    ask(world, "skip-bake", "shadow")

    assert world.run(120).reason is Reason.INCONCLUSIVE
    world.says.clear()
    world.run(120)

    assert stage_of(world) == "canary"


def test_shadow_by_request_latches_and_may_be_asked_twice() -> None:
    world = a_running()
    world.run_to("half")

    ask(world, "shadow", "half")
    ask(world, "shadow", "half", "t2")

    assert outcome(world) == "shadow:half@t2: done"
    assert world.status.rollback is not None
    assert world.status.rollback.gate == "request/shadow"


@pytest.mark.parametrize(("verb", "stage"), [("retry", "canary"), ("restart", "shadow")])
def test_a_shadow_latch_is_lifted_by_either_verb(verb: str, stage: str) -> None:
    world = fallen(OnRegression.SHADOW)

    ask(world, verb, "half")

    assert outcome(world) == f"{verb}:half@t1: done"
    assert world.status.rollback is None
    assert stage_of(world) == stage
    assert world.vector().mode is Mode.SHADOW
    world.run_to("half", full=True)


@pytest.mark.parametrize("verb", ["retry", "restart"])
def test_an_abort_before_the_first_stage_is_lifted_by_either_verb(verb: str) -> None:
    world = a_running(paused=True)
    world.tick(1)
    world.requests = Requests(abort="x")
    world.run(100)
    assert world.status.rollback is not None
    world.edit(world.spec.model_copy(update={"paused": False}))
    world.run(100)
    assert world.vector() == OFF

    ask(world, verb, "shadow")

    assert world.status.rollback is None
    world.run_to("half", full=True)


@pytest.mark.parametrize("effect", [OnRegression.KILL_SWITCH, OnRegression.SHADOW])
@pytest.mark.parametrize("verb", ["retry", "restart"])
def test_nothing_lifts_what_is_aborted_at_the_same_time(verb: str, effect: OnRegression) -> None:
    """Also where everything was off already: nobody can tell which of the two was asked last."""
    world = fallen(effect)
    world.requests = Requests(abort="now", request=f"{verb}:half@t1")

    world.run(100)

    assert world.vector() == OFF
    assert world.status.rollback is not None
    assert "an abort came at the same time" in outcome(world)
    ask(world, verb, world.status.rollback.from_stage, "t2")
    assert world.status.rollback is None
