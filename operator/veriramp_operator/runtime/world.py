"""What the operator knows of the cluster: rollouts and their children, fed by watches, lists and our own writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from veriramp_operator.api.object import Rollout, parse_rollout
from veriramp_operator.api.status import RolloutStatus
from veriramp_operator.engine.types import PropagationSeen, Published
from veriramp_operator.resources.deployments import PROFILE_LABEL, ROLLOUT_LABEL, SPEC_HASH
from veriramp_operator.resources.flags import FlagDocument
from veriramp_operator.resources.flags_configmap import UID
from veriramp_operator.resources.published import FLAGS_SUFFIX, document_from, published_from
from veriramp_operator.runtime.queue import Key


@dataclass(frozen=True, slots=True)
class ConfigMapSeen:
    """The flag ConfigMap of a rollout; ``published`` and ``document`` None = it is not ours or cannot be read."""

    uid: str
    resource_version: str
    owner_uid: str
    published: Published | None
    document: FlagDocument | None = None


@dataclass(frozen=True, slots=True)
class DeploymentSeen:
    """A worker Deployment; ``spec_hash`` is the one it was last applied with."""

    name: str
    uid: str
    resource_version: str
    owner_uid: str
    profile: str
    spec_hash: str
    desired: int
    ready: int


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A rise that was not published, because its document does not evaluate as it should."""

    problem: str
    generation: int
    at: float


@dataclass(slots=True)
class Entry:
    """Everything known of one rollout.

    ``status``: the newest status, ahead of ``written`` by volatile fields only. ``flushed_at``: when ``written`` was
    written (seconds since the epoch). ``conflicts``: names of ours that others hold. ``unready_since``: by profile.
    ``unsure``: a write got no answer, so it may have landed unseen. ``refused_workers``: by profile, why the API server
    refuses its Deployment.
    """

    rollout: Rollout
    status: RolloutStatus
    written: RolloutStatus
    flushed_at: float
    config_map: ConfigMapSeen | None = None
    deployments: dict[str, DeploymentSeen] = field(default_factory=dict)
    propagation: PropagationSeen = field(default_factory=PropagationSeen)
    conflicts: dict[str, str] = field(default_factory=dict)
    refused: RefusedDocument | None = None
    unsure: bool = False
    refused_workers: dict[str, str] = field(default_factory=dict)
    unready_since: dict[str, float] = field(default_factory=dict)


class World:
    """The entries by key. ``wake(key, reason)`` is called when something a decision may depend on has changed."""

    def __init__(self, wake: Callable[[Key, str], None], clock: Callable[[], float]) -> None:
        self._wake, self._clock = wake, clock
        self._entries: dict[Key, Entry] = {}
        self._orphans: dict[Key, ConfigMapSeen] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """The entry of a rollout, or None when there is no such rollout."""
        return self._entries.get(key)

    def forget_memory(self) -> None:
        """Begin again from what the API server remembers: done when leadership is won."""
        for entry in self._entries.values():
            entry.status = entry.written = entry.rollout.status
            entry.flushed_at = self._clock()

    def rollout(self, raw: Mapping[str, Any]) -> None:
        """A rollout as listed, watched or answered by the API server; older ones than known are ignored."""
        seen = parse_rollout(raw)
        entry = self._entries.get(seen.key)
        if entry is not None and not _is_newer(seen.resource_version, entry.rollout.resource_version):
            return
        if entry is None or entry.rollout.uid != seen.uid:
            self._entries[seen.key] = Entry(
                seen, seen.status, seen.status, self._clock(), config_map=self._orphans.pop(seen.key, None)
            )
            self._wake(seen.key, "new")
            return
        before, entry.rollout = entry.rollout, seen
        if _changed(before, seen):
            self._wake(seen.key, _reason(before, seen))

    def gone(self, key: Key, uid: str = "") -> None:
        """The rollout exists no more; with a ``uid`` only that very object, as late news of a namesake's end means."""
        entry = self._entries.get(key)
        if entry is not None and uid in {"", entry.rollout.uid}:
            del self._entries[key]
            self._wake(key, "gone")

    def config_map(self, raw: Mapping[str, Any], *, deleted: bool = False) -> None:
        """A flag ConfigMap as listed, watched or answered."""
        metadata = raw["metadata"]
        if not metadata["name"].endswith(FLAGS_SUFFIX):
            return
        key = (metadata["namespace"], metadata["name"].removesuffix(FLAGS_SUFFIX))
        seen = None if deleted else _config_map(raw)
        entry = self._entries.get(key)
        if entry is None:
            self._orphan(key, seen)
            return
        known = entry.config_map
        if known and _is_newer(known.resource_version, metadata["resourceVersion"]):
            return
        if known and deleted and known.uid != metadata["uid"]:
            return
        entry.config_map = seen
        if (known and known.published) != (seen and seen.published):
            self._wake(key, "flags")

    def _orphan(self, key: Key, seen: ConfigMapSeen | None) -> None:
        if seen is None:
            self._orphans.pop(key, None)
        else:
            self._orphans[key] = seen

    def config_map_missing(self, key: Key) -> None:
        """A read found no flag ConfigMap."""
        entry = self._entries.get(key)
        if entry is not None and entry.config_map is not None:
            entry.config_map = None
            self._wake(key, "flags")

    def deployment(self, raw: Mapping[str, Any], *, deleted: bool = False) -> None:
        """A worker Deployment as listed, watched or answered."""
        metadata = raw["metadata"]
        labels = metadata.get("labels") or {}
        key = (metadata["namespace"], labels.get(ROLLOUT_LABEL, ""))
        entry = self._entries.get(key)
        if entry is None:
            return
        seen = _deployment(raw)
        known = entry.deployments.get(seen.name)
        if known and known.uid == seen.uid and _is_newer(known.resource_version, seen.resource_version):
            return
        if deleted:
            entry.deployments.pop(seen.name, None)
        else:
            entry.deployments[seen.name] = seen
        if deleted or known is None or (known.desired, known.ready) != (seen.desired, seen.ready):
            self._wake(key, "workers")

    def propagation(self, key: Key, seen: PropagationSeen) -> None:
        """What the flag servers say of who runs which revision."""
        entry = self._entries.get(key)
        if entry is None:
            return
        before, entry.propagation = entry.propagation, seen
        if (before.revision, before.roles, before.unmeasured) != (seen.revision, seen.roles, seen.unmeasured):
            self._wake(key, "propagation")


def _config_map(raw: Mapping[str, Any]) -> ConfigMapSeen:
    metadata = raw["metadata"]
    return ConfigMapSeen(
        uid=metadata["uid"],
        resource_version=str(metadata["resourceVersion"]),
        # A document of ours whose owner was dropped (restored from a backup, edited) is still what clients obey.
        owner_uid=_controller(metadata) or (metadata.get("annotations") or {}).get(UID, ""),
        published=published_from(raw),
        document=document_from(raw),
    )


def _deployment(raw: Mapping[str, Any]) -> DeploymentSeen:
    metadata, status = raw["metadata"], raw.get("status") or {}
    return DeploymentSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=str(metadata["resourceVersion"]),
        owner_uid=_controller(metadata),
        profile=(metadata.get("labels") or {}).get(PROFILE_LABEL, ""),
        spec_hash=(metadata.get("annotations") or {}).get(SPEC_HASH, ""),
        desired=int((raw.get("spec") or {}).get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
    )


def _controller(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _is_newer(candidate: str, known: str) -> bool:
    # Resource versions of one kind are comparable integers since Kubernetes 1.35; before, equality is all there is.
    if candidate.isdigit() and known.isdigit():
        return int(candidate) > int(known)
    return candidate != known


def _changed(before: Rollout, after: Rollout) -> bool:
    # The status is written by us alone: its changes are no news.
    return (before.generation, before.deleting, before.annotations, before.finalizers) != (
        after.generation,
        after.deleting,
        after.annotations,
        after.finalizers,
    )


def _reason(before: Rollout, after: Rollout) -> str:
    if after.deleting and not before.deleting:
        return "deletion"
    return "request" if before.annotations != after.annotations else "spec"
