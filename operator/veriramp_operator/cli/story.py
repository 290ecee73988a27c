"""What a simulation came to, in lines for people.

Public: :func:`of_one`, :func:`of_many`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.cli.plan import short
from veriramp_operator.cli.simulation.monte_carlo import Outcomes, Share, quantile
from veriramp_operator.cli.simulation.runs import Moment, Run
from veriramp_operator.engine.types import Direction

MOST_CAUSES: Final = 5
_TRANSIENT: Final = frozenset({"NotPropagated", "WorkersNotReady", "Pending", "Ramping", "RolledBack"})
_SHORT: Final = 2.0
_TWO_MINUTES: Final = 120.0
_INJECTED: Final = "Injected"


def of_one(title: str, run: Run) -> Iterator[str]:
    """The timeline and the figures of a run."""
    start = run.options.start
    yield f"{title} in virtual time: {short(run.ended_at - start)}, {run.passes} passes"
    yield ""
    lines = [*_told(run), *_injected(run)]
    width = max((len(moment.stage) for _, moment, _ in lines), default=0)
    for at, moment, text in sorted(lines, key=_order):
        yield f"  {_plus(at - start):>12}  {moment.stage:<{width}}  {text}"
    yield ""
    yield f"  {run.ending}"
    yield from _figures(run)


def of_many(title: str, outcomes: Outcomes) -> Iterator[str]:
    """Shares with their 95 % intervals, and quantiles."""
    traffic, injections = outcomes.options.traffic, outcomes.options.injections
    yield f"{title} in virtual time: {len(outcomes.each)} runs, seed {traffic.seed}, noise {traffic.noise}"
    yield f"  injected          {', '.join(map(str, injections)) or 'nothing: every rollback is a false one'}"
    yield ""
    yield f"  rolled back       {_share(outcomes.rolled_back)}"
    if injections:
        yield f"    by the injected {_share(outcomes.detected)}"
    yield f"  all stages done   {_share(outcomes.completed)}"
    rest = outcomes.share(lambda outcome: not outcome.completed and outcome.gate is None)
    if rest.having:
        yield f"  stood still       {_share(rest)}"
    if delays := outcomes.detection_seconds:
        users, half, most = outcomes.users_exposed, _span(delays, 0.5), _span(delays, 0.9)
        yield f"  from regression to decision    half within {half}, nine of ten within {most}"
        yield f"  users exposed to it            half of the runs at most {quantile(users, 0.5)}"
    causes = Counter(f'gate "{each.gate}" in {each.stage}' for each in outcomes.each if each.gate is not None)
    causes += Counter(each.ending for each in outcomes.each if not each.completed and each.gate is None)
    if causes:
        yield ""
    for cause, count in causes.most_common(MOST_CAUSES):
        yield f"  {count:>6} x {cause}"
    if len(causes) > MOST_CAUSES:
        yield f"  and {len(causes) - MOST_CAUSES} more causes"


def _told(run: Run) -> Iterator[tuple[float, Moment, str]]:
    """The decisions worth telling: stages, ramps in one line, falls, and holds that last."""
    steps = 0
    told: set[tuple[str, str]] = set()
    for moment in run.timeline:
        # A hold that comes and goes is told once per stage.
        again = (moment.stage, moment.reason) in told
        told.add((moment.stage, moment.reason))
        if moment.reason == "RampStep":
            steps += 1
        elif moment.direction is Direction.FALL:
            ramped = f" after {steps} ramp steps" if steps else ""
            yield moment.at, moment, f"FALL{ramped} to {moment.vector}: {moment.message}"
            steps = 0
        elif moment.direction is Direction.RISE:
            yield moment.at, moment, f"rise to {moment.vector}"
        elif moment.reason == "Baking" and (steps or not again):
            ramped = f"ramp done in {steps} steps: {moment.vector}; " if steps else ""
            yield moment.at, moment, f"{ramped}baking"
            steps = 0
        elif moment.reason == "ApprovalRequired":
            yield moment.at, moment, "approval assumed, as if a person promoted it at once"
        elif moment.reason not in _TRANSIENT and not again:
            yield moment.at, moment, f"{moment.reason}: {moment.message}"


def _injected(run: Run) -> Iterator[tuple[float, Moment, str]]:
    """What was injected, and when its gate saw it."""
    for injection in run.options.injections:
        at = run.injected_at.get(injection.gate)
        if at is not None and at <= run.ended_at:
            yield at, _beside(run, at), f"injected: {injection}"
        if injection.gate != run.rollback_gate and (bad_at := _regressed_at(run, injection.gate)) is not None:
            yield bad_at, _beside(run, bad_at), f'gate "{injection.gate}" regresses'


def _beside(run: Run, at: float) -> Moment:
    """A line that is no decision, in the stage that it happened in and not in the one that was fallen to."""
    before = [each for each in run.timeline if each.at < at or (each.at == at and each.direction is not Direction.FALL)]
    return replace((before or run.timeline)[-1], at=at, direction=Direction.HOLD, reason=_INJECTED)


def _regressed_at(run: Run, gate: str) -> float | None:
    return next((at for at, kind in run.verdicts.get(gate, ()) if kind is VerdictKind.REGRESSION), None)


def _order(line: tuple[float, Moment, str]) -> tuple[float, int]:
    at, moment, _ = line
    return at, 0 if moment.direction is Direction.RISE else 1 if moment.reason == _INJECTED else 2


def _figures(run: Run) -> Iterator[str]:
    for injection in run.options.injections:
        if injection.gate not in run.injected_at:
            yield f"  {injection}: never injected, stage {injection.stage} was not reached"
        elif injection.gate != run.rollback_gate and _regressed_at(run, injection.gate) is None:
            yield f"  {injection}: its gate never regressed"
    detection, safe = run.detection_seconds, run.safe_seconds
    if detection is None or safe is None:
        return
    yield f"  from regression to decision    {_exactly(detection)}"
    yield f"  from decision to safe          {_exactly(safe - detection)} (assumed)"
    yield f"  from regression to safe        {_exactly(safe)}"
    yield f"  users exposed to it            {run.users_exposed()}"


def _exactly(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < _TWO_MINUTES else short(seconds)


def _plus(seconds: float) -> str:
    return f"+{short(seconds)}" if seconds >= _SHORT else f"+{seconds:.1f}s"


def _share(share: Share) -> str:
    return f"{share.having} of {share.runs}, {share.value:.1%} (95 % interval {share.low:.1%} .. {share.high:.1%})"


def _span(rising: tuple[float, ...], share: float) -> str:
    return short(quantile(rising, share) or 0.0)
