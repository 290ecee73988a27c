"""Choose the next vector and say why. Pure: the same inputs give the same bytes.

Public: :func:`decide`, :data:`RULES`. The order of precedence is the two tables,
:data:`veriramp_operator.engine.falls.FALLS` (all are evaluated, the lowest vector wins) and
:data:`veriramp_operator.engine.rest.REST` (first match).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from veriramp_operator import evidence
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine import propagation, rollback
from veriramp_operator.engine.clocks import Elapsed, elapsed
from veriramp_operator.engine.falls import FALLS, lowest
from veriramp_operator.engine.force import Standing, catch_up
from veriramp_operator.engine.gates import Judge, judge_all
from veriramp_operator.engine.outcome import decision_from
from veriramp_operator.engine.ramp import pace_of, ramp_of
from veriramp_operator.engine.requests import Asked, answer
from veriramp_operator.engine.rest import REST, guarding
from veriramp_operator.engine.scene import Scene
from veriramp_operator.engine.stages import Plan, plan_of, reanchor
from veriramp_operator.engine.types import Decision, Observation, Problem

RULES: Final = 2
"""Number of the rules by which decisions are made, here and in the evidence: raised with every change after which
equal input is decided differently, in whatever field. It stands in each line of the journal."""


def decide(spec: RolloutSpec, status: RolloutStatus, seen: Observation, now: float) -> Decision:
    """Choose the next vector and say why. ``now`` in seconds since the epoch.

    Total for every input that the CRD admits: a wrong observation yields a safe decision with a reason.
    """
    return decide_by(evidence.judge, spec, status, seen, now)


def decide_by(judge: Judge, spec: RolloutSpec, status: RolloutStatus, seen: Observation, now: float) -> Decision:
    """:func:`decide` with the judge of evidence passed in."""
    plan = plan_of(spec)
    standing = catch_up(plan, status, seen, now)
    asked = answer(plan, standing.status, seen, now, readable=_readable(seen))
    scene = _scene(judge, spec, plan, standing, asked, seen, now)
    fall = lowest(scene, (finding for check in FALLS for finding in check(scene)))
    finding = fall or next((found for check in REST if (found := check(scene))), None) or guarding(scene)
    return decision_from(scene, finding, standing, asked, status)


def _scene(
    judge: Judge,
    spec: RolloutSpec,
    plan: Plan,
    standing: Standing,
    asked: Asked,
    seen: Observation,
    now: float,
) -> Scene:
    status = asked.status
    if _readable(seen):
        status = rollback.lift_by_generation(plan, status, seen.generation, now)
    update: dict[str, Any] = {}
    if (seen_by := propagation.propagated(spec, status, seen, now)) is not status.propagation:
        update["propagation"] = seen_by
    in_force = standing.in_force
    stage = None if spec.kill_switch else reanchor(plan, status.stage, in_force, now)
    full = stage is not None and plan.at(stage).vector == in_force
    if (stage := propagation.confirmed_stage(stage, full, seen_by)) is not status.stage:
        update["stage"] = stage
    if (applied := propagation.fall_applied(spec, status, seen, now)) is not status.rollback:
        update["rollback"] = applied
    if update:
        status = status.changed(**update)
    status = rollback.none_later(status, now, deleting=seen.deleting)
    rung = None if stage is None else plan.at(stage)
    read = _elapsed(status, now)
    ramp = None
    if stage is not None and rung is not None:
        ramp = ramp_of(stage, rung, pace_of(plan, rung, stage), in_force, read.ramp)
    return Scene(
        spec,
        plan,
        status,
        seen,
        now,
        standing.exposed,
        judge_all(judge, plan, status, seen, now, (rung or plan.first).name),
        read,
        rung,
        ramp,
        full,
        problems=tuple(_problems(plan, seen)),
        missing=standing.missing,
        edited=status.observed_generation != seen.generation,
        abort=asked.abort,
        shadow=asked.shadow,
    )


def _readable(seen: Observation) -> bool:
    return all(problem.reason is not Reason.INVALID_SPEC for problem in seen.problems)


def _elapsed(status: RolloutStatus, now: float) -> Elapsed:
    read = elapsed(status.clock, now)
    just_entered = status.stage is not None and status.stage.entered_at == now
    return Elapsed(moved=read.moved) if just_entered else read


def _problems(plan: Plan, seen: Observation) -> Iterator[Problem]:
    """Everything that stalls: what was found outside the spec, then what the spec asks for in vain."""
    yield from seen.problems
    ceiling = seen.max_ranking_weight
    for rung in plan.rungs:
        if rung.vector.ranking_weight > ceiling:
            yield Problem(
                Reason.ABOVE_CEILING,
                f'spec.stages[{rung.index}] "{rung.name}": rankingWeight {rung.vector.ranking_weight:g} is above the '
                f"operator's ceiling limits.maxRankingWeight; write at most {ceiling:g}",
            )
    for message in plan.broken:
        yield Problem(Reason.INVALID_SPEC, message)
