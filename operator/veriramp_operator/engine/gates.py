"""Put every gate's question to its evidence, and keep the verdicts of one pass.

Public: :class:`Judged`, :class:`Bench`, :func:`judge_all`, :func:`gate_statuses`, :func:`trial_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import GateStatus, RolloutStatus, VerdictKind
from veriramp_operator.engine.rollback import counts_from
from veriramp_operator.engine.stages import Plan, Rung
from veriramp_operator.engine.types import Observation
from veriramp_operator.evidence import VerdictReason
from veriramp_operator.evidence.types import NO_TRIAL, Samples, Trial, Verdict
from veriramp_sdk.contract import Mode

Judge = Callable[[GateSpec, Samples, float, float | None, Trial], Verdict]
"""``evidence.judge``: gate, samples, now, since (evidence from before it neither passes nor trips), trial."""

_REGRESSION: Final = VerdictKind.REGRESSION
_INCONCLUSIVE: Final = VerdictKind.INCONCLUSIVE
_NO_DATA: Final = VerdictKind.NO_DATA
_NOT_APPLICABLE: Final = VerdictKind.NOT_APPLICABLE
"""To look one up in its enum takes longer than to compare it, and each pass compares per gate."""

_NO_SAMPLES = Samples()
_ANOTHER_STAGE = Verdict(VerdictKind.NOT_APPLICABLE, "AnotherStage", "this gate is not asked in this stage")


class Judged(NamedTuple):
    """A gate with its verdict; a tuple, because each pass makes one per gate.

    ``window``: seconds of the past that its evidence speaks about. ``since``: when the verdict last changed its kind,
    in seconds since the epoch. ``before``: its status so far.
    """

    gate: GateSpec
    verdict: Verdict
    window: float
    since: float
    before: GateStatus | None = None


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
    samples, every = seen.samples, []
    for asking in plan.gates:
        gate, name = asking.gate, asking.name
        if asking.stages and stage_name not in asking.stages:
            verdict = _ANOTHER_STAGE
        else:
            verdict = judge(gate, samples.get(name, _NO_SAMPLES), now, since.get(name), trial)
        before = known.get(name)
        every.append(Judged(gate, verdict, asking.window, _kind_since(before, verdict, now), before))
    return _bench(plan, every)


def _bench(plan: Plan, every: list[Judged]) -> Bench:
    required: list[Judged] = []
    blind: list[Judged] = []
    unclear: list[Judged] = []
    acting: list[Judged] = []
    reported: list[Judged] = []
    comparing: list[Judged] = []
    leaning_bad = None
    for asking, judged in zip(plan.gates, every, strict=True):
        verdict = judged.verdict
        kind = verdict.kind
        if asking.required and kind is not _NOT_APPLICABLE:
            required.append(judged)
            if kind is _NO_DATA:
                blind.append(judged)
            elif kind is _INCONCLUSIVE:
                unclear.append(judged)
        if kind is _REGRESSION:
            (acting if asking.acts else reported).append(judged)
        if asking.compares and kind is not _NOT_APPLICABLE:
            comparing.append(judged)
        if verdict.leans_bad and asking.acts and leaning_bad is None:
            leaning_bad = judged
    return Bench(
        tuple(every),
        tuple(required),
        tuple(acting),
        tuple(reported),
        tuple(blind),
        tuple(unclear),
        tuple(comparing),
        leaning_bad,
    )


def gate_statuses(bench: Bench) -> tuple[GateStatus, ...]:
    """The verdicts as status shows them; the same objects where nothing changed."""
    return tuple([_gate_status(judged) for judged in bench.all])


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


def _kind_since(known: GateStatus | None, verdict: Verdict, now: float) -> float:
    since = None if known is None else known.since
    if known is None or since is None or known.verdict is not verdict.kind:
        return now
    if verdict.kind is _NO_DATA and verdict.reason == NoDataReason.NEVER_ASKED != known.reason:
        return now  # a new process: time in which nobody asked is no time without data
    return min(since, now)  # a clock that went back must not put off what is due


def _is_ready(judged: Judged, since: float) -> bool:
    verdict = judged.verdict
    if judged.gate.comparison is None or verdict.kind is not VerdictKind.INCONCLUSIVE:
        return verdict.kind is VerdictKind.PASS and _observed(judged) >= since + judged.window
    # It counts from the retry on and passes only in the bake: on this ramp it is enough that it is not bad.
    return verdict.reason != VerdictReason.WARMING_UP and not verdict.leans_bad


def _observed(judged: Judged) -> float:
    return -1.0 if judged.verdict.observed_at is None else judged.verdict.observed_at


def _gate_status(judged: Judged) -> GateStatus:
    verdict, known = judged.verdict, judged.before
    if (
        known is not None
        and known.observed_at == verdict.observed_at
        and known.verdict is verdict.kind
        and known.reason == verdict.reason
        and known.message == verdict.message
        and known.value == verdict.value
        and known.sample_size == verdict.sample_size
        and known.since == judged.since
    ):
        return known
    return GateStatus.typed(
        {
            "name": judged.gate.name,
            "verdict": verdict.kind,
            "reason": verdict.reason,
            "message": verdict.message,
            "value": verdict.value,
            "sample_size": verdict.sample_size,
            "observed_at": verdict.observed_at,
            "since": judged.since,
        }
    )
