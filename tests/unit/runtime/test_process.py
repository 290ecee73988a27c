"""Resync and pushes of the process: what a list shows and what it does not, and when a push may be acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.support.flags import LIVE, a_document
from veriramp_operator.api.errors import Unavailable
from veriramp_operator.cluster.api import CONFIG_MAPS, ROLLOUTS, Api, Resource
from veriramp_operator.resources.flags import Owner, config_map
from veriramp_operator.resources.published import PUBLISHED_AT
from veriramp_operator.runtime.process import OperatorProcess
from veriramp_operator.runtime.settings import Settings

Object = dict[str, Any]


@dataclass
class Lists:
    """What the API server lists; ``meanwhile`` happens while a kind is being listed, once."""

    rollouts: list[Object] = field(default_factory=list)
    documents: list[Object] = field(default_factory=list)
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)

    async def list_all(self, resource: Resource, namespace: str | None, _selector: str | None = None) -> list[Object]:
        known = {ROLLOUTS.kind: self.rollouts, CONFIG_MAPS.kind: self.documents}.get(resource.kind, [])
        found = [raw for raw in known if namespace in {None, raw["metadata"]["namespace"]}]
        if (call := self.meanwhile.pop(resource.kind, None)) is not None:
            call()
        return found

    async def get(self, *_: object) -> Object:
        raise Unavailable("only lists here")


def a_rollout(namespace: str = "search", version: int = 1) -> Object:
    metadata = {"namespace": namespace, "name": "demo", "uid": f"uid-{namespace}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"stages": [{"name": "shadow", "mode": "Shadow"}]}}


def a_config_map(namespace: str = "search", version: int = 5) -> Object:
    owner = Owner("veriramp.dev/v1alpha1", "VerificationRollout", "demo", f"uid-{namespace}")
    document = a_document(namespace=namespace, vector=LIVE, uid=f"uid-{namespace}")
    raw = config_map(document, owner, "Rise", None, {PUBLISHED_AT: "2026-11-21T10:00:00Z"})
    raw["metadata"] |= {"uid": f"cm-{namespace}", "resourceVersion": str(version)}
    return raw


async def a_process(lists: Lists, namespaces: str = "") -> OperatorProcess:
    settings = Settings.from_environment({"VERIRAMP_WATCH_NAMESPACES": namespaces})
    return OperatorProcess(settings, cast("Api", lists))


def has_document(process: OperatorProcess, namespace: str = "search") -> bool:
    entry = process.world.get((namespace, "demo"))
    assert entry is not None
    return entry.config_map is not None


async def test_everything_listed_is_known() -> None:
    process = await a_process(Lists([a_rollout()], [a_config_map()]))
    assert process._not_ready() == "not synced yet"
    await process.resync()
    assert list(process.world) == [("search", "demo")]
    assert has_document(process)
    assert process._not_ready() == ""


async def test_several_watched_namespaces_keep_their_documents() -> None:
    lists = Lists([a_rollout("one"), a_rollout("two")], [a_config_map("one"), a_config_map("two")])
    process = await a_process(lists, "one,two")
    for _ in range(2):
        await process.resync()
        assert (has_document(process, "one"), has_document(process, "two")) == (True, True)


async def test_known_minus_listed_is_gone() -> None:
    lists = Lists([a_rollout()], [a_config_map()])
    process = await a_process(lists)
    await process.resync()
    lists.documents.clear()
    await process.resync()
    assert not has_document(process)
    lists.rollouts.clear()
    await process.resync()
    assert list(process.world) == []


async def test_what_comes_while_it_lists_is_not_taken_for_gone() -> None:
    lists = Lists()
    process = await a_process(lists)
    lists.meanwhile[CONFIG_MAPS.kind] = lambda: process.world.rollout(a_rollout())
    await process.resync()
    assert list(process.world) == [("search", "demo")]
    lists.rollouts.append(a_rollout())
    lists.meanwhile[CONFIG_MAPS.kind] = lambda: process.world.config_map(a_config_map())
    await process.resync()
    assert has_document(process)


async def test_lists_that_are_older_than_the_watch_change_nothing() -> None:
    lists = Lists([a_rollout(version=3)], [a_config_map(version=4)])
    process = await a_process(lists)
    process.world.rollout(a_rollout(version=9))
    process.world.config_map(a_config_map(version=8))
    await process.resync()
    entry = process.world.get(("search", "demo"))
    assert entry is not None
    assert entry.config_map is not None
    assert (entry.rollout.resource_version, entry.config_map.resource_version) == ("9", "8")


async def test_a_process_that_has_not_begun_to_lead_takes_no_push() -> None:
    process = await a_process(Lists())
    process.leader._leads_until = float("inf")
    door = process._door()
    assert not door.leads()
    assert door.leader_address() == "", "nor does it forward to itself"
    process._begun = True
    assert door.leads()


async def test_a_push_that_no_leader_has_acted_on_is_not_acknowledged() -> None:
    process = await a_process(Lists())
    with pytest.raises(Unavailable, match="leadership was lost"):
        await process._accept_push(b'{"version": "4", "alerts": []}')
