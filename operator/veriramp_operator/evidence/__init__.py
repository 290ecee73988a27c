"""Samples in, verdicts out: one module per gate kind."""

from __future__ import annotations

from veriramp_operator.evidence.grade import Mark
from veriramp_operator.evidence.judge import judge, mark_of
from veriramp_operator.evidence.question import (
    DEFAULT_WINDOW,
    Questions,
    every_of,
    for_of,
    max_age_of,
    questions,
    window_of,
)
from veriramp_operator.evidence.reasons import VerdictReason

__all__ = [
    "DEFAULT_WINDOW",
    "Mark",
    "Questions",
    "VerdictReason",
    "every_of",
    "for_of",
    "judge",
    "mark_of",
    "max_age_of",
    "questions",
    "window_of",
]
