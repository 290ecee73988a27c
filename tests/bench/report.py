"""What a bench writes: ``build/bench/<name>.json`` and the same as lines for people.

Public: :class:`Figure`, :func:`at_most`, :func:`at_least`, :func:`stated`, :func:`percentile`, :func:`say`,
:func:`write`, :func:`machine`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path("build/bench")
NO_BAR: Final = ""
_STARTED: Final = time.monotonic()


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and the bar that it is held against; an empty bar = stated only."""

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


def stated(what: str, value: float, unit: str) -> Figure:
    """A figure without a bar."""
    return Figure(what, _short(value), unit, NO_BAR, holds=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def say(text: str) -> None:
    """Tell how far the bench is."""
    sys.stdout.write(f"[{time.monotonic() - _STARTED:6.1f} s] {text}\n")
    sys.stdout.flush()


def write(name: str, figures: Sequence[Figure], settings: Mapping[str, object] | None = None) -> Path:
    """Write ``build/bench/<name>.json`` below the current folder, tell the figures, return the path.

    ``settings``: what the figures were measured with (counts, intervals, seeds), for the reader of the page.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    content = {
        "name": name,
        "machine": machine(),
        "settings": dict(settings or {}),
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for figure in figures:
        say(line(figure))
    return path


def line(figure: Figure) -> str:
    """A figure as one line of text."""
    if figure.bar == NO_BAR:
        return f"stated  {figure.what}: {figure.value:g} {figure.unit}"
    verdict = "holds " if figure.holds else "MISSED"
    return f"{verdict}  {figure.what}: {figure.value:g} {figure.unit} (bar {figure.bar})"


def machine() -> dict[str, object]:
    """The machine, without anything that identifies it; ``load``: its 1, 5 and 15 minute load averages now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "cpu": f"{_processor()} ({platform.machine()})",
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((text.partition(":")[2].strip() for text in lines if text.startswith("model name")), "unknown")


def _short(value: float) -> float:
    return float(f"{value:.4g}")
