"""Synthetic counters of two arms for the statistics bench, and the peeking z-test that they are comparable by.

Public: :class:`Traffic`, :func:`arms`, :func:`peeking_z`. Rows are (at, seconds, treatment events, treatment total,
control events, control total), one per scrape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
SCRAPE: Final = 15.0
DAY: Final = 86400.0
SWING: Final = 0.5
"""Diurnal: requests and error rate go up and down by this share, in both arms alike, each with a phase of its own."""
Z: Final = 1.96
Z_FROM: Final = 16
"""The peeking z-test looks after each scrape from the 16th on (four minutes) and rejects above 1.96, one-sided."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """``noise``: iid, diurnal, bursty or clustered; ``rps``: of both arms together; ``base``: events per request.

    Bursty: the event rate of each arm is multiplied by its own lognormal first-order autoregressive process with mean
    1, coefficient of variation ``burst`` and correlation exp(-scrapes / ``lasts``). Clustered: events come in groups of
    geometric size with mean ``cluster`` (their variance is 2 ``cluster`` - 1 times that of single ones).
    """

    noise: str
    rps: float = 40.0
    base: float = 0.01
    treated: float = 0.5
    burst: float = 0.2
    lasts: float = 2.0
    cluster: float = 3.0


def arms(random: np.random.Generator, traffic: Traffic, scrapes: int, effect: float = 1.0, onset: float = 0.0) -> Rows:
    """Poisson requests, binomial events; from ``onset`` (seconds) on the treatment's event rate is ``effect`` times."""
    at = np.arange(1, scrapes + 1) * SCRAPE
    asked, rate = np.ones(scrapes), np.ones((scrapes, 2))
    if traffic.noise == "diurnal":
        phases = random.uniform(0, 2 * np.pi, 2)
        asked = 1 + SWING * np.sin(2 * np.pi * at / DAY + phases[0])
        rate *= (1 + SWING * np.sin(2 * np.pi * at / DAY + phases[1]))[:, None]
    if traffic.noise == "bursty":
        rate *= _bursts(random, traffic, scrapes)
    rate[at > onset, 0] *= effect
    share = np.array([traffic.treated, 1 - traffic.treated])
    total = random.poisson(traffic.rps * SCRAPE * asked[:, None] * share)
    events = random.binomial(total, np.minimum(traffic.base * rate, 1.0))
    if traffic.noise == "clustered":
        groups = random.poisson(total * traffic.base * rate / traffic.cluster)
        more = random.negative_binomial(np.maximum(groups, 1), 1 / traffic.cluster)
        events = np.where(groups > 0, groups + more, 0)
    return np.column_stack((at, np.full(scrapes, SCRAPE), events[:, 0], total[:, 0], events[:, 1], total[:, 1]))


def peeking_z(rows: Rows) -> bool:
    """Whether a z-test of two proportions, looked at after every scrape, ever rejects."""
    k_t, r_t, k_c, r_c = np.cumsum(rows[:, 2:], axis=0)[Z_FROM - 1 :].T
    pooled = (k_t + k_c) / (r_t + r_c)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / r_t + 1 / r_c), 1e-300))
    return bool(np.any((k_t / r_t - k_c / r_c) / spread > Z))


def _bursts(random: np.random.Generator, traffic: Traffic, scrapes: int) -> Rows:
    keep = np.exp(-1 / traffic.lasts)
    fresh = random.standard_normal((scrapes, 2)) * np.sqrt(1 - keep**2)
    state = random.standard_normal(2)
    states = np.empty((scrapes, 2))
    for index in range(scrapes):
        state = keep * state + fresh[index]
        states[index] = state
    width = np.sqrt(np.log1p(traffic.burst**2))
    return np.asarray(np.exp(width * states - width**2 / 2))
