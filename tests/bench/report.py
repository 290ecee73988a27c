"""What a bench writes: ``build/bench/<name>.json`` and the same as lines for people.

Public: :class:`Figure`, :func:`at_most`, :func:`at_least`, :func:`percentile`, :func:`write`.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("build/bench")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and the bar that it is held against."""

    what: str
    value: float
    unit: str
    bar: str
    holds: bool


def at_most(what: str, value: float, unit: str, bar: float) -> Figure:
    """A figure that must not be above the bar."""
    return Figure(what, _short(value), unit, f"<= {bar:g}", value <= bar)


def at_least(what: str, value: float, unit: str, bar: float) -> Figure:
    """A figure that must not be below the bar."""
    return Figure(what, _short(value), unit, f">= {bar:g}", value >= bar)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def write(name: str, figures: Sequence[Figure]) -> Path:
    """Write ``build/bench/<name>.json`` below the current folder, print the figures, return the path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    content = {"name": name, "machine": machine(), "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for figure in figures:
        verdict = "holds" if figure.holds else "MISSED"
        print(f"{verdict:6}  {figure.what}: {figure.value:g} {figure.unit} (bar {figure.bar})")  # noqa: T201 - CLI output
    return path


def machine() -> str:
    """The machine in a few words, without anything that identifies it."""
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} cores, {platform.machine()}, {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _short(value: float) -> float:
    return float(f"{value:.4g}")
