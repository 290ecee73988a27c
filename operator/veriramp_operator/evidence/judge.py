"""Turn the samples of a gate into its verdict.

A polled gate is judged by its newest poll, except that a poll without data never ends a breach:

* A *breach* is an unbroken row of bad polls. A poll that is good or unsure ends it; so does a gap of more than 2.5 x
  ``every`` between two bad polls. A poll without data in between neither extends nor ends it.
* It is a regression once its last bad poll is ``for`` after its first one (less a tenth of ``every`` for the jitter of
  polling); until then it is inconclusive and leans bad.
* A regression outlives polls without data by the same 2.5 x ``every``: what breaks a service often takes its metrics
  along, and that must not hide the breach. After that the gate has no data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.age import age_problem
from veriramp_operator.evidence.alert import grade_alert
from veriramp_operator.evidence.baseline import grade_baseline
from veriramp_operator.evidence.burn_rate import grade_burn_rate, newest_of
from veriramp_operator.evidence.comparison import judge_comparison
from veriramp_operator.evidence.firing import grade_pull, judge_firing
from veriramp_operator.evidence.grade import Grade, Mark, unknown
from veriramp_operator.evidence.question import DEFAULT_SCRAPE_INTERVAL
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.terms import Terms, terms_of
from veriramp_operator.evidence.threshold import grade_threshold
from veriramp_operator.evidence.types import NO_TRIAL, Reading, Samples, Trial, Verdict

JITTER_POLLS: Final = 0.1
_PASS: Final = VerdictKind.PASS
_HEALTHY: Final = VerdictReason.HEALTHY
_GOOD: Final = Mark.GOOD
_UNKNOWN: Final = Mark.UNKNOWN
"""What most polls come to: to look it up in its enum takes longer than to compare it."""
_ENDS_A_BREACH: Final = (Mark.GOOD, Mark.UNSURE)


def judge(gate: GateSpec, samples: Samples, now: float, since: float | None = None, trial: Trial = NO_TRIAL) -> Verdict:
    """What the evidence says about one gate; pure and total.

    ``now`` in seconds since the epoch; readings from after it (a clock that went back) are ignored. ``since``: evidence
    that may speak about the time before it (evaluated before ``since`` + window) neither passes nor trips the gate.
    ``trial``: the comparison of arms that the present stage makes; only ``comparison`` gates look at it.
    """
    terms = terms_of(gate)
    if terms.comparison is not None:
        return judge_comparison(gate, samples, now, since, trial)
    readings = samples.readings
    if readings and readings[-1].at > now:
        readings = tuple(reading for reading in readings if reading.at <= now)
    blind = None if readings and now - readings[-1].at <= terms.patience else _blind(terms, readings, now)
    if terms.firing is not None:
        known = samples if readings is samples.readings else replace(samples, readings=readings)
        return judge_firing(gate, terms.firing, known, now, since, blind)
    if blind is not None:
        return blind
    newest = readings[-1]
    grade = _grade(terms, newest, samples.scrape_interval, since)
    if grade.mark is _GOOD and (since is None or newest.at >= since + terms.window):
        return Verdict(_PASS, _HEALTHY, grade.message, grade.value, None, newest.at)
    return _not_passing(_Polls(terms, readings, samples.scrape_interval, since), grade, now)


def mark_of(gate: GateSpec, reading: Reading, scrape_interval: float = DEFAULT_SCRAPE_INTERVAL) -> Mark:
    """What one poll says by itself: cheap, to tell whether a new one can have changed the verdict."""
    if gate.firing is not None:
        return grade_pull(gate, gate.firing, reading).mark
    return _grade(terms_of(gate), reading, scrape_interval, None).mark


@dataclass(frozen=True, slots=True)
class _Polls:
    """The polls of one gate up to now."""

    terms: Terms
    readings: Sequence[Reading]
    scrape_interval: float
    since: float | None

    def grade(self, reading: Reading) -> Grade:
        return _grade(self.terms, reading, self.scrape_interval, self.since)

    @property
    def passes_from(self) -> float:
        """From when on a poll speaks only about the time after the anchor."""
        return -math.inf if self.since is None else self.since + self.terms.window

    @property
    def trips_from(self) -> float:
        """From when on a bad poll counts; a burn rate tells old errors from new ones by itself."""
        return self.passes_from if self.terms.burn_rate is None or self.since is None else self.since


def _not_passing(polls: _Polls, grade: Grade, now: float) -> Verdict:
    """The verdict where the newest poll, of this grade, is no pass."""
    terms, newest = polls.terms, polls.readings[-1]
    breach = None if grade.mark in _ENDS_A_BREACH else _breach(polls, now)
    if breach is not None and breach.lasted >= terms.lasting - JITTER_POLLS * terms.every:
        return _regression(breach)
    if grade.mark is Mark.UNKNOWN:
        return _no_data(grade.reason or NoDataReason.NEVER_ASKED, grade.message, newest.at)
    if newest.at < polls.passes_from:
        return _warming_up(grade, newest, polls.passes_from - now)
    if grade.mark is Mark.BAD:
        return _too_young(terms, grade, newest, breach)
    return _uncertain(grade, newest)


@dataclass(frozen=True, slots=True)
class _Breach:
    first: Reading
    last: Reading
    grade: Grade
    size: int

    @property
    def lasted(self) -> float:
        return self.last.at - self.first.at


def _grade(terms: Terms, reading: Reading, scrape_interval: float, since: float | None) -> Grade:
    """One poll by itself, the age of what is behind it included."""
    if terms.alert is not None:
        grade = grade_alert(terms.alert, reading)
    elif terms.threshold is not None:
        grade = grade_threshold(terms.threshold, reading)
    elif terms.baseline is not None:
        grade = grade_baseline(terms.baseline, reading)
    elif terms.burn_rate is not None:
        old = age_problem(terms, newest_of(reading.answer), reading.at, scrape_interval)
        return old or grade_burn_rate(terms.burn_rate, reading.answer, None if since is None else reading.at - since)
    else:
        return unknown(NoDataReason.NEVER_ASKED, "this gate asks nothing")
    if grade.mark is _UNKNOWN:
        return grade
    return age_problem(terms, reading.newest, reading.at, scrape_interval) or grade


def _breach(polls: _Polls, now: float) -> _Breach | None:
    """The row of bad polls that reaches to the newest poll that says anything; None where it is long over."""
    first: Reading | None = None
    last: Reading | None = None
    last_grade: Grade | None = None
    size = 0
    newest, gap = polls.readings[-1], polls.terms.gap
    for reading in reversed(polls.readings):
        if reading.at < polls.trips_from:
            break
        if first is None and reading is not newest and now - reading.at > gap:
            break  # polls without data reach so far back that no breach before them counts any more
        grade = polls.grade(reading)
        if grade.mark in _ENDS_A_BREACH or (first is not None and first.at - reading.at > gap):
            break
        if grade.mark is Mark.BAD:
            first, size = reading, size + 1
            if last is None:
                last, last_grade = reading, grade
    if first is None or last is None or last_grade is None:
        return None
    return _Breach(first, last, last_grade, size)


def _blind(terms: Terms, readings: Sequence[Reading], now: float) -> Verdict:
    """No data where no poll is recent: one that is long ago says nothing about now, however fresh its samples were."""
    if not readings:
        return _no_data(NoDataReason.NEVER_ASKED, "monitoring has not been asked yet")
    newest = readings[-1]
    message = f"the last answer is {format_duration(now - newest.at)} old, more than {format_duration(terms.patience)}"
    return _no_data(NoDataReason.TOO_OLD, message, newest.at)


def _no_data(reason: str, message: str, observed_at: float | None = None) -> Verdict:
    return Verdict(VerdictKind.NO_DATA, reason, message, observed_at=observed_at)


def _regression(breach: _Breach) -> Verdict:
    lasting = f", for {format_duration(breach.lasted)}" if breach.lasted else ""
    return Verdict(
        VerdictKind.REGRESSION,
        VerdictReason.BREACH,
        f"{breach.grade.message}{lasting}",
        breach.grade.value,
        sample_size=breach.size,
        observed_at=breach.last.at,
        breached_at=breach.first.at,
    )


def _too_young(terms: Terms, grade: Grade, newest: Reading, breach: _Breach | None) -> Verdict:
    lasted = 0.0 if breach is None else breach.lasted
    return Verdict(
        VerdictKind.INCONCLUSIVE,
        VerdictReason.BREACH_TOO_YOUNG,
        f"{grade.message}, for {format_duration(lasted)} of {format_duration(terms.lasting)}",
        grade.value,
        observed_at=newest.at,
        leans_bad=True,
    )


def _uncertain(grade: Grade, newest: Reading) -> Verdict:
    return Verdict(
        VerdictKind.INCONCLUSIVE,
        VerdictReason.UNCERTAIN,
        grade.message,
        grade.value,
        observed_at=newest.at,
        leans_bad=grade.leans_bad,
    )


def _warming_up(grade: Grade, newest: Reading, rest: float) -> Verdict:
    return Verdict(
        VerdictKind.INCONCLUSIVE,
        VerdictReason.WARMING_UP,
        f"{grade.message}; counts in {format_duration(max(math.ceil(rest), 0))}, when it speaks only about the time "
        "after the last fall or retry",
        grade.value,
        observed_at=newest.at,
        leans_bad=grade.mark is Mark.BAD or grade.leans_bad,
    )
