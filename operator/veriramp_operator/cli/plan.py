"""``veriramp plan``: the timeline of a rollout, before anything runs."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from veriramp_operator.api.base import format_duration, format_instant
from veriramp_operator.api.vector import Vector
from veriramp_operator.cli.files import RolloutFile, add_file_argument, load_rollout
from veriramp_operator.cli.outlook import Outlook, outlook_of
from veriramp_operator.cli.timeline import A_MONDAY, StageOutlook

DEFAULT_RPS: Final = 40.0
LEAST_RPS: Final = 1e-6
_SHOWN_STEPS: Final = 3
_YEARS: Final = (1970, 9000)
"""Between which a start has room for the years of a plan on both sides."""


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("plan", help="stages, times and vectors of a rollout file; needs no cluster")
    add_file_argument(parser)
    add_traffic_arguments(parser)
    parser.add_argument("--start", type=instant_argument, help="date (2026-12-01) or moment: adds calendar dates")
    parser.add_argument("--steps", action="store_true", help="list every ramp step")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    rollout = load_rollout(arguments.file)
    start = A_MONDAY if arguments.start is None else arguments.start
    outlook = outlook_of(rollout.spec, arguments.rps, arguments.base_rate, start)
    if arguments.output == "json":
        print(json.dumps(to_json(outlook, arguments.start, every_step=arguments.steps), indent=2))
    else:
        print("\n".join(_text(rollout, outlook, arguments.start, every_step=arguments.steps)))
    return 0


def add_traffic_arguments(parser: argparse.ArgumentParser) -> None:
    """``--rps`` and ``--base-rate``."""
    parser.add_argument("--rps", type=_positive, default=DEFAULT_RPS, help="requests per second (default 40)")
    parser.add_argument("--base-rate", type=_share, help="share of requests that are bad anyway (default 0.01)")


def to_json(outlook: Outlook, start: float | None = None, *, every_step: bool = False) -> dict[str, Any]:
    """The machine form (docs/schemas/plan.json); durations in Go style, moments only with a ``start``."""
    return {
        "stages": [_stage_json(stage, start, every_step=every_step) for stage in outlook.stages],
        "warnings": list(outlook.warnings),
    }


def instant_argument(text: str) -> float:
    """Seconds since the epoch of a date or moment; UTC where no zone is given."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date; write for example 2026-12-01 or 2026-12-01T09:00"
        ) from error
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not between {_YEARS[0]} and {_YEARS[1]}; write for example 2026-12-01"
        )
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(rollout: RolloutFile, outlook: Outlook, start: float | None, *, every_step: bool) -> Iterator[str]:
    stages, gates = len(outlook.stages), len(rollout.spec.gates)
    yield (
        f"{rollout.namespace}/{rollout.name}: {stages} stage{'s' * (stages != 1)}, {gates} gate{'s' * (gates != 1)}, "
        f"{short(outlook.duration)} at the earliest (all evidence good, nobody waited for)"
    )
    yield ""
    rows = [["stage", "begins", "ramp", "bake", "vector at the end", "detects"]]
    rows += [_row(stage, start) for stage in outlook.stages]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row, stage in zip(rows, [None, *outlook.stages], strict=True):
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if stage is not None and len(stage.steps) > 1:
            for line in _every_step(stage, start) if every_step else [_ramp(stage)]:
                yield f"  {'':{widths[0]}}  {line}"
    yield f"  guard from +{short(outlook.duration)}{_date(start, outlook.duration)}: the gates go on for good"
    yield ""
    yield from _notes(rollout, outlook, start)
    for warning in outlook.warnings:
        yield f"  warning: {warning}"


def _notes(rollout: RolloutFile, outlook: Outlook, start: float | None) -> Iterator[str]:
    live = [stage for stage in outlook.stages if stage.detectable is not None]
    if live:
        yield "  detects: smallest worsening that the comparison of both arms finds in half of all cases in the bake"
    if any(not stage.sight.compared for stage in live):
        yield "  (in brackets: no comparison gate looks; one with the default tolerance and alpha would find so much)"
    if rollout.spec.windows:
        counted = "included" if start is not None else "counted from a Monday 00:00Z; give --start for dates"
        yield f"  windows: {counted}"


def _stage_json(stage: StageOutlook, start: float | None, *, every_step: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": stage.rung.name,
        "startsAfter": format_duration(stage.starts_after),
        "duration": format_duration(stage.duration),
        "vector": stage.rung.vector.to_api(),
        "detectableEffect": None if stage.detectable is None else round(stage.detectable, 4),
    }
    if start is not None:
        made["begins"] = format_instant(start + stage.starts_after)
    if every_step:
        made["steps"] = [{"after": format_duration(step.after), "vector": step.vector.to_api()} for step in stage.steps]
    return made


def _row(stage: StageOutlook, start: float | None) -> list[str]:
    effect = "-" if stage.detectable is None else f"{stage.detectable:.0%}"
    return [
        stage.rung.name,
        f"+{short(stage.starts_after)}{_date(start, stage.starts_after)}",
        short(stage.ramp) if stage.ramp else "-",
        short(stage.bake) + (", then approval" if stage.is_manual else ""),
        str(stage.rung.vector),
        effect if stage.sight.compared or stage.detectable is None else f"({effect})",
    ]


def _ramp(stage: StageOutlook) -> str:
    steps = stage.steps
    changed = _changed(stage)
    values = [_value(step.vector, changed[0]) for step in steps]
    if len(values) > 2 * _SHOWN_STEPS:
        values = [*values[:_SHOWN_STEPS], "...", *values[-_SHOWN_STEPS + 1 :]]
    others = f" (and {', '.join(_words(other) for other in changed[1:])})" if len(changed) > 1 else ""
    pace = f", one per {short(stage.interval)}" if stage.interval >= 1 else ""
    count = len(steps) - 1
    return f"{count} step{'s' * (count != 1)}{pace}: {_words(changed[0])}{others} {' > '.join(values)}"


def _every_step(stage: StageOutlook, start: float | None) -> Iterator[str]:
    changed = _changed(stage)
    for step in stage.steps:
        values = ", ".join(f"{_words(name)} {_value(step.vector, name)}" for name in changed)
        yield f"+{short(step.after)}{_date(start, step.after)}  {values}"


def _changed(stage: StageOutlook) -> list[str]:
    first, last = stage.steps[0].vector, stage.steps[-1].vector
    return [name for name in Vector.model_fields if getattr(first, name) != getattr(last, name)] or ["ranking_weight"]


def _value(vector: Vector, name: str) -> str:
    return str(vector.mode) if name == "mode" else f"{getattr(vector, name):g}"


def _words(field: str) -> str:
    return field.replace("_", " ")


def _date(start: float | None, after: float) -> str:
    return "" if start is None else datetime.fromtimestamp(start + after, UTC).strftime("  %a %Y-%m-%d %H:%MZ")


def short(seconds: float) -> str:
    """A duration with days, to the second: ``14d 2h``, ``1m30s``, ``0s``."""
    days, rest = divmod(round(seconds), 86400)
    text = format_duration(float(rest)) if rest or not days else ""
    return f"{days}d {text}".strip() if days else text


def _positive(text: str) -> float:
    value = _number(text)
    if not LEAST_RPS <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of requests per second ({LEAST_RPS:f} or more); write for example 40"
        )
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1; write for example 0.01")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
