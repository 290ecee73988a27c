"""Container images as commands: what the node agent runs for an image name.

`Images` reads and writes the file that maps names (without registry, tag or digest) to `ImageCommand`s; the agent
reads it at every pod start, so that an image can be added to a running cluster.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCT: Final = {
    "veriramp/operator": "veriramp-operator",
    "veriramp/flagserver": "veriramp-flagserver",
    "veriramp/workers": "veriramp-worker",
    "veriramp/search": "veriramp-search",
}
"""The images of the chart and the console script that each one starts."""


@dataclass(frozen=True, slots=True)
class ImageCommand:
    """What an image would carry: ENTRYPOINT, CMD, ENV and WORKDIR.

    As in Kubernetes a container's `command` replaces entrypoint and cmd, its `args` replace cmd. The process gets
    this env, HOSTNAME and the pod's own, and nothing of the environment of whoever started the cluster.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"

    def argv(self, command: list[str], args: list[str]) -> list[str]:
        """Combine with a container's `command` and `args`."""
        if command:
            return [*command, *args]
        return [*self.entrypoint, *(args or self.cmd)]


def repository_images() -> dict[str, ImageCommand]:
    """Map the product's images to the programs that are installed beside the running Python."""
    scripts = Path(sys.executable).parent
    env = {
        "PATH": f"{scripts}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
    return {name: ImageCommand((str(scripts / script),), env=env) for name, script in PRODUCT.items()}


def write_images(path: Path, images: Mapping[str, ImageCommand]) -> None:
    """Replace the images file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({name: asdict(image) for name, image in images.items()}, indent=1))
    part.rename(path)


def read_images(path: Path) -> dict[str, ImageCommand]:
    """Read the images file."""
    return {
        name: ImageCommand(tuple(raw["entrypoint"]), tuple(raw["cmd"]), raw["env"], raw["workdir"])
        for name, raw in json.loads(path.read_text()).items()
    }


def lookup(images: Mapping[str, ImageCommand], reference: str) -> ImageCommand | None:
    """Find the command of an image reference, with or without its registry; None when it is not mapped."""
    name = reference.split("@", 1)[0]
    if ":" in name.rsplit("/", 1)[-1]:
        name = name.rsplit(":", 1)[0]
    first, _, rest = name.partition("/")
    without_registry = rest if rest and ("." in first or ":" in first or first == "localhost") else name
    return images.get(name) or images.get(without_registry)
