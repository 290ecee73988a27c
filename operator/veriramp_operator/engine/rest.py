"""Pass B: what holds the vector, or lets it rise. Only if nothing falls; the first match counts.

Each check says which clocks run in its row. The bake clock runs only at the stage's full vector, whatever a row says.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import OnInconclusive, Promotion, Scaling
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.engine import windows
from veriramp_operator.engine.gates import NO_GUARD, Judged
from veriramp_operator.engine.ramp import Ramp, pace_of, vector_at
from veriramp_operator.engine.rollback import steps_down_at
from veriramp_operator.engine.scene import Check, Scene
from veriramp_operator.engine.stages import Rung, enter
from veriramp_operator.engine.types import Direction, Finding
from veriramp_operator.engine.workers import wanted
from veriramp_operator.evidence.question import counted_age_of
from veriramp_operator.evidence.ratio import sample_ratio
from veriramp_sdk.contract import Mode

PROPAGATION_POLL: Final = 1.0
WORKERS_STALL_SECONDS: Final = 600.0
SOON: Final = 1.0
BY_A_PERSON: Final = "a person's promote"
BY_POLICY: Final = "onInconclusive: Promote"
"""The two named exceptions, as status and history tell them."""
_NOT_ASKED_SINCE: Final = "has not been asked since its evidence can be"
_COUNTS: Final = "its next answer counts"


def deletion_waits(scene: Scene) -> Finding | None:
    """Off already, not yet applied everywhere: the finalizer stays (row of ``Deleting``)."""
    if not scene.seen.deleting:
        return None
    return _hold(Reason.DELETING, "The rollout is being deleted; waiting until every process is off.", PROPAGATION_POLL)


def switched_off(scene: Scene) -> Finding | None:
    """``spec.killSwitch`` keeps everything off while it is true (row of ``KillSwitch``)."""
    if not scene.spec.kill_switch or scene.status.rollback is not None:
        return None
    return _hold(
        Reason.KILL_SWITCH, "spec.killSwitch is true: everything is off. Set it to false to start at the first stage."
    )


def rolled_back(scene: Scene) -> Finding | None:
    """Stays down until a person or a new generation says so."""
    rollback = scene.status.rollback
    if rollback is None:
        return None
    name = rollback.from_stage
    lift = 'Ask for "retry" or "restart"'
    if rollback.severity is not rollback.severity.KILL_SWITCH:
        lift += ", or change the spec"
    message = f'Rolled back from stage "{name}" by {rollback.gate}: {rollback.evidence.rstrip(".")}. {lift} to go on.'
    further = steps_down_at(scene.plan, scene.status)
    left = None if further is None else further - scene.now
    if left is not None:
        message += f" One stage further down in {_about(left)} (stepDown)."
    return _hold(Reason.ROLLED_BACK, message, left if rollback.applied_at else PROPAGATION_POLL, stalled=True)


def stalled(scene: Scene) -> Finding | None:
    """A person has to change something first; falls and the gates that are still valid go on."""
    problems = scene.problems
    if not problems:
        return None
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return _hold(problems[0].reason, problems[0].message + more, stalled=True)


def precondition_failing(scene: Scene) -> Finding | None:
    """A gate regresses although there is nothing to lower."""
    regressing = scene.bench.regressing
    if not regressing:
        return None
    judged = regressing[0]
    message = f'Gate "{judged.gate.name}" regresses and there is nothing to lower: {judged.verdict.message}.'
    return _hold(Reason.PRECONDITION_FAILING, message)


def paused(scene: Scene) -> Finding | None:
    """``spec.paused`` freezes rises; falls still happen."""
    if not scene.spec.paused:
        return None
    return _hold(Reason.PAUSED, "spec.paused is true: nothing rises until it is false; falls still happen.")


def not_propagated(scene: Scene) -> Finding | None:
    """The published revision is not yet confirmed by a quorum of each role."""
    flags = scene.status.flags
    if flags is None:
        return _hold(Reason.PENDING, "The first flag document (everything off) is being published.", SOON)
    seen = scene.status.propagation
    if seen is not None and seen.confirmed_at is not None:
        return None
    applied, expected = (seen.applied, seen.expected) if seen else (0, 0)
    quorum = scene.spec.flags.propagation.quorum
    message = f"{applied} of {expected} processes run revision {flags.revision}; waiting for {quorum:.0%} of each role."
    if scene.now - flags.published_at > scene.spec.flags.propagation.timeout:
        late = ", ".join(seen.laggards) if seen and seen.laggards else "nobody has answered for them"
        message += f" Longer than {format_duration(scene.spec.flags.propagation.timeout)}; late: {late}."
    return _hold(Reason.NOT_PROPAGATED, message, PROPAGATION_POLL)


def no_consumers(scene: Scene) -> Finding | None:
    """A Live stage in which nobody evaluates the flags would prove nothing."""
    rung = scene.rung
    seen = scene.status.propagation
    if rung is None or rung.vector.mode is not Mode.LIVE or (seen is not None and seen.expected > 0):
        return None
    message = "No process reports that it evaluates the flags, so nothing can be learnt in a Live stage."
    return _hold(Reason.NO_CONSUMERS, message, PROPAGATION_POLL)


def no_data(scene: Scene) -> Finding | None:
    """A required gate has no data: neither up nor down."""
    blind = scene.bench.blind
    if not blind:
        return None
    names = ", ".join(f'"{judged.gate.name}" ({judged.verdict.reason})' for judged in blind)
    since = min(judged.since for judged in blind)
    deadline = since + scene.spec.on_no_data.after - scene.now
    message = f"No data for required gate {names}: {blind[0].verdict.message}."
    return _hold(Reason.NO_DATA, message, deadline if deadline > 0 else None)


def workers_not_ready(scene: Scene) -> Finding | None:
    """Workers that the vector needs are not there yet; after 10 minutes somebody must look."""
    if scene.in_force.mode is Mode.OFF:
        return None
    seen = {worker.profile: worker for worker in scene.seen.workers}
    for worker in scene.spec.workers:
        known = seen.get(worker.profile)
        external = worker.replicas.scaling is Scaling.EXTERNAL
        needed = (known.desired if known else None) if external else wanted(worker, scene.in_force)
        ready = known.ready if known else 0
        if needed is None or ready < needed:
            since = known.since if known and known.since is not None else scene.now
            late = scene.now - since >= WORKERS_STALL_SECONDS
            needs = "its first replica" if needed is None else f"{needed}"
            message = f'Worker "{worker.profile}": {ready} of {needs} ready.'
            left = None if late else since + WORKERS_STALL_SECONDS - scene.now
            return _hold(Reason.WORKERS_NOT_READY, message, left, stalled=late)
    return None


def sample_ratio_mismatch(scene: Scene) -> Finding | None:
    """The users are not dealt out as the percent says, so the arms cannot be compared.

    A wrong split holds however old it is, until a newer one or another percent: nothing rises because nobody tells.
    """
    confirmed_at = scene.confirmed_at
    for judged in scene.bench.comparing:
        samples = scene.seen.samples.get(judged.gate.name)
        if samples is None or samples.occupied is None or samples.occupied.at <= confirmed_at:
            continue  # what was counted under another percent says nothing about this one
        split = sample_ratio(samples.occupied, scene.in_force.canary_percent)
        if split.kind is VerdictKind.REGRESSION:
            message = f"The arms cannot be compared: {split.message}."
            age = scene.now - samples.occupied.at
            if age > counted_age_of(judged.gate, samples.scrape_interval):
                message += f" That was {_about(age)} ago; nobody has told veriramp_occupied_buckets since."
            return _hold(Reason.SAMPLE_RATIO_MISMATCH, message)
    return None


def evidence_leans_bad(scene: Scene) -> Finding | None:
    """Past the tolerance, not significant: the ramp waits, the bake goes on."""
    judged = scene.bench.leaning_bad
    if judged is None:
        return None
    message = f'Gate "{judged.gate.name}" leans bad: {judged.verdict.message}.'
    return Finding(Direction.HOLD, Reason.EVIDENCE_LEANS_BAD, message, bake_runs=scene.at_full_vector)


def window_closed(scene: Scene) -> Finding | None:
    """A step or a promotion is due and no window is open; the bake goes on."""
    spec, now = scene.spec, scene.now
    if windows.is_open(spec.windows, now):
        return None
    # As if this pass might rise: else a second pass at the same instant would tell another reason.
    willing = replace(scene, elapsed=replace(scene.elapsed, moved=True), edited=False, missing=False)
    due = next((found for check in RISING if (found := check(willing))), None)
    if due is None or due.direction is not Direction.RISE:
        return None
    opens = windows.next_opening(spec.windows, now)
    if opens is None:
        return _observing(scene, Reason.WINDOW_CLOSED, f"No window opens. Due: {due.message}")
    message = f"No window is open before {_moment(opens)}, {_about(opens - now)} from now. Then: {due.message}"
    return _observing(scene, Reason.WINDOW_CLOSED, message, opens - now)


def ramp_step(scene: Scene) -> Finding | None:
    """The ramp is unfinished: the next step when its time has come."""
    rung, stage, ramp = scene.rung, scene.stage, scene.ramp
    if rung is None or stage is None or ramp is None or scene.at_full_vector:
        return None
    failing = scene.bench.not_ready(scene.entered_at) if stage.reentry else None
    if failing is not None:
        return _on_the_way_back(rung, failing, scene.entered_at + failing.window - scene.now)
    if scene.may_rise and not ramp.due.is_at_most(scene.in_force):
        return Finding(
            Direction.RISE,
            Reason.RAMP_STEP,
            f'Stage "{rung.name}": step to {ramp.pace.fraction(ramp.seconds):.0%} of its ramp, {ramp.due}.',
            target=ramp.due,
            stage=stage,
            ramp_runs=True,
            look_again=PROPAGATION_POLL,
        )
    return _ramping(scene, rung, ramp)


def baking(scene: Scene) -> Finding | None:
    """The stage has not been observed for long enough."""
    rung, stage = scene.rung, scene.stage
    if rung is None or stage is None or stage.time_skipped:
        return None
    left = rung.bake - scene.bake_seconds
    if left <= 0:
        return None
    message = f'Stage "{rung.name}" bakes: {_about(left)} of {format_duration(rung.bake)} healthy time left.'
    return _observing(scene, Reason.BAKING, message, left)


def approval_required(scene: Scene) -> Finding | None:
    """The stage ends only by a person's word."""
    rung, stage = scene.rung, scene.stage
    if rung is None or stage is None or stage.approved or scene.plan.after(stage) is None:
        return None
    if rung.spec.promotion is not Promotion.MANUAL:
        return None
    message = f'Stage "{rung.name}" is done and waits for approval: ask for "promote".'
    return _observing(scene, Reason.APPROVAL_REQUIRED, message)


def inconclusive(scene: Scene) -> Finding | None:
    """Promotion needs a Pass of every required gate, on evidence of this revision; two named exceptions aside."""
    following = scene.plan.after(scene.stage)
    if following is None:
        return None
    if following.vector.mode is Mode.LIVE and not scene.spec.allow_unguarded and not scene.bench.required:
        return _observing(scene, Reason.INCONCLUSIVE, f'"{following.name}" cannot begin: {NO_GUARD}.')
    unclear = _unclear(scene)
    if unclear is None or _exception(scene) is not None:
        return None
    why, left = unclear
    waited = ""
    if scene.is_past_max_bake and scene.rung is not None:
        waited = f" maxBake ({format_duration(scene.rung.max_bake)}) is over: decide with promote or abort."
    return _observing(scene, Reason.INCONCLUSIVE, f'"{following.name}" cannot begin: {why}.{waited}', left)


def promote(scene: Scene) -> Finding | None:
    """Positive evidence of this revision, enough time, and a next stage."""
    following = scene.plan.after(scene.stage)
    if following is None:
        return None
    if not scene.may_rise:
        return _observing(scene, Reason.PROMOTE, f'"{following.name}" begins next.', SOON)
    entering = enter(following, scene.in_force, scene.now)
    target = vector_at(entering, following, pace_of(scene.plan, following, entering), 0.0)
    by, unclear = _exception(scene), _unclear(scene)
    although = ""
    if by is not None and unclear is not None:
        entering = entering.model_copy(update={"exception": by})
        although = f" by {by}, although {unclear[0]}"
    return Finding(
        Direction.RISE,
        Reason.PROMOTE,
        f'Stage "{following.name}" begins{although}: {target}.',
        target=target,
        stage=entering,
        look_again=PROPAGATION_POLL,
    )


def guarding(scene: Scene) -> Finding:
    """The last stage is done; the gates go on for as long as the object exists."""
    return _observing(scene, Reason.GUARDING, f"All stages are done at {scene.in_force}; the gates keep guarding.")


RISING: Final[tuple[Check, ...]] = (ramp_step, baking, approval_required, inconclusive, promote)
"""The rows that may rise, with those between them: what would be due if a window were open."""

REST: Final[tuple[Check, ...]] = (
    deletion_waits,
    switched_off,
    rolled_back,
    stalled,
    precondition_failing,
    paused,
    not_propagated,
    no_consumers,
    no_data,
    workers_not_ready,
    sample_ratio_mismatch,
    evidence_leans_bad,
    window_closed,
    ramp_step,
    baking,
    approval_required,
    inconclusive,
    promote,
    guarding,
)


def _hold(reason: Reason, message: str, look_again_in: float | None = None, *, stalled: bool = False) -> Finding:
    return Finding(Direction.HOLD, reason, message, look_again=look_again_in, stalled=stalled)


def _observing(scene: Scene, reason: Reason, message: str, look_again_in: float | None = None) -> Finding:
    """Hold in a row where the bake clock runs."""
    return Finding(Direction.HOLD, reason, message, bake_runs=scene.at_full_vector, look_again=look_again_in)


def _ramping(scene: Scene, rung: Rung, ramp: Ramp) -> Finding:
    left = ramp.pace.next_step_in(ramp.seconds)
    message = (
        f'Stage "{rung.name}" ramps from {scene.in_force}: next step in {_about(left)}, '
        f"{_about(ramp.pace.duration - ramp.seconds)} to {rung.vector}."
    )
    return Finding(Direction.HOLD, Reason.RAMPING, message, ramp_runs=True, look_again=max(left, SOON))


def _on_the_way_back(rung: Rung, failing: Judged, left: float) -> Finding:
    """``left``: seconds until all evidence of the gate can be from after the way back began."""
    waits = f'On the way back into "{rung.name}" every gate must pass first; "{failing.gate.name}"'
    if failing.verdict.kind is not VerdictKind.PASS:
        return _hold(Reason.RAMPING, f"{waits} does not yet: {failing.verdict.message}.")
    if left <= 0:
        return _hold(
            Reason.RAMPING, f"{waits} passes, but {_NOT_ASKED_SINCE} from after the way back began: {_COUNTS}."
        )
    message = f"{waits} passes, but not yet on evidence from after the way back began alone: {_about(left)} to go."
    return _hold(Reason.RAMPING, message, left)


def _exception(scene: Scene) -> str | None:
    """The named exception by which unclear evidence does not hold this stage any longer."""
    if scene.stage is not None and scene.stage.overrides:
        return BY_A_PERSON
    if scene.spec.on_inconclusive is OnInconclusive.PROMOTE and scene.is_past_max_bake:
        return BY_POLICY
    return None


def _unclear(scene: Scene) -> tuple[str, float | None] | None:
    """Why the evidence does not allow the next stage, with the seconds after which that may change by itself."""
    if scene.stage is None:
        return None
    failing = scene.bench.not_passing()
    if failing is not None:
        return f'gate "{failing.gate.name}" does not pass: {failing.verdict.message}', None
    early = scene.bench.not_of(scene.confirmed_at)
    if early is not None:
        left = scene.confirmed_at + early.window - scene.now
        if left <= 0:
            return f'gate "{early.gate.name}" {_NOT_ASKED_SINCE} of this revision alone: {_COUNTS}', None
        return f'gate "{early.gate.name}" has no evidence of this revision alone yet, {_about(left)} to go', left
    return None


def _about(seconds: float) -> str:
    """A rest of time in whole seconds, never less than one."""
    return format_duration(max(1.0, math.ceil(seconds - 1e-6))) if math.isfinite(seconds) else "a while"


def _moment(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%a %Y-%m-%d %H:%MZ")
