"""How often the ``comparison`` gate is wrong, and how long it takes to be right.

Each run feeds the shipped `Monitor` (what `compare` is made of) scrape by scrape until it says regression. Counters:
40 requests per second in all, half of them treated, Poisson; events binomial at 1 %; a scrape each 15 s. iid: nothing
else. Diurnal: requests and error rate of both arms swing by half over a real day, each with a random phase. Bursty: the
error rate of each arm is multiplied by a lognormal autoregressive process of its own, coefficient of variation 0.2,
correlation time 2 scrapes; harsher bursts have 0.35 and 3. Clusters: events come in groups of geometric size, mean 3.

False rollback: any regression in four stages of 15 minutes. At tolerance 0 the harmless change is the hardest one,
exactly as good as the control. Beside it a z-test of two proportions that is looked at after each scrape from the 16th
on (one-sided, 1.96): its figures near 36, 37 and 57 % say that the counters are like those that the bars were set with.

Detection: minutes from the onset to the scrape that says regression, in steps of 15 s, median over the runs that were
not stopped before the onset; what is stopped before is counted in the false rollbacks of a stage of 24 h.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from tests.bench import report
from tests.bench.arms import SCRAPE, Rows, Traffic, arms, peeking_z
from tests.bench.report import Figure, say
from veriramp_operator.api.rollout import Direction
from veriramp_operator.evidence.monitor import Interval, Monitor, Terms

SEED: Final = 20260101
ALPHA: Final = 0.05
STAGES: Final = 4
STAGE: Final = 900.0
DAY: Final = 86400.0
LEVEL_RUNS: Final = 4000
DAY_RUNS: Final = 300
STATED_RUNS: Final = 1000
DETECTION_RUNS: Final = 1000
LATE_RUNS: Final = 200
PASS_RUNS: Final = 200
IID, DIURNAL, BURSTY = (Traffic(noise) for noise in ("iid", "diurnal", "bursty"))
HARSH: Final = replace(BURSTY, burst=0.35, lasts=3.0)
NOISES: Final = {
    "iid": IID,
    "diurnal": DIURNAL,
    "bursty": BURSTY,
    "harsher bursts": HARSH,
    "clusters": Traffic("clustered"),
    "iid, 5 % treated": replace(IID, treated=0.05),
}
BARRED: Final = ("iid", "diurnal", "bursty")
DETECT: Final = {1.5: 20.0, 2.0: 9.0, 3.0: 5.5, 5.0: 1.5}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of one kind: ``effect`` from ``onset`` seconds on, watched for ``seconds`` of a stage of ``stage``."""

    traffic: Traffic
    seconds: float
    stage: float
    tolerance: float = 0.0
    effect: float = 1.0
    onset: float = 0.0


def stopped_after(plan: Plan, rows: Rows) -> float:
    """Seconds until the shipped code says regression; infinite when it never does."""
    monitor = Monitor(Terms(Direction.LOWER_IS_BETTER, plan.tolerance, ALPHA, 0.0, plan.stage))
    for row in rows.tolist():
        monitor.add(Interval(*row))
        if monitor.comparison(None).regression:
            return float(row[0])
    return math.inf


def one(plan: Plan, seed: int) -> float:
    """One run of a plan."""
    random = np.random.default_rng((SEED, seed))
    return stopped_after(plan, arms(random, plan.traffic, round(plan.seconds / SCRAPE), plan.effect, plan.onset))


def four_stages(plan: Plan, seed: int) -> tuple[bool, bool]:
    """Whether any of four stages is stopped, by the shipped code and by the peeking z-test."""
    random = np.random.default_rng((SEED, seed))
    stages = [arms(random, plan.traffic, round(plan.seconds / SCRAPE)) for _ in range(STAGES)]
    ours = any(stopped_after(plan, rows) < math.inf for rows in stages)
    return ours, any(peeking_z(rows) for rows in stages)


def each(pool: ProcessPoolExecutor, run: Callable[[Plan, int], Result], plan: Plan, runs: int) -> list[Result]:
    """The runs of a plan with seeds 0, 1, .., on all cores."""
    return list(pool.map(run, [plan] * runs, range(runs), chunksize=10))


def shares(stopped: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    """Percent of the runs that either test stopped."""
    ours, peeking = (100 * sum(column) / len(stopped) for column in zip(*stopped, strict=True))
    return ours, peeking


def harmless(pool: ProcessPoolExecutor) -> list[Figure]:
    """False rollbacks of a harmless change over four stages, for each kind of noise."""
    figures = []
    for name, traffic in NOISES.items():
        runs = LEVEL_RUNS if name in BARRED else STATED_RUNS
        ours, peeking = shares(each(pool, four_stages, Plan(traffic, STAGE, STAGE), runs))
        what = f"false rollback, 4 x 15 min, {name}, tolerance 0"
        figures.append(report.at_most(what, ours, "%", 3) if name in BARRED else report.stated(what, ours, "%"))
        figures.append(report.stated(f"  the same, peeking z-test, {name}", peeking, "%"))
        tolerant, _ = shares(each(pool, four_stages, Plan(traffic, STAGE, STAGE, 0.1), STATED_RUNS))
        figures.append(report.stated(f"  the same, {name}, tolerance 0.1", tolerant, "%"))
        say(f"{what}: {ours:.2f} % (peeking {peeking:.1f} %, tolerance 0.1: {tolerant:.2f} %)")
    return figures


def detection(pool: ProcessPoolExecutor) -> list[Figure]:
    """Median minutes to a change that is bad from the beginning."""
    figures = []
    for tolerance in (0.0, 0.1):
        for effect, bar in DETECT.items():
            taken = each(pool, one, Plan(DIURNAL, 7200.0, STAGE, tolerance, effect), DETECTION_RUNS)
            minutes = report.percentile(taken, 0.5) / 60
            what = f"detection of {effect:g}x, diurnal, tolerance {tolerance:g}, median"
            figures.append(report.at_most(what, minutes, "min", bar) if tolerance == 0 else stated(what, minutes))
            figures.append(
                stated(f"  the same, {effect:g}x, tolerance {tolerance:g}, p90", report.percentile(taken, 0.9) / 60)
            )
            say(f"{what}: {minutes:.2f} min")
    return figures


def late(pool: ProcessPoolExecutor) -> list[Figure]:
    """The same in a stage of a day, with onsets later and later."""
    figures = []
    for effect in (2.0, 5.0):
        first = median_late(pool, effect, 0.0, DETECTION_RUNS)
        what = f"detection of {effect:g}x, diurnal, 24 h stage"
        figures.append(stated(f"{what}, onset 0, median", first))
        for hours in (1, 6, 12):
            minutes = median_late(pool, effect, hours * 3600.0, LATE_RUNS)
            bar = 3 * first if effect == 2.0 else 5.0
            figures.append(report.at_most(f"{what}, onset {hours} h, median", minutes, "min", round(bar, 2)))
            say(f"{what}, onset {hours} h: {minutes:.2f} min")
    return figures


def median_late(pool: ProcessPoolExecutor, effect: float, onset: float, runs: int) -> float:
    """Median minutes from an onset within a stage of a day."""
    taken = each(pool, one, Plan(DIURNAL, onset + 7200.0, DAY, 0.0, effect, onset), runs)
    return (report.percentile([at for at in taken if at > onset], 0.5) - onset) / 60


def whole_day(pool: ProcessPoolExecutor) -> list[Figure]:
    """False rollbacks of a harmless change over a stage of a day."""
    figures = []
    for name, traffic in NOISES.items():
        stops = each(pool, one, Plan(traffic, DAY, DAY), DAY_RUNS if name in BARRED else DAY_RUNS // 3)
        share = 100 * sum(stop < math.inf for stop in stops) / len(stops)
        what = f"false rollback, one stage of 24 h, {name}, tolerance 0"
        figures.append(report.at_most(what, share, "%", 3) if name in BARRED else report.stated(what, share, "%"))
        say(f"{what}: {share:.2f} %")
    return figures


def passed_after(plan: Plan, seed: int) -> float:
    """Seconds until the shipped code says that the treatment is inside the tolerance."""
    random = np.random.default_rng((SEED, seed))
    monitor = Monitor(Terms(Direction.LOWER_IS_BETTER, plan.tolerance, ALPHA, 0.0, plan.stage))
    for row in arms(random, plan.traffic, round(plan.seconds / SCRAPE), plan.effect).tolist():
        monitor.add(Interval(*row))
        if monitor.comparison(0.0).within_tolerance:
            return float(row[0])
    return math.inf


def passing(pool: ProcessPoolExecutor) -> list[Figure]:
    """How long a Pass takes, and how often something just past the tolerance gets one."""
    figures = []
    for tolerance in (0.1, 0.25, 0.5):
        hours = report.percentile(each(pool, passed_after, Plan(DIURNAL, DAY, DAY, tolerance), PASS_RUNS), 0.5) / 3600
        what = f"Pass of a change as good as the control, diurnal, tolerance {tolerance:g}"
        figures.append(report.stated(f"{what}, median", hours, "h"))
    stops = each(pool, passed_after, Plan(DIURNAL, 6 * 3600.0, DAY, 0.1, 1.1), PASS_RUNS)
    wrong = 100 * sum(stop < math.inf for stop in stops) / len(stops)
    figures.append(report.at_most("wrong Pass within 6 h, worse by just the tolerance of 0.1", wrong, "%", 100 * ALPHA))
    return figures


def cost() -> list[Figure]:
    """CPU time of one more scrape: counting it, and asking."""
    figures = []
    for intervals, bar in ((240, 1.0), (1500, 3.0)):
        rows = arms(np.random.default_rng(SEED), DIURNAL, intervals + 200).tolist()
        monitor = Monitor(Terms(Direction.LOWER_IS_BETTER, 0.1, ALPHA, 0.0, DAY))
        taken = []
        for number, row in enumerate(rows):
            began = time.thread_time()
            monitor.add(Interval(*row))
            if number >= intervals:
                monitor.comparison(STAGE)
                taken.append((time.thread_time() - began) * 1e3)
        what = f"one more scrape after {intervals} intervals, p50"
        figures.append(report.at_most(what, report.percentile(taken, 0.5), "ms", bar))
    return figures


def stated(what: str, minutes: float) -> Figure:
    """Minutes without a bar."""
    return report.stated(what, minutes, "min")


def main() -> None:
    """Measure and write build/bench/statistics.json."""
    parts: Sequence[Callable[[ProcessPoolExecutor], list[Figure]]] = (detection, harmless, late, passing, whole_day)
    figures = cost()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for part in parts:
            figures += part(pool)
    settings = {
        "runs": f"{LEVEL_RUNS} of four stages ({STATED_RUNS} of those without a bar), {DETECTION_RUNS} of a detection "
        f"from the beginning, {LATE_RUNS} of a late one, {DAY_RUNS} of a harmless day ({DAY_RUNS // 3} of those "
        f"without a bar), {PASS_RUNS} of a Pass",
        "seed": f"numpy default_rng(({SEED}, number of the run))",
        "alpha": f"{ALPHA}: 0.04 for the interval test, 0.01 for the ratio test",
        "watched": "detection: two hours from the onset; the error budget of the stage is that of 15 min, or of 24 h",
    }
    report.write("statistics", figures, settings)


if __name__ == "__main__":
    main()
