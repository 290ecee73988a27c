"""One poll of a gate, read as good, bad or unknown: what all polled gate kinds share.

Public: :class:`Grade`, :class:`Mark`, :func:`age_problem`, :func:`presence_problem`, :func:`one_number`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import GateSpec, PresenceSpec
from veriramp_operator.evidence.promql import is_bare_selector
from veriramp_operator.evidence.question import max_age_of, selector_of
from veriramp_operator.evidence.types import Answer, Failure, Reading


class Mark(Enum):
    """What one poll says by itself."""

    GOOD = auto()
    BAD = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Grade:
    """The mark of one poll, with a sentence and the number behind it; ``reason`` only when unknown."""

    mark: Mark
    message: str
    value: float | None = None
    reason: NoDataReason | None = None


def unknown(reason: NoDataReason, message: str) -> Grade:
    """A poll that says nothing, and why."""
    return Grade(Mark.UNKNOWN, message, None, reason)


def one_number(answer: Answer | None, what: str) -> float | Grade:
    """The single finite number of an answer, or the unknown grade that says why there is none."""
    if answer is None:
        return unknown(NoDataReason.NEVER_ASKED, f"{what} was not asked")
    if isinstance(answer, Failure):
        return unknown(answer.reason, f"{what}: {answer.message}")
    match answer.values:
        case ():
            return unknown(NoDataReason.EMPTY, f"{what} returned no series")
        case (value,) if math.isfinite(value):
            return value
        case (value,):
            return unknown(NoDataReason.NOT_A_NUMBER, f"{what} returned {value}")
        case values:
            return unknown(
                NoDataReason.SEVERAL_SERIES,
                f"{what} returned {len(values)} series where one is expected; aggregate it, for example with sum(...)",
            )


def age_problem(gate: GateSpec, reading: Reading, scrape_interval: float) -> Grade | None:
    """Why the samples behind a poll are too old or of unknown age; None when they are fresh enough.

    A gate without a selector (admission asks for one) has no age to judge.
    """
    selector = selector_of(gate)
    if selector is None:
        return None
    if not is_bare_selector(selector):
        return unknown(
            NoDataReason.BAD_QUERY,
            f"selector {selector!r} is not a bare series selector; write a metric name with label matchers and nothing "
            "round it, else its age cannot be told",
        )
    newest = one_number(reading.newest, f"the age of {selector}")
    if isinstance(newest, Grade):
        if newest.reason is NoDataReason.EMPTY:
            return unknown(NoDataReason.NOT_YET_EXPOSED, f"no series matches the selector {selector}")
        return newest
    age, limit = reading.at - newest, max_age_of(gate, scrape_interval)
    if age > limit:
        return unknown(
            NoDataReason.TOO_OLD,
            f"the newest sample of {selector} is {format_duration(age)} old, more than {format_duration(limit)}",
        )
    return None


def presence_problem(presence: PresenceSpec, reading: Reading) -> Grade | None:
    """Why the presence query does not prove that an empty answer is good news; None when it does."""
    value = one_number(reading.presence, "the presence query")
    if isinstance(value, Grade):
        if value.reason is NoDataReason.EMPTY:
            return unknown(NoDataReason.NOT_PRESENT, "the presence query returned no series: nothing is measured")
        return value
    if value < presence.min:
        return unknown(NoDataReason.NOT_PRESENT, f"presence is {value:g}, below its minimum {presence.min:g}")
    return None
