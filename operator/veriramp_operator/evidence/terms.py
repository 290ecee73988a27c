"""What a gate's spec says about judging it, worked out once: every pass asks, for every gate.

Public: :class:`Terms`, :func:`terms_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from veriramp_operator.api.rollout import (
    AlertGate,
    BaselineGate,
    BurnRateGate,
    ComparisonGate,
    FiringGate,
    GateSpec,
    ThresholdGate,
)
from veriramp_operator.evidence.memo import by_identity
from veriramp_operator.evidence.promql import is_bare_selector
from veriramp_operator.evidence.question import (
    GAP_POLLS,
    LEAST_MAX_AGE,
    POLLS_PER_MAX_AGE,
    every_of,
    for_of,
    max_age_of,
    selector_of,
    window_of,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """A gate with what it leaves out filled in; all times in seconds.

    ``lasting``: how long a breach must last. ``gap``: a longer one between two bad polls ends it. ``patience``: how old
    a poll may be to speak about now. ``fresh``: how old the newest sample may be, whatever the scrape interval.
    ``selector``: of the series whose newest sample tells the age of an answer, None where nothing does; ``age_of``: how
    a sentence calls that; ``is_bare``: it is a selector and nothing else.
    """

    gate: GateSpec
    alert: AlertGate | None
    threshold: ThresholdGate | None
    baseline: BaselineGate | None
    burn_rate: BurnRateGate | None
    firing: FiringGate | None
    comparison: ComparisonGate | None
    every: float
    lasting: float
    window: float
    gap: float
    patience: float
    fresh: float
    selector: str | None
    age_of: str
    is_bare: bool


def _work_out(gate: GateSpec) -> Terms:
    every, selector = every_of(gate), selector_of(gate)
    return Terms(
        gate=gate,
        alert=gate.alert,
        threshold=gate.threshold,
        baseline=gate.baseline,
        burn_rate=gate.burn_rate,
        firing=gate.firing,
        comparison=gate.comparison,
        every=every,
        lasting=for_of(gate),
        window=window_of(gate),
        gap=GAP_POLLS * every,
        patience=max(POLLS_PER_MAX_AGE * every, LEAST_MAX_AGE),
        fresh=max_age_of(gate, scrape_interval=0.0),
        selector=selector,
        age_of=f"the age of {selector}",
        is_bare=selector is not None and is_bare_selector(selector),
    )


terms_of: Final = by_identity(_work_out)
"""The terms of a gate, remembered per object."""
