"""The ``burnRate`` gate: how many times faster than promised the error budget is spent, over pairs of windows.

Public: :func:`burn_query`, :func:`newest_of`, :func:`grade_burn_rate`. Method: "multiwindow, multi-burn-rate alerts"
(Beyer et al., "The Site Reliability Workbook", chapter 5). The burn rate of a window is (errors / requests) /
(1 - objective); a pair is a breach while both its windows are above its ``rate``.

What else this reading of it settles:

* A long window with fewer than ``minRequests`` is no data (``NotPresent``), like any other gate without traffic: no
  good news, no alarm. A short window with fewer cannot end what the long one says: unsure, leaning bad.
* All pairs must be readable for good news; one readable pair is enough for bad news.
* After a fall or a retry (``since``) only errors from after it may trip: those of the longest window that lies wholly
  after it, held against the requests of the whole long window. So a fast pair trips again long before the slow one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from veriramp_operator.api.base import format_duration
from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.api.rollout import BurnRateGate, BurnWindow
from veriramp_operator.evidence.grade import Grade, Mark, unknown
from veriramp_operator.evidence.promql import is_bare_selector
from veriramp_operator.evidence.types import Answer, Failure, Series

NUMBER: Final = "veriramp_number"
"""The label that tells the numbers of the one query apart."""

_NEWEST: Final = "newest"
_EXPOSED: Final = "exposed"
_MOST_EVENTS: Final = 1e18
_CACHED: Final = 1024
_text: Final = lru_cache(maxsize=_CACHED)(format_duration)
_ORDER: Final = {Mark.BAD: 0, Mark.UNKNOWN: 1, Mark.UNSURE: 2, Mark.GOOD: 3}


def burn_query(burn: BurnRateGate, selector: str) -> str:
    """One query for all numbers, so that all have one evaluation time: a union of sums told apart by a label."""
    numbers = {_NEWEST: f"max(timestamp({selector}))", _EXPOSED: f"count({burn.errors})"}
    for seconds in _windows(burn):
        range_ = f"[{round(seconds * 1000)}ms]"
        numbers[_errors(seconds)] = f"sum(rate({burn.errors}{range_}))"
        numbers[_total(seconds)] = f"sum(rate({burn.total}{range_}))"
    return "\nor ".join(f'label_replace({query}, "{NUMBER}", "{name}", "", "")' for name, query in numbers.items())


def newest_of(answer: Answer) -> Answer:
    """The part of the answer that tells the time of the newest sample."""
    if isinstance(answer, Failure):
        return answer
    numbers = _numbers(answer)
    return Series((numbers[_NEWEST],)) if _NEWEST in numbers else Series(())


def grade_burn_rate(burn: BurnRateGate, answer: Answer, new_seconds: float | None) -> Grade:
    """Read one poll; ``new_seconds``: how much of the past before it may trip (None: all of it)."""
    for selector in (burn.errors, burn.total):
        if not is_bare_selector(selector):
            return unknown(
                NoDataReason.BAD_QUERY,
                f"{selector!r} is more than a counter's selector; write its name with label matchers",
            )
    if isinstance(answer, Failure):
        return unknown(answer.reason, f"the burn rate: {answer.message}")
    numbers = _numbers(answer)
    grades = [_pair(burn, numbers, window, new_seconds) for window in burn.windows]
    return min(grades, key=lambda grade: (_ORDER[grade.mark], -(grade.value or 0.0)))


class _Spent(NamedTuple):
    errors: float
    requests: float


def _pair(burn: BurnRateGate, numbers: Mapping[str, float], window: BurnWindow, new_seconds: float | None) -> Grade:
    long, short = _spent(burn, numbers, window.long), _spent(burn, numbers, window.short)
    if isinstance(long, Grade):
        return long
    if isinstance(short, Grade):
        return short
    if _is_idle(burn, long):
        return unknown(
            NoDataReason.NOT_PRESENT,
            f"{long.requests:.0f} requests in {_text(window.long)}, fewer than minRequests {burn.min_requests}",
        )
    grade = _held_against(burn, window, long, short)
    if grade.mark is not Mark.BAD or new_seconds is None:
        return grade
    return grade if _is_new(burn, numbers, window, new_seconds) else _old(grade)


def _held_against(burn: BurnRateGate, window: BurnWindow, long: _Spent, short: _Spent) -> Grade:
    value, now = (spent.errors / max(spent.requests, 1e-9) / (1 - burn.objective) for spent in (long, short))
    burns = f"the error budget burns {value:.3g} x as fast as promised over {_text(window.long)}"
    if value <= window.rate:
        return Grade(Mark.GOOD, f"{burns} (limit {window.rate:g})", value)
    if _is_idle(burn, short):
        message = f"{burns} (limit {window.rate:g}), and {short.requests:.0f} requests in the last "
        return Grade(Mark.UNSURE, f"{message}{_text(window.short)} decide nothing", value, leans_bad=True)
    message = f"{burns} and {now:.3g} x over {_text(window.short)} (limit {window.rate:g})"
    return Grade(Mark.BAD if now > window.rate else Mark.GOOD, message, value)


def _is_new(burn: BurnRateGate, numbers: Mapping[str, float], window: BurnWindow, new_seconds: float) -> bool:
    """True when the errors of the last ``new_seconds`` alone are more than the long window allows."""
    wholly_new = [seconds for seconds in _windows(burn) if seconds <= min(new_seconds, window.long)]
    errors = max((numbers.get(_errors(seconds), 0.0) * seconds for seconds in wholly_new), default=0.0)
    requests = numbers[_total(window.long)] * window.long
    return window.short <= new_seconds and errors > window.rate * (1 - burn.objective) * requests


def _old(grade: Grade) -> Grade:
    message = f"{grade.message}, but that includes the time before the last fall or retry"
    return Grade(Mark.UNSURE, message, grade.value, leans_bad=True)


def _spent(burn: BurnRateGate, numbers: Mapping[str, float], seconds: float) -> _Spent | Grade:
    errors, total = numbers.get(_errors(seconds)), numbers.get(_total(seconds))
    if total is None:
        return _too_few(burn.total, seconds)
    if errors is None and _EXPOSED not in numbers:
        return unknown(
            NoDataReason.NOT_YET_EXPOSED,
            f"no series matches {burn.errors}, though there are requests; initialise the counter at 0, so that no "
            "errors can be told from no counter",
        )
    if errors is None:
        return _too_few(burn.errors, seconds)
    spent = _Spent(errors * seconds, total * seconds)
    if not (abs(spent.errors) < _MOST_EVENTS and abs(spent.requests) < _MOST_EVENTS):
        return unknown(NoDataReason.NOT_A_NUMBER, f"the rates over {_text(seconds)} are no numbers of events")
    return spent


def _is_idle(burn: BurnRateGate, spent: _Spent) -> bool:
    return spent.requests < max(burn.min_requests, 1)


def _too_few(selector: str, seconds: float) -> Grade:
    return unknown(NoDataReason.EMPTY, f"{selector} has fewer than two samples in {_text(seconds)}")


def _windows(burn: BurnRateGate) -> tuple[float, ...]:
    return tuple(sorted({seconds for window in burn.windows for seconds in (window.long, window.short)}))


@lru_cache(maxsize=_CACHED)
def _errors(seconds: float) -> str:
    return f"errors {seconds:g}"


@lru_cache(maxsize=_CACHED)
def _total(seconds: float) -> str:
    return f"total {seconds:g}"


def _numbers(answer: Series) -> dict[str, float]:
    return {labels.get(NUMBER, ""): value for labels, value in zip(answer.labels, answer.values, strict=False)}
