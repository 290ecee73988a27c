"""How old the samples behind an answer are: an instant query itself only tells when it was evaluated."""

from __future__ import annotations

from typing import Final

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.grade import Grade, one_number, unknown
from veriramp_operator.evidence.question import max_age_of
from veriramp_operator.evidence.terms import Terms
from veriramp_operator.evidence.types import Answer

_LONGEST_AGE: Final = 100 * 365 * 86400.0
"""An answer that is no time may be any number; from here on it makes no difference."""


def age_problem(terms: Terms, newest: Answer | None, at: float, scrape_interval: float) -> Grade | None:
    """Why the samples behind a poll at an instant are too old or of unknown age; None when they are fresh enough.

    ``newest``: answer of the question for the time of the newest sample. A gate without a selector (admission asks for
    one) has no age to judge.
    """
    selector = terms.selector
    fresh = newest is not None and newest.number is not None and at - newest.number <= terms.fresh
    if selector is None or (fresh and terms.is_bare):
        return None
    if not terms.is_bare:
        return unknown(
            NoDataReason.BAD_QUERY,
            f"selector {selector!r} is not a bare series selector; write a metric name with label matchers and nothing "
            "round it, else its age cannot be told",
        )
    time = one_number(newest, terms.age_of)
    if isinstance(time, Grade):
        if time.reason is NoDataReason.EMPTY:
            return unknown(NoDataReason.NOT_YET_EXPOSED, f"no series matches the selector {selector}")
        return time
    age = at - time
    limit = max_age_of(terms.gate, scrape_interval)
    if age > limit:
        known = format_duration(min(age, _LONGEST_AGE))
        return unknown(
            NoDataReason.TOO_OLD, f"the newest sample of {selector} is {known} old, more than {format_duration(limit)}"
        )
    return None
