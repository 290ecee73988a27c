"""A simulated run as a picture: stages, the vector over time, each gate's verdicts, and the moment of the rollback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from veriramp_operator.api.status import VerdictKind
from veriramp_operator.api.vector import Vector
from veriramp_operator.cli.simulation.monte_carlo import Outcomes
from veriramp_operator.cli.simulation.runs import Moment, Run
from veriramp_operator.engine.types import Direction

mpl.use("Agg")

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_PARAMETERS: Final = (
    ("canary_percent", "canary [% of users]", "#1f77b4"),
    ("ranking_weight", "ranking weight", "#d62728"),
    ("sampling_rate", "sampling rate", "#7f7f7f"),
)
_COLOURS: Final = {
    VerdictKind.PASS: "#4caf50",
    VerdictKind.REGRESSION: "#c62828",
    VerdictKind.INCONCLUSIVE: "#fbc02d",
    VerdictKind.NO_DATA: "#9e9e9e",
    VerdictKind.NOT_APPLICABLE: "#eceff1",
}
_BANDS: Final = ("#f5f7fa", "#e3e9f1")
_LEAST_MARK_SHARE: Final = 0.004
_NEAR_EDGE: Final = 0.88
_ROLLBACK: Final = "rollback"


def draw(title: str, run: Run, path: Path) -> None:
    """Write a PNG. Raises OSError when the file cannot be written."""
    unit, name = _unit(run.ended_at - run.options.start)
    gates = list(run.verdicts)
    heights = [1.0] * len(_PARAMETERS) + [max(0.5, 0.28 * len(gates))]
    figure = Figure(figsize=(11, 1.6 + 1.5 * len(_PARAMETERS) + 0.45 * len(gates)), layout="constrained")
    axes: Any = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    changes = _changes(run)
    for axis, (field, label, colour) in zip(axes, _PARAMETERS, strict=False):
        _bands(axis, run, unit, named=axis is axes[0])
        _parameter(axis, run, changes, field, label, colour, unit)
    _bands(axes[-1], run, unit, named=False)
    _verdicts(axes[-1], run, gates, unit)
    for axis in axes:
        _marks(axis, run, unit, named=axis is axes[0])
    axes[-1].set_xlabel(f"virtual time since the start [{name}]")
    axes[-1].set_xlim(0, (run.ended_at - run.options.start) / unit)
    figure.suptitle(f"{title} (simulated): {run.ending}", fontsize=11)
    figure.savefig(path, dpi=110)


def _unit(seconds: float) -> tuple[float, str]:
    if seconds > 3 * _DAY:
        return _DAY, "days"
    if seconds > 3 * _HOUR:
        return _HOUR, "hours"
    return (_MINUTE, "minutes") if seconds > 10 * _MINUTE else (1.0, "seconds")


def _changes(run: Run) -> list[tuple[float, Vector]]:
    """When which vector came into force."""
    first = [(run.options.start, run.timeline[0].vector)] if run.timeline else []
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


def _bands(axis: Axes, run: Run, unit: float, *, named: bool) -> None:
    whole = run.ended_at - run.options.start
    for number, (stage, begin, end) in enumerate(_stages(run.timeline, run.ended_at)):
        left, right = (begin - run.options.start) / unit, (end - run.options.start) / unit
        axis.axvspan(left, right, color=_BANDS[number % 2], zorder=0, linewidth=0)
        if named and stage and (end - begin) > 0.03 * whole:
            axis.annotate(
                stage,
                ((left + right) / 2, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color="#37474f",
            )


def _parameter(
    axis: Axes, run: Run, changes: Sequence[tuple[float, Vector]], field: str, label: str, colour: str, unit: float
) -> None:
    times = [(at - run.options.start) / unit for at, _ in changes]
    values = [float(getattr(vector, field)) for _, vector in changes]
    times.append((run.ended_at - run.options.start) / unit)
    values.append(values[-1])
    axis.step(times, values, where="post", color=colour, linewidth=1.8)
    axis.fill_between(times, values, step="post", color=colour, alpha=0.15, linewidth=0)
    axis.set_ylabel(label, fontsize=9)
    axis.set_ylim(0, (max(values) or 1.0) * 1.25)
    axis.grid(axis="y", color="#cfd8dc", linewidth=0.5)


def _verdicts(axis: Axes, run: Run, gates: Sequence[str], unit: float) -> None:
    start, least = run.options.start, _LEAST_MARK_SHARE * (run.ended_at - run.options.start)
    shown: set[VerdictKind] = set()
    for row, gate in enumerate(gates):
        spans = run.verdicts[gate]
        for number, (begin, kind) in enumerate(spans):
            end = spans[number + 1][0] if number + 1 < len(spans) else run.ended_at
            # What lasts for one poll only must still be seen.
            width = max(end - begin, least if kind is VerdictKind.REGRESSION else 0.0)
            depth = 3 if kind is VerdictKind.REGRESSION else 2
            bar = ((begin - start) / unit, width / unit)
            axis.broken_barh([bar], (row - 0.35, 0.7), facecolors=_COLOURS[kind], zorder=depth)
            shown.add(kind)
    axis.set_yticks(range(len(gates)), gates, fontsize=9)
    axis.set_ylim(len(gates) - 0.4, -0.6)
    handles = [Patch(facecolor=colour, label=kind.value) for kind, colour in _COLOURS.items() if kind in shown]
    axis.legend(handles=handles, loc="lower left", fontsize=8, ncols=len(handles), framealpha=0.9)


def _marks(axis: Axes, run: Run, unit: float, *, named: bool) -> None:
    marks = [(at, "regression begins", "#ef6c00", ":") for at in run.injected_at.values() if at <= run.ended_at]
    if run.detected_at is not None:
        marks.append((run.detected_at, _ROLLBACK, "#b71c1c", "-"))
    for number, (at, text, colour, style) in enumerate(marks):
        left = (at - run.options.start) / unit
        axis.axvline(left, color=colour, linestyle=style, linewidth=1.5, zorder=4)
        if named:
            # The two marks often stand close together: each label keeps to its own side while there is room.
            share = (at - run.options.start) / max(run.ended_at - run.options.start, 1e-9)
            leftwards = share > _NEAR_EDGE if text == _ROLLBACK else share > 1 - _NEAR_EDGE
            axis.annotate(
                text,
                (left, 0.9 - 0.16 * number),
                xycoords=("data", "axes fraction"),
                xytext=(-4 if leftwards else 4, 0),
                textcoords="offset points",
                ha="right" if leftwards else "left",
                va="top",
                fontsize=9,
                color=colour,
                fontweight="bold",
            )


def draw_delays(title: str, outcomes: Outcomes, path: Path) -> None:
    """Write a PNG of many runs: what they came to, and how long the regression took to be found. Raises OSError."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.subplots()
    axis.hist([seconds / _MINUTE for seconds in outcomes.detection_seconds], bins=30)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
