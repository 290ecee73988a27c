"""All pods of the agent: a worker each, an address each, and the Services that lead to them."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from tools.devcluster.agent.pod import Host, PodWorker
from tools.devcluster.agent.services import Endpoint, ServiceProxy, endpoint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tools.devcluster.agent.api import Object

log = logging.getLogger(__name__)

TOKEN_CHECK_SECONDS: Final = 60.0


class AddressPool:
    """Hands out the addresses of a range in turn, so that one just given back rests as long as possible."""

    def __init__(self, network: str) -> None:
        self._all = [str(address) for address in ipaddress.ip_network(network).hosts()]
        self._used: set[str] = set()
        self._next = 0

    def take(self, wanted: str | None = None) -> str:
        """Take the wanted address if it is free, else the next free one; raises RuntimeError when none is left."""
        if wanted in self._all and wanted not in self._used:
            self._used.add(wanted)
            return wanted
        for _ in self._all:
            address = self._all[self._next]
            self._next = (self._next + 1) % len(self._all)
            if address not in self._used:
                self._used.add(address)
                return address
        raise RuntimeError(f"all {len(self._all)} pod addresses are in use")

    def give_back(self, address: str) -> None:
        self._used.discard(address)


class Pods:
    """Starts and ends a worker for each pod that the watch shows."""

    def __init__(
        self, host: Host, pool: AddressPool, services: Callable[[], Iterable[Object]], proxy: ServiceProxy
    ) -> None:
        self._host = host
        self._pool = pool
        self._services = services
        self._proxy = proxy
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._routes_stale = asyncio.Event()

    def on_pod(self, pod: Object, gone: bool) -> None:
        """Take a change of a pod from the watch."""
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if gone:
            if worker is not None:
                worker.abandon()
                self._forget(uid)
        elif worker is None:
            self._start(uid, pod)
        else:
            worker.update(pod)

    def on_service(self, _service: Object, _gone: bool) -> None:
        """Take a change of a Service from the watch."""
        self._routes_stale.set()

    def on_content(self, changed: Object, _gone: bool) -> None:
        """Take a change of a ConfigMap or Secret from the watch."""
        for worker in self._workers.values():
            if worker.pod["metadata"]["namespace"] == changed["metadata"].get("namespace"):
                worker.refresh_volumes()

    async def keep_routes(self) -> None:
        """Bring Service forwarding up to date after every change."""
        while True:
            await self._routes_stale.wait()
            self._routes_stale.clear()
            await self._proxy.sync(list(self._services()), self._endpoints())

    async def keep_tokens(self) -> None:
        """Have tokens renewed in time."""
        while True:
            await asyncio.sleep(TOKEN_CHECK_SECONDS)
            for worker in self._workers.values():
                worker.refresh_volumes()

    async def close(self) -> None:
        """End all pods' processes; the pods stay in the API server."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, uid: str, pod: Object) -> None:
        address = self._pool.take(pod.get("status", {}).get("podIP"))
        worker = PodWorker(pod, self._host, address, self._on_change)
        self._workers[uid] = worker
        self._tasks[uid] = asyncio.create_task(self._run(uid, worker))
        if "deletionTimestamp" in pod["metadata"]:
            worker.update(pod)

    async def _run(self, uid: str, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            log.exception("pod %s/%s", worker.pod["metadata"]["namespace"], worker.pod["metadata"]["name"])
        finally:
            self._proxy.pod_gone(worker.address)
            self._pool.give_back(worker.address)
            self._tasks.pop(uid, None)
            self._forget(uid)
            self._routes_stale.set()

    def _forget(self, uid: str) -> None:
        """Drop a worker that has ended, once its pod is gone too: a finalizer may keep the pod for a while."""
        if uid not in self._tasks and self._workers[uid].gone:
            del self._workers[uid]

    def _on_change(self, _worker: PodWorker) -> None:
        self._routes_stale.set()

    def _endpoints(self) -> list[Endpoint]:
        return [endpoint_of(worker.pod, worker.address) for worker in self._workers.values() if worker.ready]
