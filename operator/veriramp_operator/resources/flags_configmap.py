"""The ConfigMap that publishes a flag document: the source of truth of what is in force.

Public: :class:`Owner`, :func:`config_map`, :func:`config_map_name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from veriramp_operator.resources.flags_document import DATA_KEY, FlagDocument

LABEL: Final = "veriramp.dev/flags"
UID: Final = "veriramp.dev/uid"
REVISION: Final = "veriramp.dev/revision"
CONTENT_HASH: Final = "veriramp.dev/content-hash"
DIRECTION: Final = "veriramp.dev/direction"
LATCH: Final = "veriramp.dev/latch"


@dataclass(frozen=True, slots=True)
class Owner:
    """The rollout that a ConfigMap belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str


def config_map_name(rollout: str) -> str:
    """Name of a rollout's ConfigMap."""
    return f"{rollout}-flags"


def config_map(
    document: FlagDocument,
    owner: Owner,
    direction: str,
    latch: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Render the ConfigMap for server-side apply.

    ``direction`` is Rise or Fall; ``latch`` is the rollback latch as JSON, absent when nothing is latched. A latch that
    an earlier document carried goes away by being left out. ``annotations`` are further ones of the operator's own.
    """
    notes = {
        **(annotations or {}),
        UID: document.uid,
        REVISION: str(document.revision),
        CONTENT_HASH: document.content_hash,
        DIRECTION: direction,
    }
    if latch is not None:
        notes[LATCH] = latch
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(document.rollout),
            "namespace": document.namespace,
            "labels": {LABEL: "true"},
            "annotations": notes,
            "ownerReferences": [
                {
                    "apiVersion": owner.api_version,
                    "kind": owner.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    # A foreground deletion must not wait for the ConfigMap: it is removed with the rollout anyway.
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "data": {DATA_KEY: document.text},
    }
