"""Wiring: kopf delivers events, the operator process does the rest."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kopf

from veriramp_operator.api.errors import ConfigurationError
from veriramp_operator.api.rollout import GROUP, PLURAL, VERSION
from veriramp_operator.cluster.api import Api
from veriramp_operator.resources.deployments import ROLLOUT_LABEL
from veriramp_operator.resources.flags_configmap import LABEL as FLAGS_LABEL
from veriramp_operator.runtime.logs import configure_logging
from veriramp_operator.runtime.process import OperatorProcess
from veriramp_operator.runtime.settings import Settings

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_log = logging.getLogger("veriramp.main")


class _EndlessBackoffs:
    """kopf ends the process when its backoffs are used up; these never are."""

    def __iter__(self) -> Iterator[float]:
        return (min(30.0, 0.2 * 2**tried) * random.uniform(0.8, 1.2) for tried in itertools.count())  # noqa: S311 jitter


def kopf_settings() -> kopf.OperatorSettings:
    """Kopf as a source of events and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = _EndlessBackoffs()
    settings.networking.request_timeout = 30.0
    settings.watching.server_timeout = 240  # an integer: the API server refuses "240.0"
    settings.watching.label_selectors["v1", "configmaps"] = f"{FLAGS_LABEL}=true"
    settings.watching.label_selectors["apps", "v1", "deployments"] = ROLLOUT_LABEL
    return settings


def wire(process: OperatorProcess) -> kopf.OperatorRegistry:
    """Event handlers that only tell the world what was seen; level-triggered passes do the rest."""
    registry = kopf.OperatorRegistry()
    world = process.world

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        if os.environ.get("KUBECONFIG") or not _ACCOUNT.exists():
            return kopf.login_with_kubeconfig(**kwargs)
        # kopf's own login takes the DNS name of the API server; the two variables are what every pod is given.
        return kopf.ConnectionInfo(
            server=f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}",
            ca_path=str(_ACCOUNT / "ca.crt"),
            token=(_ACCOUNT / "token").read_text(encoding="utf-8").strip(),
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def rollout_seen(event: kopf.RawEvent, **_: Any) -> None:
        raw = event["object"]
        if event["type"] == "DELETED":
            world.gone((raw["metadata"]["namespace"], raw["metadata"]["name"]), raw["metadata"]["uid"])
        else:
            world.rollout(raw)

    @kopf.on.event("v1", "configmaps", registry=registry)
    async def config_map_seen(event: kopf.RawEvent, **_: Any) -> None:
        world.config_map(event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event("apps", "v1", "deployments", registry=registry)
    async def deployment_seen(event: kopf.RawEvent, **_: Any) -> None:
        world.deployment(event["object"], deleted=event["type"] == "DELETED")

    return registry


async def run(settings: Settings) -> int:
    """Run until SIGTERM or until leadership is lost; the exit code."""
    api = await Api.connect()
    process = OperatorProcess(settings, api)
    stopping, stop_events = asyncio.Event(), asyncio.Event()
    ours = frozenset(asyncio.all_tasks())
    watching = await kopf.spawn_tasks(
        registry=wire(process),
        settings=kopf_settings(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=list(settings.namespaces),
        stop_flag=stop_events,
    )
    # kopf would first wait 5 s for our tasks, and then cancel them: what it installed for these signals is replaced.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    events = asyncio.create_task(kopf.run_tasks(watching, ignored=ours))
    work, told = asyncio.create_task(process.run()), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({events, work, told}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        told.cancel()
        results = await asyncio.gather(work, return_exceptions=True)
        await process.stop()
        stop_events.set()
        [events_end] = await asyncio.gather(events, return_exceptions=True)
        if isinstance(events_end, Exception):
            _log.error("the event source ended: %r", events_end, exc_info=events_end)
    finally:
        await api.close()
    for error in results:
        if isinstance(error, Exception):
            raise error
    return 0 if stopping.is_set() else 1


def main() -> None:
    """``veriramp-operator``."""
    configure_logging(os.environ.get("VERIRAMP_LOG_LEVEL", "INFO"))
    try:
        settings = Settings.from_environment()
        code = asyncio.run(run(settings))
    except ConfigurationError as error:
        print(f"veriramp-operator: {error}", file=sys.stderr)  # noqa: T201 the last word before the exit
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
