"""Write the golden values of the sequential statistics, made with other people's code.

``python tests/data/make_statistics.py`` in an environment of its own, never by the tests: Python 3.11, confseq 0.0.11
(built with Boost headers), scipy, numpy, mpmath. Mixtures and exact bounds come from confseq, the explicit bound and
the mixture integral from mpmath with 50 digits, binomial probabilities from scipy, whole trials from the formulas of
docs/adr/0006 in numpy: double sums over restarts where the product has recursions and prefix sums. Nothing of the
product is imported.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from typing import Any

import mpmath  # type: ignore[import-not-found]
import numpy as np
from confseq import boundaries  # type: ignore[import-not-found]
from scipy import stats  # type: ignore[import-untyped]

mpmath.mp.dps = 50
Rows = list[tuple[float, float, int, int, int, int]]
ALPHA_INTERVAL, ALPHA_RATIO, BLOCK, FEWEST, BEST_AT = 0.8, 0.2, 8, 20, 60
PRIOR = 3.0
WORSENINGS = (1.5, 2.0, 3.0, 5.0, 10.0)


def mixture(total: float, variance: float, best: float, alpha: float) -> dict[str, float]:
    value = float(boundaries.normal_log_mixture(total, variance, best, alpha_opt=alpha, is_one_sided=True))
    return {"total": total, "variance": variance, "best": best, "alpha": alpha, "log_mixture": value}


def integral(total: float, variance: float, rho: float) -> dict[str, float]:
    """The mixture as what it is: a mean over a half-normal slope."""

    def grown(slope: Any) -> Any:
        density = 2 * mpmath.npdf(slope, 0, 1 / mpmath.sqrt(rho))
        return mpmath.exp(slope * total - slope**2 * variance / 2) * density

    peak = max(total / (variance + rho), 0)
    width = 1 / mpmath.sqrt(variance + rho)
    edges = [0, *(peak + step * width for step in (-8, -3, 0, 3, 8, 30) if peak + step * width > 0)]
    return {
        "total": total,
        "variance": variance,
        "rho": rho,
        "log_mixture": float(mpmath.log(mpmath.quad(grown, edges))),
    }


def bound(variance: float, best: float, alpha: float) -> dict[str, float]:
    exact = float(boundaries.normal_mixture_bound(variance, alpha, best, alpha_opt=alpha, is_one_sided=True))
    spent = -2 * mpmath.log(2 * mpmath.mpf(alpha))
    rho = mpmath.mpf(best) / (spent + mpmath.log(1 + spent))
    # Waudby-Smith et al.: sqrt(2 (t r^2 + 1) / r^2 * log(1 + sqrt(t r^2 + 1) / (2 alpha))), r^2 = 1 / rho
    inside = variance / rho + 1
    explicit = mpmath.sqrt(2 * inside * rho * mpmath.log(1 + mpmath.sqrt(inside) / (2 * mpmath.mpf(alpha))))
    values = {"rho": float(rho), "exact": exact, "explicit": float(explicit)}
    return {"variance": variance, "best": best, "alpha": alpha, **values}


class Whole:
    """One trial, from the rows and the definitions."""

    def __init__(self, rows: Rows, sign: int, tolerance: float, alpha: float, horizon: float) -> None:
        self.at, _, self.kt, self.rt, self.kc, self.rc = (np.array(column, float) for column in zip(*rows, strict=True))
        self.sign, self.alpha, self.horizon = sign, alpha, horizon
        self.factor = 1 + sign * tolerance
        self.w = 1 / (1 / self.rt + 1 / self.rc)
        self.x = self.w * sign * (self.kt / self.rt - self.factor * self.kc / self.rc)
        self.seen = self.w**2 * (self.kt / self.rt**2 + self.factor**2 * self.kc / self.rc**2)
        null = (self.kt + self.kc) / (self.factor * self.rt + self.rc)
        self.pooled = self.w**2 * null * (self.factor / self.rt + self.factor**2 / self.rc)

    def dispersion(self, n: int) -> float:
        x, w, v = self.x[:n], self.w[:n], self.seen[:n]
        estimate = PRIOR
        if n >= 2 and np.sum(v / w) > 0:
            mean = x.sum() / w.sum()
            estimate = float(np.sum(w * (x / w - mean) ** 2) / (n - 1) / np.mean(v / w))
            blocks = n - BLOCK + 1
            if blocks >= 2 * BLOCK:
                bx, bw, bv = (np.convolve(column, np.ones(BLOCK), "valid") for column in (x, w, v))
                spread = np.sum(bw * (bx / bw - bx.sum() / bw.sum()) ** 2)
                estimate = max(estimate, float(spread / np.sum(bv / bw) * blocks / (blocks - BLOCK + 1)))
        return (20 * PRIOR + n * estimate) / (20 + n)

    def share(self, since: float, until: float) -> float:
        return 0.5 * (until / (until + self.horizon) - since / (since + self.horizon))

    def ratio_evidence(self) -> float:
        n = len(self.at)
        scale = np.array([max(self.dispersion(i), 1.0) for i in range(n)])
        ends = [0.0, *self.at]
        shares = [self.share(a, b) + (0.5 if i == 0 else 0.0) for i, (a, b) in enumerate(itertools.pairwise(ends))]
        total = 0.0
        for worse in WORSENINGS:
            exposure = self.rt / self.rc
            alternative = self.factor * worse**self.sign
            p, q = (rate * exposure / (rate * exposure + 1) for rate in (alternative, self.factor))
            events = self.kt + self.kc
            gain = (stats.binom.logpmf(self.kt, events, p) - stats.binom.logpmf(self.kt, events, q)) / scale
            total += sum(share * np.exp(gain[start:].sum()) for start, share in enumerate(shares))
        return float(total / len(WORSENINGS))

    def interval_evidence(self) -> float:
        n = len(self.at)
        asked, events = self.rt.sum() + self.rc.sum(), self.kt.sum() + self.kc.sum()
        scale = max(self.dispersion(n), 1 - events / asked, 0.05)
        late = max(self.seen[-BEST_AT:].sum(), self.pooled[-BEST_AT:].sum()) / min(n, BEST_AT)
        alpha = ALPHA_INTERVAL * self.alpha
        cells = np.floor(self.at / 300)
        starts = [0, *(i for i in range(1, n) if cells[i] > cells[i - 1])]
        total, before = 0.0, 0.0
        for start in starts:
            began = self.at[start - 1] if start else 0.0
            share = self.share(before, began) if start else 0.5
            before = began
            contrast = self.x[start:].sum()
            if n - start < FEWEST or contrast <= 0:
                continue
            variance = scale * max(self.seen[start:].sum(), self.pooled[start:].sum())
            best = scale * late * BEST_AT
            log = boundaries.normal_log_mixture(contrast, variance, best, alpha_opt=alpha, is_one_sided=True)
            total += share * float(np.exp(log))
        return total


def whole(seed: int, n: int, effect: float, onset: int, base: float, split: float, **terms: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows: Rows = []
    for i in range(n):
        asked = (int(rng.poisson(600 * split)) + 1, int(rng.poisson(600 * (1 - split))) + 1)
        rates = (base * (effect if i >= onset else 1.0) * rng.gamma(20, 1 / 20), base)
        events = [int(rng.binomial(r, min(p, 1.0))) for r, p in zip(asked, rates, strict=True)]
        rows.append((15.0 * (i + 1), 15.0, events[0], asked[0], events[1], asked[1]))
    trial = Whole(rows, terms["sign"], terms["tolerance"], terms["alpha"], terms["horizon"])
    evidence = {"interval": trial.interval_evidence(), "ratio": trial.ratio_evidence()}
    return {**terms, "evidence": evidence, "dispersion": trial.dispersion(n), "rows": rows}


def main() -> None:
    lower: dict[str, Any] = {"sign": 1, "tolerance": 0.0, "alpha": 0.05, "horizon": 900.0}
    tolerant, higher = {**lower, "tolerance": 0.1}, {**lower, "sign": -1, "tolerance": 0.05}
    content = {
        "mixtures": [
            mixture(s, v, best, alpha)
            for s, v, best, alpha in (
                (0, 1, 60, 0.05),
                (5, 10, 60, 0.05),
                (25, 60, 60, 0.05),
                (60, 240, 60, 0.04),
                (-5, 10, 60, 0.05),
                (-40, 60, 60, 0.04),
                (300, 5760, 60, 0.04),
                (0.5, 0.02, 0.01, 0.01),
                (100, 60, 60, 0.25),
            )
        ],
        "integrals": [integral(s, v, rho) for s, v, rho in ((3, 7, 11), (40, 60, 9), (-2, 5, 3), (0.1, 0.01, 0.002))],
        "bounds": [
            bound(v, best, alpha)
            for v, best, alpha in (
                (20, 60, 0.05),
                (60, 60, 0.05),
                (240, 60, 0.05),
                (5760, 60, 0.05),
                (60, 60, 0.01),
                (60, 60, 1e-4),
                (0.003, 0.001, 0.04),
                (60, 60, 0.2),
            )
        ],
        "trials": [
            whole(1, 60, 1.0, 0, 0.01, 0.5, **lower),
            whole(2, 60, 2.0, 0, 0.01, 0.5, **lower),
            whole(3, 8, 5.0, 0, 0.01, 0.5, **lower),
            whole(4, 80, 2.0, 40, 0.01, 0.5, **tolerant),
            whole(5, 80, 3.0, 70, 0.01, 0.05, **tolerant),
            whole(6, 60, 1.0, 0, 0.002, 0.95, **lower),
            whole(7, 60, 0.9, 0, 0.6, 0.5, **higher),
            whole(8, 60, 0.7, 30, 0.3, 0.25, **higher),
            whole(9, 30, 1.5, 0, 0.01, 0.5, **{**lower, "horizon": 2592000.0}),
        ],
    }
    path = pathlib.Path(__file__).with_name("statistics.json")
    path.write_text(json.dumps(content, separators=(",", ":")).replace("},{", "},\n{") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
