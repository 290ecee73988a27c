"""A simulated run as a picture: stages, the vector over time, the evidence, and the moment of the rollback.

Public: :func:`draw`. Beside the whole run, a rollback that is too short for its scale is drawn once more from close by.
Everything that a colour says is also said by brightness or hatching, so a grey print can be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.api.vector import Vector
from veriramp_operator.cli.simulation.runs import Estimate, Moment, Run
from veriramp_operator.engine.types import Direction

mpl.use("Agg")

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_PARAMETERS: Final = (
    ("canary_percent", "canary\n[% of users]", "#1565c0"),
    ("ranking_weight", "ranking\nweight", "#6a1b9a"),
    ("sampling_rate", "sampling\nrate", "#546e7a"),
)
_VERDICTS: Final = {
    VerdictKind.PASS: ("#c8e6c9", ""),
    VerdictKind.INCONCLUSIVE: ("#ffe082", "////"),
    VerdictKind.REGRESSION: ("#7f0000", ""),
    VerdictKind.NO_DATA: ("#ffffff", "xxxx"),
    VerdictKind.NOT_APPLICABLE: ("#ffffff", ""),
}
"""Colour and hatch; the darker, the worse."""
_BANDS: Final = ("#f4f6f8", "#dfe5ec")
_LINES: Final = {"regression begins": ("#e65100", (0, (2, 2))), "rollback": ("#b71c1c", "solid")}
_ALL, _LATE, _TOLERANCE = "#0d47a1", "#37474f", "#b71c1c"
_LEAST_MARK_SHARE: Final = 0.008
_CLOSE_UP_BELOW: Final = 0.12
_CLOSE_UP_LEAST: Final = 60.0
_WIDTHS: Final = (2.6, 1.0)
_WIDTH: Final = 13.0
_LETTER: Final = 0.085
"""Inches that a letter of a stage's name takes."""


def draw(title: str, run: Run, path: Path) -> None:
    """Write a PNG. Raises OSError when the file cannot be written."""
    rows, heights = _rows(run)
    views = list(_views(run))
    figure = Figure(figsize=(_WIDTH, 1.5 + 0.95 * sum(heights)), layout="constrained")
    ratios = {"height_ratios": heights, "width_ratios": _WIDTHS[: len(views)]}
    grid: Any = figure.subplots(len(rows), len(views), sharex="col", sharey="row", squeeze=False, gridspec_kw=ratios)
    for column, view in enumerate(views):
        for row, axes in zip(rows, grid[:, column], strict=True):
            row.draw(axes, view)
            if row is not rows[0]:
                _bands(axes, view)
                _marks(axes, view)
            axes.tick_params(labelsize=9)
        bottom = grid[-1, column]
        bottom.set_xlim(view.at(view.begin), view.at(view.end))
        bottom.set_xlabel(view.label, fontsize=9)
    _legend(figure, run)
    figure.suptitle(f"{title} (simulated): {_first_sentence(run.ending)}", fontsize=12, fontweight="bold")
    figure.savefig(path, dpi=100)


@dataclass(frozen=True, slots=True)
class _View:
    """A span of the run and its scale; ``zero`` is where its axis starts counting."""

    run: Run
    begin: float
    end: float
    zero: float
    label: str
    inches: float
    unit: float

    def at(self, instant: float) -> float:
        return (instant - self.zero) / self.unit

    def share(self, seconds: float) -> float:
        return seconds / max(self.end - self.begin, 1e-9)


def _views(run: Run) -> Iterator[_View]:
    start, end = run.options.start, max(run.ended_at, run.options.start + 1.0)
    close = _close_up(run)
    unit, name = _unit(end - start)
    inches = _WIDTH * 0.86 * (_WIDTHS[0] / sum(_WIDTHS) if close else 1.0)
    yield _View(run, start, end, start, f"the whole run [{name} since the start]", inches, unit)
    if close is not None:
        begin, end, zero, since = close
        unit, name = _unit(end - begin)
        label = f"close-up [{name} since {since}]"
        yield _View(run, begin, end, zero, label, _WIDTH * 0.86 * _WIDTHS[1] / sum(_WIDTHS), unit)


def _close_up(run: Run) -> tuple[float, float, float, str] | None:
    """Begin and end of the second view, what its axis counts from, and in words."""
    if run.detected_at is None:
        return None
    onset = run.onset
    zero = run.detected_at if onset is None else onset
    first = min(zero, run.detected_at if run.first_bad_at is None else max(run.first_bad_at, zero - _HOUR))
    last = run.detected_at if run.applied_at is None else run.applied_at
    lasted = max(last - first, _CLOSE_UP_LEAST)
    if lasted > _CLOSE_UP_BELOW * (run.ended_at - run.options.start):
        return None
    since = "the rollback" if onset is None else "the regression began"
    begin, end = max(run.options.start, first - 0.5 * lasted), min(run.ended_at, last + 0.8 * lasted)
    return begin, end, zero, since


def _unit(seconds: float) -> tuple[float, str]:
    if seconds > 3 * _DAY:
        return _DAY, "days"
    if seconds > 3 * _HOUR:
        return _HOUR, "hours"
    return (_MINUTE, "minutes") if seconds > 5 * _MINUTE else (1.0, "seconds")


class _Row:
    """One line of the picture."""

    height = 1.0

    def draw(self, axes: Axes, view: _View) -> None:
        raise NotImplementedError


def _rows(run: Run) -> tuple[list[_Row], list[float]]:
    changes = _changes(run)
    used = [each for each in _PARAMETERS if any(getattr(vector, each[0]) for _, vector in changes)]
    rows: list[_Row] = [_StageRow()]
    rows += [_ParameterRow(changes, *each) for each in used or _PARAMETERS[:1]]
    rows += [_EstimateRow(gate, list(trace)) for gate, trace in run.estimates.items()]
    if run.verdicts:
        rows.append(_VerdictRow(list(run.verdicts)))
    return rows, [row.height for row in rows]


class _StageRow(_Row):
    height = 0.62

    def draw(self, axes: Axes, view: _View) -> None:
        """Names in bands, the marks' names above them."""
        axes.set_ylim(0, 2.2)
        axes.set_axis_off()
        for number, (stage, entered, left) in enumerate(_stages(view.run.timeline, view.run.ended_at)):
            begin, end = max(entered, view.begin), min(left, view.end)
            if end <= begin:
                continue
            axes.axvspan(view.at(begin), view.at(end), 0, 0.42, color=_BANDS[number % 2], linewidth=0)
            inches = view.share(end - begin) * view.inches
            name = stage or "off"
            if inches < _LETTER * 2:
                continue
            text = name if len(name) * _LETTER < inches else name[: max(1, int(inches / _LETTER) - 1)] + "…"
            axes.text(view.at((begin + end) / 2), 0.46, text, ha="center", va="center", fontsize=9, color="#263238")
        self._names(axes, view)

    def _names(self, axes: Axes, view: _View) -> None:
        for number, (at, name) in enumerate(_moments(view)):
            colour, style = _LINES[name]
            height = 1.9 - 0.6 * number
            axes.plot([view.at(at)] * 2, [0, height], color=colour, linestyle=style, linewidth=1.6, clip_on=False)
            left = view.share(at - view.begin) > 0.5  # noqa: PLR2004 the half that has more room beside the mark
            offset = (-4, 0) if left else (4, 0)
            axes.annotate(
                name,
                (view.at(at), height),
                xytext=offset,
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=9,
                fontweight="bold",
                color=colour,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                zorder=6,
            )


class _ParameterRow(_Row):
    def __init__(self, changes: Sequence[tuple[float, Vector]], field: str, label: str, colour: str) -> None:
        self._changes, self._field, self._label, self._colour = changes, field, label, colour

    def draw(self, axes: Axes, view: _View) -> None:
        """A step line from zero."""
        times = [view.at(at) for at, _ in self._changes]
        values = [float(getattr(vector, self._field)) for _, vector in self._changes]
        times.append(view.at(view.run.ended_at))
        values.append(values[-1])
        axes.step(times, values, where="post", color=self._colour, linewidth=2.0, zorder=3)
        axes.fill_between(times, values, step="post", color=self._colour, alpha=0.18, linewidth=0, zorder=2)
        if view.begin == view.run.options.start:
            axes.set_ylabel(self._label, fontsize=9)
        axes.set_ylim(0, (max(values) or 1.0) * 1.2)
        axes.grid(axis="y", color="#cfd8dc", linewidth=0.5)


class _EstimateRow(_Row):
    height = 1.5

    def __init__(self, gate: str, estimates: Sequence[Estimate]) -> None:
        self._gate, self._estimates = gate, estimates

    def draw(self, axes: Axes, view: _View) -> None:
        """The difference of the rates with its bounds, and the line at which the tolerance ends."""
        for part in _unbroken(self._estimates, view):
            times = [view.at(each.at) for each in part]
            lower, upper = [100 * each.lower for each in part], [100 * each.upper for each in part]
            axes.fill_between(times, lower, upper, color="#90a4ae", alpha=0.55, linewidth=0, zorder=2)
            axes.plot(times, [100 * each.late for each in part], color=_LATE, linewidth=0.8, alpha=0.75, zorder=3)
            axes.plot(times, [100 * each.difference for each in part], color=_ALL, linewidth=1.8, zorder=4)
            axes.plot(times, [100 * each.limit for each in part], color=_TOLERANCE, linestyle="--", zorder=4)
        axes.axhline(0, color="#37474f", linewidth=0.7, zorder=2)
        low, high = _range(self._estimates)
        axes.set_ylim(100 * low, 100 * high)
        if view.begin == view.run.options.start:
            axes.set_ylabel(f"{self._gate}\ntreatment - control\n[% of requests]", fontsize=9)


class _VerdictRow(_Row):
    def __init__(self, gates: Sequence[str]) -> None:
        self._gates = gates
        self.height = max(0.5, 0.34 * len(gates))

    def draw(self, axes: Axes, view: _View) -> None:
        """A bar of verdicts for each gate."""
        least = _LEAST_MARK_SHARE * (view.end - view.begin)
        for row, gate in enumerate(self._gates):
            spans = view.run.verdicts[gate]
            for number, (begin, kind) in enumerate(spans):
                end = spans[number + 1][0] if number + 1 < len(spans) else view.run.ended_at
                bad = kind is VerdictKind.REGRESSION
                # What lasts for one poll only must still be seen.
                width = max(end - begin, least if bad else 0.0)
                colour, hatch = _VERDICTS[kind]
                axes.broken_barh(
                    [(view.at(begin), width / view.unit)],
                    (row - 0.36, 0.72),
                    facecolor=colour,
                    hatch=hatch,
                    edgecolor="#90a4ae",
                    linewidth=0.0,
                    zorder=4 if bad else 3,
                )
        axes.set_yticks(range(len(self._gates)), list(self._gates), fontsize=9)
        axes.set_ylim(len(self._gates) - 0.4, -0.6)


def _range(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """What has to be seen: zero, the tolerance, and nearly all of the estimates, without the wild first ones."""
    late = sorted(each.late for each in estimates if math.isfinite(each.late)) or [0.0]
    skipped = len(late) // 100
    ends = sorted(each.late for each in estimates[-1:] if math.isfinite(each.late)) or [0.0]
    limits = [each.limit for each in estimates] or [0.0]
    low = min(late[skipped], ends[0], 2 * min(limits), -max(map(abs, limits)))
    high = max(late[-1 - skipped], ends[-1], 2 * max(limits), *map(abs, limits), 1e-6)
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def _unbroken(estimates: Sequence[Estimate], view: _View) -> Iterator[list[Estimate]]:
    """Estimates in rows that one stage made: a new trial begins anew."""
    starts = [begin for _, begin, _ in _stages(view.run.timeline, view.run.ended_at)]
    part: list[Estimate] = []
    for each in estimates:
        if part and any(part[-1].at < start <= each.at for start in starts):
            yield part
            part = []
        part.append(each)
    if part:
        yield part


def _changes(run: Run) -> list[tuple[float, Vector]]:
    """When which vector came into force."""
    first = [(run.options.start, run.timeline[0].vector)] if run.timeline else [(run.options.start, Vector())]
    return first + [(moment.at, moment.vector) for moment in run.timeline if moment.direction is not Direction.HOLD]


def _stages(timeline: Sequence[Moment], end: float) -> list[tuple[str, float, float]]:
    spans: list[tuple[str, float, float]] = []
    for number, moment in enumerate(timeline):
        until = timeline[number + 1].at if number + 1 < len(timeline) else end
        if spans and spans[-1][0] == moment.stage:
            spans[-1] = (moment.stage, spans[-1][1], until)
        else:
            spans.append((moment.stage, moment.at, until))
    return spans


def _bands(axes: Axes, view: _View) -> None:
    for number, (_, begin, end) in enumerate(_stages(view.run.timeline, view.run.ended_at)):
        axes.axvspan(view.at(begin), view.at(end), color=_BANDS[number % 2], zorder=0, linewidth=0)


def _moments(view: _View) -> list[tuple[float, str]]:
    run = view.run
    found = [(at, "regression begins") for at in run.injected_at.values()]
    if run.detected_at is not None:
        found.append((run.detected_at, "rollback"))
    return [(at, name) for at, name in found if view.begin <= at <= view.end]


def _marks(axes: Axes, view: _View) -> None:
    for at, name in _moments(view):
        colour, style = _LINES[name]
        axes.axvline(view.at(at), color=colour, linestyle=style, linewidth=1.6, zorder=5)


def _legend(figure: Figure, run: Run) -> None:
    shown = {kind for spans in run.verdicts.values() for _, kind in spans}
    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="#607d8b", label=kind.value)
        for kind, (colour, hatch) in _VERDICTS.items()
        if kind in shown
    ]
    if run.estimates:
        handles.append(Line2D([], [], color=_ALL, linewidth=1.8, label="difference in the bake"))
        handles.append(Patch(facecolor="#90a4ae", alpha=0.55, label="its confidence band"))
        handles.append(Line2D([], [], color=_LATE, linewidth=1.0, label="difference of the last 15 min"))
        handles.append(Line2D([], [], color=_TOLERANCE, linestyle="--", label="tolerance"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", fontsize=9, ncols=len(handles), frameon=False)


def _first_sentence(text: str, longest: int = 110) -> str:
    return text if len(text) <= longest else f"{text[:longest].rstrip()}…"
