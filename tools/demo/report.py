"""The demo's last page: predicted beside measured, as text, as JSON for machines and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tools.demo.incidents import Rollback
from tools.demo.look_ahead import Prediction
from tools.demo.watching import Point

_RED: Final = "#b71c1c"
_SHOWN_AFTER_SECONDS: Final = 4.0
_PARAMETERS: Final = (
    ("canaryPercent", "canary\n[% of users]", "#1565c0"),
    ("rankingWeight", "ranking\nweight", "#6a1b9a"),
)
_LOOKS: Final = {
    "Pass": ("#c8e6c9", ""),
    "Inconclusive": ("#ffe082", "////"),
    "Regression": ("#7f0000", ""),
    "NoData": ("#9e9e9e", "...."),
}
_LEAST_NAMED: Final = 0.03


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
    """Each parameter over time with stages, verdicts and the moments of rollback."""
    import matplotlib as mpl  # noqa: PLC0415 half a second that only the picture needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    start, points = results.points[0].at, _with_an_end(results.points)
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(11, 6), height_ratios=[2, 2, 1.3])
    times = [point.at - start for point in points]
    for panel, (parameter, label, colour) in zip(axes, _PARAMETERS, strict=False):
        values = [point.parameters.get(parameter, 0.0) for point in points]
        panel.step(times, values, where="post", color=colour, linewidth=2)
        panel.fill_between(times, values, step="post", color=colour, alpha=0.15)
        panel.set_ylim(0, 1.15 * max(values) or 1)
        panel.set_ylabel(label)
    _draw_verdicts(axes[2], points, start)
    for panel in axes:
        _mark_stages(panel, points, start, named=panel is axes[0])
        for rollback in results.rollbacks:
            panel.axvline(rollback.applied_at - start, color=_RED, linewidth=1.6)
    for rollback in results.rollbacks:
        words = f"{rollback.trigger}: safe after {rollback.applied_at - rollback.bad_at:.2f} s"
        above = (rollback.applied_at - start, 1.2)
        axes[0].text(
            *above,
            words,
            transform=axes[0].get_xaxis_transform(),
            color=_RED,
            ha="right",
            fontweight="bold",
            fontsize=9,
        )
    axes[0].set_xlim(0, times[-1])
    figure.suptitle("A rollout climbs, and is back in a safe state, twice (measured)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _with_an_end(points: Sequence[Point]) -> list[Point]:
    """The last change stays visible: after the last rollback nothing changes until a person asks for it."""
    return [*points, replace(points[-1], at=points[-1].at + _SHOWN_AFTER_SECONDS)]


def _draw_verdicts(axes: Any, points: Sequence[Point], start: float) -> None:
    gates = sorted({name for point in points for name in point.verdicts}, reverse=True)
    legend = {}
    for row, gate in enumerate(gates):
        for verdict, (colour, hatch) in _LOOKS.items():
            spans = [
                (point.at - start, following.at - point.at)
                for point, following in pairwise(points)
                if point.verdicts.get(gate) == verdict
            ]
            if spans:
                legend[verdict] = axes.broken_barh(
                    spans, (row - 0.4, 0.8), facecolor=colour, hatch=hatch, edgecolor="#607d8b", linewidth=0
                )
    axes.set_yticks(range(len(gates)), gates)
    axes.set_ylim(-0.6, len(gates) - 0.4)
    axes.set_xlabel("seconds (no bar: not applicable)")
    axes.legend(legend.values(), legend, loc="upper center", bbox_to_anchor=(0.5, -0.45), ncols=4, frameon=False)


def _mark_stages(axes: Any, points: Sequence[Point], start: float, *, named: bool) -> None:
    begins = [point for before, point in pairwise(points) if point.stage != before.stage]
    for number, (point, following) in enumerate(pairwise([*begins, points[-1]])):
        left, right = point.at - start, following.at - start
        axes.axvspan(left, right, color="#eceff1" if number % 2 else "#dfe5ec", zorder=0, linewidth=0)
        if named and point.stage and right - left > _LEAST_NAMED * (points[-1].at - start):
            axes.text(
                (left + right) / 2, 1.04, point.stage, transform=axes.get_xaxis_transform(), ha="center", fontsize=9
            )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _row(what: str, predicted: float | None, measured: float, unit: str = " s") -> str:
    left = "-" if predicted is None else _figure(predicted, unit)
    return f"{what:<44}{left:>9}    {_figure(measured, unit):>9}"


def _figure(value: float, unit: str) -> str:
    return f"{value:.2f}{unit}" if unit else f"{value:.0f}"
