"""What the operator knows of the cluster: only newer news count, and every change that matters wakes a pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flags import LIVE, OFF, a_document
from veriramp_operator.api.config import OperatorConfig
from veriramp_operator.api.reasons import Reason
from veriramp_operator.engine.types import PropagationSeen, RoleCount
from veriramp_operator.resources.flags import FlagDocument, Owner, config_map
from veriramp_operator.resources.published import PUBLISHED_AT
from veriramp_operator.runtime.gather import REFUSED_SECONDS, observe
from veriramp_operator.runtime.world import RefusedDocument, World
from veriramp_sdk.contract import Role

KEY = ("search", "demo")
UID = "5f0c"
Object = dict[str, Any]


class Seen:
    """A world and the wakes that it asked for."""

    def __init__(self) -> None:
        self.wakes: list[tuple[tuple[str, str], str]] = []
        self.world = World(lambda key, reason: self.wakes.append((key, reason)), lambda: 1000.0)

    def reasons(self) -> list[str]:
        reasons = [reason for _, reason in self.wakes]
        self.wakes.clear()
        return reasons


@pytest.fixture
def seen() -> Seen:
    return Seen()


def a_raw(version: int = 10, uid: str = UID, **metadata: Any) -> Object:
    return {
        "metadata": {
            "namespace": KEY[0],
            "name": KEY[1],
            "uid": uid,
            "resourceVersion": str(version),
            "generation": 1,
            **metadata,
        },
        "spec": {"stages": [{"name": "shadow", "mode": "Shadow"}]},
    }


def a_config_map(version: int = 10, uid: str = "cm-1", document: FlagDocument | None = None, **labels: str) -> Object:
    owner = Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", UID)
    raw = config_map(document or a_document(vector=LIVE), owner, "Rise", None, {PUBLISHED_AT: "2026-11-21T10:00:00Z"})
    raw["metadata"] |= {"uid": uid, "resourceVersion": str(version)}
    return raw


def a_deployment(version: int = 10, ready: int = 0, desired: int = 1, uid: str = "d-1") -> Object:
    return {
        "metadata": {
            "namespace": KEY[0],
            "name": "demo-orchestrator-1",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {"veriramp.dev/rollout": "demo", "veriramp.dev/profile": "orchestrator"},
        },
        "spec": {"replicas": desired},
        "status": {"readyReplicas": ready},
    }


def test_a_new_rollout_wakes(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    assert seen.reasons() == ["new"]
    assert list(seen.world) == [KEY]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"generation": 2}, ["spec"]),
        ({"annotations": {"veriramp.dev/abort": "x"}}, ["request"]),
        ({"deletionTimestamp": "2026-11-21T10:00:00Z"}, ["deletion"]),
        ({"finalizers": ["veriramp.dev/safe-off"]}, ["spec"]),
        ({"labels": {"team": "search"}}, []),
    ],
)
def test_a_change_wakes_with_its_reason(seen: Seen, change: Object, reason: list[str]) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.rollout(a_raw(11, **change))
    assert seen.reasons() == reason


def test_our_own_status_is_no_news_and_does_not_replace_what_memory_knows(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.rollout({**a_raw(11), "status": {"phase": "Guarding"}})
    entry = seen.world.get(KEY)
    assert entry is not None
    assert (entry.status.phase, entry.rollout.resource_version) == (None, "11")
    assert seen.reasons() == []


def test_late_news_of_a_deleted_namesake_do_not_touch_the_new_rollout(seen: Seen) -> None:
    seen.world.rollout(a_raw(20, uid="new"))
    seen.reasons()
    seen.world.rollout(a_raw(12, uid=UID, deletionTimestamp="2026-11-21T10:00:00Z"))
    seen.world.gone(KEY, UID)
    entry = seen.world.get(KEY)
    assert entry is not None
    assert (entry.rollout.uid, seen.reasons()) == ("new", [])
    seen.world.gone(KEY, "new")
    assert (seen.world.get(KEY), seen.reasons()) == (None, ["gone"])


def test_a_document_that_lost_its_owner_stays_ours_and_a_foreign_one_does_not_become_it(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    orphaned = a_config_map()
    del orphaned["metadata"]["ownerReferences"]
    seen.world.config_map(orphaned)
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.config_map is not None
    assert entry.config_map.owner_uid == UID, "a fall must be able to overwrite what clients still obey"
    taken = a_config_map(11)
    taken["metadata"]["ownerReferences"][0]["uid"] = "somebody"
    seen.world.config_map(taken)
    assert entry.config_map.owner_uid == "somebody"


@pytest.mark.parametrize("version", [9, 10])
def test_older_events_are_ignored(seen: Seen, version: int) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.rollout(a_raw(version, generation=7))
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.rollout.generation == 1
    assert seen.reasons() == []


def test_versions_are_compared_as_numbers(seen: Seen) -> None:
    seen.world.rollout(a_raw(9))
    seen.world.rollout(a_raw(10, generation=2))
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.rollout.generation == 2


def test_another_object_of_the_same_name_begins_anew(seen: Seen) -> None:
    seen.world.rollout({**a_raw(), "status": {"phase": "Guarding"}})
    seen.world.config_map(a_config_map())
    seen.reasons()
    seen.world.rollout(a_raw(30, uid="other"))
    entry = seen.world.get(KEY)
    assert entry is not None
    assert (entry.rollout.uid, entry.status.phase, entry.config_map) == ("other", None, None)
    assert seen.reasons() == ["new"]


def test_a_deleted_rollout_is_gone_once(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.gone(KEY)
    seen.world.gone(KEY)
    assert seen.reasons() == ["gone"]
    assert seen.world.get(KEY) is None


def test_a_config_map_seen_before_its_rollout_is_kept_for_it(seen: Seen) -> None:
    seen.world.config_map(a_config_map())
    seen.world.rollout(a_raw())
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.config_map is not None
    assert entry.config_map.published is not None
    assert entry.config_map.published.vector == LIVE


def test_a_config_map_deleted_before_its_rollout_came_is_forgotten(seen: Seen) -> None:
    seen.world.config_map(a_config_map())
    seen.world.config_map(a_config_map(11), deleted=True)
    seen.world.rollout(a_raw())
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.config_map is None


def test_config_maps_wake_when_what_they_say_changes(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.config_map(a_config_map(10))
    assert seen.reasons() == ["flags"]
    seen.world.config_map(a_config_map(11))
    assert seen.reasons() == [], "only its resourceVersion is another"
    seen.world.config_map(a_config_map(9, document=a_document(vector=OFF)))
    assert seen.reasons() == [], "older"
    seen.world.config_map(a_config_map(12, document=a_document(vector=OFF, revision=2)))
    assert seen.reasons() == ["flags"]
    seen.world.config_map(a_config_map(13), deleted=True)
    assert seen.reasons() == ["flags"]


def test_late_news_of_a_config_map_that_was_replaced_are_ignored(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.world.config_map(a_config_map(20, uid="cm-2"))
    seen.reasons()
    seen.world.config_map(a_config_map(15, uid="cm-1", document=a_document(vector=OFF)))
    seen.world.config_map(a_config_map(16, uid="cm-1"), deleted=True)
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.config_map is not None
    assert entry.config_map.uid == "cm-2"
    assert seen.reasons() == []


def test_a_config_map_that_was_edited_by_hand_says_nothing(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    raw = a_config_map()
    raw["data"] = {"flags.json": "{}"}
    seen.world.config_map(raw)
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.config_map is not None
    assert entry.config_map.published is None


def test_a_read_that_finds_none_counts(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.world.config_map(a_config_map())
    seen.reasons()
    seen.world.config_map_missing(KEY)
    seen.world.config_map_missing(KEY)
    assert seen.reasons() == ["flags"]


def test_other_config_maps_are_none_of_our_business(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    raw = a_config_map()
    raw["metadata"]["name"] = "demo"
    seen.world.config_map(raw)
    assert seen.reasons() == []


def test_deployments_wake_when_counts_change(seen: Seen) -> None:
    seen.world.deployment(a_deployment())
    seen.world.rollout(a_raw())
    seen.reasons()
    seen.world.deployment(a_deployment(10))
    seen.world.deployment(a_deployment(11))
    seen.world.deployment(a_deployment(12, ready=1))
    seen.world.deployment(a_deployment(9, ready=0))
    assert seen.reasons() == ["workers", "workers"]
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.deployments["demo-orchestrator-1"].ready == 1
    seen.world.deployment(a_deployment(13), deleted=True)
    assert seen.reasons() == ["workers"]
    assert not entry.deployments


def test_propagation_wakes_only_when_it_says_something_new(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.reasons()
    one = PropagationSeen(3, UID, {Role.SEARCH: RoleCount(2, 1)}, observed_at=1.0)
    seen.world.propagation(KEY, one)
    seen.world.propagation(KEY, PropagationSeen(3, UID, {Role.SEARCH: RoleCount(2, 1)}, observed_at=2.0))
    seen.world.propagation(KEY, PropagationSeen(3, UID, {Role.SEARCH: RoleCount(2, 2)}, observed_at=3.0))
    seen.world.propagation(("search", "nobody"), one)
    assert seen.reasons() == ["propagation", "propagation"]


def test_a_refused_document_is_tried_again_after_an_edit_or_a_while(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    entry = seen.world.get(KEY)
    assert entry is not None
    entry.refused = RefusedDocument("clients refuse it", entry.rollout.generation, at=100.0)

    def stalls(now: float) -> bool:
        problems = observe(entry, {}, OperatorConfig(), now).problems
        return any(problem.reason is Reason.DOCUMENT_REFUSED for problem in problems)

    assert stalls(101.0)
    assert not stalls(100.0 + REFUSED_SECONDS)
    seen.world.rollout(a_raw(12, generation=2))
    assert not stalls(101.0)


def test_a_new_leader_begins_from_what_the_api_server_remembers(seen: Seen) -> None:
    seen.world.rollout(a_raw())
    seen.world.rollout({**a_raw(11), "status": {"phase": "Guarding"}})
    seen.world.forget_memory()
    entry = seen.world.get(KEY)
    assert entry is not None
    assert entry.status.phase == "Guarding"
