"""Builds programs from the Go modules below `tools/` into a cache outside the tree, with progress.

`build()` is the way in; `cache_folder()` and `cached()` say where a binary is kept. One builder works at a time (a
file lock), a binary appears in the cache by rename, and the compiler's and the module cache (about 6 GB for
everything) live in a work folder beside the binaries that is dropped after success and kept after a failure, so
that the next try goes on where this one stopped. Nothing is written outside `VERIRAMP_CACHE`.

Standard library only: this runs before any Python environment exists.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.programs import BUILD_FLAGS, LINKER_FLAGS, MODULES, PROGRAMS, TOOLS, linker_values, module_key
from tools.progress import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tools.programs import Module, Program
    from tools.progress import Progress

GO_WANTED: Final = (1, 26)
_GIGABYTE: Final = 10**9
_LOG_TAIL_LINES: Final = 25
_POLL_SECONDS: Final = 0.5


class ToolMissing(RuntimeError):  # noqa: N818 - reads as the sentence it carries
    """A program is not there, or cannot be built here; the message says what to run or to install."""


class BuildFailed(RuntimeError):  # noqa: N818 - reads as the sentence it carries
    """`go build` ended with an error; the message ends with the tail of its log."""


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """`$VERIRAMP_CACHE`, else `veriramp` in the user's cache folder; below it `tools/` is ours."""
    env = os.environ if environment is None else environment
    if env.get("VERIRAMP_CACHE"):
        return Path(env["VERIRAMP_CACHE"]).expanduser().absolute() / "tools"
    base = env.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "veriramp" / "tools"


def cached(program: Program, cache: Path) -> Path:
    """Where the binary of `program`, as this tree pins it, is kept in `cache` (whether it is there or not)."""
    return cache / module_key(MODULES[program.module]) / "bin" / program.name


def build(names: Sequence[str], cache: Path, progress: Progress) -> None:
    """Build those of `names` that are not in `cache`.

    Raises ToolMissing when Go or room on the disk is missing, BuildFailed when a build fails.
    """
    if not _missing(names, cache):
        return
    cache.mkdir(parents=True, exist_ok=True)
    with one_builder(cache, progress):
        missing = _missing(names, cache)
        if not missing:
            return
        work = cache / ".work"
        plans = _plans(missing, cache)
        _check_room(plans, cache)
        total = duration(sum(plan.expected for plan in plans))
        programs = "1 program" if len(missing) == 1 else f"{len(missing)} programs"
        progress.say(f"Building {programs} from source, about {total} in total (once: kept in {cache}).")
        environment = go_environment(work)
        go = find_go(environment)
        for plan in plans:
            _build_module(plan, go, work, environment, progress)
        shutil.rmtree(work)


def find_go(environment: Mapping[str, str]) -> str:
    """Path of a Go that is new enough. Go 1.21 to 1.25 fetch the toolchain that go.mod asks for by themselves."""
    advice = (
        f"Install Go >= {GO_WANTED[0]}.{GO_WANTED[1]} (the archive from the Go project's download page, or your "
        "distribution's package golang-1.26) and put `go` on PATH; the other way is to put the programs "
        "themselves on PATH or in KUBEBUILDER_ASSETS."
    )
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise ToolMissing(f"The cluster's programs are built from source, and there is no `go` on PATH. {advice}")
    folder = TOOLS / MODULES["kubernetes"].folder
    asked = subprocess.run(
        [go, "env", "GOVERSION"], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        raise ToolMissing(f"`{go}` cannot be used: {asked.stderr.strip()}. {advice}")
    if not go_is_new_enough(asked.stdout):
        raise ToolMissing(
            f"`{go}` is {asked.stdout.strip()}, which is too old (Go 1.21 and later would fetch a newer one by itself, "
            f"but GOTOOLCHAIN forbids it, or this one is older still). {advice}"
        )
    return go


def go_is_new_enough(printed: str) -> bool:
    """Whether `go env GOVERSION` printed a release that the Go modules accept; development builds are accepted."""
    found = re.match(r"go(\d+)\.(\d+)", printed.strip())
    if found is None:
        return printed.startswith("devel")
    return (int(found.group(1)), int(found.group(2))) >= GO_WANTED


def go_environment(work: Path) -> dict[str, str]:
    """The caller's environment with everything that changes what Go builds, or where it writes, set by us."""
    ours = {"GOOS", "GOARCH", "GOEXPERIMENT", "GO111MODULE", "GOBIN"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    for folder in ("cache", "path", "tmp"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    return environment | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(work / "cache"),
        "GOPATH": str(work / "path"),
        "GOMODCACHE": str(work / "path" / "pkg" / "mod"),
        "GOTMPDIR": str(work / "tmp"),
        "GOWORK": "off",
        # -modcacherw: module files are read-only by default, and this folder is ours to delete.
        "GOFLAGS": "-buildvcs=false -modcacherw",
    }


@dataclass(frozen=True)
class _Plan:
    """The programs of one module that one `go build` makes, where they go, and how long it took last time (s)."""

    module: Module
    programs: tuple[Program, ...]
    folder: Path
    expected: float

    @property
    def names(self) -> str:
        return ", ".join(program.name for program in self.programs)


def _missing(names: Sequence[str], cache: Path) -> list[Program]:
    missing = {name for name in names if not cached(PROGRAMS[name], cache).exists()}
    along = {program.name for program in PROGRAMS.values() if program.along in missing}
    return [program for name, program in PROGRAMS.items() if name in missing | along]


def _plans(missing: Sequence[Program], cache: Path) -> list[_Plan]:
    measured = _measured(cache)
    plans = []
    for module in MODULES.values():
        programs = tuple(program for program in missing if program.module == module.name)
        if programs:
            names = "+".join(program.name for program in programs)
            expected = measured.get(names, sum(program.seconds for program in programs))
            plans.append(_Plan(module, programs, cache / module_key(module), expected))
    return plans


def _build_module(plan: _Plan, go: str, work: Path, environment: Mapping[str, str], progress: Progress) -> None:
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    log = plan.folder / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    code = _run(_command(plan, go, out), plan, environment, log, progress)
    seconds = time.monotonic() - began
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        raise BuildFailed(f"Building {plan.names} failed after {duration(seconds)}; the log is {log}:\n{tail}")
    (plan.folder / "bin").mkdir(exist_ok=True)
    for program in plan.programs:
        (out / program.built_as).replace(plan.folder / "bin" / program.name)
    _remember(plan, seconds, plan.folder.parent)
    progress.done(f"{plan.names}: built in {duration(seconds)}.")


def _command(plan: _Plan, go: str, out: Path) -> list[str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    linker = " ".join([LINKER_FLAGS, *(f"-X {value}" for value in linker_values(plan.module, now))])
    packages = [program.package for program in plan.programs]
    tags = ["-tags", plan.module.tags] if plan.module.tags else []
    return [go, "build", *BUILD_FLAGS, "-v", *tags, "-ldflags", linker, "-o", f"{out}/", *packages]


def _run(command: list[str], plan: _Plan, environment: Mapping[str, str], log: Path, progress: Progress) -> int:
    """Run one `go build`, its output in `log`, and return its exit code; its process group ends with us."""
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=TOOLS / plan.module.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while (code := _exit_code(process, _POLL_SECONDS)) is None:
                progress.tick(plan.names, time.monotonic() - began, plan.expected, _compiled(log))
        finally:
            end(process)
    return code


def _exit_code(process: subprocess.Popen[bytes], patience: float) -> int | None:
    try:
        return process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return None


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started in a session of its own, with everything that it started."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    if _exit_code(process, 10) is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _compiled(log: Path) -> int:
    """Packages compiled so far: `go build -v` prints one a line."""
    return sum(not line.startswith("go: ") for line in log.read_text(errors="replace").splitlines())


@contextmanager
def one_builder(cache: Path, progress: Progress) -> Iterator[None]:
    """Wait, with progress, until nobody else builds in `cache`, and keep others out."""
    with (cache / ".lock").open("w", encoding="utf-8") as lock:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress.tick("waiting for another build that uses this cache", time.monotonic() - began, None, 0)
                time.sleep(_POLL_SECONDS)
        yield


def _check_room(plans: Sequence[_Plan], cache: Path) -> None:
    needed = (8 if any(plan.module.name == "kubernetes" for plan in plans) else 4) * _GIGABYTE
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise ToolMissing(
            f"Building needs {needed / _GIGABYTE:.0f} GB for a while and {cache} has {free / _GIGABYTE:.1f} GB free. "
            "Make room, or set VERIRAMP_CACHE to a folder on a larger disk."
        )


def _measured(cache: Path) -> dict[str, float]:
    """Seconds of earlier builds on this machine, by the names built together."""
    try:
        values = json.loads((cache / "seconds.json").read_text(encoding="utf-8"))
        return {str(name): float(seconds) for name, seconds in values.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}  # only an estimate for people: a lost or broken file costs nothing


def _remember(plan: _Plan, seconds: float, cache: Path) -> None:
    names = "+".join(program.name for program in plan.programs)
    part = cache / "seconds.json.part"
    part.write_text(json.dumps(_measured(cache) | {names: round(seconds, 1)}, indent=1), encoding="utf-8")
    part.replace(cache / "seconds.json")
