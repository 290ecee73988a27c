"""The dev cluster in a shell: `python -m tools.devcluster up|down|status|kubeconfig|logs`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import REPOSITORY, Options
from tools.devcluster.errors import DevClusterError
from tools.devcluster.images import ImageCommand, read_images, repository_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_ROOT: Final = REPOSITORY / ".veriramp" / "devcluster"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 1 when it could not be done, with the reason on standard error."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except DevClusterError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up(arguments: argparse.Namespace) -> None:
    """Start a cluster and say how to use it."""
    begin = time.monotonic()
    options = Options(
        nodes=arguments.nodes,
        controllers=not arguments.control_plane_only,
        prometheus=not arguments.control_plane_only,
        broker=not arguments.control_plane_only,
        scrape_interval=arguments.scrape_interval,
    )
    if arguments.control_plane_only:
        options = Options(nodes=0, controllers=False, prometheus=False, broker=False)

    def progress(line: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {line}", flush=True)

    cluster = DevCluster.up(arguments.root, images=_images(arguments), options=options, progress=progress)
    progress("the dev cluster is ready")
    print(f"\n  export KUBECONFIG={cluster.kubeconfig}")
    for name, url in cluster.urls.items():
        print(f"  {name:11} {url}")
    print(f"\nstop it with: python -m tools.devcluster down{_root_flag(arguments.root)}")


def down(arguments: argparse.Namespace) -> None:
    """Stop the cluster; logs stay unless --remove."""
    root: Path = arguments.root
    DevCluster.attach(root).down(remove=arguments.remove)
    print("stopped" if arguments.remove else f"stopped; logs are in {root / 'logs'} and {root / 'pods'}")


def status(arguments: argparse.Namespace) -> None:
    """Show components, addresses and pods' processes."""
    cluster = DevCluster.attach(arguments.root)
    for name, state in cluster.status().items():
        print(f"{name:24} {state}")
    for name, url in cluster.urls.items():
        print(f"{name:24} {url}")
    for name, process in cluster.containers().items():
        print(f"{name:64} pid {process.pid}")


def kubeconfig(arguments: argparse.Namespace) -> None:
    """Print the line that makes kubectl use this cluster."""
    print(f"export KUBECONFIG={DevCluster.attach(arguments.root).kubeconfig}")


def logs(arguments: argparse.Namespace) -> None:
    """Print the logs of a component, or of all containers of a pod (namespace/pod, also by its beginning)."""
    root: Path = arguments.root
    wanted: str = arguments.name
    pattern = f"pods/{wanted.replace('/', '_', 1)}*.log" if "/" in wanted else f"logs/{wanted}.log"
    found = sorted(root.glob(pattern))
    if not found:
        names = ", ".join(sorted(path.stem for path in root.glob("logs/*.log"))) or "none"
        raise DevClusterError(f"no log of {wanted!r} in {root}; write NAMESPACE/POD or one of: {names}")
    for path in found:
        if len(found) > 1:
            print(f"==> {path.stem} <==")
        with path.open(errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)


def _images(arguments: argparse.Namespace) -> Mapping[str, ImageCommand]:
    if arguments.images is None:
        return repository_images()
    try:
        return read_images(arguments.images)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        example = json.dumps({"name": {"entrypoint": ["/path/to/program"], "cmd": [], "env": {}, "workdir": "/"}})
        raise DevClusterError(f"{arguments.images} cannot be read ({problem}); write {example}") from problem


def _root_flag(root: Path) -> str:
    return "" if root == DEFAULT_ROOT else f" --root {root}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.devcluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        added.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="folder of the cluster (%(default)s)")
        added.set_defaults(run=run)
        return added

    start = command(up)
    start.add_argument("--images", type=Path, help="JSON file: image name -> entrypoint, cmd, env, workdir")
    start.add_argument("--nodes", type=int, default=1, help="how many nodes to show (%(default)s)")
    start.add_argument("--scrape-interval", default="1s", help="of Prometheus (%(default)s)")
    start.add_argument("--control-plane-only", action="store_true", help="only etcd and the API server")
    command(down).add_argument("--remove", action="store_true", help="remove the folder with the logs, too")
    command(status)
    command(kubeconfig)
    command(logs).add_argument("name", help="a component, or NAMESPACE/POD")
    return parser


if __name__ == "__main__":
    sys.exit(main())
