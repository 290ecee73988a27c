"""The ``comparison`` gate: treatment against control, sequentially tested on counters."""

from __future__ import annotations

from veriramp_operator.api.rollout import GateSpec
from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence.reasons import VerdictReason
from veriramp_operator.evidence.types import Samples, Trial, Verdict


def judge_comparison(gate: GateSpec, samples: Samples, now: float, since: float | None, trial: Trial) -> Verdict:
    """What the arms of the present stage say; ``NotApplicable`` while one of them has no share of the users."""
    del gate, samples, now, since
    if not trial.has_arms:
        message = f"{trial.percent:g} % of the users are in the treatment, so there are no two arms to compare"
        return Verdict(VerdictKind.NOT_APPLICABLE, VerdictReason.NO_ARMS, message)
    return Verdict(VerdictKind.NO_DATA, VerdictReason.NOT_YET_SUPPORTED, "comparison is not supported yet")
