"""Node for the tests of the Node client: a missing one fails the test and says what to install."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

OLDEST = 20


def node() -> str:
    """The path of Node, new enough."""
    found = shutil.which("node")
    if found is None:
        pytest.fail(f"node is not installed: install Node {OLDEST} or newer (Debian: nodejs)")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    version = re.match(r"v(\d+)", told)
    if version is None or int(version[1]) < OLDEST:
        pytest.fail(f"node is {told.strip()}; the Node client needs {OLDEST} or newer")
    return found
