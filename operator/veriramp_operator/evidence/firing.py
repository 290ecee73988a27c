"""The ``firing`` gate: alerts by name, pushed by Alertmanager.

Silence proves nothing: without a firing alert a pushed gate is ``NotApplicable``, so it neither blocks a promotion nor
counts for one. Pulling from Prometheus is not supported yet and is ``NoData``, unless a push already says regression.
"""

from __future__ import annotations

from collections.abc import Sequence

from veriramp_operator.api.rollout import AlertSource, FiringGate
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.types import PushedAlert, Samples, Verdict


def judge_firing(gate: FiringGate, samples: Samples, now: float, since: float | None, window: float) -> Verdict:
    """Regression while a named alert fires and has not expired.

    ``since``: news received before it say nothing, and until ``since + window`` a firing alert may still speak about
    the time before it: it leans bad, but trips nothing.
    """
    if gate.source is AlertSource.PULL:
        return _not_yet_supported(gate)
    firing = _firing(gate, samples.pushes, now)
    news = [alert for alert in firing if since is None or alert.received_at >= since]
    if not firing:
        return _not_yet_supported(gate) if gate.source is AlertSource.BOTH else _silent(gate, samples.pushes, now)
    worst = min(news or firing, key=lambda alert: (alert.starts_at, alert.alertname))
    message = f"{worst.alertname} is firing, as Alertmanager said"
    observed_at = max(alert.received_at for alert in news or firing)
    if since is not None and (not news or now < since + window):
        return Verdict(
            VerdictKind.INCONCLUSIVE,
            VerdictReason.WARMING_UP,
            f"{message}, but it may speak about the time before the last fall or retry",
            sample_size=len(firing),
            observed_at=observed_at,
            leans_bad=True,
        )
    # A push that starts in our future comes from a clock that is ahead: the breach is then as old as the news of it.
    breached_at = min(worst.starts_at, worst.received_at)
    return Verdict(
        VerdictKind.REGRESSION,
        VerdictReason.FIRING,
        message,
        sample_size=len(news),
        observed_at=observed_at,
        breached_at=breached_at,
    )


def _firing(gate: FiringGate, pushes: Sequence[PushedAlert], now: float) -> list[PushedAlert]:
    return [alert for alert in pushes if alert.alertname in gate.alertnames and alert.firing and now < alert.expires_at]


def _silent(gate: FiringGate, pushes: Sequence[PushedAlert], now: float) -> Verdict:
    known = [alert for alert in pushes if alert.alertname in gate.alertnames]
    names = ", ".join(gate.alertnames)
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


def _not_yet_supported(gate: FiringGate) -> Verdict:
    return Verdict(
        VerdictKind.NO_DATA,
        VerdictReason.NOT_YET_SUPPORTED,
        f"firing with source: {gate.source} is not supported yet; write source: Push",
    )
