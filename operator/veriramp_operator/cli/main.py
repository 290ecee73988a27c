"""``veriramp``, also installed as ``kubectl-veriramp``: the command line.

Exit codes: 0 done, 1 the answer is no (a request was refused, a rollout did not get there), 2 wrong use or
configuration, 3 a peer is not to be had.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Final

from veriramp_operator.api.errors import ConfigurationError, NotFound, Refused, Unavailable
from veriramp_sdk import __version__

COMMANDS: Final = ("lint", "plan", "simulate", "replay", "cluster", "explain", "ask")
"""Modules beside this one that add commands with ``register(subparsers)``, in the order of the help."""
PLUGINS: Final = "veriramp.commands"
"""Entry points of this distribution that do the same from another package, which the operator's must not import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NotFound, Refused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="veriramp", description="Plan, watch and steer verification rollouts.")
    parser.add_argument("--version", action="version", version=f"veriramp {__version__}")
    parser.set_defaults(run=lambda _: _help(parser))
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"veriramp_operator.cli.{name}").register(subparsers)
    for plugin in importlib.metadata.distribution("veriramp").entry_points.select(group=PLUGINS):
        plugin.load()(subparsers)
    version = subparsers.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    return parser


def _help(parser: argparse.ArgumentParser) -> int:
    """Without a command the list of commands helps more than a complaint."""
    parser.print_help(sys.stderr)
    return 2


def _version(_: argparse.Namespace) -> int:
    print(f"veriramp {__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
