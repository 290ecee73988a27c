"""Faults planted in the evidence on purpose, for the walks with real readings and counters to notice.

Public: :data:`FAULTS_OF_EVIDENCE`: for each fault a sentence, and what plants it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.evidence import comparison, firing, ratio, sequential
from veriramp_operator.evidence.counts import ARMS
from veriramp_operator.evidence.grade import Grade, Mark
from veriramp_operator.evidence.types import Occupied, RawSeries, Trial, Verdict
from veriramp_operator.sources import counters

judge: Any = importlib.import_module("veriramp_operator.evidence.judge")  # the package has a function of that name

_COMPARE: Final = sequential.compare
_BREACH: Final[Callable[..., Verdict]] = comparison._regression
_FIRES: Final[Callable[..., Verdict]] = firing._regression
_BURNS: Final[Callable[..., Grade]] = judge.grade_burn_rate
_FALLS_SHORT: Final[Callable[..., Grade]] = judge.grade_baseline
_SPLIT: Final = ratio.occupied_of


def _put(owner: object, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, value)


def _leans_only(*question: Any) -> Verdict:
    return _BREACH(*question)._replace(kind=VerdictKind.INCONCLUSIVE, leans_bad=True)


def _since_ever(counts: Any, *, full_at: float | None, began_at: float, **terms: Any) -> Any:
    return _COMPARE(counts, full_at=None if full_at is None else began_at, began_at=began_at, **terms)


def _last_scrape(_events: Iterable[RawSeries], total: Iterable[RawSeries]) -> float | None:
    newest = [
        max((series.at[-1] for series in total if series.labels.get("arm") == arm), default=math.nan) for arm in ARMS
    ]
    return None if any(math.isnan(at) for at in newest) else min(newest)


def _every_process(gauges: Iterable[RawSeries], _revisions: Iterable[RawSeries]) -> Occupied | None:
    return _SPLIT(gauges, ())


def _good_unless_unknown(grade: Grade) -> Grade:
    return grade if grade.mark is Mark.UNKNOWN else grade._replace(mark=Mark.GOOD, leans_bad=False)


FAULTS_OF_EVIDENCE: Final[Mapping[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "a comparison that regresses only leans bad": _put(comparison, "_regression", _leans_only),
    "a comparison is never blind": _put(comparison, "_problem", lambda *_: None),
    "an arm that nobody exports is no problem": _put(counters, "problem_of", lambda *_: None),
    "a scrape of NaN is fresh evidence": _put(counters, "newest_of", _last_scrape),
    "a comparison passes on the ramp's requests": _put(comparison, "compare", _since_ever),
    "what was counted before a fall makes fall again": _put(Trial, "clipped", lambda trial, _since: trial),
    "a process of an older revision tells the split": _put(counters, "occupied_of", _every_process),
    "a burn rate above its limits is good": _put(
        judge, "grade_burn_rate", lambda *asked: _good_unless_unknown(_BURNS(*asked))
    ),
    "a baseline's interval decides nothing": _put(
        judge, "grade_baseline", lambda *asked: _good_unless_unknown(_FALLS_SHORT(*asked))
    ),
    "an alert of the instant of a fall makes fall again": _put(
        firing,
        "_regression",
        lambda alerts, since, *rest: _FIRES(alerts, None if since is None else since - 1e-3, *rest),
    ),
}
