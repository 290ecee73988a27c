"""``veriramp simulate``: a rollout in virtual time, with the operator's own decisions; needs no cluster."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from veriramp_operator.api.base import format_instant
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.cli.files import RolloutFile, add_file_argument, load_rollout
from veriramp_operator.cli.plan import add_traffic_arguments, instant_argument, short
from veriramp_operator.cli.simulation.injection import Injection
from veriramp_operator.cli.simulation.monte_carlo import Outcomes, quantile, simulate_many
from veriramp_operator.cli.simulation.runs import DEFAULT_START, Options
from veriramp_operator.cli.simulation.traffic import Noise, Traffic
from veriramp_operator.cli.story import of_many, of_one
from veriramp_operator.cli.unwise import above_ceiling

PROGRESS_AFTER_SECONDS: Final = 2.0
PROGRESS_EVERY_SECONDS: Final = 1.0
DEFAULT_USERS: Final = 10_000
INTERRUPTED: Final = 130
_LONGEST_SCRAPE: Final = 15.0


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("simulate", help="run a rollout file in virtual time; needs no cluster")
    add_file_argument(parser)
    parser.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="'GATE xFACTOR at STAGE+TIME'",
        help="make what a gate watches worse from then on, for example 'p95-latency x2 at canary+1h'; repeatable",
    )
    add_traffic_arguments(parser)
    parser.add_argument("--users", type=_count, default=DEFAULT_USERS, help="people who use the search (default 10000)")
    parser.add_argument(
        "--noise",
        choices=[noise.value for noise in Noise],
        help="how the numbers vary (default none; iid with --runs): iid by chance, diurnal also over the day, bursty "
        "also in bursts of each arm. What a comparison counts always varies at least by chance",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the chance (default 1): the same seed, the same result")
    parser.add_argument("--runs", type=_count, default=1, help="repeat so often and tell shares and quantiles")
    parser.add_argument("--processes", type=_count, help="that share the runs (default: one per core)")
    parser.add_argument("--start", type=instant_argument, default=DEFAULT_START, help="date or moment of the start")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the run, or the delays of many runs")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print; 0 whatever the rollout came to, because that is the answer and not a fault."""
    rollout = load_rollout(arguments.file)
    for warning in above_ceiling(rollout.spec):
        print(f"warning: {warning}; simulated as if it did not", file=sys.stderr)
    _check_plot(arguments.plot)
    noise = arguments.noise or (Noise.IID if arguments.runs > 1 else Noise.NONE)
    options = Options(
        injections=tuple(Injection.parse(text, rollout.spec) for text in arguments.inject),
        traffic=Traffic(
            rps=arguments.rps,
            base_rate=arguments.base_rate,
            noise=Noise(noise),
            seed=arguments.seed,
            scrape=_scrape_interval(rollout),
            users=arguments.users,
        ),
        start=arguments.start,
        traced=arguments.plot is not None,
    )
    told = _Progress(arguments.runs)
    try:
        outcomes = simulate_many(rollout.spec, options, arguments.runs, arguments.processes, told.runs_done, told.at)
    except KeyboardInterrupt:
        print(f"interrupted after {told.done} of {arguments.runs} runs", file=sys.stderr)
        return INTERRUPTED
    title = f"{rollout.namespace}/{rollout.name}"
    if arguments.output == "json":
        print(json.dumps(to_json(outcomes), indent=2))
    else:
        print("\n".join(of_one(title, outcomes.first) if arguments.runs == 1 else of_many(title, outcomes)))
    if arguments.plot is not None:
        _draw(title, outcomes, arguments.plot)
    return 0


def to_json(outcomes: Outcomes) -> dict[str, Any]:
    """The machine form (docs/schemas/simulate.json); the timeline is that of the first run."""
    delays, users = outcomes.detection_seconds, outcomes.users_exposed
    return {
        "runs": len(outcomes.each),
        "seed": outcomes.options.traffic.seed,
        "rolledBackShare": outcomes.rolled_back.value,
        "detectionSeconds": {"p50": _rounded(quantile(delays, 0.5)), "p90": _rounded(quantile(delays, 0.9))},
        "usersExposed": {"p50": quantile(users, 0.5)},
        "completedShare": outcomes.completed.value,
        "timeline": [
            {
                "at": format_instant(moment.at),
                "stage": moment.stage,
                "vector": moment.vector.to_api(),
                "direction": moment.direction.value,
                "reason": moment.reason,
            }
            for moment in outcomes.first.timeline
        ],
    }


def _scrape_interval(rollout: RolloutFile) -> float:
    """15 s, or as often as the fastest gate asks: polling faster than scraping shows nothing new."""
    return min([_LONGEST_SCRAPE, *(gate.every for gate in rollout.spec.gates)])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0; write for example 1000")
    return int(text)


class _Progress:
    """Tell on standard error where a simulation is that takes longer than two seconds."""

    def __init__(self, runs: int) -> None:
        self.done = 0
        self._runs = runs
        self._began = self._told = time.monotonic()

    def at(self, virtual: float, stage: str) -> None:
        """The first run is at a moment of virtual time."""
        if self._is_due():
            print(f"simulating: {short(virtual)} of virtual time, stage {stage or '-'}", file=sys.stderr)

    def runs_done(self, count: int) -> None:
        """So many runs are done."""
        self.done = count
        if self._runs > 1 and self._is_due():
            left = (time.monotonic() - self._began) * (self._runs - count) / count
            print(f"simulating: {count} of {self._runs} runs, about {short(left)} left", file=sys.stderr)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._began < PROGRESS_AFTER_SECONDS or now - self._told < PROGRESS_EVERY_SECONDS:
            return False
        self._told = now
        return True


def _check_plot(path: Path | None) -> None:
    """Before the simulation, which may take minutes."""
    if path is None:
        return
    if path.is_dir() or path.suffix.lower() != ".png":
        raise ConfigurationError(f"--plot {path}: name a writable PNG file, for example run.png")
    if not path.parent.is_dir():
        raise ConfigurationError(f"--plot {path}: there is no folder {path.parent}; name a writable PNG file")


def _draw(title: str, outcomes: Outcomes, path: Path) -> None:
    try:
        from veriramp_operator.cli.plot import draw  # noqa: PLC0415 matplotlib is an extra and slow to import
        from veriramp_operator.cli.plot_delays import draw_delays  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(f"--plot needs matplotlib: pip install 'veriramp[plot]' ({error})") from error
    try:
        if len(outcomes.each) == 1:
            draw(title, outcomes.first, path)
        else:
            draw_delays(title, outcomes, path)
    except OSError as error:
        raise ConfigurationError(f"--plot {path}: {error.strerror}; name a writable PNG file") from error
