"""Put every gate's question to its evidence, and keep the verdicts of one pass.

Public: :class:`Judged`, :class:`Bench`, :func:`judge_all`, :func:`gate_statuses`, :func:`trial_of`,
:func:`lacks_a_guard`, :data:`NO_GUARD`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import GateStatus, RolloutStatus, VerdictKind
from veriramp_operator.engine.rollback import counts_from
from veriramp_operator.engine.stages import Asking, Plan, Rung
from veriramp_operator.engine.types import Observation
from veriramp_operator.evidence import VerdictReason
from veriramp_operator.evidence.types import NO_TRIAL, Samples, Trial, Verdict
from veriramp_sdk.contract import Mode

Judge = Callable[[GateSpec, Samples, float, float | None, Trial], Verdict]
"""``evidence.judge``: gate, samples, now, since (evidence from before it neither passes nor trips), trial."""

_PASS: Final = VerdictKind.PASS
_REGRESSION: Final = VerdictKind.REGRESSION
_INCONCLUSIVE: Final = VerdictKind.INCONCLUSIVE
_NO_DATA: Final = VerdictKind.NO_DATA
_NOT_APPLICABLE: Final = VerdictKind.NOT_APPLICABLE
"""To look one up in its enum takes longer than to compare it, and each pass compares per gate."""

NO_GUARD: Final = "no required gate applies in this stage; add one that asks Prometheus, or write allowUnguarded: true"
_NO_SAMPLES = Samples()
_ANOTHER_STAGE = Verdict(VerdictKind.NOT_APPLICABLE, "AnotherStage", "this gate is not asked in this stage")


class Judged(NamedTuple):
    """A gate with its verdict, which ``told`` is as status shows it; a tuple, because each pass makes one per gate."""

    asking: Asking
    verdict: Verdict
    told: GateStatus

    @property
    def gate(self) -> GateSpec:
        """The gate as the spec has it."""
        return self.asking.gate

    @property
    def window(self) -> float:
        """Seconds of the past that its evidence speaks about."""
        return self.asking.window

    @property
    def since(self) -> float:
        """When the verdict last changed its kind, in seconds since the epoch."""
        return self.told.since or 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """All verdicts of one pass, sorted by the questions that the tables ask of them.

    ``required``: gates that a promotion needs, as far as they apply. ``regressing``: gates that regress and act on it.
    ``reported``: gates that regress and only report. ``blind``: required gates without data. ``unclear``: required
    gates whose evidence shows neither. ``comparing``: gates that compare the arms and act on it. ``leaning_bad``: a
    gate whose evidence points the wrong way without proving it.
    """

    all: tuple[Judged, ...] = ()
    required: tuple[Judged, ...] = ()
    regressing: tuple[Judged, ...] = ()
    reported: tuple[Judged, ...] = ()
    blind: tuple[Judged, ...] = ()
    unclear: tuple[Judged, ...] = ()
    comparing: tuple[Judged, ...] = ()
    leaning_bad: Judged | None = None

    def not_passing(self) -> Judged | None:
        """A required gate that does not pass."""
        return next((judged for judged in self.required if judged.verdict.kind is not VerdictKind.PASS), None)

    def not_ready(self, since: float) -> Judged | None:
        """A required gate that stops the way back since a retry: one that does not pass on evidence from after it."""
        return next((judged for judged in self.required if not _is_ready(judged, since)), None)

    def not_of(self, confirmed_at: float) -> Judged | None:
        """A required gate whose evidence still speaks about the time before a revision was confirmed."""
        return next((judged for judged in self.required if _observed(judged) < confirmed_at + judged.window), None)


def judge_all(
    judge: Judge, plan: Plan, status: RolloutStatus, seen: Observation, now: float, stage_name: str | None
) -> Bench:
    """Ask every gate that applies in a stage; ``stage_name`` is the one to enter when the rollout is in none."""
    known = {gate.name: gate for gate in status.gates}
    since = counts_from(plan, status, now)
    trial = trial_of(status, plan.named(stage_name) if stage_name else None)
    samples, every, doubtful = seen.samples, [], []
    for asking in plan.gates:
        name = asking.name
        if asking.stages and stage_name not in asking.stages:
            verdict = _ANOTHER_STAGE
        else:
            verdict = judge(asking.gate, samples.get(name, _NO_SAMPLES), now, since.get(name), trial)
        judged = Judged(asking, verdict, _told(name, verdict, known.get(name), now))
        every.append(judged)
        if verdict.kind is not _PASS:
            doubtful.append(judged)
    return _bench(every, doubtful, compares=plan.compares)


def _bench(every: list[Judged], doubtful: list[Judged], *, compares: bool) -> Bench:
    """``doubtful``: those that do not pass; mostly there are none. ``compares``: some gate compares the arms."""
    applying = [judged for judged in every if judged.verdict.kind is not _NOT_APPLICABLE] if doubtful else every
    needed = [judged for judged in doubtful if judged.asking.required]
    regressing = [judged for judged in doubtful if judged.verdict.kind is _REGRESSION]
    return Bench(
        all=tuple(every),
        required=tuple([judged for judged in applying if judged.asking.required]),
        regressing=tuple([judged for judged in regressing if judged.asking.acts]),
        reported=tuple([judged for judged in regressing if not judged.asking.acts]),
        blind=tuple([judged for judged in needed if judged.verdict.kind is _NO_DATA]),
        unclear=tuple([judged for judged in needed if judged.verdict.kind is _INCONCLUSIVE]),
        comparing=tuple([judged for judged in applying if judged.asking.compares]) if compares else (),
        leaning_bad=next((judged for judged in doubtful if judged.verdict.leans_bad and judged.asking.acts), None),
    )


def gate_statuses(bench: Bench) -> tuple[GateStatus, ...]:
    """The verdicts as status shows them; the same objects where nothing changed."""
    return tuple([judged.told for judged in bench.all])


def trial_of(status: RolloutStatus, rung: Rung | None = None) -> Trial:
    """The comparison of two arms that the present stage makes; no trial while nothing is Live.

    ``rung``: the present stage, where its length matters.
    """
    stage, vector = status.stage, status.parameters
    if stage is None or vector is None or vector.mode is not Mode.LIVE:
        return NO_TRIAL
    ramp = rung.spec.ramp if rung else None
    seconds = (ramp.duration if ramp else 0.0) + (rung.max_bake if rung else 0.0)
    return Trial(vector.canary_percent, stage.began_at, stage.full_at, seconds)


def lacks_a_guard(plan: Plan, status: RolloutStatus) -> bool:
    """True when the next stage is Live and, by what the gates last said, nothing here can ever let it begin.

    No exception does: a person overrides what is unclear, and without a gate nothing is even asked.
    """
    following, stage = plan.after(status.stage), status.stage
    if following is None or following.vector.mode is not Mode.LIVE or plan.unguarded:
        return False
    name = plan.first.name if stage is None else stage.name
    needed = {asking.name for asking in plan.gates if asking.required and name in (asking.stages or (name,))}
    if stage is not None and stage.ramp_fraction < 1:
        return not needed  # there may be two arms only further up
    said = {gate.name for gate in status.gates if gate.verdict is _NOT_APPLICABLE}
    said -= {gate.name for gate in status.gates if gate.reason == _ANOTHER_STAGE.reason}  # of the stage before
    return needed <= said


def _is_ready(judged: Judged, since: float) -> bool:
    verdict = judged.verdict
    if judged.gate.comparison is None or verdict.kind is not VerdictKind.INCONCLUSIVE:
        return verdict.kind is VerdictKind.PASS and _observed(judged) >= since + judged.window
    # It counts from the retry on and passes only in the bake: on this ramp it is enough that it is not bad.
    return verdict.reason != VerdictReason.WARMING_UP and not verdict.leans_bad


def _observed(judged: Judged) -> float:
    return -1.0 if judged.verdict.observed_at is None else judged.verdict.observed_at


def _told(name: str, verdict: Verdict, known: GateStatus | None, now: float) -> GateStatus:
    """The verdict as status shows it; the same object where nothing changed."""
    kind, reason, message, value, sample_size, observed_at, _, _ = verdict
    since = None if known is None or known.verdict is not kind else known.since
    if since is None or (reason == NoDataReason.NEVER_ASKED and known is not None and known.reason != reason):
        since = now  # in a new process nobody has asked yet: that is no time without data
    if since > now:  # noqa: PLR1730 as min() in a fifth of its time
        since = now  # a clock that went back must not put off what is due
    told = {
        "name": name,
        "verdict": kind,
        "reason": reason,
        "message": message,
        "value": value,
        "sample_size": sample_size,
        "observed_at": observed_at,
        "since": since,
    }
    same = known is not None and known.observed_at == observed_at and known.says(told)
    return known if known is not None and same else _gate_status(told)


_gate_status: Final = GateStatus.maker()
