"""What people ask by annotation: answered once, refused with a reason."""

from __future__ import annotations

from dataclasses import replace

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
from veriramp_operator.api.status import HandledRequests, RolloutStatus
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


def test_an_old_annotation_that_comes_back_lifts_no_latch() -> None:
    """Only the last request was remembered: a tool that puts back what is in Git lifted an abort."""
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half", "t1")
    world.run(100)
    ask(world, "skip-bake", "canary", "t2")
    world.run_to("half")
    world.requests = replace(world.requests, abort="stop-now")
    world.run(100)

    for token in ("t1", "t2", "t1"):
        ask(world, "retry", "half", token)
        assert outcome(world) == f"retry:half@{token}: refused: token '{token}' was used before; take a new one"
    world.run(1500)

    assert world.vector() == OFF
    assert world.status.rollback is not None
    ask(world, "retry", "half", "t3")
    assert world.status.rollback is None


def test_tokens_are_remembered_for_twenty_requests_whatever_became_of_them() -> None:
    world = a_running()
    world.run_to("half")
    for number in range(21):
        ask(world, "promote", "canary", f"t{number}")

    handled = world.status.last_handled_request
    assert handled is not None
    assert handled.used == tuple(f"t{number}" for number in range(1, 21))
    ask(world, "promote", "half", "t1")
    assert "was used before" in outcome(world)
    ask(world, "promote", "half", "t0")
    assert "this is the last stage" in outcome(world)


def test_a_status_of_before_tokens_were_kept_knows_that_of_its_last_request() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    told = world.status.to_api() | {"lastHandledRequest": {"request": "skip-bake:half@t1", "outcome": "done"}}
    world.status = RolloutStatus.model_validate(told)

    ask(world, "retry", "half", "t1")
    assert "was used before" in outcome(world)
    ask(world, "retry", "half", "t2")
    assert outcome(world) == "retry:half@t2: done"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("retry:half@" + 121 * "t", "its token has 121 characters; write at most 120"),
        (5000 * "r" + ":half@t", 'write "<verb>:<stage>@<token>"'),
        ("retry:" + 5000 * "h" + "@t", 'write "<verb>:<stage>@<token>"'),
    ],
)
def test_a_long_request_is_refused_once_and_remembered_in_short(text: str, why: str) -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    world.requests = Requests(request=text)
    world.events.clear()

    world.run(100)

    assert why in outcome(world)
    assert [(event.type, event.reason) for event in world.events] == [("Warning", "RequestRefused")]
    handled = world.status.last_handled_request
    assert handled is not None
    assert len(handled.model_dump_json()) < 1000
    assert handled.used == ()
    assert world.status.rollback is not None


def test_a_long_token_aborts_once_and_is_remembered_in_short() -> None:
    world = a_running()
    world.run_to("half")
    world.requests = Requests(abort=5000 * "x")
    world.run(100)
    assert world.vector() == OFF
    assert len(world.status.model_dump_json()) < 10_000

    ask(world, "retry", "half", "t1")
    world.run(100)
    assert world.status.rollback is None
    world.requests = replace(world.requests, abort=5001 * "x")
    world.tick(1)
    assert world.status.rollback is not None


def test_an_abort_that_an_older_version_remembers_whole_is_not_answered_again() -> None:
    world = a_running()
    world.run_to("half")
    world.status = world.status.model_copy(update={"last_handled_request": HandledRequests(abort=5000 * "x")})
    world.requests = Requests(abort=5000 * "x")

    world.tick(1)

    assert world.status.rollback is None
