"""A Kafka on loopback for a person, and the lock of what it is made of.

python3 -m tools.kafka run [--nodes N]   start it, print its address, stop it with Ctrl-C
python3 -m tools.kafka lock              fetch what pom.xml names and write kafka.lock
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tools.gobuild import BuildFailed, ToolMissing, cache_folder
from tools.kafka import jars
from tools.kafka.cluster import KafkaFailed, a_kafka
from tools.progress import Progress


def main() -> int:
    """Run the command line; 0 is success, 1 a failure that is told on standard error."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.kafka", description="A real Kafka on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start it and print its address").add_argument(
        "--nodes", type=int, choices=(1, 3), default=1, help="one node, or three with every partition on each"
    )
    commands.add_parser("lock", help="fetch what pom.xml names and write kafka.lock")
    options = parser.parse_args()
    try:
        return _lock() if options.command == "lock" else _run(options.nodes)
    except (ToolMissing, BuildFailed, KafkaFailed) as problem:
        print(problem, file=sys.stderr)
        return 1


def _lock() -> int:
    progress = Progress(sys.stderr)
    with tempfile.TemporaryDirectory(prefix="veriramp-kafka-") as folder:
        jars.write_lock(jars.fetch(Path(folder), progress))
    progress.say(f"{jars.LOCK.name}: {len(jars.locked())} files.")
    return 0


def _run(nodes: int) -> int:
    jars.install(cache_folder(), Progress(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="veriramp-kafka-") as folder, a_kafka(Path(folder), nodes) as kafka:
        print(kafka.bootstrap, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _stop(_number: int, _frame: object) -> NoReturn:
    sys.exit(143)  # an exception, so that what was started is ended


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
