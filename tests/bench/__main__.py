"""``python -m tests.bench NAME...|all``: run benches, each in a process of its own, and write build/bench/NAME.json.

``all`` leaves out those that need an hour; name them for that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.report import say

PREFIX: Final = "bench_"
BENCHES: Final = tuple(sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py")))
LONG: Final = frozenset({"outage", "soak"})
"""Not in ``all``: they say little in minutes, and must not write over what an hour has shown."""


def main(names: list[str]) -> int:
    """Exit code 0 when every bench ran; a missed bar is a figure and no failure."""
    unknown = [name for name in names if name not in (*BENCHES, "all")]
    if unknown or not names:
        sys.stderr.write(f"write one or more of: all, {', '.join(BENCHES)}\n")
        return 2
    chosen = tuple(name for name in BENCHES if name not in LONG or name in names) if "all" in names else tuple(names)
    failed = []
    for number, name in enumerate(chosen, 1):
        say(f"bench {number} of {len(chosen)}: {name}")
        if subprocess.run((sys.executable, "-m", f"tests.bench.{PREFIX}{name}"), check=False).returncode:
            failed.append(name)
    if failed:
        say(f"did not run to their end: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
