"""The ``firing`` gate: alerts by name, pulled from Prometheus, pushed by Alertmanager, or both joined.

Public: :func:`judge_firing`, :func:`grade_pull`.

* Pull: good news is that no named alert fires while every rule of these names exists, is healthy and was evaluated
  lately; else ``NoData(RuleMissing)``. A pending alert says nothing. An alert whose own rule is sound counts although
  the rule of another name is missing.
* Push: silence proves nothing, so without a firing alert the gate is ``NotApplicable``.
* Both: an alert is known by its labels without ``alertstate`` and the endpoint's external labels. It fires while one
  source says so: Alertmanager knows of alerts that this Prometheus does not, and tells of an end late (its
  ``group_interval``). A resolved push ends an alert that was pulled before it arrived; what is pulled later counts
  again, so a push that is late hides an alert for one poll at most. A push without news expires.
* After a fall or a retry (``since``) an alert that began after it trips at once; one that began before it, or of which
  the beginning is unknown, leans bad until ``since`` + window and trips from then on. An alert begins, where it is
  pulled, when its expression first held (``ALERTS_FOR_STATE``), so before its ``for`` has passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import AlertSource, FiringGate, GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.grade import Grade, Mark, unknown
from veriramp_operator.evidence.question import GAP_POLLS, every_of, max_age_of, window_of
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.types import Failure, PushedAlert, Reading, RuleSeen, Samples, Series, Verdict

INTERVALS_PER_EVALUATION: Final = 3.0
_Identity = tuple[str, tuple[tuple[str, str], ...]]


def judge_firing(
    gate: GateSpec, firing: FiringGate, samples: Samples, now: float, since: float | None, blind: Verdict | None
) -> Verdict:
    """Regression while a named alert fires.

    ``samples``: without readings from after ``now``. ``blind``: what to say where the readings themselves are missing
    or too old to tell that nothing fires.
    """
    pulls = firing.source is not AlertSource.PUSH
    pushes = () if firing.source is AlertSource.PULL else samples.pushes
    known = _Known(gate, firing, now, samples.external_labels)
    alerts = [*known.pushed(pushes), *(known.pulled(samples.readings, pushes) if pulls else ())]
    if alerts:
        return _regression(alerts, since, now, window_of(gate))
    if not pulls:
        return _silent(firing, pushes, now)
    return blind or _clean(gate, firing, samples.readings[-1], since)


def grade_pull(gate: GateSpec, firing: FiringGate, reading: Reading) -> Grade:
    """Read one poll: bad with a firing alert of a sound rule, good when every rule is sound, else unknown."""
    if isinstance(reading.answer, Failure):
        return unknown(reading.answer.reason, f"the firing alerts: {reading.answer.message}")
    problems = _rule_problems(gate, firing, reading)
    for labels in reading.answer.labels:
        name = labels.get("alertname", "")
        if name in firing.alertnames and name not in problems:
            return Grade(Mark.BAD, f"{name} is firing")
    names = ", ".join(firing.alertnames)
    return next(iter(problems.values()), None) or Grade(Mark.GOOD, f"not firing, with sound rules: {names}")


@dataclass(frozen=True, slots=True)
class _Alert:
    """A firing alert as one source knows it; ``began_at`` is -inf where it does not tell."""

    identity: _Identity
    source: str
    began_at: float
    heard_at: float

    @property
    def name(self) -> str:
        return self.identity[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What both sources say, as alerts that can be compared."""

    gate: GateSpec
    firing: FiringGate
    now: float
    external_labels: Sequence[str]

    def pushed(self, pushes: Sequence[PushedAlert]) -> Iterator[_Alert]:
        for push in pushes:
            if self._fires(push):
                # A push that begins in our future comes from a clock that is ahead: it began with the news of it.
                began_at = min(push.starts_at, push.received_at)
                yield _Alert(self._identity(push.alertname, push.labels), "Alertmanager", began_at, push.received_at)

    def pulled(self, readings: Sequence[Reading], pushes: Sequence[PushedAlert]) -> Iterator[_Alert]:
        """The alerts of the newest poll with data; they outlive polls without any, as other breaches do."""
        resolved: dict[_Identity, float] = {}
        for push in pushes:
            if not push.firing:
                identity = self._identity(push.alertname, push.labels)
                resolved[identity] = max(push.received_at, resolved.get(identity, -math.inf))
        for reading in reversed(readings):
            if self.now - reading.at > GAP_POLLS * every_of(self.gate):
                return
            known = grade_pull(self.gate, self.firing, reading).mark is not Mark.UNKNOWN
            if known and isinstance(reading.answer, Series):
                alerts = self._alerts(reading, reading.answer)
                yield from (alert for alert in alerts if resolved.get(alert.identity, -math.inf) <= reading.at)
                return

    def _alerts(self, reading: Reading, answer: Series) -> Iterator[_Alert]:
        problems = _rule_problems(self.gate, self.firing, reading)
        for value, labels in zip(answer.values, answer.labels, strict=False):
            name = labels.get("alertname", "")
            if name in self.firing.alertnames and name not in problems:
                # Where ALERTS_FOR_STATE is not kept, the value is the 1 of ALERTS (see question.firing_query).
                began_at = min(value, reading.at) if value > 1 else -math.inf
                yield _Alert(self._identity(name, labels), "Prometheus", began_at, reading.at)

    def _fires(self, push: PushedAlert) -> bool:
        return push.alertname in self.firing.alertnames and push.firing and self.now < push.expires_at

    def _identity(self, name: str, labels: Mapping[str, str]) -> _Identity:
        left_out = {"alertname", "alertstate", *self.external_labels}
        return name, tuple(sorted(item for item in labels.items() if item[0] not in left_out))


def _rule_problems(gate: GateSpec, firing: FiringGate, reading: Reading) -> dict[str, Grade]:
    """Why the state of an alert is not known, by the names of those concerned."""
    rules = reading.rules
    if rules is None:
        return dict.fromkeys(firing.alertnames, unknown(NoDataReason.NEVER_ASKED, "the rules were not asked"))
    if isinstance(rules, Failure):
        return dict.fromkeys(firing.alertnames, unknown(rules.reason, f"the alerting rules: {rules.message}"))
    problems = {}
    for name in firing.alertnames:
        named = [rule for rule in rules if rule.alertname == name]
        texts = (_problem_of(rule, reading.at, max_age_of(gate)) for rule in named)
        text = next(filter(None, texts), None) if named else f"Prometheus has no alerting rule {name}; load it there"
        if text is not None:
            problems[name] = unknown(NoDataReason.RULE_MISSING, text)
    return problems


def _problem_of(rule: RuleSeen, at: float, max_age: float) -> str | None:
    if rule.health == "err":
        return f"the rule of alert {rule.alertname} fails: {rule.last_error}"
    if rule.health != "ok" or rule.evaluated_at <= 0:
        return f"the rule of alert {rule.alertname} has not been evaluated yet"
    age, limit = at - rule.evaluated_at, max(INTERVALS_PER_EVALUATION * rule.interval, max_age)
    if not age <= limit:
        return (
            f"the rule of alert {rule.alertname} was last evaluated {format_duration(age)} ago, more than "
            f"{format_duration(limit)}"
        )
    return None


def _regression(alerts: Sequence[_Alert], since: float | None, now: float, window: float) -> Verdict:
    def trips(alert: _Alert) -> bool:
        if since is None:
            return True
        return alert.heard_at >= since and (alert.began_at > since or now >= since + window)

    new = [alert for alert in alerts if trips(alert)]
    worst = min(new or alerts, key=lambda alert: (alert.began_at, alert.name))
    sources = sorted({alert.source for alert in alerts if alert.identity == worst.identity}, reverse=True)
    message = f"{worst.name} is firing, as {' and '.join(sources)} said"
    size = len({alert.identity for alert in new or alerts})
    observed_at = max(alert.heard_at for alert in new or alerts)
    if not new:
        return Verdict(
            VerdictKind.INCONCLUSIVE,
            VerdictReason.WARMING_UP,
            f"{message}, but it may speak about the time before the last fall or retry",
            sample_size=size,
            observed_at=observed_at,
            leans_bad=True,
        )
    return Verdict(
        VerdictKind.REGRESSION,
        VerdictReason.FIRING,
        message,
        sample_size=size,
        observed_at=observed_at,
        breached_at=worst.began_at if math.isfinite(worst.began_at) else worst.heard_at,
    )


def _clean(gate: GateSpec, firing: FiringGate, newest: Reading, since: float | None) -> Verdict:
    """No source tells of a firing alert: what the newest poll makes of that."""
    grade = grade_pull(gate, firing, newest)
    if grade.mark is Mark.UNKNOWN:
        reason = grade.reason or NoDataReason.NEVER_ASKED
        return Verdict(VerdictKind.NO_DATA, reason, grade.message, observed_at=newest.at)
    if grade.mark is Mark.BAD:
        message = f"{grade.message} as Prometheus said, but Alertmanager has called it resolved since"
        return Verdict(VerdictKind.INCONCLUSIVE, VerdictReason.UNCERTAIN, message, observed_at=newest.at)
    if since is not None and newest.at < since + window_of(gate):
        return Verdict(
            VerdictKind.INCONCLUSIVE,
            VerdictReason.WARMING_UP,
            f"{grade.message}; counts from {format_duration(window_of(gate))} after the last fall or retry",
            observed_at=newest.at,
        )
    return Verdict(VerdictKind.PASS, VerdictReason.HEALTHY, grade.message, observed_at=newest.at)


def _silent(firing: FiringGate, pushes: Sequence[PushedAlert], now: float) -> Verdict:
    known = [alert for alert in pushes if alert.alertname in firing.alertnames]
    names = ", ".join(firing.alertnames)
    if not known:
        message = f"Alertmanager has pushed none of {names}; silence is no evidence, so this gate does not count"
        return Verdict(VerdictKind.NOT_APPLICABLE, VerdictReason.NOT_FIRING, message)
    last = max(known, key=lambda alert: alert.received_at)
    ended = "has expired without news" if last.firing and now >= last.expires_at else "is resolved"
    return Verdict(
        VerdictKind.NOT_APPLICABLE,
        VerdictReason.NOT_FIRING,
        f"{last.alertname} {ended}; silence is no evidence, so this gate does not count",
        observed_at=last.received_at,
    )
