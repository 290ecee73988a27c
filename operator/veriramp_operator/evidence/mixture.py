"""The normal mixture: the formulas behind the interval test, without any state.

Public: :func:`tuned`, :func:`log_normal_mixture`, :func:`normal_bound`.

Sources: the one-sided normal mixture is Robbins' (1970) in the form of Howard, Ramdas, McAuliffe, Sekhon,
"Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021), section 3.2; its use with an estimated
variance is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central
limit theory and asymptotic confidence sequences" (2024).
"""

from __future__ import annotations

import math
from typing import Final

_TINY: Final = 1e-12


def tuned(variance: float, alpha: float) -> float:
    """The mixture parameter that makes the one-sided bound tightest about where the variance reaches ``variance``.

    Same unit as ``variance``; ``alpha`` in (0, 0.5).
    """
    spent = max(-2 * math.log(2 * alpha), _TINY)
    return variance / (spent + math.log1p(spent))


def log_normal_mixture(total: float, variance: float, rho: float) -> float:
    """Logarithm of the one-sided normal mixture: the mean of exp(l total - l^2 variance / 2) over a half-normal l.

    ``total``: a sum whose mean is at most 0 under the null, with ``variance`` accumulated; ``rho`` > 0 (:func:`tuned`):
    the half-normal has scale 1 / sqrt(rho). A supermartingale under the null, starting at 0.
    """
    spread = variance + rho
    z = total / math.sqrt(spread)
    tail = math.erfc(-z / math.sqrt(2))  # twice the normal distribution function at z
    return 0.5 * math.log(rho / spread) + 0.5 * z * z + math.log(tail) if tail > 0 else -math.inf


def normal_bound(variance: float, rho: float, alpha: float) -> float:
    """What a sum with mean at most 0 and this variance ever exceeds with probability at most ``alpha``.

    The explicit bound, a little wider than the point where :func:`log_normal_mixture` reaches log(1 / alpha).
    """
    spread = variance + rho
    return math.sqrt(2 * spread * math.log1p(math.sqrt(spread / rho) / (2 * alpha)))
