"""What the table of the rows says beside the invariants: the clocks of each row, and the hold for the split of users.

Public: :func:`clocks_count_healthy_time`, :func:`users_are_dealt_out_as_told`, :data:`BAKE_ROWS`, :data:`RAMP_ROWS`.
"""

from __future__ import annotations

from typing import Final

from tests.support.walk.walk import Tick, Walk
from tests.support.walk.world import Split
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.rollout import RampSpec
from veriramp_operator.api.vector import OFF
from veriramp_sdk.contract import BUCKETS

BAKE_ROWS: Final = frozenset(
    {
        Reason.EVIDENCE_LEANS_BAD,
        Reason.WINDOW_CLOSED,
        Reason.BAKING,
        Reason.APPROVAL_REQUIRED,
        Reason.INCONCLUSIVE,
        Reason.PROMOTE,
        Reason.GUARDING,
    }
)
RAMP_ROWS: Final = frozenset({Reason.RAMP_STEP, Reason.RAMPING})
_ABOUT: Final = 1e-6


def clocks_count_healthy_time(_walk: Walk, tick: Tick) -> None:
    """The two clocks, and when they run."""
    old, new, clock = tick.before.stage, tick.decision.status.stage, tick.before.clock
    if old is None or new is None or old.name != new.name or old.entered_at != new.entered_at:
        return
    if new.entered_at == tick.now:
        return  # entered again at the very moment, after the clock went back
    for rows, field in ((BAKE_ROWS, "bake_seconds"), (RAMP_ROWS, "ramp_seconds")):
        added = getattr(new, field) - getattr(old, field)
        assert added >= 0, f"{field} went back"
        if added > 0:
            assert clock is not None
            assert added <= min(tick.now - clock.at, 2 * clock.interval) + _ABOUT, f"{field} counts a gap"
            due = field == "ramp_seconds" and tick.reason is Reason.WINDOW_CLOSED  # the step became due in this pass
            assert due or tick.reason in rows, f"{field} runs in {tick.reason}"
            assert tick.before.reason in rows, f"{field} counts time that began in {tick.before.reason}"
    rung = tick.plan.at(new)
    if new.bake_seconds > old.bake_seconds:
        assert tick.decision.status.parameters == rung.vector, "the bake ran on the ramp"
    if rung.spec.ramp is not None and new.ramp_seconds > old.ramp_seconds and not new.reentry:
        _one_step_at_a_time(rung.spec.ramp, old.ramp_seconds, new.ramp_seconds)


def users_are_dealt_out_as_told(_walk: Walk, tick: Tick) -> None:
    """A wrong split of the users holds, and nothing else is called one."""
    propagation = tick.decision.status.propagation
    confirmed_at = None if propagation is None else propagation.confirmed_at
    percent = (tick.decision.status.parameters or OFF).canary_percent
    owned = round(percent * BUCKETS / 100)
    odd = wrong = False
    for gate in tick.comparing():
        seen = tick.seen.samples.get(gate.name)
        if confirmed_at is None or seen is None or seen.occupied is None or seen.occupied.at <= confirmed_at:
            continue
        treatment, control = seen.occupied.treatment, seen.occupied.control
        many = min(owned, BUCKETS - owned) >= 100
        lost = many and treatment <= owned // 2 and control == BUCKETS - owned
        wrong = wrong or lost or treatment > owned or control > BUCKETS - owned
        odd = odd or (treatment, control) != Split.RIGHT.occupied(percent)
    assert not wrong or tick.reason not in BAKE_ROWS | RAMP_ROWS, "went on with a wrong split"
    assert odd or tick.reason is not Reason.SAMPLE_RATIO_MISMATCH, "called a right split wrong"


def _one_step_at_a_time(ramp: RampSpec, before: float, after: float) -> None:
    steps = len(ramp.steps) + (ramp.steps[-1] < 1) if ramp.steps else 0
    interval = ramp.duration / steps if steps else ramp.interval or 0.0
    if interval >= 1:
        assert int((after + _ABOUT) / interval) <= int((before + _ABOUT) / interval) + 1, "several steps at once"
