"""Are the users dealt out as the percent says? Counted in buckets, because requests of one user are not independent.

Public: :func:`sample_ratio`, :func:`users_of`, :func:`occupied_of`.

A user's bucket is one of 10,000, by a salted hash; the treatment owns 100 of them per percent. Each bucket is first
occupied once, so if users are dealt out as they should, the order in which buckets fill up is a draw without
replacement, and the treatment's share of the occupied ones is hypergeometric, down to no variance at all when all are
occupied. The test is the likelihood ratio of a beta-binomial mixture over all numbers of buckets that the treatment
might own against the number that it should own (the prior-posterior ratio of Waudby-Smith, Ramdas, "Confidence
sequences for sampling without replacement", 2020). Under the null it is a martingale that starts at 1, so by Ville's
inequality it ever reaches 1 / alpha with probability at most alpha, however often it is looked at.

Simulated (seeded; looked at after every new bucket until all are full, 2,000 right splits each of 1, 5, 25 and 50 %):
1 of 8,000 ever called wrong. 50 % delivered as 45 %: all of 200 found, in the median after 1,871 buckets, nine of ten
within 2,715. 5 % delivered as 4 %: 5,054 and 6,248. Days of 5,760 looks with 300, 3,000 and 30,000 users who make 20
requests each in bursts: 0 of 460 right splits called wrong, where p < 0.001 of a binomial test on requests is reached
on each of these days.
Lost users of one arm show while buckets fill up, no longer when other users fill the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.types import Occupied, RawSeries, Verdict
from veriramp_sdk.contract import BUCKETS, Arm

ALPHA: Final = 1e-4
"""Probability that a right split is ever called wrong between two changes of the percent."""
PRIOR_BUCKETS: Final = 20.0
"""How narrowly the mixture lies about the right split: as a look at so many buckets would place it."""


def sample_ratio(occupied: Occupied | None, percent: float) -> Verdict:
    """Whether the split of the users agrees with ``percent`` (0..100, in the treatment): Regression when it does not.

    It only ever holds a rollout. ``occupied`` must be of after the percent was confirmed: a process that still deals
    by another percent is no evidence about this one.
    """
    owned = round(percent * BUCKETS / 100)
    if not 0 < owned < BUCKETS:
        message = f"{percent:g} % of the users are in the treatment, so there is no split to look at"
        return Verdict(VerdictKind.NOT_APPLICABLE, VerdictReason.NO_ARMS, message)
    if occupied is None or min(occupied.treatment, occupied.control) < 0 or occupied.treatment + occupied.control == 0:
        message = "no process exports occupied buckets (veriramp_occupied_buckets) yet"
        return Verdict(VerdictKind.INCONCLUSIVE, VerdictReason.WARMING_UP, message)
    seen = occupied.treatment + occupied.control
    log_evidence = _log_evidence(occupied.treatment, occupied.control, owned)
    share = 100 * occupied.treatment / seen
    message = f"{share:.3g} % of {seen} occupied buckets are in the treatment, where {percent:g} % are expected"
    if log_evidence >= -math.log(ALPHA):
        kind, reason = VerdictKind.REGRESSION, VerdictReason.BREACH
        message += "; chance does not explain it: look for lost, doubled or redirected requests of one arm"
    else:
        kind, reason = VerdictKind.PASS, VerdictReason.HEALTHY
    return Verdict(kind, reason, message, share, sample_size=seen, observed_at=occupied.at)


def users_of(occupied: int, owned: float) -> float:
    """Distinct users behind ``occupied`` of ``owned`` buckets; infinite when all are occupied.

    Linear counting: Whang, Vander-Zanden, Taylor, "A linear-time probabilistic counting algorithm" (1990).
    """
    if occupied <= 0 or owned <= 0:
        return 0.0
    return -owned * math.log1p(-occupied / owned) if occupied < owned else math.inf


def occupied_of(gauges: Iterable[RawSeries], revisions: Iterable[RawSeries]) -> Occupied | None:
    """The occupied buckets of the one process that has seen most; None when none exports both arms.

    ``gauges``: ``veriramp_occupied_buckets`` of one rollout, ``revisions``: ``veriramp_flag_applied_revision`` of it,
    both by process. A process that runs an older revision than the newest may still deal by another percent: it is left
    out. ``at`` is when the process that was scraped longest ago was scraped: what is told is true since then.
    """
    revision = {_process(series): series.values[-1] for series in revisions if series.values}
    newest = max(revision.values(), default=0.0)
    arms: dict[frozenset[tuple[str, str]], dict[str, tuple[float, float]]] = {}
    for series in gauges:
        process = _process(series)
        if series.values and math.isfinite(series.values[-1]) and revision.get(process, newest) >= newest:
            arms.setdefault(process, {})[series.labels.get("arm", "")] = (series.at[-1], series.values[-1])
    both = [seen for seen in arms.values() if Arm.TREATMENT in seen and Arm.CONTROL in seen]
    if not both:
        return None
    most = max(both, key=lambda seen: seen[Arm.TREATMENT][1] + seen[Arm.CONTROL][1])
    at = min(at for seen in both for at, _ in seen.values())
    return Occupied(at, int(most[Arm.TREATMENT][1]), int(most[Arm.CONTROL][1]))


def _process(series: RawSeries) -> frozenset[tuple[str, str]]:
    """The labels that both gauges of a process have in common: of the target that was scraped."""
    labels: Mapping[str, str] = series.labels
    return frozenset(item for item in labels.items() if item[0] not in _OWN_LABELS)


_OWN_LABELS: Final = frozenset({"__name__", "arm", "process"})


def _log_evidence(treatment: int, control: int, owned: int) -> float:
    """Logarithm of the likelihood ratio: infinite when an arm occupies more buckets than it owns."""
    rest = BUCKETS - treatment - control
    if treatment > owned or control > BUCKETS - owned:
        return math.inf
    first, second = PRIOR_BUCKETS * owned / BUCKETS, PRIOR_BUCKETS * (1 - owned / BUCKETS)
    mixture = _log_beta(first + treatment, second + control) - _log_beta(first, second)
    null = _log_choose(rest, owned - treatment) - _log_choose(BUCKETS, owned)
    return mixture - null


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
