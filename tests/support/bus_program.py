"""A worker on the bus that does what its messages say, as a process: ``python -m tests.support.bus_program``.

A message is JSON: ``{"id": ..., "script": [...]}``, one word for each attempt: ``ok`` (also when the script has ended),
``later``, ``boom``, ``poison``. Its answer has the same key, value and headers. The environment gives ``BUS_BROKERS``,
``BUS_COMMIT_SECONDS`` and ``BUS_WORK_SECONDS``; SIGTERM stops it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from prometheus_client import CollectorRegistry

from veriramp_sdk.events import Topic
from veriramp_sdk.kafka_settings import KafkaSettings
from veriramp_workers.bus.kafka import KafkaWorker
from veriramp_workers.bus.retry import RetryTopic
from veriramp_workers.bus.settings import BusMetrics, BusSettings
from veriramp_workers.logs import configure_logging
from veriramp_workers.ports import Handler, Message, PoisonError, Record, RetryLaterError

ANSWERS = Topic.COMPLETE
GROUP = "bus-tests"
BEGUN = "from now on SIGTERM is an order to drain"
"""What it prints first."""


def bus_settings(brokers: str, **changes: object) -> BusSettings:
    """Settings as the orchestrator's, with short delays; nobody who is not killed loses its place in the group."""
    fields = {
        "topics": (Topic.INTERACTIVE, Topic.BACKFILL),
        "retries": (RetryTopic(Topic.RETRY_SOON, 1.0), RetryTopic(Topic.RETRY_LATE, 2.0)),
        "dead_letters": Topic.DEAD_LETTERS,
        "session_seconds": 15.0,
        "commit_seconds": 0.1,
        **changes,
    }
    return BusSettings(KafkaSettings(brokers), GROUP, **fields)  # type: ignore[arg-type] # one value for each field


def scripted(work_seconds: float = 0.0) -> Handler:
    """A handler that does what the message says."""

    async def handle(record: Record) -> tuple[Message, ...]:
        try:
            script = json.loads(record.value)["script"]
        except ValueError as error:
            raise PoisonError(str(error)) from error
        await asyncio.sleep(work_seconds)
        match script[record.attempt - 1] if record.attempt <= len(script) else "ok":
            case "later":
                raise RetryLaterError("later, it says")
            case "boom":
                raise ZeroDivisionError("boom, it says")
            case "poison":
                raise PoisonError("poison, it says")
        return (Message(ANSWERS, record.key, record.value, record.headers),)

    return handle


async def _run() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{BEGUN}\n")
    sys.stdout.flush()
    commit = float(os.environ["BUS_COMMIT_SECONDS"])
    settings = bus_settings(os.environ["BUS_BROKERS"], session_seconds=6.0, commit_seconds=commit)
    handler = scripted(float(os.environ["BUS_WORK_SECONDS"]))
    await KafkaWorker(settings, handler, BusMetrics(CollectorRegistry())).run(stop)


if __name__ == "__main__":
    configure_logging("INFO")
    asyncio.run(_run())
