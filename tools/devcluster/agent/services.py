"""Forward ClusterIPs to ready pods: what kube-proxy and DNS do in a cluster.

`ServiceProxy` listens at ClusterIP:port as long as a ready pod is behind it (so a Service without ready pods
refuses connections, as it should) and spreads connections over the ready pods in turn. TCP only.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tools.devcluster.agent.api import Object

log = logging.getLogger(__name__)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ready pod that a Service may choose."""

    namespace: str
    name: str
    address: str
    labels: Mapping[str, str]
    named_ports: Mapping[str, int]


def endpoint_of(pod: Object, address: str) -> Endpoint:
    """Describe a pod for Services."""
    metadata = pod["metadata"]
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
    named = {port["name"]: int(port["containerPort"]) for port in ports if "name" in port}
    return Endpoint(metadata["namespace"], metadata["name"], address, metadata.get("labels") or {}, named)


def targets_of(service: Object, port: Object, endpoints: list[Endpoint]) -> list[Address]:
    """List where connections to a Service's port may go."""
    selector = service["spec"].get("selector") or {}
    wanted = port.get("targetPort", port["port"])
    found = []
    for endpoint in endpoints:
        matches = selector.items() <= endpoint.labels.items()
        if selector and matches and endpoint.namespace == service["metadata"]["namespace"]:
            number = wanted if isinstance(wanted, int) else endpoint.named_ports.get(str(wanted))
            if number is not None:
                found.append((endpoint.address, number))
    return sorted(found)


class ServiceProxy:
    """Forwards all Services; `sync` brings it to what the Services and ready pods are now."""

    def __init__(self, hosts: Path, fixed: Mapping[tuple[str, str], Address]) -> None:
        self._hosts = hosts
        self._fixed = fixed
        self._forwarders: dict[Address, _Forwarder] = {}
        self._addresses: dict[tuple[str, str], str] = {}
        self._refused: set[Address] = set()
        self._lock = asyncio.Lock()

    def address(self, namespace: str, name: str) -> str | None:
        """Give the address that stands for a Service's name: its ClusterIP, or a ready pod's if it is headless."""
        return self._addresses.get((namespace, name))

    async def sync(self, services: list[Object], endpoints: list[Endpoint]) -> None:
        """Open, change and close listeners; close connections to pods that are gone."""
        async with self._lock:
            wanted: dict[Address, list[Address]] = {}
            addresses: dict[tuple[str, str], str] = {}
            for service in services:
                key = (service["metadata"]["namespace"], service["metadata"]["name"])
                cluster_ip = service["spec"].get("clusterIP", "None") or "None"
                ports = service["spec"].get("ports", [])
                for port in ports:
                    targets = [self._fixed[key]] if key in self._fixed else targets_of(service, port, endpoints)
                    if cluster_ip != "None" and targets:
                        wanted[cluster_ip, port["port"]] = targets
                    if cluster_ip == "None" and targets:
                        addresses.setdefault(key, targets[0][0])
                if cluster_ip != "None":
                    addresses[key] = cluster_ip
            await self._name(addresses)
            await self._listen(wanted)

    def pod_gone(self, address: str) -> None:
        """Close the connections to a pod that is no more."""
        for forwarder in self._forwarders.values():
            forwarder.drop(address)

    async def close(self) -> None:
        await self._listen({})

    async def _listen(self, wanted: Mapping[Address, list[Address]]) -> None:
        for address in self._forwarders.keys() - wanted.keys():
            self._forwarders.pop(address).close()
        for address, targets in wanted.items():
            if address in self._forwarders:
                self._forwarders[address].targets = targets
                continue
            forwarder = _Forwarder(targets)
            try:
                await forwarder.listen(address)
            except PermissionError:
                if address not in self._refused:
                    self._refused.add(address)
                    log.warning("cannot forward %s:%d: ports below 1024 need root; use a higher Service port", *address)
                continue
            except OSError as problem:
                log.warning("cannot forward %s:%d: %s", *address, problem)
                continue
            self._forwarders[address] = forwarder

    async def _name(self, addresses: dict[tuple[str, str], str]) -> None:
        if addresses != self._addresses or not self._hosts.exists():
            self._addresses = addresses
            await asyncio.to_thread(_write_hosts, self._hosts, addresses)


def _write_hosts(path: Path, addresses: Mapping[tuple[str, str], str]) -> None:
    """Rewrite the file in place: pods have this very inode bound over their /etc/hosts."""
    lines = ["127.0.0.1 localhost"]
    for (namespace, name), address in sorted(addresses.items()):
        short = f"{name}.{namespace}"
        lines.append(f"{address} {short}.svc.cluster.local {short}.svc {short}")
    path.touch()
    with path.open("r+") as file:
        file.write("\n".join(lines) + "\n")
        file.truncate()


@dataclass(slots=True)
class _Forwarder:
    """One listening address."""

    targets: list[Address]
    _turn: itertools.count[int] = field(default_factory=itertools.count)
    _open: set[_Inward] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def listen(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Inward(self.choose, self._open), *address, reuse_address=True)

    def choose(self) -> list[Address]:
        """Order the targets: the one whose turn it is first, the others in case it refuses."""
        start = next(self._turn) % len(self.targets)
        return self.targets[start:] + self.targets[:start]

    def drop(self, pod: str) -> None:
        for connection in list(self._open):
            if connection.target == pod:
                connection.abort()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.abort()


class _Pipe(asyncio.Protocol):
    """One side of a connection: what comes in goes out on the other side, at the pace of the slower one."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if self.other is not None and self.other.transport is not None and self.other.transport.can_write_eof():
            self.other.transport.write_eof()
        return True  # the other direction may still have something to say

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def abort(self) -> None:
        for side in (self, self.other):
            if side is not None and side.transport is not None:
                side.transport.abort()


class _Inward(_Pipe):
    """The side of the client: opens the other one to a pod."""

    def __init__(self, choose: Callable[[], list[Address]], registry: set[_Inward]) -> None:
        super().__init__()
        self.target = ""
        self._choose = choose
        self._registry = registry
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).pause_reading()
        self._registry.add(self)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)
        super().connection_lost(exc)

    async def _connect(self) -> None:
        outward = _Pipe()
        outward.other = self
        for host, port in self._choose():
            try:
                await asyncio.get_running_loop().create_connection(lambda: outward, host, port)
            except OSError:
                continue
            self.target = host
            self.other = outward
            transport: Any = self.transport
            if transport is None or transport.is_closing():
                self.abort()
            else:
                transport.resume_reading()
            return
        self.abort()
