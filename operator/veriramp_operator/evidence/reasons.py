"""Reasons of verdicts beside the ones of ``NoData`` (:class:`veriramp_operator.api.reasons.NoDataReason`)."""

from __future__ import annotations

from enum import StrEnum


class VerdictReason(StrEnum):
    """Why a verdict is what it is."""

    HEALTHY = "Healthy"
    BREACH = "Breach"
    BREACH_TOO_YOUNG = "BreachTooYoung"
    WARMING_UP = "WarmingUp"
    UNCERTAIN = "Uncertain"
    FIRING = "Firing"
    NOT_FIRING = "NotFiring"
    NO_ARMS = "NoArms"
