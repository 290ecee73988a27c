"""``list``, ``get``, ``watch``: what the cluster says of rollouts."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import yaml

from veriramp_operator.api.object import Rollout, parse_rollout
from veriramp_operator.cli.kubectl import RESOURCE, Kubectl, add_cluster_flags
from veriramp_operator.cli.screen import render

Subparsers = Any


def register(subparsers: Subparsers) -> None:
    """Add the three commands."""
    listing = subparsers.add_parser("list", help="all rollouts, one line each")
    add_cluster_flags(listing, all_namespaces=True)
    listing.set_defaults(run=run_list)
    get = subparsers.add_parser("get", help="one rollout on one screen: stage, vector, gates, why, what next")
    get.add_argument("name")
    get.add_argument("-o", "--output", choices=["text", "json", "yaml"], default="text")
    add_cluster_flags(get)
    get.set_defaults(run=run_get)
    watch = subparsers.add_parser("watch", help="the same screen, live, until Ctrl-C")
    watch.add_argument("name")
    add_cluster_flags(watch)
    watch.set_defaults(run=run_watch)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the table."""
    everywhere = ("--all-namespaces",) if arguments.all_namespaces else ()
    items = Kubectl.of(arguments).json("get", RESOURCE, *everywhere)["items"]
    rollouts = [parse_rollout(item) for item in items]
    if not rollouts:
        print("no rollouts here; make one with: kubectl apply -f examples/rollouts/quickstart.yaml", file=sys.stderr)
        return 0
    for line in _table(rollouts):
        print(line)
    return 0


def run_get(arguments: argparse.Namespace) -> int:
    """Print one screen, or the object for machines."""
    kubectl = Kubectl.of(arguments)
    raw = kubectl.json("get", RESOURCE, arguments.name)
    if arguments.output == "json":
        print(json.dumps(raw, indent=2))
    elif arguments.output == "yaml":
        print(yaml.safe_dump(raw, sort_keys=False), end="")
    else:
        print(render(parse_rollout(raw), time.time()), end="")
    return 0


def run_watch(arguments: argparse.Namespace) -> int:
    """Redraw at each change on a terminal; print each changed line elsewhere."""
    terminal = sys.stdout.isatty()
    try:
        for rollout in Kubectl.of(arguments).follow(arguments.name):
            screen = render(rollout, time.time())
            print(f"\033[2J\033[H{screen}" if terminal else screen, end="" if terminal else "\n", flush=True)
    except KeyboardInterrupt:
        return 0
    return 0


def _table(rollouts: list[Rollout]) -> list[str]:
    rows = [("NAMESPACE", "NAME", "PHASE", "STAGE", "IN FORCE", "REASON")]
    for rollout in rollouts:
        status = rollout.status
        stage = status.stage.name if status.stage else "-"
        phase = str(status.phase or "Pending")
        rows.append(
            (rollout.namespace, rollout.name, phase, stage, str(status.parameters or "Off"), status.reason or "-")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
