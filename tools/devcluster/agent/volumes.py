"""The volumes of a pod as folders on this machine, written and kept up to date like a kubelet does it.

A volume with content from objects is a folder of links: key -> ..data/key, ..data -> a dated folder; an update
swaps the one link ..data, so that a reader sees all of the old or all of the new content.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from tools.devcluster.agent.environment import NotYetThereError, config_map_bytes, field_value, secret_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tools.devcluster.agent.api import Object
    from tools.devcluster.agent.environment import Surroundings

    TokenRequest = Callable[[Object, list[str], int], Awaitable[str]]

SUPPORTED: Final = ("configMap", "secret", "downwardAPI", "projected", "emptyDir", "hostPath")
TOKEN_SHARE: Final = 0.8
"""A token is renewed when this share of its life is over, as the kubelet does."""

_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class _Token:
    value: bytes
    renew_at: float


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one pod below a folder of its own; `request_token(pod, audiences, seconds)` gets tokens."""

    folder: Path
    around: Surroundings
    request_token: TokenRequest
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _written: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def render(self, pod: Object) -> None:
        """Write what changed; raises NotYetThereError for missing objects, ValueError for what is not supported."""
        for volume in pod["spec"].get("volumes", []):
            name = volume["name"]
            if "emptyDir" in volume:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            elif "hostPath" not in volume:
                content = await self._content(volume, pod)
                if self._written.get(name) != content:
                    await asyncio.to_thread(write_atomically, self.folder / name, content)
                    self._written[name] = content

    def source(self, volume: Object, sub_path: str) -> Path:
        """Tell where the content of a volume is, or of a path in it."""
        base = Path(volume["hostPath"]["path"]) if "hostPath" in volume else self.folder / volume["name"]
        return base / sub_path

    async def _content(self, volume: Object, pod: Object) -> dict[str, bytes]:
        if "projected" in volume:
            content: dict[str, bytes] = {}
            for index, source in enumerate(volume["projected"]["sources"]):
                content |= await self._source(source, pod, f"{volume['name']}/{index}")
            return content
        return await self._source(volume, pod, volume["name"])

    async def _source(self, source: Object, pod: Object, key: str) -> dict[str, bytes]:
        namespace = pod["metadata"]["namespace"]
        if "serviceAccountToken" in source:
            token = source["serviceAccountToken"]
            return {token["path"]: await self._token(token, pod, key)}
        if "downwardAPI" in source:
            items = source["downwardAPI"].get("items", [])
            return {item["path"]: field_value(pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
        if "configMap" in source:
            reference = source["configMap"]
            found = self.around.config_map(namespace, reference["name"])
            return _items(reference, "configmap", reference["name"], found and config_map_bytes(found))
        if "secret" in source:
            reference = source["secret"]
            name = reference.get("secretName") or reference["name"]
            found = self.around.secret(namespace, name)
            return _items(reference, "secret", name, found and secret_bytes(found))
        raise ValueError(f"volume source {', '.join(source)} is not supported by the dev cluster")

    async def _token(self, wanted: Object, pod: Object, key: str) -> bytes:
        known = self._tokens.get(key)
        if known is None or known.renew_at < time.monotonic():
            seconds = int(wanted.get("expirationSeconds", 3600))
            audiences = [wanted["audience"]] if wanted.get("audience") else []
            value = await self.request_token(pod, audiences, seconds)
            known = _Token(value.encode(), time.monotonic() + seconds * TOKEN_SHARE)
            self._tokens[key] = known
        return known.value


def refused_volume(pod: Object) -> str | None:
    """Say why a pod's volumes cannot be had here; None when they can."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    for name, volume in volumes.items():
        if not any(kind in volume for kind in SUPPORTED):
            kind = ", ".join(volume.keys() - {"name"})
            return f"volume {name!r}: {kind} is not supported by the dev cluster; use {', '.join(SUPPORTED)}"
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        targets = [real_target(mount["mountPath"]) for mount in container.get("volumeMounts", [])]
        for target in targets:
            below_other = any(other != target and target.is_relative_to(other) for other in targets)
            if not (target.is_relative_to("/run") or below_other or Path(target).exists()):
                return (
                    f"container {container['name']!r} mounts a volume at {target}, which does not exist on this "
                    f"machine and cannot be made; mount it below /run, for example at /run{target}"
                )
    return None


def real_target(path: str) -> PurePosixPath:
    """Normalise a mount path; /var/run is a link to /run."""
    target = PurePosixPath(os.path.normpath(path))
    return PurePosixPath("/run") / target.relative_to("/var/run") if target.is_relative_to("/var/run") else target


def write_atomically(folder: Path, content: dict[str, bytes]) -> None:
    """Make a folder show exactly this content (relative path -> bytes), in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    dated = folder / f"..{time.time_ns()}-{next(_serial)}"
    for path, data in content.items():
        (dated / path).parent.mkdir(parents=True, exist_ok=True)
        (dated / path).write_bytes(data)
    dated.mkdir(exist_ok=True)
    current = folder / "..data"
    previous = current.resolve() if current.is_symlink() else None
    part = folder / "..data_part"
    part.symlink_to(dated.name)
    part.rename(current)
    wanted = {PurePosixPath(path).parts[0] for path in content}
    for name in wanted:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for path_there in folder.iterdir():
        if path_there.is_symlink() and path_there.name not in wanted | {"..data"}:
            path_there.unlink()
    if previous is not None:
        shutil.rmtree(previous)


def _items(reference: dict[str, Any], kind: str, name: str, data: dict[str, bytes] | None) -> dict[str, bytes]:
    """Choose the keys that a volume asks for."""
    if data is None:
        if reference.get("optional"):
            return {}
        raise NotYetThereError(f'{kind} "{name}" not found')
    if "items" not in reference:
        return data
    missing = [item["key"] for item in reference["items"] if item["key"] not in data]
    if missing and not reference.get("optional"):
        raise NotYetThereError(f'{kind} "{name}" has no key {missing[0]!r}')
    return {item["path"]: data[item["key"]] for item in reference["items"] if item["key"] in data}
