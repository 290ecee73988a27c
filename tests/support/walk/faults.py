"""Faults planted in the engine on purpose, to see whether the walks notice them and how soon.

Public: :data:`FAULTS`: for each fault a sentence, and what plants it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

import pytest

from veriramp_operator.api.status import ClockStatus, RolloutStatus
from veriramp_operator.api.vector import OFF
from veriramp_operator.engine import force, gates, memory, outcome, requests, rollback, stages
from veriramp_operator.engine.clocks import Elapsed
from veriramp_operator.engine.force import Standing
from veriramp_operator.engine.gates import Bench
from veriramp_operator.engine.ramp import Pace
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.stages import Plan, enter
from veriramp_operator.engine.types import Finding, Observation, Published

Plant = Callable[[pytest.MonkeyPatch], None]

decide: Any = importlib.import_module("veriramp_operator.engine.decide")  # the package has a function of that name

_LOWEST: Final[Callable[..., Finding | None]] = decide.lowest
_PACE_OF: Final[Callable[..., Pace]] = decide.pace_of
_CATCH_UP: Final[Callable[..., Standing]] = decide.catch_up
_ADOPTED: Final = force._adopted
_FRACTION: Final = Pace.fraction
_DIGEST: Final = stages._digest
_NUMBERS: Final = count()


def _put(owner: object, name: str, value: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def _no_row(name: str) -> Plant:
    """One of the two tables without one of its rows."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for table in ("FALLS", "REST"):
            rows = getattr(decide, table)
            left = tuple(row for row in rows if row.__name__ != name)
            if len(left) < len(rows):
                patch.setattr(decide, table, left)
                return
        raise LookupError(f"there is no row {name} any more")

    return plant


def _lowest_but_for_a_pause(scene: Scene, findings: Any) -> Finding | None:
    return None if scene.spec.paused else _LOWEST(scene, findings)


def _no_comparison_in_a_pause(scene: Scene, findings: Any) -> Finding | None:
    compared = {gate.name for gate in scene.spec.gates if gate.comparison is not None and scene.spec.paused}
    return _LOWEST(scene, [finding for finding in findings if finding.gate not in compared])


def _first_fall(scene: Scene, findings: Any) -> Finding | None:
    return next((found for each in findings if (found := _LOWEST(scene, [each]))), None)


def _any_generation_lifts(plan: Plan, status: RolloutStatus, generation: int, now: float) -> RolloutStatus:
    held = status.rollback
    return status if held is None or generation <= held.generation else rollback.lift_to_restart(plan, status, now)


def _observation_lifts(plan: Plan, status: RolloutStatus, _generation: int, now: float) -> RolloutStatus:
    held = status.rollback
    return rollback.lift_to_restart(plan, status, now) if held and held.applied_at else status


def _retry_where_it_fell(plan: Plan, status: RolloutStatus, now: float) -> RolloutStatus:
    fell = plan.named(status.rollback.from_stage) if status.rollback else None
    stage = enter(fell or plan.first, status.parameters or OFF, now, reentry=True)
    return rollback._lifted(plan, status, stage, now)


def _in_one_go(plan: Plan, rung: Any, stage: Any) -> Pace:
    return _PACE_OF(plan, rung, stage.model_copy(update={"reentry": False}))


def _every_second(clock: ClockStatus | None, now: float) -> Elapsed:
    delta = 0.0 if clock is None else max(0.0, now - clock.at)
    return Elapsed(
        delta if clock and clock.ramp_runs else 0.0, delta if clock and clock.bake_runs else 0.0, moved=delta > 0
    )


def _every_row(clock: ClockStatus | None, now: float) -> Elapsed:
    delta = 0.0 if clock is None else max(0.0, min(now - clock.at, 2 * clock.interval))
    return Elapsed(delta, delta, moved=delta > 0)


def _replayed(plan: Plan, status: RolloutStatus, seen: Observation, now: float) -> Standing:
    standing = _CATCH_UP(plan, status, seen, now)
    pending = status.pending
    if pending is None or seen.published is None or pending.revision == seen.published.revision:
        return standing
    planned = standing.status.model_copy(update={"parameters": pending.vector, "pending": None})
    return replace(standing, status=planned, republish=True)


def _republished(plan: Plan, status: RolloutStatus, seen: Observation, now: float) -> Standing:
    return replace(_CATCH_UP(plan, status, seen, now), republish=True)


def _believed(_plan: Plan, status: RolloutStatus, published: Published, _now: float) -> Standing:
    return Standing(status.model_copy(update={"parameters": published.vector}), (published.vector,))


def _as_if_it_were_there(_plan: Plan, status: RolloutStatus, _now: float) -> Standing:
    vector = status.parameters or OFF
    return Standing(status.model_copy(update={"parameters": vector}), (vector,), republish=True)


def _no_latch(published: Published) -> dict[str, Any]:
    return _ADOPTED(published) | {"rollback": None}


def _same_name_anywhere(plan: Plan, stage: Any, in_force: Any, now: float) -> Any:
    if stage is None:
        return None
    return enter(plan.named(stage.name) or plan.rungs[-1], in_force, now)


FAULTS: Final[Mapping[str, Plant]] = {
    "a deletion leaves the flags on": _no_row("deleting"),
    "an abort and spec.killSwitch do nothing": _no_row("kill_switch"),
    "a regression is no fall": _no_row("regression"),
    "onNoData does nothing": _no_row("no_data_too_long"),
    "an edit that lowers the target lowers nothing": _no_row("above_target"),
    "a lost document is taken for the old vector": _put(force, "_without_document", _as_if_it_were_there),
    "a latch does not hold": _no_row("rolled_back"),
    "a stalled rollout goes on": _no_row("stalled"),
    "spec.paused does nothing": _no_row("paused"),
    "a rise waits for nobody to apply the last one": _no_row("not_propagated"),
    "NoData of a required gate holds nothing": _no_row("no_data"),
    "a wrong split of the users holds nothing": _no_row("sample_ratio_mismatch"),
    "evidence that leans bad holds nothing": _no_row("evidence_leans_bad"),
    "windows do nothing": _no_row("window_closed"),
    "a stage is left before its bake is over": _no_row("baking"),
    "a manual stage needs no approval": _no_row("approval_required"),
    "a promotion needs no Pass": _no_row("inconclusive"),
    "a pause masks falls": _put(decide, "lowest", _lowest_but_for_a_pause),
    "a pause masks what a comparison shows": _put(decide, "lowest", _no_comparison_in_a_pause),
    "the first fall counts, not the lowest": _put(decide, "lowest", _first_fall),
    "any new generation lifts a kill switch": _put(rollback, "lift_by_generation", _any_generation_lifts),
    "a latch lifts itself once it is applied": _put(rollback, "lift_by_generation", _observation_lifts),
    "retry goes on in the stage that fell": _put(requests, "lift_to_retry", _retry_where_it_fell),
    "the way back skips its steps": _put(decide, "pace_of", _in_one_go),
    "a lifted latch forgets who fell": _put(rollback, "_anchors", lambda *_: ()),
    "one bad window walks down the whole ladder": _put(gates, "counts_from", lambda *_: {}),
    "the clocks count the gap of a crash": _put(decide, "elapsed", _every_second),
    "the clocks run in every row": _put(decide, "elapsed", _every_row),
    "a late pass takes several steps of a ramp": _put(Pace, "counted", lambda _pace, seconds, more: seconds + more),
    "a ramp runs twice as fast": _put(Pace, "fraction", lambda pace, seconds: min(1.0, 2 * _FRACTION(pace, seconds))),
    "an edit may raise at once": _put(
        Scene, "may_rise", property(lambda scene: scene.elapsed.moved and not scene.missing)
    ),
    "a rise on a missing document": _put(
        Scene, "may_rise", property(lambda scene: scene.elapsed.moved and not scene.edited)
    ),
    "a planned rise is replayed after a restart": _put(decide, "catch_up", _replayed),
    "what is published is published again": _put(decide, "catch_up", _republished),
    "a document that somebody else wrote is believed": _put(force, "_same_or_older", _believed),
    "a crash after the document loses the latch": _put(force, "_adopted", _no_latch),
    "an edited list keeps its place by name, however far up": _put(decide, "reanchor", _same_name_anywhere),
    "every document has fresh salts": _put(outcome, "_salts", lambda scene: scene.seen.salts),
    "history has no end": _put(memory, "MOST_TRANSITIONS", 1000),
    "history forgets what was": _put(outcome, "remember", lambda _history, line: (line,)),
    "a revision is used twice": _put(
        outcome, "next_revision", lambda status, _seen: getattr(status.flags, "revision", 1)
    ),
    "evidence of an earlier revision promotes": _put(Bench, "not_of", lambda *_: None),
    "the same plan is never the same": _put(stages, "_digest", lambda value: f"{_DIGEST(value)}{next(_NUMBERS)}"),
}
