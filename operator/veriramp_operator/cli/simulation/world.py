"""Virtual time round ``decide()``: time jumps from one decision that can matter to the next.

Public: :func:`simulate`. A stage that waits for approval gets it at once. While a rollout just ramps, bakes or waits,
nothing changes until the next step, the end of the bake or the opening of a window, so those passes are skipped; every
bad poll, and every scrape that changes what a comparison says, is a pass of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import GateSpec, OnRegression, RolloutSpec
from veriramp_operator.api.status import RolloutStatus, VerdictKind
from veriramp_operator.cli.simulation.alerts import FiringSignal
from veriramp_operator.cli.simulation.arms import ArmsSignal
from veriramp_operator.cli.simulation.budget import BudgetSignal
from veriramp_operator.cli.simulation.numbers import NumberSignal
from veriramp_operator.cli.simulation.runs import DEFAULT_START, Moment, Options, Run, Trace
from veriramp_operator.cli.simulation.signals import Signal
from veriramp_operator.cli.simulation.surroundings import UID, Surroundings
from veriramp_operator.cli.simulation.traffic import Traffic
from veriramp_operator.engine import after_publish, decide, trial_of
from veriramp_operator.engine.ramp import pace_of
from veriramp_operator.engine.rollback import steps_down_at
from veriramp_operator.engine.stages import Plan, plan_of
from veriramp_operator.engine.types import Decision, Direction, Observation, PublishFlags, Requests, ScaleWorkers
from veriramp_operator.engine.windows import next_opening

__all__ = ["DEFAULT_START", "Moment", "Options", "Run", "simulate"]

LEAST_TAIL_SECONDS: Final = 10.0
TAIL_SHARE: Final = 0.08
PASSES_IN_TAIL: Final = 100
MOST_IDLE_PASSES: Final = 2000
MOST_PASSES: Final = 300_000
SETTLING_SECONDS: Final = 3600.0
_LOOKS_PER_PROGRESS: Final = 256
_POLL: Final = 15.0
"""Seconds between passes where no gate asks for one."""
_QUIET: Final = frozenset({Reason.RAMPING, Reason.BAKING, Reason.WINDOW_CLOSED, Reason.GUARDING, Reason.ROLLED_BACK})
_BY_EVIDENCE: Final = frozenset({Reason.EVIDENCE_LEANS_BAD, Reason.INCONCLUSIVE})
"""Rows that end by more evidence: of a comparison each scrape is looked at anyway."""
_PROGRESS: Final = frozenset({Reason.RAMPING, Reason.BAKING})

Progress = Callable[[float, str], None]


def simulate(spec: RolloutSpec, options: Options, progress: Progress | None = None) -> Run:
    """Run the plan to its end, its rollback or its standstill. Deterministic: the same inputs give the same run.

    ``progress`` is told the virtual seconds so far and the stage, now and then.
    """
    return _World(spec, options, progress or (lambda _seconds, _stage: None)).run()


def signal_of(gate: GateSpec, traffic: Traffic) -> Signal:
    """The synthetic evidence of a gate."""
    if gate.comparison is not None:
        return ArmsSignal(gate, traffic, gate.comparison)
    if gate.firing is not None:
        return FiringSignal(gate, traffic, gate.firing)
    if gate.burn_rate is not None:
        return BudgetSignal(gate, traffic, gate.burn_rate)
    return NumberSignal(gate, traffic)


class _World:
    def __init__(self, spec: RolloutSpec, options: Options, progress: Progress) -> None:
        self._spec, self._options, self._progress = spec, options, progress
        self._plan: Plan = plan_of(spec)
        self._now = options.start
        self._status = RolloutStatus()
        self._round = Surroundings()
        self._request: str | None = None
        self._signals = {gate.name: signal_of(gate, options.traffic) for gate in spec.gates}
        self._arms = [signal for signal in self._signals.values() if isinstance(signal, ArmsSignal)]
        self._waiting = list(options.injections)
        self._idle, self._idle_since = 0, self._now
        self._reason = Reason.PENDING
        self._stop_at = math.inf
        self._ending, self._tail_from = "", self._now
        self.result = Run(options)

    def run(self) -> Run:
        while self._now < self._stop_at and not self.result.ending:
            self._round.reach(self._now)
            decision = decide(self._spec, self._status, self._observation(), self._now)
            self._note(decision)
            self._apply(decision)
            self._look_for_the_end(decision)
            self._now = self._next(decision)
        self.result.ending = self.result.ending or self._ending
        self.result.ended_at = min(self._now, self._stop_at)
        self.result.applied_at = self._round.safe_at
        return self.result

    def _observation(self) -> Observation:
        return Observation(
            namespace="simulated",
            name="simulated",
            uid=UID,
            generation=1,
            requests=Requests(request=self._request),
            published=self._round.published,
            propagation=self._round.propagation,
            samples={name: signal.samples(self._now) for name, signal in self._signals.items()},
            workers=self._round.workers,
            salts=("simulated", "simulated"),
            max_ranking_weight=1.0,
        )

    def _apply(self, decision: Decision) -> None:
        self._status = decision.status
        for command in decision.commands:
            if isinstance(command, PublishFlags):
                self._publish(command)
            elif isinstance(command, ScaleWorkers):
                self._round.scale(command, self._now)
        stage = self._status.stage
        trial = trial_of(self._status, None if stage is None else self._plan.at(stage))
        for arms in self._arms:
            arms.follow(trial)
            arms.told(self._now)

    def _publish(self, command: PublishFlags) -> None:
        content = f"revision-{command.revision}"
        self._status = after_publish(self._status, command, content, self._now)
        applied_at = self._round.publish(command, content, self._now)
        for arms in self._arms:
            arms.expose(applied_at, command.vector.canary_percent)
        if command.direction is Direction.RISE and self._status.stage is not None:
            self._start_injections(self._status.stage.name)
        if command.direction is Direction.FALL:
            self.result.published_at = self.result.published_at or self._now
            for signal in self._signals.values():
                # What the fall takes back no longer does harm; the query's range forgets it as it moves on.
                signal.end(applied_at)

    def _start_injections(self, stage: str) -> None:
        for injection in [waiting for waiting in self._waiting if waiting.stage == stage]:
            self._waiting.remove(injection)
            onset = self._now + injection.after
            self._signals[injection.gate].inject(injection.factor, onset)
            self.result.injected_at[injection.gate] = onset

    def _next(self, decision: Decision) -> float:
        """The next moment at which a pass can decide something new."""
        due = decision.next_decision_at or self._now + 1.0
        quiet = decision.direction is Direction.HOLD and self._is_quiet(decision)
        until = self._now + max(due - self._now, self._quiet_for(decision)) if quiet else due
        until = min(until, self._round.next_event, self._stop_at)
        told = {gate.name for gate in self._status.gates if gate.verdict is VerdictKind.REGRESSION}
        for name, signal in self._signals.items():
            # A gate that only reports changes nothing by reporting again.
            if name not in told or signal.gate.on_regression is not OnRegression.REPORT:
                until = min(until, signal.next_bad(self._now, until) or until)
        until = self._next_news(until)
        if quiet and until > due:
            self._status = self._after_the_skipped_passes(until)
        return until

    def _after_the_skipped_passes(self, until: float) -> RolloutStatus:
        """The status as the last pass before a moment would have left it: all those between found the same.

        What the moment itself brings may stop the clocks; it takes back no more than the time since the last poll.
        """
        clock, stage = self._status.clock, self._status.stage
        last = until - min((signal.every for signal in self._signals.values()), default=_POLL)
        if clock is None or stage is None or last <= clock.at:
            return self._status
        skipped = last - clock.at
        stage = stage.model_copy(
            update={
                "ramp_seconds": stage.ramp_seconds + skipped * clock.ramp_runs,
                "bake_seconds": stage.bake_seconds + skipped * clock.bake_runs,
            }
        )
        clock = clock.model_copy(update={"at": last, "interval": until - last})
        return self._status.model_copy(update={"clock": clock, "stage": stage})

    def _next_news(self, until: float) -> float:
        """The first scrape before a moment after which a comparison says something else."""
        if self._status.rollback is not None:
            return until
        looks = 0
        while (tick := min((arms.next_tick for arms in self._arms), default=math.inf)) < until:
            # Each is counted up to the same scrape before anything is told.
            news = [arms.look(tick) for arms in self._arms if arms.next_tick <= tick]
            if self._options.traced:
                self._trace(tick)
            if any(news) and tick > self._now:
                return tick
            looks += 1
            if looks % _LOOKS_PER_PROGRESS == 0:
                self._tell(tick)
        return until

    def _trace(self, now: float) -> None:
        for arms in self._arms:
            if (estimate := arms.estimate(now)) is not None:
                self.result.estimates.setdefault(arms.gate.name, Trace()).add(estimate)

    def _is_quiet(self, decision: Decision) -> bool:
        if decision.reason in _BY_EVIDENCE:
            return all(isinstance(self._signals[name], ArmsSignal) for name in self._open_questions())
        return decision.reason in _QUIET

    def _open_questions(self) -> list[str]:
        """The gates that neither pass nor stand aside."""
        settled = {VerdictKind.PASS, VerdictKind.NOT_APPLICABLE}
        return [gate.name for gate in self._status.gates if gate.verdict not in settled]

    def _quiet_for(self, decision: Decision) -> float:
        """Seconds for which a quiet row stays what it is, as far as nobody from outside disturbs it."""
        if math.isfinite(self._stop_at):
            return (self._stop_at - self._tail_from) / PASSES_IN_TAIL
        match decision.reason:
            case Reason.WINDOW_CLOSED:
                return (next_opening(self._spec.windows, self._now) or self._now) - self._now
            case Reason.ROLLED_BACK:
                return max(0.0, (steps_down_at(self._plan, self._status) or self._now) - self._now)
            case Reason.GUARDING:
                return max(0.0, self._settled_at() - self._now)
            case _:
                return self._quiet_in_stage(decision.reason)

    def _quiet_in_stage(self, reason: Reason) -> float:
        stage = self._status.stage
        if stage is None:
            return 0.0
        rung = self._plan.at(stage)
        if reason is Reason.RAMPING:
            return pace_of(self._plan, rung, stage).next_step_in(stage.ramp_seconds)
        baked = stage.bake_seconds
        if reason is Reason.BAKING:
            return max(0.0, rung.bake - baked)
        borders = (rung.bake - baked, rung.max_bake - baked, *self._unsettled_for())
        patience = max(0.0, self._idle_since + self._patience() - self._now)
        return min((seconds for seconds in borders if seconds > 0), default=patience)

    def _unsettled_for(self) -> list[float]:
        """Seconds until the evidence of each gate speaks of this revision alone."""
        seen = self._status.propagation
        confirmed_at = self._now if seen is None or seen.confirmed_at is None else seen.confirmed_at
        return [confirmed_at + asking.window - self._now for asking in self._plan.gates]

    def _settled_at(self) -> float:
        """When every injection has had its time to show."""
        return max(self.result.injected_at.values(), default=-math.inf) + SETTLING_SECONDS

    def _look_for_the_end(self, decision: Decision) -> None:
        if math.isfinite(self._stop_at):
            return
        if decision.reason is Reason.APPROVAL_REQUIRED and self._status.stage is not None:
            self._request = f"promote:{self._status.stage.name}@{self.result.passes}"
        down = steps_down_at(self._plan, self._status) is None
        if self.result.detected_at is not None and self._round.safe_at is not None and down:
            self._stop_soon(f'rolled back by gate "{self.result.rollback_gate}"')
        elif decision.reason is Reason.GUARDING and self._settled_at() <= self._now and not self._breaching():
            self.result.completed = True
            self._stop_soon("all stages done, the gates keep guarding")
        self._look_for_standstill(decision)

    def _look_for_standstill(self, decision: Decision) -> None:
        before, self._reason = self._reason, decision.reason
        opens = decision.reason is Reason.WINDOW_CLOSED and next_opening(self._spec.windows, self._now) is not None
        if decision.direction is not Direction.HOLD or decision.reason in _PROGRESS or opens:
            self._idle, self._idle_since = 0, self._now
            return
        if decision.reason in _BY_EVIDENCE and before not in _BY_EVIDENCE:
            # The passes of the quiet hours before were skipped: the last that reset this may be long ago.
            self._idle_since = self._now
        self._idle += 1
        waited = self._now - self._idle_since
        if waited >= self._patience() if decision.reason in _BY_EVIDENCE else self._idle >= MOST_IDLE_PASSES:
            self.result.ending = f"stands still, {decision.reason}: {decision.message}"
        elif self.result.passes >= MOST_PASSES:
            self.result.ending = f"not at its end after {MOST_PASSES:,} passes, {decision.reason}: {decision.message}"

    def _patience(self) -> float:
        """Seconds of waiting for time or evidence after which nothing more is expected."""
        stage = self._status.stage
        most = 0.0 if stage is None else self._plan.at(stage).max_bake
        return SETTLING_SECONDS + 2 * most + self._spec.on_no_data.after

    def _breaching(self) -> bool:
        """An injected gate has not passed again: it may still come to a fall."""
        return any(
            self._signals[name].onset is not None and self._signals[name].gate.on_regression is not OnRegression.REPORT
            for name in self._open_questions()
        )

    def _stop_soon(self, ending: str) -> None:
        so_far = self._now - self._options.start
        self._stop_at = self._now + max(LEAST_TAIL_SECONDS, TAIL_SHARE * so_far)
        self._ending, self._tail_from = ending, self._now

    def _note(self, decision: Decision) -> None:
        result = self.result
        result.passes += 1
        stage = decision.status.stage.name if decision.status.stage else ""
        pending = decision.status.pending
        if decision.direction is Direction.RISE and pending is not None:
            stage = pending.stage
        moment = Moment(self._now, stage, decision.vector, decision.direction, decision.reason, decision.message)
        last = result.timeline[-1] if result.timeline else None
        if last is None or decision.direction is not Direction.HOLD or last.reason != moment.reason:
            result.timeline.append(moment)
        for gate in decision.status.gates:
            known = result.verdicts.setdefault(gate.name, [])
            if not known or known[-1][1] is not gate.verdict:
                known.append((self._now, gate.verdict))
        rollback = decision.status.rollback
        if decision.direction is Direction.FALL and rollback is not None and result.detected_at is None:
            result.first_bad_at, result.detected_at, result.rollback_gate = rollback.at, self._now, rollback.gate
        self._tell(self._now)

    def _tell(self, now: float) -> None:
        stage = self._status.stage
        self._progress(now - self._options.start, stage.name if stage else "")
