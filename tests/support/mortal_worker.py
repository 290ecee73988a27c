"""`python -m tests.support.mortal_worker orchestrator`: a worker that kills itself (SIGKILL) at a step of a message.

The step is in MORTAL_STEP (one of `STEPS`), how often it is passed before in MORTAL_AFTER. The hooks are here, round
the product's classes and the Kafka client's, and not in the product. A session of MORTAL_SESSION seconds, which kfake
refuses, lets the next process have the partitions soon.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from veriramp_workers import main as worker
from veriramp_workers.orchestrator import Orchestrator
from veriramp_workers.settings import WorkerSettings, settings_from

BEFORE, AFTER, ACKNOWLEDGED = "before", "after", "acknowledged"
STEPS: Final[Mapping[str, tuple[type, str, str]]] = {
    "before the handler": (Orchestrator, "__call__", BEFORE),
    "after the verdict": (Orchestrator, "__call__", AFTER),
    "before the answer is acknowledged": (AIOKafkaProducer, "send", AFTER),
    "after the answer is acknowledged": (AIOKafkaProducer, "send", ACKNOWLEDGED),
    "before the commit": (AIOKafkaConsumer, "commit", BEFORE),
    "after the commit": (AIOKafkaConsumer, "commit", AFTER),
}


class _Death:
    def __init__(self, after: int) -> None:
        self._left = after

    def near(self) -> None:
        """Die, if the step was passed often enough."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def _hooked(original: Callable[..., Awaitable[Any]], when: str, death: _Death) -> Callable[..., Awaitable[Any]]:
    async def hooked(*arguments: Any, **named: Any) -> Any:
        if when == BEFORE:
            death.near()
        result = await original(*arguments, **named)
        if when == AFTER:
            death.near()
        elif when == ACKNOWLEDGED:
            result.add_done_callback(lambda _: death.near())
        return result

    return hooked


def _quick(environment: Mapping[str, str], *, profile: str) -> WorkerSettings:
    settings = settings_from(environment, profile=profile)
    return dataclasses.replace(settings, session_seconds=float(os.environ["MORTAL_SESSION"]))


def main() -> int:
    """Run the worker until its step."""
    owner, name, when = STEPS[os.environ["MORTAL_STEP"]]
    setattr(owner, name, _hooked(getattr(owner, name), when, _Death(int(os.environ["MORTAL_AFTER"]))))
    worker.settings_from = _quick  # type: ignore[attr-defined]
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
