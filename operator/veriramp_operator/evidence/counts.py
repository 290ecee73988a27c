"""Fold raw counters of two arms into what they grew by, interval by interval.

Public: :class:`Ledger` (raw series in, :class:`~veriramp_operator.evidence.types.Counts` out), :func:`extend` (further
intervals onto counts), :data:`Row`, :func:`problem_of`, :func:`newest_of`, :func:`trial_start`.

* Growth is counted per series between two samples of it that are at most :data:`STALE_SECONDS` apart. A value below
  the one before is a restarted process: the whole new value is growth. The first sample of a series counts nothing.
* It falls into the interval of the later sample, on an absolute grid of one scrape interval. Events and total of one
  process are scraped at one instant, so both fall into the same interval, whatever the offset of its scrapes. Where one
  of them is no finite number, the other is not looked at either: they would grow in different intervals.
* An interval is closed once everything up to its end has been read. A sample that arrives later counts in the first
  open interval: nothing is counted twice, nothing that was closed changes.
* The newest :data:`FINE` intervals and up to as many more stay one scrape long. Older ones are merged by :data:`MERGED`
  into aligned blocks, those again beyond :data:`COARSE` to twice as many, and so on: 30 days make fewer than 2,000.
  Many are merged at once and seldom, because whoever follows the counts must then count anew from there. What is
  merged depends on the ends of the intervals and the newest time alone, so reading a whole history gives exactly what
  following it gave.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from veriramp_operator.api.reasons import NoDataReason
from veriramp_operator.evidence.types import Counts, Failure, RawSeries, Trial

FINE: Final = 512
COARSE: Final = 96
MERGED: Final = 8
STALE_SECONDS: Final = 300.0
TRIAL_SECONDS: Final = 30 * 86400.0
"""A trial that lasts longer (a guard) begins anew, with a fresh budget of errors, this often."""

Row = tuple[float, float, float, float, float, float]
"""One interval: at (its end), seconds, treatment events, treatment total, control events, control total."""

ARMS: Final = ("treatment", "control")
_SCRAPES_BEFORE_STALE: Final = 2.5
_ROUNDING: Final = 1e-6
_NONE: Final[AbstractSet[float]] = frozenset()


class Ledger:
    """The growth of two counters in both arms since an instant, read chunk by chunk.

    ``since``: seconds since the epoch; samples before it are not looked at. ``scrape``: seconds between two scrapes.
    """

    def __init__(self, since: float, scrape: float) -> None:
        self.since, self.scrape = since, scrape
        self.counts = Counts(since, since)
        self._stale = max(STALE_SECONDS, _SCRAPES_BEFORE_STALE * scrape)
        self._closed = _floor(since / scrape)
        self._last: dict[tuple[int, frozenset[tuple[str, str]]], tuple[float, float]] = {}

    def fold(self, events: Iterable[RawSeries], total: Iterable[RawSeries], until: float) -> None:
        """Count what two counters grew by; everything of them up to ``until`` is in these or in earlier chunks.

        Chunks go forward and may overlap. The interval that ``until`` falls into stays open for the next chunk.
        """
        closed = _floor(until / self.scrape)
        if closed <= self._closed:
            return
        cells: dict[int, list[float]] = {}
        counters = ([*events], [*total])
        odd = _odd((*counters[0], *counters[1]))
        for offset, counter in enumerate(counters):
            for series in counter:
                arm = series.labels.get("arm", "")
                if arm in ARMS:
                    unread = odd.get(_source(series)) if odd else None
                    self._follow(2 * ARMS.index(arm) + offset, series, closed, cells, unread or _NONE)
        until = closed * self.scrape
        rows = [self._row(index, cell) for index, cell in sorted(cells.items()) if any(cell)]
        self.counts = extend(self.counts, rows, until, self.scrape)
        self._closed = closed
        self._last = {key: last for key, last in self._last.items() if last[0] > until - self._stale}

    def _follow(
        self, column: int, series: RawSeries, closed: int, cells: dict[int, list[float]], unread: AbstractSet[float]
    ) -> None:
        key = (column, frozenset(series.labels.items()))
        last = self._last.get(key)
        # What is older is forgotten, so it cannot be told whether it has been counted.
        oldest = max(self.since, self._closed * self.scrape - self._stale)
        for at, value in zip(series.at, series.values, strict=True):
            index = _ceil(at / self.scrape)
            if index > closed:
                break
            if at <= oldest or at in unread or (last is not None and at <= last[0]):
                continue
            if last is not None and at - last[0] <= self._stale:
                growth = value - last[1] if value >= last[1] else value
                cells.setdefault(max(index, self._closed + 1), [0.0] * 4)[column] += growth
            last = (at, value)
        if last is not None:
            self._last[key] = last

    def _row(self, index: int, cell: list[float]) -> Row:
        at = index * self.scrape
        return (at, min(self.scrape, at - self.since), cell[0], cell[1], cell[2], cell[3])


def extend(counts: Counts, rows: Sequence[Row], until: float, scrape: float) -> Counts:
    """Counts with further intervals, each a scrape long, and the older ones merged; ``until``: all up to it is read.

    Intervals must rise and lie after the known ones; without requests they may be left out.
    """
    at = counts.at[-1] if counts.at else counts.since
    added = [row for row in rows if at < row[0] <= until]
    columns = _columns(counts)
    if added:
        columns = [known + new for known, new in zip(columns, zip(*added, strict=True), strict=True)]
    before, now = (_merged_up_to(_floor(end / scrape), FINE) for end in (counts.until, until))
    block = MERGED
    while before != now:
        columns = _merge(columns, (before * scrape, now * scrape), block * scrape, counts.since)
        before, now = (_merged_up_to(index, COARSE * block) for index in (before, now))
        block *= MERGED
    return Counts(counts.since, max(until, counts.until), *columns)


def problem_of(events: Iterable[RawSeries], total: Iterable[RawSeries], names: tuple[str, str]) -> Failure | None:
    """Why two counters cannot be compared: an arm without requests exported, without events beside them, or with NaN.

    ``names``: of the events and of the total.
    """
    for name, counter in ((names[1], [*total]), (names[0], [*events])):
        seen = {series.labels.get("arm") for series in counter}
        if missing := [arm for arm in ARMS if arm not in seen]:
            return Failure(NoDataReason.NOT_YET_EXPOSED, _not_exposed(name, missing, rest=bool(seen)))
        numbers = {series.labels.get("arm") for series in counter if _numbered_at(series) is not None}
        if odd := [arm for arm in ARMS if arm not in numbers]:
            return Failure(NoDataReason.NOT_A_NUMBER, f"{name} lately has no finite number with {_named(odd)}")
    return None


def newest_of(*counters: Iterable[RawSeries]) -> float | None:
    """When the counter and arm that is furthest behind last had a finite number (seconds since the epoch).

    None when one has none at all.
    """
    newest: dict[tuple[int, str], float] = {}
    for number, counter in enumerate(counters):
        for series in counter:
            arm, at = series.labels.get("arm", ""), _numbered_at(series)
            if arm in ARMS and at is not None:
                newest[number, arm] = max(newest.get((number, arm), -math.inf), at)
    return min(newest.values()) if newest and len(newest) == len(ARMS) * len(counters) else None


def trial_start(trial: Trial, now: float) -> float | None:
    """When the counting of a trial begins: with the stage, and every 30 days anew; None before it has begun."""
    if trial.began_at is None:
        return None
    return trial.began_at + max(0, math.floor((now - trial.began_at) / TRIAL_SECONDS)) * TRIAL_SECONDS


def _odd(series: Iterable[RawSeries]) -> dict[frozenset[tuple[str, str]], set[float]]:
    """When something was no finite number, by what both counters of a process and arm have in common."""
    odd: dict[frozenset[tuple[str, str]], set[float]] = {}
    for each in series:
        if not math.isfinite(sum(each.values)):
            at = {at for at, value in zip(each.at, each.values, strict=True) if not math.isfinite(value)}
            odd.setdefault(_source(each), set()).update(at)
    return odd


def _source(series: RawSeries) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in series.labels.items() if item[0] != "__name__")


def _numbered_at(series: RawSeries) -> float | None:
    """When a series last had a finite number."""
    samples = zip(reversed(series.at), reversed(series.values), strict=True)
    return next((at for at, value in samples if math.isfinite(value)), None)


def _not_exposed(name: str, missing: list[str], *, rest: bool) -> str:
    message = f"{name} lately has no series with {_named(missing)}, namespace and rollout of this rollout"
    if rest:
        return f"{message}; export it with the value 0 from the start, not from the first event on"
    return f"{message}; count it with the labels namespace, rollout and arm, as the SDK's metrics are"


def _named(arms: list[str]) -> str:
    return " and ".join(f'arm="{arm}"' for arm in arms)


def _merged_up_to(index: int, kept: int) -> int:
    """The end of what is merged when everything ends at ``index``: at least ``kept`` stay (all in scrapes)."""
    return index // kept * kept - kept


def _merge(
    columns: list[tuple[float, ...]], span: tuple[float, float], block: float, since: float
) -> list[tuple[float, ...]]:
    """Intervals that end in (span[0], span[1]] merged into blocks; both ends of the span lie between two blocks."""
    first, last = (bisect_right(columns[0], end + _ROUNDING * block) for end in span)
    blocks: dict[int, list[float]] = {}
    for row in zip(*(column[first:last] for column in columns), strict=True):
        sums = blocks.setdefault(_ceil(row[0] / block), [0.0] * 4)
        for place, value in enumerate(row[2:]):
            sums[place] += value
    merged = [(index * block, min(block, index * block - since), *sums) for index, sums in blocks.items()]
    if not merged:
        return columns
    return [
        column[:first] + new + column[last:] for column, new in zip(columns, zip(*merged, strict=True), strict=True)
    ]


def _columns(counts: Counts) -> list[tuple[float, ...]]:
    return [
        counts.at,
        counts.seconds,
        counts.treatment_events,
        counts.treatment_total,
        counts.control_events,
        counts.control_total,
    ]


def _floor(number: float) -> int:
    return math.floor(number + _ROUNDING)


def _ceil(number: float) -> int:
    return math.ceil(number - _ROUNDING)
