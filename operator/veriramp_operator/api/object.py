"""A ``VerificationRollout`` as the API server sends it, parsed once on the way in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from veriramp_operator.api.rollout import RolloutSpec
from veriramp_operator.api.status import RolloutStatus

FINALIZER: Final = "veriramp.dev/safe-off"
ABORT: Final = "veriramp.dev/abort"
REQUEST: Final = "veriramp.dev/request"


@dataclass(frozen=True, slots=True)
class Rollout:
    """Identity, requests, spec and remembered status of one rollout.

    ``spec`` is None when the stored object cannot be read by this version; ``spec_error`` then says why.
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
    )


def _spec(raw: Mapping[str, Any]) -> tuple[RolloutSpec | None, str]:
    try:
        return RolloutSpec.model_validate(raw), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']} (found {first['input']!r})"


def _status(raw: Mapping[str, Any]) -> RolloutStatus:
    try:
        return RolloutStatus.model_validate(raw)
    except ValidationError:
        # A status of another version: begin from what the published document remembers.
        return RolloutStatus()
