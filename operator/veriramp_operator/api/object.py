"""A ``VerificationRollout`` as the API server sends it, parsed once on the way in."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from veriramp_operator.api.rollout import FlagsSpec, GateSpec, Name, OnNoData, RolloutSpec, WorkerSpec
from veriramp_operator.api.status import RolloutStatus

FINALIZER: Final = "veriramp.dev/safe-off"
ABORT: Final = "veriramp.dev/abort"
REQUEST: Final = "veriramp.dev/request"

_log: Final = logging.getLogger("veriramp.object")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Identity, requests, spec and remembered status of one rollout.

    ``spec`` is None when the stored object cannot be read by this version; ``spec_error`` then says why, and
    ``readable`` holds those of its fields (by Python name) that can be read, list items that cannot left out.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: RolloutSpec | None
    spec_error: str
    status: RolloutStatus
    readable: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.namespace, self.name


def parse_rollout(raw: Mapping[str, Any]) -> Rollout:
    """Parse an API object; what cannot be read becomes ``spec_error`` or an empty status, never an exception."""
    metadata = raw["metadata"]
    spec, problem = _spec(raw.get("spec") or {})
    return Rollout(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        resource_version=str(metadata.get("resourceVersion") or ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        annotations=dict(metadata.get("annotations") or {}),
        spec=spec,
        spec_error=problem,
        status=_status(raw.get("status") or {}),
        readable={} if spec else dict(_readable(raw.get("spec") or {})),
    )


def _spec(raw: Mapping[str, Any]) -> tuple[RolloutSpec | None, str]:
    try:
        return RolloutSpec.model_validate(raw), ""
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return None, f"spec.{place}: {first['msg']} (found {reprlib.repr(first['input'])})"


def _readable(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What brings a rollout down must work although a newer version's field stands beside it."""
    for name, each in _KEPT.items():
        value = raw.get(to_camel(name))
        if isinstance(value, list):
            yield name, tuple(item for part in value for item in _read(each, part))
        else:
            yield from ((name, item) for item in _read(each, value))


def _read(each: TypeAdapter[Any], value: object) -> list[Any]:
    try:
        return [] if value is None else [each.validate_python(value)]
    except ValidationError:
        return []


_KEPT: Final[Mapping[str, TypeAdapter[Any]]] = {
    "prometheus": TypeAdapter(Name),
    "flags": TypeAdapter(FlagsSpec),
    "workers": TypeAdapter(WorkerSpec),
    "gates": TypeAdapter(GateSpec),
    "on_no_data": TypeAdapter(OnNoData),
    "kill_switch": TypeAdapter(bool),
}
"""Fields of a spec that are kept when the whole cannot be read; of a list, the type of one item."""


def _status(raw: Mapping[str, Any]) -> RolloutStatus:
    try:
        return RolloutStatus.model_validate(raw)
    except ValidationError as error:
        # A status of another version: begin from what the published document remembers.
        _log.warning("a status cannot be read and is begun anew from the published document: %s", error.errors()[0])
        return RolloutStatus()
