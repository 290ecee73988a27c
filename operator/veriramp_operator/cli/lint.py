"""``veriramp lint``: what is wrong or unwise in rollout files, beyond what admission refuses."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from veriramp_operator.api.base import parse_duration
from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import KIND
from veriramp_operator.cli.files import documents, read_spec
from veriramp_operator.cli.lint_rules import Finding, Severity, Site, findings
from veriramp_operator.cli.lint_shape import misshapen
from veriramp_operator.cli.unreadable import unreadable

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_DEFAULTS: Final = Site()

Subparsers = Any


@dataclass(frozen=True, slots=True)
class Found:
    """A finding with where it was found."""

    file: str
    rollout: str
    finding: Finding


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "lint",
        help="what is wrong or unwise in rollout files, beyond what admission refuses",
        description="Check rollout files without a cluster. Exit code 0: no error (warnings are printed); 1: an error "
        "was found; 2: a file cannot be read, or holds no rollout.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON file, or a folder of them (-: stdin)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.add_argument("--hints", action="store_true", help="print hints too: worth a look, and often meant so")
    parser.add_argument(
        "--scrape-interval", type=_seconds, metavar="DURATION",
        help="of the Prometheus endpoint, for example 15s",
    )  # fmt: skip
    parser.add_argument(
        "--max-ranking-weight", type=float, default=_DEFAULTS.max_ranking_weight, metavar="WEIGHT",
        help=f"the operator's ceiling (default {_DEFAULTS.max_ranking_weight:g})",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check every rollout of every file and print what is found."""
    site = Site(arguments.scrape_interval, arguments.max_ranking_weight)
    rollouts, found = 0, list[Found]()
    for path in _paths(arguments.files):
        rollouts_in = documents(path)
        if not rollouts_in and path in arguments.files:
            raise ConfigurationError(f"{path}: there is no {KIND} in it; write kind: {KIND}")
        rollouts += len(rollouts_in)
        found += [each for document in rollouts_in for each in _check(path, document, site)]
    if not rollouts:
        raise ConfigurationError(f"{', '.join(arguments.files)}: there is no {KIND} in any file")
    shown = [each for each in found if arguments.hints or each.finding.severity is not Severity.HINT]
    if arguments.output == "json":
        print(json.dumps({"rollouts": rollouts, "findings": [_json(each) for each in shown]}, indent=2))
    else:
        print("\n".join((*(_text(each) for each in shown), _summary(rollouts, found, arguments.hints))))
    return 1 if any(each.finding.severity is Severity.ERROR for each in found) else 0


def _check(path: str, document: dict[str, Any], site: Site) -> list[Found]:
    metadata = document.get("metadata")
    name = str(metadata.get("name", "?")) if isinstance(metadata, dict) else "?"
    found = [Finding("Admission", Severity.ERROR, field, text) for field, text in misshapen(document)]
    try:
        spec = read_spec(document)
    except ValidationError as error:
        found += [Finding("Unreadable", Severity.ERROR, field, text) for field, text in unreadable(error)]
    else:
        found += findings(spec, site)
    return [Found(path, name, finding) for finding in found]


def _paths(names: list[str]) -> Iterator[str]:
    for name in names:
        if name != "-" and Path(name).is_dir():
            every = sorted(path for path in Path(name).rglob("*") if path.suffix in _SUFFIXES)
            yield from (str(path) for path in every)
        else:
            yield name


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _json(each: Found) -> dict[str, str]:
    finding = each.finding
    return {
        "file": each.file,
        "rollout": each.rollout,
        "code": finding.code,
        "severity": finding.severity.value,
        "field": finding.field,
        "message": finding.message,
    }


def _text(each: Found) -> str:
    finding = each.finding
    return f"{each.file}: {each.rollout}: {finding.severity} {finding.code} at {finding.field}: {finding.message}"


def _summary(rollouts: int, found: list[Found], hints: bool) -> str:
    counts = Counter(each.finding.severity for each in found)
    parts = [
        f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in Severity if counts[severity]
    ]
    more = " (see them with --hints)" if counts[Severity.HINT] and not hints else ""
    return f"{rollouts} {'rollout' if rollouts == 1 else 'rollouts'}: {', '.join(parts) or 'nothing found'}{more}"
