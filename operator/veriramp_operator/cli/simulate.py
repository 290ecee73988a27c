"""``veriramp simulate``: a rollout in virtual time, with the operator's own decisions; needs no cluster."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from veriramp_operator.api.base import format_instant
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.support import not_yet_supported
from veriramp_operator.cli.files import RolloutFile, add_file_argument, load_rollout
from veriramp_operator.cli.plan import add_traffic_arguments, instant_argument, short
from veriramp_operator.cli.simulation.signals import Injection, Traffic
from veriramp_operator.cli.simulation.world import DEFAULT_START, Moment, Options, Run, simulate
from veriramp_operator.engine.types import Direction

PROGRESS_AFTER_SECONDS: Final = 2.0
PROGRESS_EVERY_SECONDS: Final = 1.0
DEFAULT_USERS: Final = 10_000
_SCRAPES_PER_FASTEST_GATE: Final = 15.0
_TRANSIENT: Final = frozenset(
    {"NotPropagated", "WorkersNotReady", "Pending", "Ramping", "RolledBack", "ApprovalRequired"}
)


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("simulate", help="run a rollout file in virtual time; needs no cluster")
    add_file_argument(parser)
    parser.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="'GATE xFACTOR at STAGE+TIME'",
        help="make a gate's number worse from then on, for example 'p95-latency x2 at canary+1h'; repeatable",
    )
    add_traffic_arguments(parser)
    parser.add_argument("--users", type=int, default=DEFAULT_USERS, help="people who use the search (default 10000)")
    parser.add_argument("--noise", choices=["none", "iid"], default="none", help="sampling noise of the numbers")
    parser.add_argument("--seed", type=int, default=1, help="of the noise (default 1)")
    parser.add_argument("--start", type=instant_argument, default=DEFAULT_START, help="date or moment of the start")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw vector, evidence and rollback over time")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print; 0 whatever the rollout came to, because that is the answer and not a fault."""
    rollout = load_rollout(arguments.file)
    _refuse_unsupported(rollout, arguments.file)
    options = Options(
        injections=tuple(Injection.parse(text, rollout.spec) for text in arguments.inject),
        traffic=Traffic(
            rps=arguments.rps,
            base_rate=arguments.base_rate,
            noisy=arguments.noise == "iid",
            seed=arguments.seed,
            scrape=_scrape_interval(rollout),
        ),
        users=arguments.users,
        start=arguments.start,
    )
    result = simulate(rollout.spec, options, _progress())
    if arguments.output == "json":
        print(json.dumps(to_json(result), indent=2))
    else:
        print("\n".join(_text(rollout, result)))
    if arguments.plot is not None:
        _draw(rollout, result, arguments.plot)
    return 0


def to_json(result: Run) -> dict[str, Any]:
    """The machine form; moments in RFC 3339, spans in seconds."""
    detection, users = result.detection_seconds, result.users_exposed()
    return {
        "runs": 1,
        "seed": result.options.traffic.seed,
        "rolledBackShare": 0.0 if result.detected_at is None else 1.0,
        "completedShare": 1.0 if result.completed else 0.0,
        "detectionSeconds": _quantiles(detection),
        "safeSeconds": _quantiles(_safe_seconds(result)),
        "usersExposed": _quantiles(users),
        "ending": result.ending,
        "timeline": [
            {
                "at": format_instant(moment.at),
                "stage": moment.stage,
                "vector": moment.vector.to_api(),
                "direction": moment.direction.value,
                "reason": moment.reason,
            }
            for moment in result.timeline
        ],
    }


def _refuse_unsupported(rollout: RolloutFile, path: str) -> None:
    problems = not_yet_supported(rollout.spec)
    if problems:
        raise ConfigurationError(f"{path}: the operator would stall on this rollout: " + "; ".join(problems))


def _scrape_interval(rollout: RolloutFile) -> float:
    """15 s, or as often as the fastest gate asks: polling faster than scraping shows nothing new."""
    return min([_SCRAPES_PER_FASTEST_GATE, *(gate.every for gate in rollout.spec.gates)])


def _quantiles(value: float | None) -> dict[str, float] | None:
    return None if value is None else {"p50": round(value, 3), "p90": round(value, 3)}


def _safe_seconds(result: Run) -> float | None:
    onset = result.injected_at.get(result.rollback_gate or "")
    return None if onset is None or result.applied_at is None else result.applied_at - onset


def _text(rollout: RolloutFile, result: Run) -> Iterator[str]:
    start = result.options.start
    lasted = short(result.ended_at - start)
    yield f"{rollout.namespace}/{rollout.name} in virtual time: {lasted}, {result.passes} passes"
    yield ""
    lines = list(_told(result))
    width = max((len(moment.stage) for _, moment, _ in lines), default=0)
    for at, moment, text in sorted(lines, key=lambda line: line[0]):
        yield f"  {_plus(at - start):>12}  {moment.stage:<{width}}  {text}"
    yield ""
    yield f"  {result.ending}"
    yield from _figures(result)


def _told(result: Run) -> Iterator[tuple[float, Moment, str]]:
    """The lines worth telling: stages, ramps in one line, falls, holds that last, and what was injected."""
    steps = 0
    told: set[tuple[str, str]] = set()
    for moment in result.timeline:
        # A hold that comes and goes is told once per stage.
        again = (moment.stage, moment.reason) in told
        told.add((moment.stage, moment.reason))
        if moment.reason == "RampStep":
            steps += 1
        elif moment.direction is Direction.FALL:
            ramped = f" after {steps} ramp steps" if steps else ""
            yield moment.at, moment, f"FALL{ramped} to {moment.vector}: {moment.message}"
            steps = 0
        elif moment.direction is Direction.RISE:
            yield moment.at, moment, f"rise to {moment.vector}"
        elif moment.reason == "Baking" and (steps or not again):
            ramped = f"ramp done in {steps} steps: {moment.vector}; " if steps else ""
            yield moment.at, moment, f"{ramped}baking"
            steps = 0
        elif moment.reason not in _TRANSIENT and not again:
            yield moment.at, moment, f"{moment.reason}: {moment.message}"
    for injection in result.options.injections:
        at = result.injected_at.get(injection.gate)
        if at is not None and at <= result.ended_at:
            stage = [moment.stage for moment in result.timeline if moment.at <= at][-1]
            first = result.timeline[0]
            marker = Moment(at, stage, first.vector, first.direction, "Injected", "")
            yield at, marker, f"injected: {injection.gate} x{injection.factor:g}"


def _figures(result: Run) -> Iterator[str]:
    for injection in result.options.injections:
        if injection.gate not in result.injected_at:
            yield f"  {injection.gate} x{injection.factor:g}: never injected, stage {injection.stage} was not reached"
    if result.detection_seconds is None or result.applied_at is None or result.published_at is None:
        return
    safe = _safe_seconds(result)
    yield f"  from regression to decision    {result.detection_seconds:.2f} s"
    yield f"  from decision to safe          {result.applied_at - (result.detected_at or 0.0):.2f} s (assumed)"
    yield f"  from regression to safe        {safe:.2f} s"
    yield f"  users exposed to it            {result.users_exposed()}"


def _plus(seconds: float) -> str:
    return f"+{short(seconds)}" if seconds >= PROGRESS_AFTER_SECONDS else f"+{seconds:.1f}s"


def _progress() -> Callable[[float, str], None]:
    """Tell on standard error where a simulation is that takes longer than two seconds."""
    began = told = time.monotonic()

    def tell(virtual: float, stage: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - began >= PROGRESS_AFTER_SECONDS and now - told >= PROGRESS_EVERY_SECONDS:
            told = now
            print(f"simulating: {short(virtual)} of virtual time, stage {stage or '-'}", file=sys.stderr)

    return tell


def _draw(rollout: RolloutFile, result: Run, path: Path) -> None:
    try:
        from veriramp_operator.cli.plot import draw  # noqa: PLC0415 matplotlib is an extra and slow to import
    except ImportError as error:
        raise ConfigurationError(f"--plot needs matplotlib: pip install 'veriramp[plot]' ({error})") from error
    try:
        draw(f"{rollout.namespace}/{rollout.name}", result, path)
    except OSError as error:
        raise ConfigurationError(f"--plot {path}: {error.strerror}; name a writable PNG file") from error
