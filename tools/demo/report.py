"""The demo's last page: predicted beside measured, as text, as JSON for machines and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tools.demo.incidents import Rollback
from tools.demo.look_ahead import Prediction
from tools.demo.watching import Point


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured; times in seconds."""

    predicted: Prediction
    rollbacks: Sequence[Rollback]
    users_exposed: int
    points: Sequence[Point]
    stages: Sequence[dict[str, Any]]
    propagation: Sequence[float]
    seconds: float


def text(results: Results) -> str:
    """The page that ends the demo."""
    lines = [
        "                                          predicted    measured",
        _row(
            "bad sample -> rollback decided (pull)",
            results.predicted.detection_seconds,
            results.rollbacks[0].detected_at - results.rollbacks[0].bad_at,
        ),
    ]
    for rollback in results.rollbacks:
        lines += [
            f"{rollback.trigger}, gate {rollback.gate} (revision {rollback.revision}):",
            _row("  bad -> decided", None, rollback.detected_at - rollback.bad_at),
            _row("  decided -> safe document published", None, rollback.published_at - rollback.detected_at),
            # Processes hear of the document while the operator still waits for the answer to its write.
            _row(
                "  published -> applied in every process", None, max(0.0, rollback.applied_at - rollback.published_at)
            ),
            _row(f"  bad -> safe in all {rollback.clients} processes", None, rollback.applied_at - rollback.bad_at),
        ]
    lines.append(_row("users exposed to the regression", results.predicted.users_exposed, results.users_exposed, ""))
    ordered = sorted(results.propagation)
    if ordered:
        lines.append(_row(f"flag propagation p50 ({len(ordered)} revisions)", None, _quantile(ordered, 0.5)))
        lines.append(_row("flag propagation p99", None, _quantile(ordered, 0.99)))
    lines.append(_row("whole demo", None, results.seconds))
    return "\n".join(lines)


def write_json(path: Path, results: Results) -> None:
    """``build/demo/report.json``, in the documented form."""
    ordered = sorted(results.propagation)
    body = {
        "rollbacks": [
            {
                "trigger": rollback.trigger,
                "gate": rollback.gate,
                "badAt": rollback.bad_at,
                "detectedAt": rollback.detected_at,
                "publishedAt": rollback.published_at,
                "appliedAt": rollback.applied_at,
                "clients": rollback.clients,
            }
            for rollback in results.rollbacks
        ],
        "usersExposed": results.users_exposed,
        "stages": list(results.stages),
        "propagation": {"p50": _quantile(ordered, 0.5), "p99": _quantile(ordered, 0.99)} if ordered else {},
        "seconds": results.seconds,
    }
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def draw(path: Path, results: Results) -> None:
    """Vector over time with stages, verdicts and the moments of rollback."""
    import matplotlib as mpl  # noqa: PLC0415 half a second that only the picture needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    start = results.points[0].at
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(11, 6), height_ratios=[3, 1])
    times = [point.at - start for point in results.points]
    weights = [point.parameters.get("rankingWeight", 0.0) for point in results.points]
    percents = [point.parameters.get("canaryPercent", 0.0) for point in results.points]
    upper.step(times, weights, where="post", label="ranking weight", color="tab:blue", linewidth=2)
    upper.set_ylabel("ranking weight")
    right = upper.twinx()
    right.step(times, percents, where="post", label="canary percent", color="tab:green", linewidth=2, linestyle="--")
    right.set_ylabel("canary percent")
    _mark_stages(upper, results.points, start)
    for rollback in results.rollbacks:
        upper.axvline(rollback.applied_at - start, color="tab:red")
        upper.annotate(
            f"{rollback.trigger}\nbad to safe {rollback.applied_at - rollback.bad_at:.2f} s",
            (rollback.applied_at - start, upper.get_ylim()[1] * 0.55),
            color="tab:red",
            fontsize=9,
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
        )
    handles = upper.get_legend_handles_labels()[0] + right.get_legend_handles_labels()[0]
    upper.legend(handles=handles, loc="center left")
    _draw_verdicts(lower, results.points, start)
    figure.suptitle("A rollout walked up, and back to safe within seconds (measured)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


_COLOURS = {
    "Pass": "tab:green",
    "Regression": "tab:red",
    "Inconclusive": "tab:orange",
    "NoData": "lightgrey",
    "NotApplicable": "white",
}


def _draw_verdicts(axes: Any, points: Sequence[Point], start: float) -> None:
    gates = sorted({name for point in points for name in point.verdicts})
    for row, gate in enumerate(gates):
        for point, following in pairwise(points):
            colour = _COLOURS.get(point.verdicts.get(gate, ""), "white")
            axes.barh(row, following.at - point.at, left=point.at - start, color=colour, height=0.8)
    axes.set_yticks(range(len(gates)), gates)
    axes.set_xlabel("seconds; green Pass, orange Inconclusive, grey no data, red Regression")


def _mark_stages(axes: Any, points: Sequence[Point], start: float) -> None:
    previous = ""
    top = max(0.01, *(point.parameters.get("rankingWeight", 0.0) for point in points)) * 1.25
    axes.set_ylim(0, top)
    for point in points:
        if point.stage and point.stage != previous:
            previous = point.stage
            axes.axvline(point.at - start, color="lightgrey", linewidth=1)
            axes.text(point.at - start + 0.5, top * 0.93, point.stage, rotation=90, va="top", fontsize=8, color="grey")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _row(what: str, predicted: float | None, measured: float, unit: str = " s") -> str:
    left = "-" if predicted is None else _figure(predicted, unit)
    return f"{what:<44}{left:>9}    {_figure(measured, unit):>9}"


def _figure(value: float, unit: str) -> str:
    return f"{value:.2f}{unit}" if unit else f"{value:.0f}"
