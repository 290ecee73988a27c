"""The ``baseline`` gate: one number held against a stored one, with its confidence interval where there is one."""

from __future__ import annotations

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import BaselineGate
from veriramp_operator.evidence.grade import Grade, Mark, one_number, unknown
from veriramp_operator.evidence.types import Reading


def grade_baseline(gate: BaselineGate, reading: Reading) -> Grade:
    """Read one poll against the limit baseline x (1 - maxDrop), which is itself still good.

    With an interval: bad when all of it is below the limit, good when none of it is, else unsure, leaning as the number
    itself does. Without one the number decides. A baseline that is not above 0 makes no limit.
    """
    value = one_number(reading.answer, "the query")
    if isinstance(value, Grade):
        return value
    baseline = one_number(reading.baseline, "the baseline query")
    if isinstance(baseline, Grade):
        return baseline
    if baseline <= 0:
        return unknown(
            NoDataReason.NOT_POSITIVE, f"the baseline query returned {baseline:g}; a drop is relative to more than 0"
        )
    limit = baseline * (1 - gate.max_drop)
    against = f"{limit:g}, which is {100 * gate.max_drop:.3g} % below the baseline {baseline:g}"
    if gate.lower_query is None and gate.upper_query is None:
        if value < limit:
            return Grade(Mark.BAD, f"{value:g} is below {against}", value)
        return Grade(Mark.GOOD, f"{value:g} is not below {against}", value)
    return _interval(reading, value, limit, against)


def _interval(reading: Reading, value: float, limit: float, against: str) -> Grade:
    lower = one_number(reading.lower, "the query of the lower end")
    if isinstance(lower, Grade):
        return lower
    upper = one_number(reading.upper, "the query of the upper end")
    if isinstance(upper, Grade):
        return upper
    if lower > upper:
        return unknown(
            NoDataReason.BAD_QUERY,
            f"lowerQuery returned {lower:g}, which is above {upper:g} of upperQuery; exchange them",
        )
    interval = f"{value:g} (interval {lower:g} .. {upper:g})"
    if upper < limit:
        return Grade(Mark.BAD, f"{interval} is wholly below {against}", value)
    if lower >= limit:
        return Grade(Mark.GOOD, f"{interval} is nowhere below {against}", value)
    return Grade(Mark.UNSURE, f"{interval} reaches to both sides of {against}", value, leans_bad=value < limit)
