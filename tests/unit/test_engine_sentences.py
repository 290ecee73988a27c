"""Sentences of "What is in force", "Requests" and "Rollback latches" that no other test would miss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.builders import World, a_ladder, a_rollout, a_running, regresses
from tests.support.engine_acts import a_rollout_of, ask, fallen, outcome, stage_of
from veriramp_operator.api.object import parse_rollout
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnRegression
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine.types import Direction, Observation, PropagationSeen, PublishFlags, Requests
from veriramp_sdk.contract import Mode


def rises(world: World, seconds: float) -> list[float]:
    """The percents that are published from now on."""
    end, seen = world.now + seconds, []
    while world.now < end:
        if world.tick(5).direction is Direction.RISE:
            seen.append(world.vector().canary_percent)
    return seen


# What is in force


def test_a_fall_tells_in_history_which_stage_it_was_in() -> None:
    world = fallen(OnRegression.KILL_SWITCH)

    assert (world.vector(), stage_of(world)) == (OFF, "")
    assert [(line.reason, line.stage) for line in world.status.history[-1:]] == [("Regression", "half")]


class Ahead(World):
    """A world whose flag servers sent Off for a document that was broken for a while: they know a later revision."""

    ahead: int = 0

    def observe(self) -> Observation:
        """One snapshot."""
        seen = super().observe()
        if self.published is None or self.published.revision >= self.ahead:
            return seen
        return replace(
            seen, propagation=PropagationSeen(self.ahead, "5f0c", seen.propagation.roles, observed_at=self.now)
        )


def test_flag_servers_that_are_ahead_get_the_document_again_with_a_later_number() -> None:
    world = Ahead(a_ladder().build())
    world.run_to("half")
    world.run(30)
    assert world.published is not None
    vector, world.ahead = world.published.vector, world.published.revision + 1

    decision = world.tick(5)

    (publish,) = [command for command in decision.commands if isinstance(command, PublishFlags)]
    assert (decision.direction, publish.vector, publish.revision) == (Direction.HOLD, vector, world.ahead + 1)
    world.run(30)
    assert world.status.reason == Reason.BAKING


def test_what_flag_servers_know_of_another_object_of_that_name_counts_for_nothing() -> None:
    world = a_running()
    world.run_to("half")
    world.run(30)
    seen = world.observe()
    other = replace(seen, propagation=PropagationSeen(999, "another", seen.propagation.roles, observed_at=world.now))

    decision = world.decide_from(other, world.now + 5)

    assert not [command for command in decision.commands if isinstance(command, PublishFlags)]


def test_lost_flags_come_back_only_with_every_gate_passing() -> None:
    world = a_running()
    world.run_to("half")
    world.published = None
    world.tick(5)
    world.says["errors"] = regresses

    assert rises(world, 600) == []
    world.says.clear()
    climbed = rises(world, 3600)
    assert climbed[-1] == 50
    assert len([percent for percent in climbed if percent < 5]) >= 3


def test_an_unreadable_status_is_told_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    raw = {
        "metadata": {"name": "a", "namespace": "b", "uid": "c", "generation": 1, "resourceVersion": "1"},
        "spec": a_ladder().build().to_api(),
        "status": {"phase": "Sideways"},
    }

    assert parse_rollout(raw).status == RolloutStatus()
    assert "a status cannot be read and is begun anew from the published document" in caplog.text


# Retry


def test_retry_re_enters_at_the_nearest_stage_below_the_one_that_fell() -> None:
    world = fallen(OnRegression.KILL_SWITCH, "canary")

    ask(world, "retry", "canary")

    assert stage_of(world) == "shadow"
    climbed = [world.vector().sampling_rate for _ in range(300) if world.tick(5).direction is Direction.RISE]
    assert climbed[:3] == [0.0166, 0.0333, 0.05]


def test_retry_of_a_stage_that_was_edited_away_starts_at_the_first() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    fewer = (a_rollout().with_stage("shadow", Mode.SHADOW, rate=0.05).with_stage("other", canary=5)).with_gate("errors")
    world.edit(fewer.build())
    world.run(60)
    assert world.vector() == OFF

    ask(world, "retry", "half")

    assert stage_of(world) == "shadow"


def test_good_evidence_from_before_a_retry_passes_nothing() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    ask(world, "retry", "half")
    asked_at = world.now

    while world.tick(5).direction is not Direction.RISE:
        pass

    assert world.now >= asked_at + 60


# Requests


def test_an_abort_is_not_overwritten_by_a_request_of_the_same_moment() -> None:
    world = a_running()
    world.run_to("half")
    world.requests = Requests(abort="stop", request="promote:half@t1")
    world.tick(1)
    first = world.vector()
    world.requests = replace(world.requests, request="skip-bake:half@t2")

    world.run(3600)

    assert (first, world.vector()) == (OFF, OFF)
    assert world.status.rollback is not None
    assert world.status.rollback.gate == "request/abort"
    assert "rolled back" in outcome(world)


def test_an_abort_that_stays_in_the_annotations_is_not_obeyed_again_after_a_retry() -> None:
    world = a_running()
    world.run_to("half")
    world.requests = Requests(abort="stop")
    world.tick(1)

    ask(world, "retry", "half")
    world.run_to("half")

    assert world.requests.abort == "stop"
    assert world.vector().mode is Mode.LIVE


@pytest.mark.parametrize("verb", ["retry", "restart", "promote", "skip-bake", "shadow"])
def test_an_answered_request_is_not_answered_again(verb: str) -> None:
    world = (
        fallen(OnRegression.SHADOW) if verb in {"retry", "restart"} else a_running(a_rollout_of(OnRegression.SHADOW))
    )
    if verb not in {"retry", "restart"}:
        world.run_to("canary", full=True)
    ask(world, verb, "half" if verb in {"retry", "restart"} else "canary")
    world.events.clear()
    answered = outcome(world)

    world.status = RolloutStatus.model_validate(world.status.to_api())
    world.run(60)

    assert outcome(world) == answered
    assert [event for event in world.events if event.reason.startswith("Request")] == []


def test_skip_bake_ends_the_bake_of_this_stage_and_of_no_other() -> None:
    world = a_running()
    world.run_to("shadow")
    ask(world, "skip-bake", "shadow")
    world.run_to("canary", full=True)
    began = world.now

    world.run_to("half")

    assert world.now - began >= 600


def test_spec_kill_switch_goes_before_a_retry() -> None:
    world = fallen(OnRegression.KILL_SWITCH)
    world.edit(world.spec.model_copy(update={"kill_switch": True}))

    ask(world, "retry", "half")
    world.run(600)

    assert world.vector() == OFF
