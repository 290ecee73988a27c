"""Samples in, verdicts out: one module per gate kind."""

from __future__ import annotations

from veriramp_operator.evidence.judge import judge
from veriramp_operator.evidence.question import DEFAULT_WINDOW, Questions, max_age_of, questions, window_of
from veriramp_operator.evidence.reasons import VerdictReason

__all__ = ["DEFAULT_WINDOW", "Questions", "VerdictReason", "judge", "max_age_of", "questions", "window_of"]
