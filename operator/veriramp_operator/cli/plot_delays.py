"""Many simulated runs as a picture: what they came to, and how long an injected regression took to be found.

Public: :func:`draw_delays`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from veriramp_operator.cli.plan import short
from veriramp_operator.cli.simulation.monte_carlo import Outcomes, Share, quantile

mpl.use("Agg")

_MINUTE, _HOUR = 60.0, 3600.0
_BARS: Final = 30
_MOST_CAUSES: Final = 6
_DARK, _LIGHT, _RED = "#37474f", "#90a4ae", "#b71c1c"


def draw_delays(title: str, outcomes: Outcomes, path: Path) -> None:
    """Write a PNG. Raises OSError when the file cannot be written."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes: Any = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 1.4)})
    _shares(axes[0], outcomes)
    if outcomes.detection_seconds:
        _delays(axes[1], outcomes)
    else:
        _causes(axes[1], outcomes)
    injected = ", ".join(map(str, outcomes.options.injections)) or "nothing injected"
    traffic = outcomes.options.traffic
    figure.suptitle(
        f"{title} (simulated): {len(outcomes.each)} runs, {injected}, noise {traffic.noise}, seed {traffic.seed}",
        fontsize=11,
        fontweight="bold",
    )
    figure.savefig(path, dpi=100)


def _shares(axes: Axes, outcomes: Outcomes) -> None:
    """A bar for each ending, with its 95 % interval."""
    rows: list[tuple[str, Share]] = [("rolled back", outcomes.rolled_back)]
    if outcomes.options.injections:
        rows.append(("by the injected gate", outcomes.detected))
    rows.append(("all stages done", outcomes.completed))
    rest = outcomes.share(lambda outcome: not outcome.completed and outcome.gate is None)
    rows.append(("stood still", rest))
    for row, (_, share) in enumerate(rows):
        axes.barh(row, 100 * share.value, color=_LIGHT, height=0.6, zorder=2)
        axes.plot([100 * share.low, 100 * share.high], [row, row], color=_DARK, linewidth=2, marker="|", zorder=3)
        axes.annotate(
            f"{share.value:.1%}  ({share.low:.1%} .. {share.high:.1%})",
            (0, row - 0.42),
            xytext=(2, 0),
            textcoords="offset points",
            fontsize=9,
            va="center",
        )
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.set_xlim(0, 104)
    axes.set_xlabel("share of the runs [%], with 95 % interval", fontsize=9)
    axes.grid(axis="x", color="#cfd8dc", linewidth=0.5)


def _delays(axes: Axes, outcomes: Outcomes) -> None:
    """A histogram of the delays with its median and its ninth decile."""
    seconds = outcomes.detection_seconds
    unit, name = (_HOUR, "hours") if seconds[-1] > 3 * _HOUR else (_MINUTE, "minutes")
    axes.hist([each / unit for each in seconds], bins=_BARS, color=_LIGHT, edgecolor="white", zorder=2)
    high = axes.get_ylim()[1]
    axes.set_ylim(0, 1.25 * high)
    for number, (share, words) in enumerate(((0.5, "half within"), (0.9, "nine of ten within"))):
        value = quantile(seconds, share) or 0.0
        leftwards = value > seconds[-1] / 2
        axes.axvline(value / unit, color=_RED, linestyle=("-", "--")[number], linewidth=1.6, zorder=3)
        axes.annotate(
            f"{words} {short(value)}",
            (value / unit, (1.19 - 0.09 * number) * high),
            xytext=(-5 if leftwards else 5, 0),
            textcoords="offset points",
            ha="right" if leftwards else "left",
            va="center",
            fontsize=9,
            fontweight="bold",
            color=_RED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xlim(0, 1.35 * seconds[-1] / unit)
    axes.set_xlabel(f"from the regression to the decision [{name}]", fontsize=9)
    axes.set_ylabel("runs", fontsize=9)


def _causes(axes: Axes, outcomes: Outcomes) -> None:
    """Nothing was found: which gates rolled back, and in which stages."""
    causes = Counter(f"{each.gate}\nin {each.stage}" for each in outcomes.each if each.gate is not None)
    if not causes:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no run was rolled back", ha="center", va="center", transform=axes.transAxes)
        return
    most = causes.most_common(_MOST_CAUSES)
    axes.barh(range(len(most)), [count for _, count in most], color=_LIGHT, height=0.6)
    axes.set_yticks(range(len(most)), [name for name, _ in most], fontsize=9)
    axes.set_ylim(len(most) - 0.5, -0.5)
    axes.set_xlabel("runs rolled back", fontsize=9)
