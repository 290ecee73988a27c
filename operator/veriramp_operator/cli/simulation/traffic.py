"""Synthetic users and their requests: how many come, how many of these are bad anyway, and how much both vary.

Public: :class:`Noise`, :class:`Traffic`, :class:`Bursts`, :func:`poisson`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DEFAULT_BASE_RATE: Final = 0.01
DAY: Final = 86400.0
DIURNAL_VOLUME: Final = 0.5
DIURNAL_LEVEL: Final = 0.3
BURST_DEVIATION: Final = 0.2
BURST_SCRAPES: Final = 2.0
HEALTHY_SHARE: Final = 0.6
"""Where a number with a bound stands while all is well."""
_EXACT_UP_TO: Final = 40.0


class Noise(StrEnum):
    """How the numbers vary.

    ``none``: numbers stand still; only what a comparison counts is drawn request by request, because without chance
    there is nothing to test. ``iid``: each scrape draws its own chance. ``diurnal``: besides, traffic swings by half
    and the share of bad requests by 30 % over a day, for both arms alike. ``bursty``: besides, each arm's share of bad
    requests comes in bursts of its own: lognormal, standard deviation 20 %, correlated over two scrapes.
    """

    NONE = "none"
    IID = "iid"
    DIURNAL = "diurnal"
    BURSTY = "bursty"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the numbers are made from.

    ``rps``: requests per second. ``base_rate``: healthy share of bad requests, None = 60 % of each bound (and 1 % in
    a comparison). ``scrape``: seconds between two scrapes. ``users``: how many people use the search. ``run``: number
    of the run; each has a chance of its own from the same seed.
    """

    rps: float = 40.0
    base_rate: float | None = None
    noise: Noise = Noise.NONE
    seed: int = 1
    scrape: float = 15.0
    users: int = 10_000
    run: int = 0

    def stream(self, *names: object) -> random.Random:
        """Random numbers of a name, the same in every process."""
        return random.Random(":".join(map(str, (self.seed, self.run, *names))))  # noqa: S311 no secret: a simulation

    def volume(self, at: float) -> float:
        """Requests at a moment (seconds since the epoch) as a multiple of the mean."""
        return 1.0 if self.noise is not Noise.DIURNAL else 1.0 + DIURNAL_VOLUME * _swing(at)

    def level(self, at: float) -> float:
        """A rate that all users share, at a moment, as a multiple of its mean."""
        return 1.0 if self.noise is not Noise.DIURNAL else 1.0 + DIURNAL_LEVEL * _swing(at)


class Bursts:
    """A factor of mean 1 that wanders: the exponential of an autoregressive process of first order."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deviation = math.sqrt(math.log1p(BURST_DEVIATION**2))
        self._at = chance.gauss(0.0, self._deviation)

    def next(self) -> float:
        """The factor of the next scrape."""
        kept = math.exp(-1 / BURST_SCRAPES)
        self._at = kept * self._at + self._chance.gauss(0.0, self._deviation * math.sqrt(1 - kept * kept))
        return math.exp(self._at - self._deviation**2 / 2)


def poisson(chance: random.Random, mean: float) -> int:
    """A Poisson number; above a mean of 40 by the rounded normal law, whose error is far below the deviation."""
    if mean > _EXACT_UP_TO:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    if mean <= 0.0:
        return 0
    left, product, count = math.exp(-mean), chance.random(), 0
    total = left
    while product > total:
        count += 1
        left *= mean / count
        total += left
        if left <= 0.0:
            break
    return count


def _swing(at: float) -> float:
    """-1..1 over the day, lowest at 04:00, highest at 16:00."""
    return math.sin(math.tau * (at / DAY - 10.0 / 24.0))
