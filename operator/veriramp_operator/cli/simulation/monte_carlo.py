"""Many runs of one rollout, each with a chance of its own, on all cores.

Public: :func:`simulate_many`, :class:`Outcome`, :class:`Share`, :class:`Outcomes`, :func:`wilson`, :func:`quantile`.
Run ``n`` draws its numbers from (seed, n) alone, so the result does not depend on how many processes share the work.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, NamedTuple

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.cli.simulation.runs import Options, Run
from veriramp_operator.cli.simulation.world import Progress, simulate

CONFIDENCE: Final = 0.95
RUNS_WORTH_A_PROCESS: Final = 8
OBJECTS_PER_COLLECTION: Final = 200_000
_CHUNKS_PER_PROCESS: Final = 32


class Outcome(NamedTuple):
    """What one run came to.

    ``gate``: what rolled it back (None = nothing did), in ``stage``. ``detected_after``: seconds from the onset of the
    injected regression to the fall; None where the fall, if any, had another cause.
    """

    gate: str | None
    stage: str
    detected_after: float | None
    users_exposed: int | None
    completed: bool
    ending: str

    @classmethod
    def of(cls, run: Run) -> Outcome:
        """The outcome of a run."""
        rolled_back = run.rollback_gate if run.detected_at is not None else None
        before = [moment.stage for moment in run.timeline if moment.at < (run.detected_at or math.inf)]
        stage = before[-1] if before else ""
        return cls(rolled_back, stage, run.detection_seconds, run.users_exposed(), run.completed, run.ending)


class Share(NamedTuple):
    """A share of the runs with its 95 % interval."""

    having: int
    runs: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """0..1."""
        return self.having / self.runs


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All runs, in their order; ``first``: the whole of run 0."""

    options: Options
    first: Run
    each: tuple[Outcome, ...]

    @property
    def rolled_back(self) -> Share:
        """Runs that any gate rolled back; without an injection: false rollbacks."""
        return self.share(lambda outcome: outcome.gate is not None)

    @property
    def completed(self) -> Share:
        """Runs that came to their end."""
        return self.share(lambda outcome: outcome.completed)

    @property
    def detected(self) -> Share:
        """Runs that the injected gate rolled back after the onset."""
        return self.share(lambda outcome: outcome.detected_after is not None)

    @property
    def detection_seconds(self) -> tuple[float, ...]:
        """Rising, of the runs that found what was injected."""
        return tuple(sorted(each.detected_after for each in self.each if each.detected_after is not None))

    @property
    def users_exposed(self) -> tuple[int, ...]:
        """Rising, of the runs that found what was injected."""
        return tuple(sorted(each.users_exposed for each in self.each if each.users_exposed is not None))

    def share(self, holds: Callable[[Outcome], bool]) -> Share:
        """The share of runs for which something holds."""
        count = sum(map(holds, self.each))
        return Share(count, len(self.each), *wilson(count, len(self.each)))


def simulate_many(
    spec: RolloutSpec,
    options: Options,
    runs: int,
    processes: int | None = None,
    runs_done: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Outcomes:
    """Run a rollout so often; ``processes``: default one per core.

    ``runs_done`` is told how many runs are done, ``progress`` where the first run is.
    """
    with _seldom_collected():
        first = simulate(spec, options, progress)
        each = [Outcome.of(first)]
        for outcome in _rest(spec, options, runs, _processes(processes, runs)):
            each.append(outcome)
            if runs_done is not None:
                runs_done(len(each))
    return Outcomes(options, first, tuple(each))


def wilson(count: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of a share of independent runs (Wilson 1927): sound also for 0 and for all of them."""
    if runs <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = count / runs, z * z / runs
    middle = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / runs + spread / (4 * runs)) / (1 + spread)
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return (0.0 if count == 0 else low), (1.0 if count == runs else high)


def quantile(rising: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` (0..1) of them do not exceed; None of nothing."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else None


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Look for garbage cycles seldom: a run makes hardly any, and the search would take a fifth of its time."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_PER_COLLECTION, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _processes(wanted: int | None, runs: int) -> int:
    most = len(os.sched_getaffinity(0)) if wanted is None else wanted
    return max(1, min(most, runs // RUNS_WORTH_A_PROCESS))


def _rest(spec: RolloutSpec, options: Options, runs: int, processes: int) -> Iterator[Outcome]:
    numbers = range(1, runs)
    if processes == 1:
        for number in numbers:
            yield _one(spec, options, number)
        return
    # Spawned, because a fork copies whatever the threads of the parent hold.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (spec, options))
    try:
        chunk = max(1, runs // (processes * _CHUNKS_PER_PROCESS))
        yield from pool.map(_numbered, numbers, chunksize=chunk)
    finally:
        # After Ctrl-C only what has begun is finished.
        pool.shutdown(cancel_futures=True)


def _one(spec: RolloutSpec, options: Options, number: int) -> Outcome:
    return Outcome.of(simulate(spec, replace(options, traced=False, traffic=replace(options.traffic, run=number))))


_work: list[tuple[RolloutSpec, Options]] = []
"""What the runs of this worker process are about."""


def _begin(spec: RolloutSpec, options: Options) -> None:
    # Ctrl-C is for the parent: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    _work[:] = [(spec, options)]


def _numbered(number: int) -> Outcome:
    return _one(*_work[0], number)
