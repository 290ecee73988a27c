"""The pure core: state machine, ramp, rollback. No clock, no network, no Kubernetes."""

from __future__ import annotations

from veriramp_operator.engine.decide import RULES, decide, decide_by
from veriramp_operator.engine.gates import trial_of
from veriramp_operator.engine.memory import after_publish, needs_write

__all__ = ["RULES", "after_publish", "decide", "decide_by", "needs_write", "trial_of"]
