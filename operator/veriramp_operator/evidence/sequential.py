"""Is the treatment worse than the control? Two sequential tests that may be asked after every scrape.

Public: :func:`compare` for a stage's :class:`Counts` at once, :class:`Monitor` for interval after interval (the same
answers to the last bit), both returning a :class:`Comparison`; :func:`smallest_effect` for planning;
:class:`Interval` and :class:`Terms` as inputs.

    compare(counts, began_at=..., full_at=..., direction=..., tolerance=0.1, alpha=0.05, stage_seconds=86400.0)

    monitor = Monitor(Terms(direction, tolerance, alpha, began_at, stage_seconds))
    monitor.add(Interval(at, seconds, k_t, r_t, k_c, r_c))
    monitor.comparison(full_at)

(a) *Interval*: an asymptotic confidence sequence for the contrast (see :mod:`.tally`), with the variance measured over
the intervals, from 20 intervals on. (b) *Ratio*: an e-process of conditional binomials over a grid of worsenings,
flattened by the dispersion that earlier intervals showed. Both are mixtures over restarts: half of their budget is for
a change that is bad from the beginning, half is spread over later beginnings so that its sum stays below 1 for any
length of the trial. (a) has four fifths of alpha, (b) one fifth, so both together stay within it. docs/adr/0006 tells
what was measured.
"""

from __future__ import annotations

import math
from typing import Final

from veriramp_operator.api.rollout import Direction
from veriramp_operator.evidence.monitor import Comparison, Interval, Monitor, Terms, smallest_effect
from veriramp_operator.evidence.types import Counts

__all__ = ["Comparison", "Interval", "Monitor", "Terms", "compare", "smallest_effect"]

REMEMBERED: Final = 256
"""Monitors kept between calls of :func:`compare`."""

Columns = tuple[tuple[float, ...], ...]


def compare(
    counts: Counts,
    *,
    began_at: float,
    full_at: float | None,
    direction: Direction,
    tolerance: float,
    alpha: float,
    stage_seconds: float,
) -> Comparison:
    """What the counts of a stage say, the same as a :class:`Monitor` fed with them.

    ``began_at``, ``full_at``: seconds since the epoch, see :class:`Trial`; ``tolerance``: relative, ``alpha``: over the
    whole stage; ``stage_seconds``: how long the trial lasts at most. Remembers what it has counted, so that counts that
    grew by an interval, or were merged here and there, cost little.
    """
    terms = Terms(direction, tolerance, alpha, began_at, stage_seconds)
    key = (terms, *(column[:1] for column in _columns(counts)))  # gates with the same terms are told apart
    memory = _memories.pop(key, None) or _Memory(Monitor(terms), Counts(counts.since, counts.since))
    memory.see(counts)
    comparison = memory.comparison(full_at)
    _memories[key] = memory
    if len(_memories) > REMEMBERED:
        _memories.pop(next(iter(_memories)), None)
    return comparison


class _Memory:
    """A monitor, the counts that it was fed with and its last answer."""

    def __init__(self, monitor: Monitor, counts: Counts) -> None:
        self._monitor = monitor
        self._counts = counts
        self._answer: tuple[float | None, Comparison] | None = None

    def see(self, counts: Counts) -> None:
        if counts is self._counts:
            return
        same = _common_length(_columns(self._counts), _columns(counts))
        if same < len(self._counts.at):
            self._monitor.forget(counts.at[same - 1] if same else -math.inf)
        for interval in zip(*(column[same:] for column in _columns(counts)), strict=True):
            self._monitor.add(Interval(*interval))
        self._counts, self._answer = counts, None

    def comparison(self, full_at: float | None) -> Comparison:
        if self._answer is None or self._answer[0] != full_at:
            self._answer = (full_at, self._monitor.comparison(full_at))
        return self._answer[1]


_memories: dict[tuple[object, ...], _Memory] = {}


def _columns(counts: Counts) -> tuple[tuple[float, ...], ...]:
    return (
        counts.at,
        counts.seconds,
        counts.treatment_events,
        counts.treatment_total,
        counts.control_events,
        counts.control_total,
    )


def _common_length(old: Columns, new: Columns) -> int:
    """How many intervals at the beginning are the same."""
    low, high = 0, min(len(old[0]), len(new[0]))
    if all(a[:high] == b[:high] for a, b in zip(old, new, strict=True)):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if all(a[low:middle] == b[low:middle] for a, b in zip(old, new, strict=True)):
            low = middle
        else:
            high = middle - 1
    return low
