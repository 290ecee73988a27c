"""`veriramp explain`: every reason has its advice, and a held or fallen rollout is told in a page (golden files)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.builders import START, World, a_ladder, inconclusive, no_data, passes, regresses
from tests.support.rollouts import ROOT
from tests.support.schema import faults
from veriramp_operator.api.object import parse_rollout
from veriramp_operator.api.reasons import NoDataReason, Reason
from veriramp_operator.api.rollout import Promotion, WindowSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.cli.explain import Explanation, as_json, as_text, explain
from veriramp_operator.cli.main import _parser
from veriramp_operator.cli.remedies import (
    DECLARED_OFF,
    DECLARED_OFF_AND_LATCHED,
    NO_DATA,
    NO_GUARD,
    REMEDIES,
    Remedy,
)
from veriramp_operator.engine.types import Requests
from veriramp_operator.evidence.types import Verdict

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "cli"
OWN: Final = "kubectl veriramp "


def test_every_reason_has_advice() -> None:
    assert set(REMEDIES) == set(Reason)
    assert set(NO_DATA) == set(NoDataReason)
    for advice in (*(each.text for each in REMEDIES.values()), *NO_DATA.values()):
        assert advice.endswith((".", "?"))


@pytest.mark.parametrize("remedy", [*REMEDIES.values(), NO_GUARD, DECLARED_OFF, DECLARED_OFF_AND_LATCHED])
def test_the_commands_of_the_advice_are_commands(remedy: Remedy) -> None:
    for command in remedy.commands:
        text = command.format(name="demo", ns="search", stage="canary")
        assert "{" not in text.split("'")[0]
        if text.startswith(OWN):
            _parser().parse_args(text.removeprefix(OWN).split())
        else:
            assert text.startswith("kubectl ")


def told(world: World, *, later: float = 5.0) -> Explanation:
    raw = {
        "metadata": {"name": "demo", "namespace": "search", "uid": "5f0c", "generation": 1},
        "spec": world.spec.to_api(),
        "status": world.status.to_api(),
    }
    return explain(parse_rollout(raw), world.now + later)


def at_rest(world: World) -> World:
    world.run(20.0)
    return world


def ramping() -> World:
    world = World(a_ladder().build())
    world.run_to("canary")
    world.run(135.0)
    return world


def baking() -> World:
    world = World(a_ladder().build())
    world.run_to("canary", full=True)
    world.run(60.0)
    return world


def rolled_back() -> World:
    world = ramping()
    world.says["errors"] = regresses
    return at_rest(world)


def blind() -> World:
    world = ramping()
    world.says["errors"] = no_data
    return at_rest(world)


def leaning() -> World:
    world = ramping()
    world.says["errors"] = lambda at: inconclusive(at, leans_bad=True)
    return at_rest(world)


def undecided() -> World:
    world = World(a_ladder().build())
    world.run_to("canary", full=True)
    world.says["errors"] = inconclusive
    world.run(700.0)
    return world


def waiting_for_a_person() -> World:
    builder = a_ladder()
    stages = tuple(stage.model_copy(update={"promotion": Promotion.MANUAL}) for stage in builder.stages)
    world = World(builder.build().model_copy(update={"stages": stages}))
    world.run(800.0)
    return world


def aborted() -> World:
    world = ramping()
    world.requests = Requests(abort="now")
    return at_rest(world)


def paused() -> World:
    world = ramping()
    world.edit(world.spec.model_copy(update={"paused": True}))
    return at_rest(world)


def declared_off() -> World:
    world = ramping()
    world.edit(world.spec.model_copy(update={"kill_switch": True}))
    return at_rest(world)


def unconsumed() -> World:
    world = ramping()
    world.applied_revision = 0
    world.run(70.0)
    return world


def closed() -> World:
    window = WindowSpec.model_validate({"days": ["Mon"], "from": "09:00", "to": "10:00", "timezone": "Europe/Berlin"})
    world = ramping()
    world.edit(world.spec.model_copy(update={"windows": (window,)}))
    world.run(120.0)
    return world


def guarding() -> World:
    world = World(a_ladder().build())
    world.run_to("half", full=True)
    world.run(700.0)
    return world


SCENES: Final[dict[str, tuple[Callable[[], World], str]]] = {
    "ramping": (ramping, "Ramping"),
    "baking": (baking, "Baking"),
    "rolled-back": (rolled_back, "RolledBack"),
    "no-data": (blind, "NoData"),
    "leans-bad": (leaning, "EvidenceLeansBad"),
    "inconclusive": (undecided, "Inconclusive"),
    "approval": (waiting_for_a_person, "ApprovalRequired"),
    "aborted": (aborted, "RolledBack"),
    "paused": (paused, "Paused"),
    "kill-switch": (declared_off, "KillSwitch"),
    "not-propagated": (unconsumed, "NotPropagated"),
    "window-closed": (closed, "WindowClosed"),
    "guarding": (guarding, "Guarding"),
}


@pytest.mark.parametrize("name", SCENES)
def test_the_page_of_a_scene(name: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; read them then as somebody who was just woken up."""
    scene, reason = SCENES[name]
    world = scene()
    assert world.status.reason == reason
    page = as_text(told(world), world.now + 5.0)
    path = GOLDEN / f"explain-{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
    assert page == path.read_text(encoding="utf-8")
    assert max(len(line) for line in page.splitlines()) <= 130


@pytest.mark.parametrize("name", SCENES)
def test_the_form_for_machines(name: str) -> None:
    world = SCENES[name][0]()
    said = json.loads(json.dumps(as_json(told(world)), allow_nan=False))
    schema = json.loads((ROOT / "docs/schemas/explain.json").read_text(encoding="utf-8"))
    assert list(faults(said, schema)) == []
    assert (said["phase"], said["reason"]) == (str(world.status.phase), world.status.reason)
    assert said["direction"] == "Hold"
    assert said["gates"][0]["name"] == "errors"


def test_a_latch_beside_the_kill_switch_is_told_too() -> None:
    world = aborted()
    world.edit(world.spec.model_copy(update={"kill_switch": True}))
    commands = told(at_rest(world)).advice.commands
    assert 'killSwitch":false' in commands[0]
    assert "restart demo" in commands[1]


def test_a_held_rollout_is_told_when_it_may_go_on() -> None:
    world = baking()
    found = told(world, later=0.0).missing
    assert found.step == 'stage "half" begins'
    assert found.earliest is not None
    world.run_to("half")
    assert abs(world.now - found.earliest) < 15.0


def test_time_that_passed_since_the_status_was_written_counts() -> None:
    world = baking()
    assert told(world, later=0.0).missing.earliest == told(world, later=100.0).missing.earliest


def test_a_closed_window_moves_the_earliest_time_to_its_opening() -> None:
    found = told(closed()).missing
    # START is a Friday; the next Monday at 9:00 in Berlin, in winter.
    assert found.earliest == 1_800_259_200.0
    assert found.by_itself


@pytest.mark.parametrize(("scene", "by_itself"), [(blind, False), (paused, False), (waiting_for_a_person, False)])
def test_what_time_alone_does_not_bring_is_told(scene: Callable[[], World], by_itself: bool) -> None:
    assert told(scene()).missing.by_itself is by_itself


def test_an_old_status_is_called_old() -> None:
    world = baking()
    page = as_text(told(world, later=4000.0), world.now + 4000.0)
    assert "OLD: the operator last wrote this 1h6m40s ago" in page
    assert "OLD" not in as_text(told(world), world.now + 5.0)


def test_a_rollout_that_nobody_looked_at() -> None:
    page = as_text(told(World(a_ladder().build())), START)
    assert "not looked at yet" in page
    assert "No operator has looked at this rollout yet" in page


def test_a_spec_that_cannot_be_read_and_a_reason_of_another_version() -> None:
    raw: dict[str, Any] = {
        "metadata": {"name": "demo", "namespace": "search", "uid": "5f0c", "generation": 1},
        "spec": {"stages": "none"},
        "status": {"phase": "Waiting", "reason": "MoonIsFull", "message": "it is"},
    }
    page = as_text(explain(parse_rollout(raw), START), START)
    assert "Nothing is known about this reason: read the message." in page


def test_a_gate_without_data_says_where_to_look() -> None:
    page = as_text(told(blind()), START)
    assert "Look: the query returns no series: was the metric renamed" in page


def test_a_step_that_is_due_waits_for_no_time() -> None:
    found = told(closed()).missing
    assert found.step.startswith('stage "canary" ramps on, to 30%')
    assert found.items == ("a window of spec.windows: opens 2027-01-18T08:00Z",)


def test_the_way_back_names_the_gate_that_does_not_pass() -> None:
    world = World(a_ladder().build())
    world.run_to("half")
    world.says["errors"] = regresses
    at_rest(world)
    world.says["errors"] = inconclusive
    world.requests = Requests(request="retry:half@t1")
    world.run(300.0)
    found = told(world).missing
    assert found.step.startswith('stage "canary" ramps on')
    assert found.items[0] == 'gate "errors" passes: now Inconclusive (TooFew)'
    assert not found.by_itself


def test_where_no_required_gate_applies_nobody_is_sent_to_promote() -> None:
    world = World(a_ladder().build())
    world.says["errors"] = lambda at: Verdict(VerdictKind.NOT_APPLICABLE, "NotFiring", "not pushed", observed_at=at)
    world.run(800.0)
    said = told(world)

    assert said.missing.items == (
        "no required gate applies in this stage; add one that asks Prometheus, or write allowUnguarded: true",
    )
    assert not said.missing.by_itself
    assert said.advice.text == NO_GUARD.text
    assert not any("promote" in command for command in said.advice.commands)


def test_a_gate_that_is_asked_seldom_is_named_as_what_is_missing() -> None:
    world = World(a_ladder().with_gate("slow", every=3600.0).build())
    world.says["slow"] = lambda _: passes(START)
    world.run(800.0)
    said = told(world)

    assert said.missing.items == (
        'gate "slow" has not been asked since its evidence can be of this revision alone: its next answer counts',
    )
    assert said.advice.text == REMEDIES[Reason.INCONCLUSIVE].text
