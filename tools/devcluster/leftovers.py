"""The processes of containers, found by the files that their launch scripts leave.

Each container that was started has a file <run>/<pod uid>/<container>.process: a line of /proc/<pid>/stat, written
by the process itself, beside <run>/<pod uid>/name with the pod's namespace and name. So they can be found, and
ended, also when the node agent is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.devcluster.errors import DevClusterError
from tools.devcluster.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def kill_leftover_containers(run: Path) -> int:
    """End all container processes of a cluster at once, with their children; return how many were found."""
    found = [process for _path, process in _processes(run)]
    for process in found:
        process.kill_group()
    for process in found:
        process.wait_gone(5)
    return len(found)


def container_process(run: Path, namespace: str, pod: str, container: str | None) -> Process:
    """Find the process of a running container; raises DevClusterError when there is none."""
    for name, process in containers(run):
        if name.rpartition("/")[0] == f"{namespace}/{pod}" and container in (None, name.rpartition("/")[2]):
            return process
    wanted = f"container {container} of " if container else ""
    raise DevClusterError(f"no process runs for {wanted}pod {namespace}/{pod}")


def containers(run: Path) -> Iterator[tuple[str, Process]]:
    """Tell the running containers as (namespace/pod/container, process)."""
    for path, process in _processes(run):
        name = path.parent / "name"
        if name.exists():
            yield f"{name.read_text()}/{path.stem}", process


def _processes(run: Path) -> Iterator[tuple[Path, Process]]:
    for path in sorted(run.glob("*/*.process")):
        try:
            process = Process.parse(path.read_text())
        except (ValueError, IndexError, FileNotFoundError):
            continue  # the container is being started or removed at this moment
        if process.alive():
            yield path, process
        else:
            process.kill_group()
