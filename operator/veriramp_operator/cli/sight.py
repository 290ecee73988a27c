"""What the comparison of two arms can see in a stage, worked out before anything runs. Pure.

Public: :class:`Sight`, :func:`sight_of`. The figures are those of the sequential test that the operator runs, not of a
test with a fixed sample: it may be asked after every scrape, and pays for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.rollout import ComparisonGate, Direction, GateSpec, OnRegression, RolloutSpec
from veriramp_operator.engine.stages import Rung
from veriramp_operator.evidence import every_of
from veriramp_operator.evidence.sequential import smallest_effect
from veriramp_sdk.contract import Mode

DEFAULT_BAD_RATE: Final = 0.01
DEFAULT_GOOD_RATE: Final = 0.3
EVERYBODY: Final = 100.0
LONGEST: Final = 90 * 86400.0
TEST_SHARE: Final = 0.4
"""What the test for a regression that is there from the beginning has of alpha; a Pass has all of it."""
MOST_ALPHA: Final = 0.49
_SCRAPE: Final = 15.0
_STANDARD: Final = ComparisonGate(events="events", total="requests")
"""What is told of a stage with two arms that no comparison looks at."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a comparison needs for its Pass: ``seconds`` at the full vector (None: no time is enough)."""

    gate: GateSpec
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What a stage can tell.

    ``detectable``: smallest relative worsening found in half of all cases by the end of the bake; None without two
    arms, or when nothing can be found. ``compared``: a comparison gate of the rollout looks. ``needs``: of each such
    gate that a promotion requires.
    """

    detectable: float | None = None
    compared: bool = False
    needs: tuple[Need, ...] = ()


def sight_of(spec: RolloutSpec, rung: Rung, rps: float, base_rate: float | None) -> Sight:
    """What can be seen at a stage's full vector with so many requests per second."""
    share = rung.vector.canary_percent / EVERYBODY
    if rung.vector.mode is not Mode.LIVE or not 0 < share < 1:
        return Sight()
    arms = _Arms(rps * share, rps * (1 - share), base_rate)
    asked = [gate for gate in spec.gates if gate.comparison and (not gate.stages or rung.name in gate.stages)]
    acting = [gate for gate in asked if gate.on_regression is not OnRegression.REPORT]
    looking = [arms.effect(gate.comparison, rung.bake, every_of(gate)) for gate in acting if gate.comparison]
    if not acting:
        return Sight(arms.effect(_STANDARD, rung.bake, _SCRAPE))
    found = [effect for effect in looking if effect is not None]
    needs = (Need(gate, arms.pass_seconds(gate)) for gate in acting if gate.is_required)
    return Sight(min(found, default=None), compared=True, needs=tuple(needs))


@dataclass(frozen=True, slots=True)
class _Arms:
    """Requests per second in each arm."""

    treatment: float
    control: float
    base_rate: float | None

    def effect(self, gate: ComparisonGate, seconds: float, every: float, alpha: float | None = None) -> float | None:
        lower = gate.direction is Direction.LOWER_IS_BETTER
        default = DEFAULT_BAD_RATE if lower else DEFAULT_GOOD_RATE
        return smallest_effect(
            direction=gate.direction,
            control_rate=default if self.base_rate is None else self.base_rate,
            treatment_requests=self.treatment * seconds,
            control_requests=self.control * seconds,
            scrapes=seconds / max(every, _SCRAPE),
            tolerance=gate.tolerance,
            alpha=gate.alpha if alpha is None else alpha,
        )

    def pass_seconds(self, gate: GateSpec) -> float | None:
        """Seconds after which half of all healthy stages have proved that nothing is worse than the tolerance.

        A bound of the present difference must lie inside the tolerance: the reach of the bound is what the smallest
        effect has beyond the tolerance, at the whole alpha instead of the share that the regression test has.
        """
        spec, every = gate.comparison, every_of(gate)
        if spec is None or spec.tolerance <= 0:
            return None
        alpha = min(spec.alpha / TEST_SHARE, MOST_ALPHA)
        low, high = 0.0, LONGEST
        for _ in range(40):
            middle = (low + high) / 2
            effect = self.effect(spec, middle, every, alpha)
            if effect is not None and effect <= 2 * spec.tolerance:
                high = middle
            else:
                low = middle
        if high >= LONGEST:
            return None
        return max(high, spec.min_requests / min(self.treatment, self.control))
