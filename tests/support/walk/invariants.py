"""The ten invariants of the engine, each judged on every pass of a walk.

They look at what was told to the engine and at what was published, as little as possible at what it says of itself.
Public: :data:`INVARIANTS`, by name.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from tests.support.walk.rows import clocks_count_healthy_time, users_are_dealt_out_as_told
from tests.support.walk.walk import Judge, Tick, Walk
from tests.support.walk.world import News
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import (
    GateSpec,
    NoDataAction,
    OnInconclusive,
    OnRegression,
    Promotion,
    RampSpec,
    WindowSpec,
)
from veriramp_operator.api.status import Severity
from veriramp_operator.api.vector import OFF, Vector
from veriramp_operator.engine import trial_of
from veriramp_operator.engine.types import Direction, PublishFlags, ScaleWorkers
from veriramp_sdk.contract import Mode

_ABOUT: Final = 1e-6


def _rises_on_good_evidence(walk: Walk, tick: Tick) -> None:
    if tick.decision.direction is Direction.RISE or (tick.raised and tick.published_before is not None):
        for gate in tick.required():
            assert tick.news[gate.name] in (News.GOOD, News.UNCLEAR), f"rose although {gate.name} is not good"
    if tick.decision.direction is Direction.RISE:
        _nothing_held(tick)
        if tick.reason is Reason.PROMOTE:
            _promoted_by_right(walk, tick)


def _nothing_held(tick: Tick) -> None:
    spec, seen = tick.spec, tick.seen
    assert tick.decision.status.rollback is None
    forbidden = spec.paused or spec.kill_switch or seen.deleting or seen.problems
    assert not forbidden, "rose although the plan or the object forbids it"
    propagation = tick.decision.status.propagation
    assert propagation is not None
    assert propagation.confirmed_at is not None, "rose before the revision was confirmed"
    assert not spec.windows or any(_open(window, tick.now) for window in spec.windows), "rose outside of its windows"
    gone = tick.seen.published is None and tick.before.flags is not None
    assert not gone, "rose although its document is gone"


def _open(window: WindowSpec, now: float) -> bool:
    local = datetime.fromtimestamp(now, ZoneInfo(window.timezone))
    day = not window.days or local.strftime("%a") in window.days
    return day and window.from_ <= local.strftime("%H:%M") < window.to


def _promoted_by_right(walk: Walk, tick: Tick) -> None:
    stage, before = tick.decision.status.stage, tick.decision.status.parameters
    if stage is None:
        return
    rung = tick.plan.at(stage)
    assert before == rung.vector, "promoted before the full vector"
    approved = stage.approved
    assert approved or rung.spec.promotion is not Promotion.MANUAL, "promoted without the approval it needs"
    baked = stage.bake_seconds + _ABOUT
    if (clock := tick.before.clock) is not None and clock.bake_runs:
        baked += max(0.0, min(tick.now - clock.at, 2 * clock.interval))
    assert stage.time_skipped or baked >= rung.bake, "promoted before the bake was over"
    too_long = tick.spec.on_inconclusive is OnInconclusive.PROMOTE and baked >= rung.max_bake
    if approved or too_long:
        return
    out_since = tick.seen.published.published_at if tick.seen.published else tick.now
    if walk.rewound:
        return  # the clock went back, so nobody can tell
    for gate in tick.required():
        assert tick.news[gate.name] is News.GOOD, f"promoted although {gate.name} does not pass"
        assert tick.now >= out_since + (gate.window or 0.0), f"{gate.name} speaks of an earlier revision"


def _falls_reach_their_target(walk: Walk, tick: Tick) -> None:
    _remember_blindness(walk, tick)
    if not tick.whole:
        return
    out = tick.out
    assert out.is_at_most(tick.decision.vector)
    assert out.is_at_most(tick.after.parameters or OFF)
    if tick.spec.kill_switch or tick.seen.deleting or tick.seen.published is None:
        assert out.mode is Mode.OFF
    handled = tick.before.last_handled_request
    if tick.seen.requests.abort and (handled is None or handled.abort != tick.seen.requests.abort):
        assert out.mode is Mode.OFF, "a person asked to abort"
    for gate in tick.spec.gates:
        if tick.news[gate.name] is News.BAD and _counts(walk, tick, gate):
            _is_down(tick, gate.on_regression, gate.name)
    for name, since in walk.memory.blind_since.items():
        action = tick.spec.on_no_data.action
        if action is not NoDataAction.HOLD and tick.now - since >= tick.spec.on_no_data.after:
            _is_down(tick, OnRegression(action.value), f"blind {name}")
    _one_window_walks_one_stage(walk, tick)
    _old_evidence_trips_nothing(walk, tick)


def _remember_blindness(walk: Walk, tick: Tick) -> None:
    """Only as long as one whole pass follows another: whoever forgets may begin to count anew."""
    memory = walk.memory
    stage = tick.decision.status.stage
    place = f"{stage.name} {stage.entered_at}" if stage else ""
    steady = tick.whole and not walk.disturbed and not tick.edited and place == memory.stage
    memory.stage = place
    blind = {gate.name for gate in tick.required() if tick.news[gate.name] is News.NONE}
    known = memory.blind_since if steady else {}
    memory.blind_since = {name: known.get(name, tick.now) for name in sorted(blind)}


def _counts(walk: Walk, tick: Tick, gate: GateSpec) -> bool:
    """What this gate says must count: it applies in any stage, and no fall or retry makes its evidence old."""
    anchored = {anchor.gate for anchor in (*tick.before.anchors, *tick.decision.status.anchors)}
    latched = tick.before.rollback is not None or walk.memory.latched is not None
    fresh = not latched and gate.name not in anchored and not gate.stages
    compares = gate.comparison is None or (tick.before.stage is not None and tick.arms_before)
    return fresh and compares and gate.on_regression is not OnRegression.REPORT


def _is_down(tick: Tick, action: OnRegression, why: str) -> None:
    if action is OnRegression.KILL_SWITCH:
        assert tick.out.mode is Mode.OFF, why
    elif action is OnRegression.SHADOW:
        assert tick.out.mode is not Mode.LIVE, why
    elif action is OnRegression.PREVIOUS_STAGE:
        stage = tick.before.stage
        same = stage is not None and stage.index < len(tick.plan.rungs) and tick.plan.at(stage).hash == stage.hash
        if stage is None or not same or tick.edited or tick.lifts or tick.before.rollback or tick.before.pending:
            return
        below = tick.plan.below(stage.index)
        assert tick.out.is_at_most(below.vector if below else OFF), why


def _one_window_walks_one_stage(walk: Walk, tick: Tick) -> None:
    old, new = tick.before.rollback, tick.decision.status.rollback
    fell = walk.memory.fell_at
    if tick.decision.direction is not Direction.FALL or tick.reason is not Reason.REGRESSION:
        return
    if old is None or new is None or fell is None or new.severity is not Severity.PREVIOUS_STAGE:
        return
    if new.gate != old.gate and (tick.edited or tick.lifts):
        return  # the latch was lifted in this very pass, and another gate fell anew
    windows = [
        min(walk.counts_again_after(gate), gate.step_down or 1e9)
        for gate in tick.spec.gates
        if gate.name == new.gate and gate.on_regression is OnRegression.PREVIOUS_STAGE
    ]
    assert not windows or tick.now >= fell + windows[0], "fell on evidence from before the last fall"


def _old_evidence_trips_nothing(walk: Walk, tick: Tick) -> None:
    """Whoever fell counts after the retry only with a window of its own, whichever gate held the latch."""
    memory, latch = walk.memory, tick.decision.status.rollback
    if tick.reason is not Reason.REGRESSION or latch is None or walk.rewound:
        return
    for gate in tick.spec.gates:
        bad = tick.news[gate.name] is News.BAD and tick.spec.on_inconclusive is not OnInconclusive.ROLLBACK
        tells_new_from_old = gate.burn_rate is not None or gate.firing is not None
        if (
            bad
            and not tells_new_from_old
            and gate.name in (latch.gate, *latch.also_fell)
            and gate.name in memory.anew_from
        ):
            counts_from = memory.anew_from[gate.name] + walk.counts_again_after(gate)
            assert tick.now >= counts_from, f"{gate.name} fell again on evidence from before the latch was lifted"
    if tick.was.mode is Mode.LIVE and tick.before.rollback is None:
        memory.fell |= {gate.name for gate in tick.spec.gates if _fell(tick, gate)}


def _fell(tick: Tick, gate: GateSpec) -> bool:
    acts = gate.on_regression is not OnRegression.REPORT and not gate.stages and gate.comparison is None
    return acts and tick.news[gate.name] is News.BAD


def _monotone_within_a_stage(_walk: Walk, tick: Tick) -> None:
    now, before = tick.after.stage, tick.before.stage
    if tick.published is None:
        return
    if tick.whole and tick.after.rollback is None:
        target = OFF if now is None else tick.plan.at(now).vector
        assert tick.out.is_at_most(target), "beyond the target"
    if now is None:
        return
    same = before is not None and before.name == now.name and before.entered_at == now.entered_at
    quiet = tick.decision.direction is not Direction.FALL and tick.reason is not Reason.PROMOTE
    if same and tick.published_before is not None and quiet:
        recorded = tick.before.parameters or OFF
        if tick.was == recorded:
            assert recorded.is_at_most(tick.out), "fell without a fall"
    if tick.reason is Reason.RAMP_STEP and tick.decision.direction is Direction.RISE:
        _no_further_than_due(tick)


def _no_further_than_due(tick: Tick) -> None:
    stage = tick.decision.status.stage
    assert stage is not None
    rung = tick.plan.at(stage)
    ramp, target, vector = rung.spec.ramp, rung.vector, tick.decision.vector
    if ramp is not None and ramp.duration > 0:
        due = _due(ramp, stage.ramp_seconds, linear=stage.reentry)
        ahead = [_share(stage.start, target, name, vector) for name in ("canary_percent", "ranking_weight")]
        assert max(ahead) <= due + 0.01, "ahead of its ramp"
    if stage.reentry:
        start = tick.decision.status.parameters or OFF
        path = [_share(stage.start, target, name, vector) for name in ("canary_percent", "ranking_weight")]
        done = [_share(stage.start, target, name, start) for name in ("canary_percent", "ranking_weight")]
        most = 2 / 3 + 0.01  # a late pass may take two steps at once, never the whole way
        assert all(to - since <= most for to, since in zip(path, done, strict=True)), "came back in one step"
        for gate in tick.required():
            unclear = gate.comparison is not None and tick.news[gate.name] is News.UNCLEAR  # a Pass is only of the bake
            assert unclear or tick.news[gate.name] is News.GOOD, f"came back although {gate.name} does not pass"


def _due(ramp: RampSpec, seconds: float, *, linear: bool) -> float:
    """The most that a ramp may have done of its way; the way back may be linear instead of stepped."""
    even = min(1.0, (seconds + _ABOUT) / ramp.duration)
    if not ramp.steps:
        return even
    steps = ramp.steps if ramp.steps[-1] >= 1 else (*ramp.steps, 1.0)
    taken = int(even * len(steps) + _ABOUT)
    stepped = steps[taken - 1] if taken else 0.0
    return max(even, stepped) if linear else stepped


def _share(start: Vector, target: Vector, name: str, vector: Vector) -> float:
    begun, end, reached = (float(getattr(each, name)) for each in (start, target, vector))
    return (reached - begun) / (end - begun) if end > begun else 0.0


def _latches_hold(walk: Walk, tick: Tick) -> None:
    memory = walk.memory
    assert not tick.lifts or tick.token not in memory.tokens, "a token that was used before lifts a latch"
    answered = tick.after.last_handled_request
    if tick.token and answered is not None and answered.request == tick.seen.requests.request:
        memory.tokens.add(tick.token)
    if memory.latched is not None:
        severity, generation = memory.latched
        newer = tick.seen.generation > generation and severity is not Severity.KILL_SWITCH
        if newer or tick.lifts:
            memory.latched = None
            _starts_low(tick, "restart" if newer else tick.lifts)
            if tick.whole and tick.decision.status.rollback is None:
                memory.anew_from |= dict.fromkeys(memory.fell, tick.now)
                memory.anew_from = {gate.name: memory.anew_from.get(gate.name, 0.0) for gate in tick.spec.gates}
            memory.fell = set()
    if memory.latched is not None:
        assert not tick.raised, "rose through a latch"
        knows = tick.seen.published is tick.published_before
        assert not knows or tick.decision.status.rollback is not None, "the latch is gone"
    latch = tick.published.latch if tick.published else None
    if tick.published is not tick.published_before and latch is not None:
        memory.latched = (latch.severity, latch.generation)
        old = tick.published_before.latch if tick.published_before else None
        if tick.decision.direction is Direction.FALL and latch != old:
            memory.fell_at = tick.now


def _starts_low(tick: Tick, verb: str) -> None:
    """Where a rollout stands whose latch has just been lifted."""
    old, stage = tick.before.rollback, tick.decision.status.stage
    if old is None or tick.decision.status.rollback is not None or stage is None or tick.edited:
        return
    fell = tick.plan.named(old.from_stage)
    highest = max(fell.index - 1, 0) if fell and verb == "retry" else 0
    assert stage.index <= highest, f"{verb} went on too far up"
    assert verb != "retry" or stage.reentry


def _no_data_never_up(_walk: Walk, tick: Tick) -> None:
    if any(tick.news[gate.name] is News.NONE for gate in tick.required()):
        assert tick.decision.direction is not Direction.RISE
        assert not tick.raised or tick.published_before is None


def _second_pass_changes_nothing(walk: Walk, tick: Tick) -> None:
    """But for gates that are asked only from now on: those of a stage just entered, and of arms that there now are."""
    old, new = tick.decision.status.stage, tick.after.stage
    moved = tick.reason is Reason.PROMOTE or tick.decision.direction is Direction.FALL or old != new
    arms = (tick.was.canary_percent % 100 > 0) != (tick.out.canary_percent % 100 > 0)  # at 0 and at 100 there are none
    arms = arms or trial_of(tick.before) != trial_of(tick.after)
    asked_now = [gate for gate in tick.spec.gates if (gate.stages and moved) or (gate.comparison is not None and arms)]
    if not tick.whole or asked_now:
        return
    same_again = tick.decision.direction is Direction.HOLD and tick.reason == tick.before.reason
    if same_again and walk.passes % 4:
        return  # twice the same row is looked at less often, for time
    again = walk.world.decide()
    assert not [command for command in again.commands if isinstance(command, PublishFlags)], (
        f"published twice: {again.message}"
    )
    writes = [command for command in tick.decision.commands if isinstance(command, PublishFlags | ScaleWorkers)]
    if tick.decision.direction is Direction.HOLD and not writes:
        assert again.status == walk.world.status
        assert not [command for command in again.commands if isinstance(command, ScaleWorkers)]


def _salts_stay(walk: Walk, tick: Tick) -> None:
    """Each pass offers fresh salts, which only a rollout that has never published may take."""
    walk.world.salts = (f"salt-{walk.passes}", f"sample-{walk.passes}")
    if tick.published is None:
        return
    salts = (tick.published.salt, tick.published.sample_salt)
    assert walk.memory.salts in (None, salts)
    walk.memory.salts = salts


def _edits_raise_nothing(_walk: Walk, tick: Tick) -> None:
    if tick.edited:
        assert not tick.raised


def _history_is_appended(_walk: Walk, tick: Tick) -> None:
    old, new = tick.before.history, tick.decision.status.history
    assert len(old) <= len(new) <= 20
    assert any(old[start:] == new[: len(old) - start] for start in range(min(len(old), 4) + 1))
    revisions = [line.revision for line in new if line.direction != Direction.HOLD]
    assert all(earlier <= later for earlier, later in pairwise(revisions))
    if tick.decision.direction is Direction.FALL:
        assert new[-1].direction == Direction.FALL, "a fall without its line"
    was, out = tick.seen.published, tick.published
    if was is not None and out is not None and out is not was and tick.whole:
        assert out.revision > was.revision, "a revision is used twice"


def _same_inputs_same_bytes(walk: Walk, tick: Tick) -> None:
    """The spec is another object of the same content, so that nothing hangs on what is remembered of it."""
    if walk.passes != walk.looks_twice_at:
        return
    world = replace(walk.world, spec=tick.spec.model_copy(), status=tick.before, published=tick.published_before)
    again = world.decide_from(tick.seen, tick.now)
    assert again == tick.decision
    if walk.passes % 4 == 1:
        assert again.status.model_dump_json() == tick.decision.status.model_dump_json()


INVARIANTS: Final[dict[str, Judge]] = {
    "I1_nothing_rises_without_good_evidence": _rises_on_good_evidence,
    "I2_after_a_fall_finding_the_published_vector_is_at_or_below_its_target": _falls_reach_their_target,
    "I3_within_a_stage_each_parameter_is_monotone_and_within_the_target": _monotone_within_a_stage,
    "I4_no_latch_is_lifted_but_by_a_person_or_a_new_generation": _latches_hold,
    "I5_no_data_never_up": _no_data_never_up,
    "I6_a_second_pass_at_the_same_instant_changes_nothing": _second_pass_changes_nothing,
    "I7_the_salt_never_changes": _salts_stay,
    "I8_a_spec_edit_raises_nothing_by_itself": _edits_raise_nothing,
    "I9_history_is_append_only_and_bounded": _history_is_appended,
    "I10_the_same_inputs_give_the_same_bytes": _same_inputs_same_bytes,
    "clocks_count_healthy_time_only": clocks_count_healthy_time,
    "split_of_the_users_holds_while_it_is_wrong": users_are_dealt_out_as_told,
}
