"""The environment and command of a container, as its pod's spec asks for them.

`container_environment` resolves env and envFrom, `expand` the $(NAME) references in commands. Pure: the lookups
of ConfigMaps, Secrets and Services are passed in.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.devcluster.agent.api import Object

    Lookup = Callable[[str, str], Object | None]

REFERENCE: Final = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
SERVICE_NAME: Final = re.compile(
    r"(?<![\w.-])([a-z0-9]([-a-z0-9]*[a-z0-9])?)\.([a-z0-9]([-a-z0-9]*[a-z0-9])?)\.svc(\.cluster\.local)?(?![\w-])"
)
INDEXED: Final = re.compile(r"metadata\.(annotations|labels)\['(.+)'\]")


class NotYetThereError(Exception):
    """Something that the pod refers to does not exist (yet); the message is shown as the container's state."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container may refer to: by (namespace, name), None for what does not exist."""

    config_map: Lookup
    secret: Lookup
    service_address: Callable[[str, str], str | None]


def container_environment(pod: Object, container: Object, around: Surroundings) -> dict[str, str]:
    """Resolve a container's own variables, later ones may refer to earlier ones.

    Raises NotYetThereError for a missing ConfigMap, Secret or key that is not optional.
    """
    namespace = pod["metadata"]["namespace"]
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        values |= _all_of(source, namespace, around)
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            value = _referred(entry["valueFrom"], pod, namespace, around)
        else:
            value = expand(entry.get("value", ""), values)
        if value is not None:
            values[entry["name"]] = value
    return {name: resolve_services(value, around) for name, value in values.items()}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace $(NAME) by the variable's value and $$ by $; an unknown name stays as it is written."""

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group(0))

    return REFERENCE.sub(value_of, text)


def resolve_services(text: str, around: Surroundings) -> str:
    """Replace <service>.<namespace>.svc[.cluster.local] by an address; an unknown Service stays as it is written."""

    def address_of(match: re.Match[str]) -> str:
        return around.service_address(match.group(3), match.group(1)) or match.group(0)

    return SERVICE_NAME.sub(address_of, text)


def field_value(pod: Object, path: str) -> str:
    """Read a downward API field; raises ValueError for a path that Kubernetes does not offer either."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if indexed := INDEXED.fullmatch(path):
        return str(metadata.get(indexed.group(1), {}).get(indexed.group(2), ""))
    plain: dict[str, Callable[[], Any]] = {
        "metadata.name": lambda: metadata["name"],
        "metadata.namespace": lambda: metadata["namespace"],
        "metadata.uid": lambda: metadata["uid"],
        "metadata.labels": lambda: _lines(metadata.get("labels", {})),
        "metadata.annotations": lambda: _lines(metadata.get("annotations", {})),
        "spec.nodeName": lambda: spec.get("nodeName", ""),
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName", "default"),
        "status.podIP": lambda: status.get("podIP", ""),
        "status.podIPs": lambda: status.get("podIP", ""),
        "status.hostIP": lambda: status.get("hostIP", ""),
    }
    if path not in plain:
        raise ValueError(f"fieldPath {path!r} is not known; known are {', '.join(sorted(plain))}")
    return str(plain[path]())


def secret_bytes(secret: Object) -> dict[str, bytes]:
    """Decode the data of a Secret."""
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def config_map_bytes(config_map: Object) -> dict[str, bytes]:
    """Give the data and the decoded binaryData of a ConfigMap."""
    data = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    return data | {key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()}


def _all_of(source: Object, namespace: str, around: Surroundings) -> dict[str, str]:
    kind = "configMapRef" if "configMapRef" in source else "secretRef"
    found = _content(kind, source[kind], namespace, around)
    return {source.get("prefix", "") + key: value.decode() for key, value in (found or {}).items()}


def _referred(source: Object, pod: Object, namespace: str, around: Surroundings) -> str | None:
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            reference = source[kind]
            found = _content(kind, reference, namespace, around)
            if found is not None and reference["key"] in found:
                return found[reference["key"]].decode()
            if reference.get("optional"):
                return None
            raise NotYetThereError(
                f"key {reference['key']!r} is not in {kind.removesuffix('KeyRef')} {reference['name']!r}"
            )
    raise ValueError(f"valueFrom {', '.join(source)} is not supported by the dev cluster; use fieldRef or a value")


def _content(kind: str, reference: Object, namespace: str, around: Surroundings) -> dict[str, bytes] | None:
    name = reference["name"]
    if kind.startswith("configMap"):
        found = around.config_map(namespace, name)
        content = found and config_map_bytes(found)
    else:
        found = around.secret(namespace, name)
        content = found and secret_bytes(found)
    if content is None and not reference.get("optional"):
        raise NotYetThereError(f'{kind.removesuffix("Ref").removesuffix("Key")} "{name}" not found')
    return content


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
