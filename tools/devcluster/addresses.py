"""Which loopback addresses a cluster has: one number per cluster, claimed for as long as a component lives.

    127.11.<n>.1        the control plane, Prometheus and the broker of cluster n
    127.<200+n>.0.0/16  its ClusterIPs
    127.10.<4n>.0/22    its pod IPs

All of 127.0.0.0/8 belongs to the loopback interface on Linux, so nothing has to be set up and no port of another
cluster, or of a client that was given a random one, is ever in the way.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.devcluster.errors import DevClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTERS = 54
"""How many clusters a machine can hold: 127.<200+n> must stay a loopback address with a /22 of pods to it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of cluster `number` (0..53)."""

    number: int

    @property
    def host(self) -> str:
        return f"127.11.{self.number}.1"

    @property
    def service_range(self) -> str:
        return f"127.{200 + self.number}.0.0/16"

    @property
    def first_service(self) -> str:
        """The ClusterIP that the API server gives to `kubernetes` in `default`."""
        return f"127.{200 + self.number}.0.1"

    @property
    def pod_range(self) -> str:
        return f"127.10.{4 * self.number}.0/22"

    def port(self, wanted: int) -> int:
        """Return the wanted port, or any free one when a wildcard listener of the machine has it."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, wanted))
            except OSError as problem:
                if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                probe.bind((self.host, 0))
            return int(probe.getsockname()[1])


@contextlib.contextmanager
def claim(number: int | None = None) -> Iterator[Addresses]:
    """Hold a free cluster number (or the given one); processes started meanwhile hold it as long as they live.

    Raises DevClusterError when all numbers, or the given one, are taken by running clusters.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        candidates = range(CLUSTERS) if number is None else [number]
        for candidate in candidates:
            if _bound(lock, candidate):
                lock.set_inheritable(True)
                yield Addresses(candidate)
                return
    raise DevClusterError(
        f"{CLUSTERS} dev clusters run on this machine already; stop one with "
        '"python -m tools.devcluster down --root FOLDER"'
        if number is None
        else f"cluster number {number} is taken by another dev cluster; start this one anew in its own folder"
    )


def _bound(lock: socket.socket, number: int) -> bool:
    try:
        lock.bind(f"\0veriramp-devcluster-{number}")
    except OSError as problem:
        if problem.errno != errno.EADDRINUSE:
            raise
        return False
    return True
