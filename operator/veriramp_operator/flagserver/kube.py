"""The few reads of the API server that the flag server makes: list and watch, over httpx.

Public: :func:`connect`, :class:`Reader`. The Kubernetes client package would double this process's memory.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from veriramp_operator.api.errors import ConfigurationError, Unavailable

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WATCH_SECONDS: Final = 30
"""A watch ends by itself after so long; the list that follows is the confirmation."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and how to log in."""

    url: str
    tls: ssl.SSLContext | bool
    token: str = ""
    token_file: Path | None = None
    """Read for every request: the kubelet renews it."""


class Reader:
    """Lists and watches; raises :class:`Unavailable` for every fault, which the caller answers by trying again."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client = httpx.AsyncClient(
            base_url=access.url,
            verify=access.tls,
            trust_env=False,
            timeout=httpx.Timeout(10.0, read=WATCH_SECONDS + 10.0),
        )

    async def list(self, path: str, query: Mapping[str, str]) -> tuple[list[Json], str]:
        """All objects of a collection, from quorum, with the resourceVersion to watch from."""
        try:
            response = await self._client.get(path, params=dict(query), headers=self._headers(), timeout=10.0)
            response.raise_for_status()
            answer = response.json()
            return answer.get("items") or [], str(answer["metadata"]["resourceVersion"])
        except (httpx.HTTPError, ValueError, KeyError, OSError) as error:
            raise Unavailable(f"list {path}: {error!r}") from error

    async def watch(self, path: str, query: Mapping[str, str], version: str) -> AsyncIterator[tuple[str, Json]]:
        """Events (type, object) since a resourceVersion, bookmarks included, for half a minute."""
        parameters = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            async with self._client.stream("GET", path, params=parameters, headers=self._headers()) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Unavailable(f"watch {path}: {event['object'].get('message', event['object'])}")
                    yield event["type"], event["object"]
        except (httpx.HTTPError, ValueError, KeyError, OSError) as error:
            raise Unavailable(f"watch {path}: {error!r}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _headers(self) -> dict[str, str]:
        access = self._access
        token = access.token_file.read_text().strip() if access.token_file else access.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def connect(environment: Mapping[str, str] | None = None) -> Reader:
    """Log in by KUBECONFIG, else by the pod's account; raise ConfigurationError when there is neither."""
    environment = os.environ if environment is None else environment
    if path := environment.get("KUBECONFIG"):
        return Reader(_from_kubeconfig(Path(path)))
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigurationError("no access to a cluster: set KUBECONFIG, or run in a pod with a service account")
    try:
        tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    except OSError as error:
        raise ConfigurationError(f"{ACCOUNT / 'ca.crt'}: {error}; the pod has no service account token") from error
    address = f"[{host}]" if ":" in host else host
    return Reader(Access(f"https://{address}:{port}", tls, token_file=ACCOUNT / "token"))


def _from_kubeconfig(path: Path) -> Access:
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        token_file = Path(path.parent, user["tokenFile"]) if "tokenFile" in user else None
        return Access(cluster["server"], _tls(cluster, user, path.parent), user.get("token", ""), token_file)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"KUBECONFIG {path}: {error!r}") from error


def _named(entries: list[Json], name: str) -> Json:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise ValueError(f'no entry "{name}"')


def _tls(cluster: Json, user: Json, folder: Path) -> ssl.SSLContext | bool:
    if cluster["server"].startswith("http://"):
        return True
    authority = _pem(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        # The ssl module reads client certificates from files only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    return tls


def _pem(entry: Json, name: str, folder: Path) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    if file := entry.get(name):
        return Path(folder, file).read_bytes()
    return None
