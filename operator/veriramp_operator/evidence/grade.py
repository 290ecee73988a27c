"""One poll of a gate, read as good, bad or unknown: what all polled gate kinds share.

Public: :class:`Grade`, :class:`Mark`, :func:`presence_problem`, :func:`one_number`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import PresenceSpec
from veriramp_operator.evidence.types import Answer, Failure, Reading


class Mark(Enum):
    """What one poll says by itself."""

    GOOD = auto()
    BAD = auto()
    UNSURE = auto()  # there is data, and it does not decide
    UNKNOWN = auto()  # there is no data


class Grade(NamedTuple):
    """The mark of one poll, with a sentence and the number behind it; a tuple, because each pass makes one per gate.

    ``reason``: only when unknown. ``leans_bad``: only when unsure, the point estimate is on the bad side.
    """

    mark: Mark
    message: str
    value: float | None = None
    reason: NoDataReason | None = None
    leans_bad: bool = False


def unknown(reason: NoDataReason, message: str) -> Grade:
    """A poll that says nothing, and why."""
    return Grade(Mark.UNKNOWN, message, None, reason)


def one_number(answer: Answer | None, what: str) -> float | Grade:
    """The single finite number of an answer, or the unknown grade that says why there is none."""
    if answer is not None and answer.number is not None:
        return answer.number
    if answer is None:
        return unknown(NoDataReason.NEVER_ASKED, f"{what} was not asked")
    if isinstance(answer, Failure):
        return unknown(answer.reason, f"{what}: {answer.message}")
    if not answer.values:
        return unknown(NoDataReason.EMPTY, f"{what} returned no series")
    if len(answer.values) == 1:
        return unknown(NoDataReason.NOT_A_NUMBER, f"{what} returned {answer.values[0]}")
    return unknown(
        NoDataReason.SEVERAL_SERIES,
        f"{what} returned {len(answer.values)} series where one is expected; aggregate it, for example with sum(...)",
    )


def presence_problem(presence: PresenceSpec, reading: Reading) -> Grade | None:
    """Why the presence query does not prove that an empty answer is good news; None when it does."""
    seen = reading.presence
    if seen is not None and seen.number is not None and seen.number >= presence.min:
        return None
    value = one_number(seen, "the presence query")
    if isinstance(value, Grade):
        if value.reason is NoDataReason.EMPTY:
            return unknown(NoDataReason.NOT_PRESENT, "the presence query returned no series: nothing is measured")
        return value
    return unknown(NoDataReason.NOT_PRESENT, f"presence is {value:g}, below its minimum {presence.min:g}")
