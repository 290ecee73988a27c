"""Leader election in virtual time: when a Lease may be taken, and when the right to write ends."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from veriramp_operator.api.errors import Conflict, NotFound, Unavailable
from veriramp_operator.cluster.api import Api
from veriramp_operator.cluster.lease import ALERTS_ADDRESS, RENEW_DEADLINE, Identity, LeaderElection

Object = dict[str, Any]


@dataclass
class LeaseStore:
    """One stored Lease with optimistic concurrency, as the API server has it; ``fault`` is raised once."""

    lease: Object | None = None
    version: int = 0
    fault: Exception | None = None
    calls: list[str] = field(default_factory=list)

    async def get(self, *_: Any) -> Object:
        self._call("get")
        if self.lease is None:
            raise NotFound("no lease")
        return copy.deepcopy(self.lease)

    async def create(self, _resource: Any, _namespace: str, body: Object) -> Object:
        self._call("create")
        if self.lease is not None:
            raise Conflict("taken")
        return self._store(body)

    async def update(self, _resource: Any, _namespace: str, _name: str, body: Object) -> Object:
        self._call("update")
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("written in between")
        return self._store(body)

    def _store(self, body: Object) -> Object:
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault


@dataclass
class Replica:
    """One candidate with a clock of its own."""

    election: LeaderElection
    now: list[float]

    async def attempt(self, at: float) -> bool:
        self.now[0] = at
        await self.election._attempt()
        return self.election.is_leader


def a_replica(store: LeaseStore, name: str, *, clock: float = 0.0) -> Replica:
    now = [clock]
    identity = Identity(name, f"http://{name}:8081")
    election = LeaderElection(cast("Api", store), "system", "veriramp-operator", identity, lambda: True, lambda: now[0])
    return Replica(election, now)


@pytest.fixture
def store() -> LeaseStore:
    return LeaseStore()


async def test_the_first_creates_and_leads(store: LeaseStore) -> None:
    first = a_replica(store, "first")
    assert await first.attempt(0)
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == "first"
    assert store.lease["spec"]["leaseTransitions"] == 0
    assert store.lease["metadata"]["annotations"] == {ALERTS_ADDRESS: "http://first:8081"}


async def test_rights_end_before_anybody_else_may_take_over(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    assert not await second.attempt(0)
    first.now[0] = RENEW_DEADLINE - 0.1
    assert first.election.is_leader
    first.now[0] = RENEW_DEADLINE
    assert not first.election.is_leader
    assert not await second.attempt(14.9)
    assert await second.attempt(15)
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 1


async def test_a_renewal_seen_begins_the_wait_anew(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    await second.attempt(0)
    await first.attempt(8)
    assert not await second.attempt(9)
    assert not await second.attempt(23.9)
    assert await second.attempt(24)


async def test_a_takeover_is_judged_by_the_local_clock_alone(store: LeaseStore) -> None:
    first = a_replica(store, "first")
    ahead = a_replica(store, "ahead", clock=1_000_000.0)
    await first.attempt(0)
    assert not await ahead.attempt(1_000_000.0)
    assert not await ahead.attempt(1_000_014.0)
    assert await ahead.attempt(1_000_015.0)


async def test_a_standby_that_began_late_waits_a_whole_lease(store: LeaseStore) -> None:
    await a_replica(store, "dead").attempt(0)
    late = a_replica(store, "late", clock=3600.0)
    assert not await late.attempt(3600)
    assert await late.attempt(3615)


async def test_rights_count_from_the_beginning_of_the_renewal(store: LeaseStore) -> None:
    first = a_replica(store, "first")
    await first.attempt(100)
    assert first.election.remaining == RENEW_DEADLINE
    first.now[0] = 104
    assert first.election.remaining == RENEW_DEADLINE - 4


@pytest.mark.parametrize("fault", [Unavailable("away"), Conflict("raced"), TimeoutError()])
async def test_a_failed_renewal_changes_nothing(store: LeaseStore, fault: Exception) -> None:
    first = a_replica(store, "first")
    await first.attempt(0)
    store.fault = fault
    assert await first.attempt(5)
    assert first.election.remaining == RENEW_DEADLINE - 5


async def test_two_that_race_for_a_free_lease_never_both_win(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    await first.election.release()
    stale = await store.get()
    assert await first.attempt(1)
    with pytest.raises(Conflict):
        await store.update(None, "", "", second.election._taken(stale, ""))


async def test_a_released_lease_is_free_at_once(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    await second.attempt(0)
    await first.election.release()
    assert not first.election.is_leader
    assert await second.attempt(1)


async def test_only_the_holder_releases(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    await second.election.release()
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == "first"


async def test_the_standby_knows_where_the_leader_takes_pushes(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    await first.attempt(0)
    await second.attempt(0)
    assert second.election.leader_address == "http://first:8081"
    assert first.election.leader_address == "http://first:8081" or first.election.is_leader


async def test_a_restarted_pod_of_the_same_identity_goes_on_at_once(store: LeaseStore) -> None:
    await a_replica(store, "first").attempt(0)
    again = a_replica(store, "first", clock=50.0)
    assert await again.attempt(50)


async def test_a_lease_deleted_by_hand_and_taken_by_another_ends_leadership_at_once(store: LeaseStore) -> None:
    first, second = a_replica(store, "first"), a_replica(store, "second")
    assert await first.attempt(0)
    store.lease = None
    assert await second.attempt(1)
    assert not await first.attempt(2), "it would go on writing beside the new leader until its own deadline"
