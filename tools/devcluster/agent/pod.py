"""One pod: started, looked after, reported, and ended when it is deleted."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from tools.devcluster.agent.api import CONFLICT, NOT_FOUND, Api, ApiError, Object
from tools.devcluster.agent.container import Container, ImageMissingError
from tools.devcluster.agent.environment import (
    NotYetThereError,
    Surroundings,
    container_environment,
    expand,
    resolve_services,
)
from tools.devcluster.agent.launch import SYSTEM_PATH, Launch, mounts_of
from tools.devcluster.agent.node import now
from tools.devcluster.agent.podstatus import PodReport, conditions_of, pod_status
from tools.devcluster.agent.volumes import PodVolumes, refused_volume
from tools.devcluster.images import lookup, read_images

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tools.devcluster.state import Layout

log = logging.getLogger(__name__)

DEFAULT_GRACE_SECONDS: Final = 30
FIRST_RETRY_SECONDS: Final = 0.2
LAST_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Host:
    """What all pods of the agent share."""

    api: Api
    layout: Layout
    around: Surroundings
    api_host: str
    api_port: str

    @property
    def hosts(self) -> Path:
        """The /etc/hosts of all pods: it names the Services."""
        return self.layout.root / "hosts"


class PodWorker:
    """Looks after one pod until it is gone; `changed` is called after every change of its containers' readiness."""

    def __init__(self, pod: Object, host: Host, address: str, changed: Callable[[PodWorker], None]) -> None:
        self.pod = pod
        self.address = address
        self.gone = False
        self._host = host
        self._tell = changed
        self._folder = host.layout.run / pod["metadata"]["uid"]
        self._volumes = PodVolumes(self._folder / "volumes", host.around, self._request_token)
        restarts = {s["name"]: s["restartCount"] for s in _known_statuses(pod)}
        known = {c["name"]: restarts[c["name"]] + 1 if c["name"] in restarts else 0 for c in _all_containers(pod)}
        self._init = [self._container(spec, known) for spec in pod["spec"].get("initContainers", [])]
        self._main = [self._container(spec, known) for spec in pod["spec"]["containers"]]
        self._initialized = not self._init
        self._finished = False
        self._reported = False
        self._started_at = now()
        self._deleting = asyncio.Event()
        self._dirty = asyncio.Event()
        self._stale_volumes = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether Services may send requests to it."""
        return not self._deleting.is_set() and all(container.report().ready for container in self._main)

    def update(self, pod: Object) -> None:
        """Take a newer version of the pod."""
        labels = {key: pod["metadata"].get(key) for key in ("labels", "annotations")}
        if labels != {key: self.pod["metadata"].get(key) for key in ("labels", "annotations")}:
            self._stale_volumes.set()
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deleting.set()
            self._tell(self)
        elif self._reported and conditions_of(pod) != conditions_of({"status": self._status()}):
            self._dirty.set()  # the node controller calls all pods not ready when the agent was silent for long

    def refresh_volumes(self) -> None:
        """A ConfigMap, a Secret or the age of a token may have changed the content of its volumes."""
        self._stale_volumes.set()

    def abandon(self) -> None:
        """The pod is gone from the API server: end everything at once."""
        self.gone = True
        self._deleting.set()
        for container in (*self._init, *self._main):
            container.kill()

    async def run(self) -> None:
        """Look after the pod until it is deleted, then remove it from the API server."""
        if self.pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            await self._deleting.wait()
            await self._insist(self._delete)
            return
        reporting = asyncio.create_task(self._keep_reporting())
        refreshing = asyncio.create_task(self._keep_volumes_fresh())
        living = asyncio.create_task(self._live())
        deleted = asyncio.create_task(self._deleting.wait())
        try:
            await asyncio.wait({living, deleted}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and not living.cancelled() and (problem := living.exception()):
                log.error("pod %s/%s: the agent failed", *self._key, exc_info=problem)
            await deleted
            await self._end(living)
        except asyncio.CancelledError:
            await self._end(living, limit=2.0)
            raise
        finally:
            for task in (reporting, refreshing, deleted):
                task.cancel()
        await self._remove()

    async def _live(self) -> None:
        await asyncio.to_thread(self._make_folder)
        policy = self.pod["spec"].get("restartPolicy", "Always")
        self._changed()
        for container in self._init:
            if await container.run("Never" if policy == "Never" else "OnFailure") != 0:
                self._finished = True
                self._changed()
                return
        self._initialized = True
        async with asyncio.TaskGroup() as group:
            for container in self._main:
                group.create_task(container.run(policy))
        self._finished = True
        self._changed()

    async def _end(self, living: asyncio.Task[None], limit: float = float("inf")) -> None:
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
        containers = (*self._init, *self._main)
        await asyncio.gather(*(container.stop(min(float(grace), limit)) for container in containers))
        await asyncio.gather(living, return_exceptions=True)
        self._finished = True

    async def _remove(self) -> None:
        try:
            await self._insist(self._write_status)
            await self._insist(self._delete)
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder, True)

    async def _delete(self) -> None:
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod["metadata"]["uid"]}}
        await self._host.api.delete(self._path, body)

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_RETRY_SECONDS
        while not await self._attempt(call):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _attempt(self, call: Callable[[], Awaitable[None]]) -> bool:
        """Make a call about this pod; False when it has to be made again, because the API server is away or busy."""
        try:
            await call()
        except ApiError as problem:
            if problem.status == NOT_FOUND or (problem.status == CONFLICT and self.gone):
                return True
            log.warning("pod %s/%s: %s", *self._key, problem)
        except httpx.TransportError as problem:
            log.warning("pod %s/%s: %s: %s", *self._key, type(problem).__name__, problem)
        else:
            return True
        return False

    # Starting a container.

    def _container(self, spec: Object, restarts: dict[str, int]) -> Container:
        return Container(spec, self.address, restarts[spec["name"]], self._prepare, self._changed)

    async def _prepare(self, spec: Object) -> Launch:
        if refused := refused_volume(self.pod) or _refused_feature(self.pod):
            raise ValueError(refused)
        images = await asyncio.to_thread(read_images, self._host.layout.images)
        image = lookup(images, spec["image"])
        if image is None:
            known = ", ".join(sorted(images)) or "none"
            raise ImageMissingError(
                f"image {spec['image']!r} is mapped to no command in {self._host.layout.images} (mapped: {known})"
            )
        await self._volumes.render(self.pod)
        around = self._host.around
        pod = {**self.pod, "status": {**self.pod.get("status", {}), "podIP": self.address, "hostIP": self.address}}
        own = container_environment(pod, spec, around)
        env = {"PATH": SYSTEM_PATH, "HOME": "/", **image.env, **self._standard_environment(), **own}
        argv = [expand(part, env) for part in image.argv(spec.get("command", []), spec.get("args", []))]
        if not argv:
            raise ValueError(f"neither the pod nor image {spec['image']!r} names a command")
        namespace, name = self._key
        return Launch(
            name=spec["name"],
            folder=self._folder,
            hosts=self._host.hosts,
            mounts=mounts_of(spec, self.pod, self._volumes),
            argv=[resolve_services(part, around) for part in argv],
            env=env,
            workdir=spec.get("workingDir") or image.workdir,
            log=self._host.layout.pods / f"{namespace}_{name}_{spec['name']}.log",
        )

    def _standard_environment(self) -> dict[str, str]:
        return {
            "HOSTNAME": self._key[1],
            "KUBERNETES_SERVICE_HOST": self._host.api_host,
            "KUBERNETES_SERVICE_PORT": self._host.api_port,
            "KUBERNETES_SERVICE_PORT_HTTPS": self._host.api_port,
        }

    def _make_folder(self) -> None:
        (self._folder / "volumes").mkdir(parents=True, exist_ok=True)
        (self._folder / "name").write_text("/".join(self._key))

    async def _request_token(self, pod: Object, audiences: list[str], seconds: int) -> str:
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName", "default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        request = {"spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound}}
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        try:
            return str((await self._host.api.create(path, request))["status"]["token"])
        except (ApiError, httpx.TransportError) as problem:
            raise NotYetThereError(f"no token for service account {account!r}: {problem}") from problem

    async def _keep_volumes_fresh(self) -> None:
        while True:
            await self._stale_volumes.wait()
            self._stale_volumes.clear()
            if self._folder.exists() and not self._deleting.is_set():
                try:
                    await self._volumes.render(self.pod)
                except (NotYetThereError, ValueError) as problem:
                    log.warning("volumes of pod %s/%s stay as they are: %s", *self._key, problem)

    # Reporting.

    @property
    def _key(self) -> tuple[str, str]:
        return self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]

    @property
    def _path(self) -> str:
        return "/api/v1/namespaces/{}/pods/{}".format(*self._key)

    def _changed(self) -> None:
        self._dirty.set()
        self._tell(self)

    async def _keep_reporting(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._insist(self._write_status)

    def _status(self) -> Object:
        report = PodReport(
            init=[container.report() for container in self._init],
            main=[container.report() for container in self._main],
            initialized=self._initialized,
            finished=self._finished,
            address=self.address,
            started_at=self._started_at,
        )
        return pod_status(self.pod, report, now())

    async def _write_status(self) -> None:
        status = self._status()
        self._reported = True
        patch = {"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": status}
        written = await self._host.api.patch(f"{self._path}/status", patch)
        if _version(written) > _version(self.pod):
            self.pod = written


def _version(pod: Object) -> int:
    return int(pod["metadata"]["resourceVersion"])


def _all_containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _known_statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _refused_feature(pod: Object) -> str | None:
    for container in _all_containers(pod):
        name = container["name"]
        if container.get("restartPolicy") == "Always":
            return f"init container {name!r} is a sidecar (restartPolicy Always); make it a container of the pod"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "grpc" in container.get(probe, {}):
                return f"container {name!r}: {probe} grpc is not supported; use httpGet, tcpSocket or exec"
    return None
