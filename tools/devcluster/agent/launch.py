"""How a container becomes a process: a script that makes its mount namespace and then becomes its command.

Each container has a mount namespace of its own (`unshare --user --map-root-user --mount`, no root needed) with an
empty tmpfs on /run and its volumes bound to their real paths, so that for example the service account token is at
/var/run/secrets/kubernetes.io/serviceaccount. Everything else of the machine's file system shows through.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.devcluster.agent.volumes import real_target

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping, Sequence
    from pathlib import Path, PurePosixPath

    from tools.devcluster.agent.api import Object
    from tools.devcluster.agent.volumes import PodVolumes

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAGE: Final = "/run/.pod"


@dataclass(frozen=True, slots=True)
class Mount:
    """Bind `source` to `target`."""

    source: Path
    target: PurePosixPath
    read_only: bool


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start a container: its folder is shared with the other containers of the pod."""

    name: str
    folder: Path
    hosts: Path
    mounts: tuple[Mount, ...]
    argv: Sequence[str]
    env: Mapping[str, str]
    workdir: str
    log: Path

    @property
    def process_file(self) -> Path:
        return self.folder / f"{self.name}.process"


def mounts_of(container: Object, pod: Object, volumes: PodVolumes) -> tuple[Mount, ...]:
    """List a container's mounts, outer ones first."""
    by_name = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    mounts = []
    for mount in container.get("volumeMounts", []):
        source = volumes.source(by_name[mount["name"]], mount.get("subPath", ""))
        mounts.append(Mount(source, real_target(mount["mountPath"]), bool(mount.get("readOnly"))))
    return tuple(sorted(mounts, key=lambda mount: len(mount.target.parts)))


async def start(launch: Launch) -> Process:
    """Start it; raises OSError when not even the launcher starts."""
    unshare = shutil.which("unshare") or "unshare"
    script = await asyncio.to_thread(_write_script, launch)
    output = await asyncio.to_thread(os.open, launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return await asyncio.create_subprocess_exec(
            unshare, "--user", "--map-root-user", "--mount", "/bin/sh", str(script), *launch.argv,
            env=dict(launch.env),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
            cwd="/",
        )  # fmt: skip
    finally:
        os.close(output)


async def execute(pid: int, argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command beside a container's process, in its namespaces; return the exit code."""
    nsenter = shutil.which("nsenter") or "nsenter"
    process = await asyncio.create_subprocess_exec(
        nsenter, "--target", str(pid), "--user", "--mount", "--preserve-credentials", "--", *argv,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def script_of(launch: Launch) -> str:
    """Write the script: mounts first, then the command given as its arguments."""
    quoted = shlex.quote
    lines = [
        "set -eu",
        # The process tells who it is, so that it can be found and ended when the agent is gone.
        "read -r stat < /proc/$$/stat",
        f'printf "%s\\n" "$stat" > {quoted(str(launch.process_file))}',
        f"POD_PATH=${{PATH:-{SYSTEM_PATH}}}",
        f"PATH={SYSTEM_PATH}",
        f"mount --bind {quoted(str(launch.hosts))} /etc/hosts",
        "mount -t tmpfs -o mode=755 tmpfs /run",
        f"mkdir {STAGE}",
        # Volumes may cover the folder that the pods' files are in: reach them through /run.
        f"mount --bind {quoted(str(launch.folder))} {STAGE}",
    ]
    for mount in launch.mounts:
        lines += _bind(mount, launch.folder)
    lines += [
        f"umount {STAGE}",
        f"rmdir {STAGE}",
        f"cd {quoted(launch.workdir)}",
        "PATH=$POD_PATH",
        "export PATH",
        "unset POD_PATH stat",
        'exec "$@"',
    ]
    return "\n".join(lines) + "\n"


def _bind(mount: Mount, folder: Path) -> list[str]:
    source = str(mount.source)
    if mount.source.is_relative_to(folder):
        source = f"{STAGE}/{mount.source.relative_to(folder)}"
    source, target = shlex.quote(source), shlex.quote(str(mount.target))
    made = f"if [ -d {source} ]; then mkdir -p {target}; "
    made += f"else mkdir -p {shlex.quote(str(mount.target.parent))}; [ -e {target} ] || : > {target}; fi"
    lines = [f"[ -e {source} ] || mkdir -p {source}", made, f"mount --bind {source} {target}"]
    if mount.read_only:
        # Some file systems forbid it in a user namespace; the content is right without it.
        lines.append(f"mount -o remount,bind,ro {target} 2> /dev/null || :")
    return lines


def _write_script(launch: Launch) -> Path:
    path = launch.folder / f"{launch.name}.sh"
    path.write_text(script_of(launch))
    return path
