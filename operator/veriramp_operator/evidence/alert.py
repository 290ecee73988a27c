"""The ``alert`` gate: any returned series is a breach; nothing returned is good news only with presence."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Final

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import AlertGate
from veriramp_operator.evidence.grade import Grade, Mark, presence_problem, unknown
from veriramp_operator.evidence.types import Failure, Reading, Series

_LONGEST_LABELS: Final = 200
_GOOD: Final = Grade(Mark.GOOD, "no alert, and the measured series is present")


def grade_alert(alert: AlertGate, reading: Reading) -> Grade:
    """Read one poll: bad with any finite series, good when empty and present, else unknown."""
    answer = reading.answer
    if isinstance(answer, Failure):
        if answer.reason is not NoDataReason.EMPTY:
            return unknown(answer.reason, answer.message)
    elif answer.values:
        return _breach(answer)
    if alert.presence is None:
        return unknown(NoDataReason.EMPTY, "no series, and no presence query that would make this good news")
    return presence_problem(alert.presence, reading) or _GOOD


def _breach(answer: Series) -> Grade:
    finite = [(value, index) for index, value in enumerate(answer.values) if math.isfinite(value)]
    if not finite:
        return unknown(NoDataReason.NOT_A_NUMBER, f"{len(answer.values)} series returned, none of them a finite number")
    worst, index = max(finite)
    count = f"{len(finite)} series" if len(finite) > 1 else "a series"
    labels = _text(answer.labels[index]) if index < len(answer.labels) else ""
    return Grade(Mark.BAD, f"the alert query returned {count}{labels}, value {worst:g}", worst)


def _text(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    text = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f" {{{textwrap.shorten(text, _LONGEST_LABELS, placeholder=' ...')}}}"
