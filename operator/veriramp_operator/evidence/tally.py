"""Running sums of a trial: what the sequential tests need to know after each interval.

Public: :class:`Interval`, :class:`Terms`, :class:`Tally`, :func:`nothing`, :func:`usable`, :func:`counted`,
:func:`dispersion`, :func:`seen_dispersion`, :func:`with_prior`.

The compared quantity is the *contrast* of an interval: treatment rate minus ``factor`` x control rate, turned so that
worse is positive; its mean is at most 0 exactly when the change stays inside the tolerance. An interval has the weight
r_T r_C / (r_T + r_C), so that no mixing of times with many and with few requests can look like an effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from veriramp_operator.api.rollout import Direction

BLOCK: Final = 8
"""Intervals per block of the second estimate of dispersion: bursts last longer than one scrape."""
PRIOR_DISPERSION: Final = 3.0
PRIOR_INTERVALS: Final = 20.0
"""What the ratio test assumes of the dispersion before it has seen any, and how many intervals that is worth."""
WORSENINGS: Final = (1.5, 2.0, 3.0, 5.0, 10.0)
"""Grid of the ratio test: how many times worse than the tolerance allows."""
FIRST_SHARE: Final = 0.5
"""Share of the error budget for a change that is bad from the beginning; the rest is spent over the restarts."""
STEEPEST: Final = 500.0
"""Logarithm beyond which evidence is not told apart."""
_LEAST: Final = 1e-3
_MOST: Final = 1e15
_CERTAIN: Final = 1e40


class Interval(NamedTuple):
    """What the counters of both arms grew by in the ``seconds`` before ``at`` (seconds since the epoch)."""

    at: float
    seconds: float
    treatment_events: float
    treatment_total: float
    control_events: float
    control_total: float


@dataclass(frozen=True)
class Terms:
    """What is compared, fixed for a trial.

    ``tolerance``: relative worsening that is acceptable; ``alpha``: probability of a false regression over the whole
    trial; ``began_at``: start of the trial; ``stage_seconds``: how long it is expected to last at most.
    """

    direction: Direction
    tolerance: float
    alpha: float
    began_at: float
    stage_seconds: float

    @cached_property
    def sign(self) -> float:
        """1 when more events are worse, -1 when they are better."""
        return 1.0 if self.direction is Direction.LOWER_IS_BETTER else -1.0

    @cached_property
    def factor(self) -> float:
        """The treatment rate per control rate at which the tolerance ends; 0: nothing is ever too bad."""
        return max(1.0 + self.sign * self.tolerance, 0.0)

    @cached_property
    def grid(self) -> tuple[tuple[float, float], ...]:
        """For each worsening: the alternative ratio of the rates, and its logarithm per null ratio."""
        ratios = [worse**self.sign for worse in WORSENINGS]
        return tuple((self.factor * ratio, math.log(ratio)) for ratio in ratios)

    def share_between(self, since: float, until: float) -> float:
        """Share of the error budget for restarts between two instants: over all time less than 1 - FIRST_SHARE."""
        horizon = max(self.stage_seconds, 1.0)
        before, after = max(since - self.began_at, 0.0), max(until - self.began_at, 0.0)
        return max((1 - FIRST_SHARE) * (after / (after + horizon) - before / (before + horizon)), 0.0)


class Tally(NamedTuple):
    """The sums after an interval, w = weight and d = contrast of each.

    ``contrast``, ``weight``: sums of w d and w. ``variance``: of the sum of w d, as Poisson counts with the rates of
    each interval as seen, ``pooled``: with the rates that the null gives both arms. ``squares``, ``expected``: sums of
    w d^2 and of its Poisson expectation; ``block_*``: sums of w d, w, w d^2 and its expectation over overlapping
    blocks. ``evidence``: for each worsening the likelihood ratio, summed over weighted restarts; ``logs``: its
    logarithm since the beginning.
    """

    at: float
    intervals: int
    treatment_events: float
    treatment_total: float
    control_events: float
    control_total: float
    contrast: float
    weight: float
    variance: float
    pooled: float
    squares: float
    expected: float
    block_squares: float
    block_contrast: float
    block_weight: float
    block_expected: float
    evidence: tuple[float, ...]
    logs: tuple[float, ...]


_NONE: Final = (0.0,) * len(WORSENINGS)


def nothing(began_at: float) -> Tally:
    """The sums at the beginning of a trial."""
    return Tally(began_at, 0, *(0.0,) * 14, evidence=_NONE, logs=_NONE)


def usable(interval: Interval) -> bool:
    """Whether an interval says anything: no odd numbers, and both arms were asked."""
    _, _, k_t, r_t, k_c, r_c = interval
    # A comparison with NaN is false.
    return 0 <= k_t <= _MOST and 0 <= k_c <= _MOST and _LEAST <= r_t <= _MOST and _LEAST <= r_c <= _MOST


def counted(tallies: Sequence[Tally], interval: Interval, terms: Terms) -> Tally:
    """The sums after one more interval, for which :func:`usable` holds; ``tallies``: after each earlier one."""
    last = tallies[-1]
    _, _, k_t, r_t, k_c, r_c = interval
    factor, weight = terms.factor, r_t * r_c / (r_t + r_c)
    contrast = weight * terms.sign * (k_t / r_t - factor * k_c / r_c)
    variance = weight * weight * (k_t / (r_t * r_t) + factor * factor * k_c / (r_c * r_c))
    pooled = weight * (k_t + k_c) / (factor * r_t + r_c) * factor * (r_c + factor * r_t) / (r_t + r_c)
    evidence, logs = _grown(last, interval, terms)
    total = last.contrast + contrast
    heavy, spread = last.weight + weight, last.variance + variance
    back = tallies[-BLOCK] if len(tallies) >= BLOCK else None
    block_weight = heavy - back.weight if back else 0.0
    block_contrast = total - back.contrast if back else 0.0
    return Tally(
        interval.at,
        last.intervals + 1,
        last.treatment_events + k_t,
        last.treatment_total + r_t,
        last.control_events + k_c,
        last.control_total + r_c,
        total,
        heavy,
        spread,
        last.pooled + pooled,
        last.squares + contrast * contrast / weight,
        last.expected + variance / weight,
        last.block_squares + (block_contrast * block_contrast / block_weight if back else 0.0),
        last.block_contrast + block_contrast,
        last.block_weight + block_weight,
        last.block_expected + ((spread - back.variance) / block_weight if back else 0.0),
        evidence,
        logs,
    )


def dispersion(tally: Tally) -> float:
    """How many times the Poisson variance the contrasts have, the prior included."""
    return with_prior(seen_dispersion(tally), tally.intervals)


def with_prior(seen: float, intervals: float) -> float:
    """A dispersion seen over some intervals, together with the prior: a burst needs time to show itself."""
    return (PRIOR_INTERVALS * PRIOR_DISPERSION + intervals * seen) / (PRIOR_INTERVALS + intervals)


def seen_dispersion(tally: Tally) -> float:
    """The dispersion over intervals or over blocks, whichever is more; the prior where there is too little to say."""
    n, blocks = tally.intervals, tally.intervals - BLOCK + 1
    if n < 2 or tally.expected <= 0:  # noqa: PLR2004 a variance needs two
        return PRIOR_DISPERSION
    single = (tally.squares - tally.contrast**2 / tally.weight) / (n - 1) * n / tally.expected
    if blocks < 2 * BLOCK or tally.block_expected <= 0:
        return max(single, 0.0)
    centred = tally.block_squares - tally.block_contrast**2 / tally.block_weight
    return max(single, centred / tally.block_expected * blocks / (blocks - BLOCK + 1), 0.0)


def _grown(last: Tally, interval: Interval, terms: Terms) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Evidence and logs of the ratio test after one more interval.

    Given both arms' requests and the sum of their events, the events of one arm are binomial (two Poisson counts), and
    a likelihood ratio has mean 1 under its null. Divided by the dispersion it still has, for counts that come in
    clusters of that size; it is the dispersion of the earlier intervals, so that nothing looks ahead.
    """
    null = terms.factor
    if null <= 0:
        return last.evidence, last.logs
    at, _, k_t, r_t, k_c, r_c = interval
    scale = max(dispersion(last), 1.0)
    weight = terms.share_between(last.at, at) + (0.0 if last.intervals else FIRST_SHARE)
    exposure, both = r_t / r_c, k_t + k_c
    under_null = null * exposure + 1
    evidence, logs = [], []
    for (alternative, log_step), before, log in zip(terms.grid, last.evidence, last.logs, strict=True):
        gain = (k_t * log_step - both * math.log((alternative * exposure + 1) / under_null)) / scale
        logs.append(log + gain)
        evidence.append(min((before + weight) * math.exp(max(min(gain, STEEPEST), -STEEPEST)), _CERTAIN))
    return tuple(evidence), tuple(logs)
