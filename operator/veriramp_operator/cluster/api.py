"""One small door to the API server: JSON in, JSON out, and every fault as one of our errors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError

from veriramp_operator.api.errors import ConfigurationError, Conflict, NotFound, Refused, Unavailable

FIELD_MANAGER: Final = "veriramp"
DEFAULT_TIMEOUT: Final = 10.0
_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives: ``/api/v1`` or ``/apis/<group>/<version>``, and its plural."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection or of one object."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, name or "", subresource or ""]
        return "/".join(part for part in parts if part)


class Api:
    """The requests that the operator makes, with a deadline on each.

    Raises :class:`Unavailable` (no answer, 429, 5xx), :class:`Conflict` (409), :class:`NotFound` (404, 410) and
    :class:`Refused` (any other 4xx) from every method.
    """

    def __init__(self, client: ApiClient, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._client = client
        self._dynamic = DynamicClient(client)
        self._timeout = timeout

    @classmethod
    async def connect(cls) -> Self:
        """Log in the way kubectl does inside and outside a cluster: KUBECONFIG first, else the pod's account."""
        settings = Configuration()
        try:
            if os.environ.get("KUBECONFIG") or not os.environ.get("KUBERNETES_SERVICE_HOST"):
                await config.load_kube_config(client_configuration=settings)
            else:
                config.load_incluster_config(client_configuration=settings)
        except config.ConfigException as error:
            raise ConfigurationError(
                f"no access to a cluster: {error}; set KUBECONFIG to a file that kubectl accepts, or run in a pod"
            ) from error
        settings.retries = None
        return cls(ApiClient(settings))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """A quorum read of one object."""
        return await self._call("get", resource.path(namespace, name))

    async def list_all(
        self, resource: Resource, namespace: str | None, label_selector: str | None = None
    ) -> list[Json]:
        """A quorum list of all objects of a kind, in one namespace or all."""
        answer = await self._call("get", resource.path(namespace), label_selector=label_selector)
        return [
            {"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in answer.get("items") or ()
        ]

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Json:
        """POST; :class:`Conflict` when the name is taken."""
        return await self._call("post", resource.path(namespace), body=dict(body), field_manager=FIELD_MANAGER)

    async def apply(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any], subresource: str | None = None
    ) -> Json:
        """Server-side apply, taking our fields back from whoever changed them.

        Preconditions are the ``uid`` and ``resourceVersion`` in the body's metadata.
        """
        return await self._call(
            "patch",
            resource.path(namespace, name, subresource),
            body=dict(body),
            content_type=_APPLY,
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )

    async def json_patch(self, resource: Resource, namespace: str, name: str, patch: list[Json]) -> Json:
        """A JSON patch; its ``test`` operations are the preconditions."""
        return await self._call("patch", resource.path(namespace, name), body=patch, content_type=_JSON_PATCH)

    async def update(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Json:
        """PUT with the resourceVersion in the body as precondition."""
        return await self._call("put", resource.path(namespace, name), body=dict(body), field_manager=FIELD_MANAGER)

    async def _call(self, method: str, path: str, **options: Any) -> Json:
        try:
            response = await self._dynamic.request(
                method,
                path,
                serialize=False,
                _request_timeout=self._timeout,
                query_params=[],
                header_params={},
                **options,
            )
            answer: Json = json.loads(await response.read())
        except DynamicApiError as error:
            raise _ours(error, method, path) from error
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            raise Unavailable(f"{method.upper()} {path}: {type(error).__name__}: {error}") from error
        return answer


def _ours(error: DynamicApiError, method: str, path: str) -> Exception:
    message = f"{method.upper()} {path}: {error.status} {_summary(error)}"
    if error.status == 409:  # noqa: PLR2004 an HTTP status
        return Conflict(message)
    if error.status in {404, 410}:
        return NotFound(message)
    if error.status == 429 or error.status >= 500:  # noqa: PLR2004 HTTP statuses
        return Unavailable(message)
    return Refused(message, int(error.status))


def _summary(error: DynamicApiError) -> str:
    try:
        return str(json.loads(error.body or "").get("message") or error.reason)
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)


ROLLOUTS: Final = Resource("veriramp.dev/v1alpha1", "VerificationRollout", "verificationrollouts")
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
PODS: Final = Resource("v1", "Pod", "pods")
EVENTS: Final = Resource("events.k8s.io/v1", "Event", "events")
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
