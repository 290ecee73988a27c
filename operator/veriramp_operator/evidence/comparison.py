"""The ``comparison`` gate: treatment against control, sequentially tested on counters.

Public: :func:`judge_comparison`. The statistics are in :mod:`.sequential`, the split of the users in :mod:`.ratio`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import ComparisonGate, Direction, GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.counts import ARMS, trial_start
from veriramp_operator.evidence.question import (
    GAP_POLLS,
    LEAST_MAX_AGE,
    POLLS_PER_MAX_AGE,
    counted_age_of,
    every_of,
    max_age_of,
)
from veriramp_operator.evidence.ratio import users_of
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.sequential import Comparison, compare
from veriramp_operator.evidence.types import Counts, Failure, Occupied, Reading, Samples, Series, Trial, Verdict
from veriramp_sdk.contract import BUCKETS

DEFAULT_TRIAL_SECONDS: Final = 86400.0
"""Length of a trial that nobody has told."""
_MINUTE: Final = 60.0
_REMEMBERED: Final = 256


def judge_comparison(gate: GateSpec, samples: Samples, now: float, since: float | None, trial: Trial) -> Verdict:
    """What the arms of the present stage say; ``NotApplicable`` while one of them has no share of the users.

    The newest reading tells age and failures, the counts tell the rest. ``since``: only what was counted after it.
    """
    if not trial.has_arms:
        message = f"{trial.percent:g} % of the users are in the treatment, so there are no two arms to compare"
        return Verdict(VerdictKind.NOT_APPLICABLE, VerdictReason.NO_ARMS, message)
    spec = gate.comparison
    start = trial_start(trial, now)
    trial = (trial if start == trial.began_at else replace(trial, began_at=start)).clipped(since)
    if start is not None and start - now > _limit(gate, samples):
        return _catching_up(_went_back(start - now))
    if spec is None or trial.began_at is None or trial.began_at > now:
        return _warming_up("counting begins when what is published is confirmed by the processes")
    readings = [reading for reading in samples.readings if reading.at <= now]
    problem = _problem(gate, readings[-1] if readings else None, now, _limit(gate, samples))
    if (problem is None or _outlived(gate, readings, now)) and (
        verdict := _on_counts(gate, spec, samples, now, trial, problem)
    ):
        return verdict
    young = now - trial.began_at <= _limit(gate, samples) + samples.scrape_interval
    if problem is None or (young and problem.reason in _COMING):
        return _warming_up("the first scrapes of this stage are still to come")
    asked_at = readings[-1].at if readings else None
    return Verdict(VerdictKind.NO_DATA, problem.reason, problem.message, observed_at=asked_at)


def _on_counts(
    gate: GateSpec, spec: ComparisonGate, samples: Samples, now: float, trial: Trial, problem: Failure | None
) -> Verdict | None:
    """What the counts say; None where there are none, or where they cannot be trusted to be of now."""
    counts, limit = samples.counts, _limit(gate, samples)
    if counts is None or counts.until - counts.since <= 0:
        return None
    oldest = now - counted_age_of(gate, samples.scrape_interval)
    if counts.until < oldest and problem is None:
        return _catching_up(_progress(counts, now))
    occupied = samples.occupied
    if occupied is not None and occupied.at < oldest:
        occupied = None  # somebody knew the users once
    verdict = _verdict_of(spec, counts, occupied, trial)
    if verdict.kind is VerdictKind.REGRESSION:
        return verdict
    if counts.until - now > limit:
        return _catching_up(_went_back(counts.until - now))
    if problem is not None:
        return None
    return _catching_up(_progress(counts, now)) if _is_history(samples, now) else verdict


def _limit(gate: GateSpec, samples: Samples) -> float:
    return max_age_of(gate, samples.scrape_interval)


_COMING: Final = frozenset({NoDataReason.NEVER_ASKED, NoDataReason.NOT_YET_EXPOSED})


def _problem(gate: GateSpec, reading: Reading | None, now: float, limit: float) -> Failure | None:
    """Why the newest reading says that the counts cannot be trusted to be of now."""
    if reading is None:
        return Failure(NoDataReason.NEVER_ASKED, "monitoring has not been asked yet")
    age, patience = now - reading.at, max(POLLS_PER_MAX_AGE * every_of(gate), LEAST_MAX_AGE)
    if age > patience:
        message = f"the last answer is {format_duration(age)} old, more than {format_duration(patience)}"
        return Failure(NoDataReason.TOO_OLD, message)
    if isinstance(reading.answer, Failure):
        return reading.answer
    newest = reading.newest.values if isinstance(reading.newest, Series) else ()
    if not newest or not math.isfinite(newest[0]):
        return None  # what is read is history; how far it is, the counts say
    age = reading.at - newest[0]
    if age > limit:
        message = f"an arm was last scraped {format_duration(round(age))} ago, more than {format_duration(limit)}"
        return Failure(NoDataReason.TOO_OLD, message)
    return None


def _is_history(samples: Samples, now: float) -> bool:
    """Whether the newest answer did not reach to now, so that nobody has looked whether both arms still are there."""
    newest = next((reading for reading in reversed(samples.readings) if reading.at <= now), None)
    return newest is not None and newest.newest is None


def _outlived(gate: GateSpec, readings: list[Reading], now: float) -> bool:
    """Whether polls without data are still so few that a regression outlives them, as it does in other kinds."""
    good = [reading.at for reading in readings if not isinstance(reading.answer, Failure)]
    return bool(good) and now - good[-1] <= GAP_POLLS * every_of(gate)


def _progress(counts: Counts, now: float) -> str:
    read, whole = counts.until - counts.since, now - counts.since
    return f"reading the history of this stage: {_duration(read)} of {_duration(whole)} are read"


def _went_back(seconds: float) -> str:
    return f"the operator's clock went back: counting goes on in {_duration(seconds)}"


def _catching_up(message: str) -> Verdict:
    """What was counted is there and not known: no data, so that nothing rises past what it may show."""
    return Verdict(VerdictKind.NO_DATA, NoDataReason.CATCHING_UP, message)


def _warming_up(message: str) -> Verdict:
    return Verdict(VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP, message)


@dataclass(frozen=True, slots=True)
class _Question:
    """Everything that a verdict on counts depends on."""

    spec: ComparisonGate
    counts: Counts
    occupied: Occupied | None
    trial: Trial


_verdicts: dict[tuple[int, int, Trial], tuple[_Question, Verdict]] = {}


def _verdict_of(spec: ComparisonGate, counts: Counts, occupied: Occupied | None, trial: Trial) -> Verdict:
    """The verdict on these counts, remembered as long as it is asked for the same ones (by identity)."""
    key = (id(spec), id(counts), trial)
    known = _verdicts.pop(key, None)
    if known is None or known[0].spec is not spec or known[0].counts is not counts or known[0].occupied != occupied:
        question = _Question(spec, counts, occupied, trial)
        known = (question, _judged(question))
    _verdicts[key] = known
    if len(_verdicts) > _REMEMBERED:
        _verdicts.pop(next(iter(_verdicts)), None)
    return known[1]


def _judged(question: _Question) -> Verdict:
    spec, counts, trial = question.spec, question.counts, question.trial
    result = compare(
        counts,
        began_at=trial.began_at or 0.0,
        full_at=trial.full_at,
        direction=spec.direction,
        tolerance=spec.tolerance,
        alpha=spec.alpha,
        stage_seconds=trial.seconds or DEFAULT_TRIAL_SECONDS,
    )
    if result.regression:
        return _regression(question, result)
    missing = [*_missing(question, result)]
    rates, ratio = _rates(spec, result.treatment_rate, result.control_rate), result.ratio
    requests = result.treatment_requests + result.control_requests
    if missing and result.leans_since is not None:
        rates, ratio, requests = _since(question, max(result.leans_since, trial.began_at or 0.0))
    if missing:
        kind, reason = VerdictKind.INCONCLUSIVE, VerdictReason.UNCERTAIN
        message = "; ".join([rates, *missing, _sight(result)])
    else:
        kind, reason = VerdictKind.PASS, VerdictReason.HEALTHY
        message = f"{rates}, surely within what is tolerated ({_tolerated(spec)})"
    return Verdict(
        kind,
        reason,
        message,
        value=_finite(ratio),
        sample_size=int(requests),
        observed_at=counts.until,
        leans_bad=kind is VerdictKind.INCONCLUSIVE and result.leans_bad,
    )


def _regression(question: _Question, result: Comparison) -> Verdict:
    spec, counts = question.spec, question.counts
    since = max(result.since or 0.0, question.trial.began_at or 0.0)
    rates, ratio, requests = _since(question, since)
    return Verdict(
        VerdictKind.REGRESSION,
        VerdictReason.BREACH,
        f"{rates}; {_tolerated(spec)} (by the {result.by} test; at most {_percent(spec.alpha)} "
        "of healthy stages are stopped wrongly)",
        value=_finite(ratio),
        sample_size=int(requests),
        observed_at=counts.until,
        breached_at=since,
    )


def _since(question: _Question, since: float) -> tuple[str, float, float]:
    """Rates in words, their ratio and the requests of all intervals since an instant."""
    spec, counts = question.spec, question.counts
    sums = _sums(counts, since)
    treatment, control = (_share(events, total) for events, total in (sums[:2], sums[2:]))
    rates = f"{_rates(spec, treatment, control)} over the last {_duration(counts.until - since)}"
    return rates, treatment / control if control > 0 else math.inf, sums[1] + sums[3]


def _missing(question: _Question, result: Comparison) -> Iterator[str]:
    """What a Pass still needs, a sentence each; a good past is no Pass for what leans bad of late."""
    spec, trial = question.spec, question.trial
    if trial.full_at is None:
        yield "no Pass on the ramp, only of the bake at the full vector"
    elif result.leans_bad or not result.within_tolerance:
        lean = "it leans bad, but that can be chance" if result.leans_bad else "not sure yet"
        yield f"{lean}; {_tolerated(spec)}"
    for arm, requests in zip(ARMS, (result.treatment_requests, result.control_requests), strict=True):
        if trial.full_at is not None and requests < spec.min_requests:
            yield f"{int(requests)} of {spec.min_requests} requests (minRequests) in the {arm}"
    yield from _missing_users(spec, question.occupied, trial)


def _sight(result: Comparison) -> str:
    """What this stage could still see: whoever waits for it should know whether waiting helps."""
    if result.smallest_detectable is None:
        return "there are too few requests or events to see any change in this stage"
    return f"the smallest change that this stage can still show is {_percent(result.smallest_detectable)}"


def _missing_users(spec: ComparisonGate, occupied: Occupied | None, trial: Trial) -> Iterator[str]:
    if spec.min_users <= 0:
        return
    if occupied is None:
        yield "nobody tells veriramp_occupied_buckets now, so users are not known; use the SDK, or write minUsers: 0"
        return
    owned = (trial.percent / 100 * BUCKETS, (1 - trial.percent / 100) * BUCKETS)
    known = [users_of(seen, own) for seen, own in zip((occupied.treatment, occupied.control), owned, strict=True)]
    for arm, users, own, other, rest in zip(ARMS, known, owned, reversed(known), reversed(owned), strict=True):
        if math.isinf(users):  # a few buckets are soon all occupied: the other arm tells how many users that are
            users = other * own / rest  # noqa: PLW2901
        if users < spec.min_users:
            yield f"about {users:.0f} of {spec.min_users} users (minUsers) in the {arm}"


def _rates(spec: ComparisonGate, treatment: float, control: float) -> str:
    if not (math.isfinite(treatment) and math.isfinite(control)):
        return f"no requests of both arms in {spec.total} yet"
    times = f" ({treatment / control:.3g} times)" if control > 0 else ""
    what = f"{spec.events} per {spec.total}"
    return f"{what}: {_percent(treatment)} in the treatment, {_percent(control)} in the control{times}"


def _tolerated(spec: ComparisonGate) -> str:
    worse = "more" if spec.direction is Direction.LOWER_IS_BETTER else "less"
    return f"up to {_percent(spec.tolerance)} {worse} is tolerated" if spec.tolerance else f"none {worse} is tolerated"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _sums(counts: Counts, since: float) -> tuple[float, float, float, float]:
    """Events and total of treatment and control in the intervals that end after an instant."""
    first = bisect_right(counts.at, since)
    columns = (counts.treatment_events, counts.treatment_total, counts.control_events, counts.control_total)
    treated, asked, compared, controls = (sum(column[first:]) for column in columns)
    return treated, asked, compared, controls


def _share(events: float, total: float) -> float:
    return events / total if total > 0 else math.nan


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _duration(seconds: float) -> str:
    """Without parts that nobody needs: seconds below ten minutes, whole minutes above."""
    step = 1.0 if seconds < 10 * _MINUTE else _MINUTE
    return format_duration(round(seconds / step) * step)
