"""``abort``, ``promote``, ``retry`` and their like: requests by annotation, with their answer."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from typing import Any, Final

from veriramp_operator.api.object import ABORT, REQUEST, Rollout
from veriramp_operator.cli.kubectl import RESOURCE, Kubectl, add_cluster_flags

PERIOD: Final = 0.2
VERBS: Final = {
    "promote": "approve the present stage",
    "skip-bake": "end the present stage's bake early; gates still count",
    "shadow": "back to shadow: verify, leave the ranking untouched",
    "retry": "after a rollback: go up again from the nearest stage below",
    "restart": "after a rollback: start again at the first stage",
}

Subparsers = Any


def register(subparsers: Subparsers) -> None:
    """Add the commands."""
    abort = subparsers.add_parser("abort", help="kill switch: everything off, now; lifted only by retry or restart")
    abort.set_defaults(run=run_abort)
    _common(abort)
    for verb, text in VERBS.items():
        parser = subparsers.add_parser(verb, help=text)
        parser.add_argument("--stage", help="the stage that is meant (default: where the rollout is)")
        parser.set_defaults(run=run_request, verb=verb)
        _common(parser)


def run_abort(arguments: argparse.Namespace) -> int:
    """Annotate and wait until everything is off."""
    kubectl, token = Kubectl.of(arguments), _token()
    kubectl.run("annotate", RESOURCE, arguments.name, f"{ABORT}={token}", "--overwrite")
    return _await(kubectl, arguments, lambda handled: handled.abort == token)


def run_request(arguments: argparse.Namespace) -> int:
    """Annotate with the verb for the present (or named) stage, and wait for the outcome."""
    kubectl = Kubectl.of(arguments)
    stage = arguments.stage or _stage(kubectl.rollout(arguments.name))
    text = f"{arguments.verb}:{stage}@{_token()}"
    kubectl.run("annotate", RESOURCE, arguments.name, f"{REQUEST}={text}", "--overwrite")
    return _await(kubectl, arguments, lambda handled: handled.request == text)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--wait", type=float, default=15.0, metavar="SECONDS", help="for the answer (0: do not wait)")
    add_cluster_flags(parser)


def _await(kubectl: Kubectl, arguments: argparse.Namespace, answered: Any) -> int:
    deadline = time.monotonic() + arguments.wait
    while time.monotonic() < deadline:
        status = kubectl.rollout(arguments.name).status
        handled = status.last_handled_request
        if handled is not None and answered(handled):
            print(f"{handled.outcome}; in force: {status.parameters}")
            return 1 if "refused" in (handled.outcome or "") else 0
        time.sleep(PERIOD)
    if arguments.wait <= 0:
        print("asked; see the outcome with: veriramp get " + arguments.name)
        return 0
    print(
        f"asked, but not answered within {arguments.wait:g} s: is the operator running? The request stays and is "
        "obeyed as soon as one leads; without an operator the flags end with their lease",
        file=sys.stderr,
    )
    return 3


def _stage(rollout: Rollout) -> str:
    """Where the rollout is; after a kill switch it is in no stage, and the one that it fell from is meant."""
    status = rollout.status
    if status.stage is not None:
        return status.stage.name
    if status.rollback is not None and status.rollback.from_stage:
        return status.rollback.from_stage
    return rollout.spec.stages[0].name if rollout.spec else ""


def _token() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
