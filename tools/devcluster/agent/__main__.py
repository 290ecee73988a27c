"""Run the node agent: `python -m tools.devcluster.agent CONFIG` until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tools.devcluster.agent.api import Api, Informer
from tools.devcluster.agent.environment import Surroundings
from tools.devcluster.agent.node import keep_nodes, node_names
from tools.devcluster.agent.pod import Host
from tools.devcluster.agent.pods import AddressPool, Pods
from tools.devcluster.agent.services import ServiceProxy
from tools.devcluster.configuration import AgentConfig
from tools.devcluster.leftovers import kill_leftover_containers
from tools.devcluster.state import Layout

log = logging.getLogger("tools.devcluster.agent")


async def run(config: AgentConfig) -> None:
    """Look after the nodes' pods until SIGTERM or SIGINT."""
    layout = Layout(Path(config.root))
    killed = await asyncio.to_thread(kill_leftover_containers, layout.run)
    log.info("starting; ended %d container processes of an earlier run", killed)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api = Api(config)
    agent = _Agent(api, config, layout)
    work = asyncio.create_task(agent.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await agent.close()
    await api.close()


class _Agent:
    """The parts, wired."""

    def __init__(self, api: Api, config: AgentConfig, layout: Layout) -> None:
        url = urlsplit(config.api)
        host, port = url.hostname or "", url.port or 443
        self._api = api
        self._nodes = config.nodes
        self._proxy = ServiceProxy(layout.root / "hosts", {("default", "kubernetes"): (host, port)})
        self._config_maps = Informer(api, "/api/v1/configmaps")
        self._secrets = Informer(api, "/api/v1/secrets")
        self._services = Informer(api, "/api/v1/services")
        around = Surroundings(self._config_maps.get, self._secrets.get, self._proxy.address)
        shared = Host(api, layout, around, host, str(port))
        self._pods = Pods(shared, AddressPool(config.pod_range), self._services.objects.values, self._proxy)
        self._config_maps.listeners.append(self._pods.on_content)
        self._secrets.listeners.append(self._pods.on_content)
        self._services.listeners.append(self._pods.on_service)

    async def run(self) -> None:
        content = (self._config_maps, self._secrets, self._services)
        async with asyncio.TaskGroup() as group:
            for informer in content:
                group.create_task(informer.run())
            group.create_task(self._pods.keep_routes())
            group.create_task(self._pods.keep_tokens())
            for informer in content:  # a pod must find what it refers to
                await informer.synced.wait()
            pods = Informer(self._api, "/api/v1/pods", fieldSelector="spec.nodeName!=")
            pods.listeners.append(self._pods.on_pod)
            group.create_task(pods.run())
            group.create_task(keep_nodes(self._api, node_names(self._nodes)))

    async def close(self) -> None:
        await self._pods.close()
        await self._proxy.close()


def main() -> None:
    """Read the settings file named on the command line, and run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(run(AgentConfig.read(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
