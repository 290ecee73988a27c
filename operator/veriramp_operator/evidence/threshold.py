"""The ``threshold`` gate: one number held against ``max`` and ``min``."""

from __future__ import annotations

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import EmptyMeans, ThresholdGate
from veriramp_operator.evidence.grade import Grade, Mark, one_number, presence_problem, unknown
from veriramp_operator.evidence.types import Reading


def grade_threshold(threshold: ThresholdGate, reading: Reading) -> Grade:
    """Read one poll: bad beyond a bound (the bound itself is inside), good within, else unknown."""
    if threshold.max is None and threshold.min is None:
        return unknown(NoDataReason.BAD_QUERY, "the threshold has neither max nor min; write at least one of them")
    missing = presence_problem(threshold.presence, reading) if threshold.presence is not None else None
    value = one_number(reading.answer, "the query")
    if isinstance(value, Grade):
        zero = _read_as_zero(threshold, value, missing)
        if zero is not None:
            return zero
        value = 0.0
    return _breach(threshold, value) or missing or Grade(Mark.GOOD, f"{value:g} is within {_bounds(threshold)}", value)


def _read_as_zero(threshold: ThresholdGate, grade: Grade, missing: Grade | None) -> Grade | None:
    """Why an answer without a number cannot be read as zero; None when it can."""
    if grade.reason is not NoDataReason.EMPTY or threshold.empty_means is not EmptyMeans.ZERO:
        return grade
    if threshold.presence is None:
        return unknown(NoDataReason.EMPTY, "no series; emptyMeans: Zero counts only together with presence")
    return missing


def _breach(threshold: ThresholdGate, value: float) -> Grade | None:
    if threshold.max is not None and value > threshold.max:
        return Grade(Mark.BAD, f"{value:g} is above the maximum {threshold.max:g}", value)
    if threshold.min is not None and value < threshold.min:
        return Grade(Mark.BAD, f"{value:g} is below the minimum {threshold.min:g}", value)
    return None


def _bounds(threshold: ThresholdGate) -> str:
    if threshold.min is None:
        return f"the maximum {threshold.max:g}"
    if threshold.max is None:
        return f"the minimum {threshold.min:g}"
    return f"{threshold.min:g} .. {threshold.max:g}"
