"""Stop a cluster when the process that owns it ends, however it ends: `python -m ...guardian ROOT PID`.

A test run that is killed with SIGKILL must not leave a control plane behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

from tools.devcluster.cluster import DevCluster
from tools.devcluster.errors import DevClusterError


def main() -> None:
    """Wait for the owner to end, then stop the cluster; nothing to do if it is stopped already."""
    root, owner = Path(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(owner)
        select.select([handle], [], [])
    with contextlib.suppress(DevClusterError):  # it was stopped in the meantime
        DevCluster.attach(root).down()


if __name__ == "__main__":
    main()
