"""The real programs of the dev cluster: found on this machine, or built once from the Go modules beside this file.

    python3 tools/toolchain.py build [--for demo|test|all] [NAME ...]
    python3 tools/toolchain.py path NAME
    python3 tools/toolchain.py list [--json]

In Python: `binary(name)` finds one program and builds nothing, `ensure(names)` builds what is missing. A program in
`$KUBEBUILDER_ASSETS` or on `PATH` is used when its version is the pinned one or another patch of the same minor;
the others come from the cache, `$VERIRAMP_CACHE` or else `veriramp` in the user's cache folder. `kafka` is a folder of
jars, fetched with Maven. The tables are in `programs.py`, the builders are `gobuild.py` and `kafka/jars.py`.

Standard library only: this runs before any Python environment exists.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if __package__ in {None, ""}:
    # Run as a file: Python then looks for modules in tools/ and not in the tree, where `tools` itself is.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.gobuild import BuildFailed, ToolMissing, build, cache_folder, cached
from tools.kafka import jars
from tools.programs import GROUPS, KAFKA, PROGRAMS, version_fits, version_of
from tools.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tools.programs import Program

__all__ = ["BuildFailed", "ToolMissing", "binary", "ensure", "main"]

_VERSION_SECONDS: Final = 10.0


def binary(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """Path of a program that can be run now (of Kafka: of its jars' folder); nothing is built.

    `environment` is where `PATH`, `KUBEBUILDER_ASSETS` and `VERIRAMP_CACHE` are read, by default this process's.
    Raises ToolMissing, which says what to run, when it is neither on this machine nor in the cache, and ValueError
    for a name that is not in the table.
    """
    env = os.environ if environment is None else environment
    if name == KAFKA:
        return jars.installed(cache_folder(env))
    program = _program(name)
    found = on_machine(program, env)
    if found is not None:
        return found
    kept = cached(program, cache_folder(env))
    if kept.exists():
        return kept
    raise ToolMissing(
        f"{name} {version_of(program)} is not on this machine yet: run `python3 tools/toolchain.py build {name}` "
        f"(`make demo` and `make test` do it by themselves)."
    )


def ensure(names: Sequence[str]) -> dict[str, Path]:
    """Paths of `names`, in their order; what is missing is built first, with progress on standard error.

    Raises ToolMissing when something needed for building is missing, BuildFailed when a build fails, and ValueError
    for a name that is not in the table.
    """
    missing = [name for name in names if name != KAFKA and on_machine(_program(name), os.environ) is None]
    build(missing, cache_folder(), Progress(sys.stderr))
    if KAFKA in names:
        jars.install(cache_folder(), Progress(sys.stderr))
    return {name: binary(name) for name in names}


def on_machine(program: Program, environment: Mapping[str, str]) -> Path | None:
    """The program in `KUBEBUILDER_ASSETS` or on `PATH`, if one there has a version that fits."""
    if not program.from_path:
        return None
    pinned = version_of(program)
    fits = (path for path in _candidates(program.name, environment) if version_fits(pinned, printed(program, path)))
    return next(fits, None)


def printed(program: Program, path: Path) -> str:
    """What the binary at `path` says about its version; empty when it cannot say it in time."""
    try:
        asked = subprocess.run(
            [path, *program.version_args], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # a broken or foreign file on PATH: ours is taken instead
    return asked.stdout + asked.stderr if asked.returncode == 0 else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 is success, 1 means that a program is missing or was not built."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "build":
            ensure(options.names or GROUPS[options.group])
        elif options.command == "path":
            print(binary(options.name))
        else:
            _print_list(as_json=options.json)
    except (ToolMissing, BuildFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _program(name: str) -> Program:
    if name not in PROGRAMS:
        raise ValueError(f"there is no program {name!r}; write one of {', '.join([*PROGRAMS, KAFKA])}")
    return PROGRAMS[name]


def _candidates(name: str, environment: Mapping[str, str]) -> Iterator[Path]:
    for folders in (environment.get("KUBEBUILDER_ASSETS"), environment.get("PATH")):
        found = shutil.which(name, path=folders) if folders else None
        if found is not None:
            yield Path(found)


def _print_list(*, as_json: bool) -> None:
    rows = [_row(program.name, version_of(program)) for program in PROGRAMS.values()] + [_row(KAFKA, jars.version())]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['name']:<24} {row['version']:<8} {row['path'] or 'not built'}")


def _row(name: str, version: str) -> dict[str, str | None]:
    try:
        path: str | None = str(binary(name))
    except ToolMissing:
        path = None
    return {"name": name, "version": version, "path": path}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/toolchain.py", description="The real programs of the dev cluster.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build what is missing")
    make.add_argument("--for", dest="group", choices=GROUPS, default="demo", help="who needs them (default: demo)")
    make.add_argument("names", metavar="NAME", nargs="*", type=_known, help="only these programs")
    where = commands.add_parser("path", help="print where a program is")
    where.add_argument("name", metavar="NAME", type=_known)
    table = commands.add_parser("list", help="print every program, its version and where it is")
    table.add_argument("--json", action="store_true", help="for machines")
    return parser


def _known(name: str) -> str:
    try:
        return name if name == KAFKA else _program(name).name
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _stop(_number: int, _frame: object) -> NoReturn:
    sys.exit(143)  # an exception, so that a build in progress is ended and the lock given back


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
