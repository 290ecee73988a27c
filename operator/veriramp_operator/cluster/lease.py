"""Leader election by a coordination.k8s.io Lease, fenced: who cannot renew stops before the Lease runs out."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from veriramp_operator.api.errors import Conflict, NotFound, Refused, Unavailable
from veriramp_operator.cluster.api import LEASES, Api

LEASE_SECONDS: Final = 15.0
RENEW_DEADLINE: Final = 10.0
RETRY_SECONDS: Final = 2.0
ALERTS_ADDRESS: Final = "veriramp.dev/alerts-address"

_log = logging.getLogger("veriramp.lease")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who competes for the Lease: a name unique per process, and where the leader takes Alertmanager's pushes."""

    name: str
    alerts_address: str


class LeaderElection:
    """Acquires and renews one Lease.

    The holder's rights end on its own monotonic clock ``RENEW_DEADLINE`` after the start of the last successful
    renewal, five seconds before anybody else may take over. Other holders are judged by the local time at which
    ``renewTime`` was last seen to change, so clocks of different machines are never compared.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: Identity,
        healthy: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._healthy, self._clock = healthy, clock
        self._leads_until = 0.0
        self._seen_renewal: tuple[str, str] = ("", "")
        self._seen_at = clock()
        self._seconds = LEASE_SECONDS
        self.leader_address = ""
        self.changed = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """True while this process may write."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """Seconds for which this process may still write; 0 when it does not lead."""
        return max(0.0, self._leads_until - self._clock())

    async def run(self) -> None:
        """Compete until cancelled; returns when leadership was lost, and the process should then exit."""
        while not self.is_leader:
            await self._attempt()
            if not self.is_leader:
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 jitter
        _log.info("leading as %s", self._identity.name)
        self.changed.set()
        while self.is_leader:
            await asyncio.sleep(RETRY_SECONDS)
            if self._healthy():
                await self._attempt()
        _log.warning("leadership lost: the Lease was not renewed in %.0f s, or another holds it", RENEW_DEADLINE)

    async def release(self) -> None:
        """Give the Lease up, so that a standby need not wait for it to run out."""
        if not self.is_leader:
            return
        self._leads_until = 0.0
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity.name:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._api.update(LEASES, self._namespace, self._name, lease)
        except (Unavailable, Conflict, NotFound, Refused) as error:
            _log.info("the Lease was left to run out: %s", error)

    async def _attempt(self) -> None:
        started = self._clock()
        try:
            async with asyncio.timeout(RENEW_DEADLINE / 2):
                won = await self._try_once()
        except (Unavailable, Conflict, NotFound, Refused, TimeoutError) as error:
            _log.info("Lease not renewed: %s", error)
            return
        # A Lease that somebody else holds (it was deleted or edited by hand) ends our rights before their time.
        self._leads_until = started + RENEW_DEADLINE if won else 0.0

    async def _try_once(self) -> bool:
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
        except NotFound:
            await self._api.create(LEASES, self._namespace, self._fresh())
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self._observe(lease, holder, str(spec.get("renewTime")))
        if holder not in {"", self._identity.name} and self._clock() < self._seen_at + self._seconds:
            return False
        await self._api.update(LEASES, self._namespace, self._name, self._taken(lease, holder))
        self.leader_address = self._identity.alerts_address
        return True

    def _observe(self, lease: dict[str, Any], holder: str, renewed: str) -> None:
        self.leader_address = (lease["metadata"].get("annotations") or {}).get(ALERTS_ADDRESS, "")
        self._seconds = float((lease.get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS)
        if (holder, renewed) != self._seen_renewal:
            self._seen_renewal, self._seen_at = (holder, renewed), self._clock()

    def _fresh(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "annotations": {ALERTS_ADDRESS: self._identity.alerts_address}},
            "spec": {
                "holderIdentity": self._identity.name,
                "leaseDurationSeconds": int(LEASE_SECONDS),
                "acquireTime": _micro_time(),
                "renewTime": _micro_time(),
                "leaseTransitions": 0,
            },
        }

    def _taken(self, lease: dict[str, Any], holder: str) -> dict[str, Any]:
        spec = dict(lease.get("spec") or {})
        spec |= {
            "holderIdentity": self._identity.name,
            "leaseDurationSeconds": int(LEASE_SECONDS),
            "renewTime": _micro_time(),
        }
        if holder != self._identity.name:
            spec |= {"acquireTime": _micro_time(), "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        metadata = dict(lease["metadata"])
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            ALERTS_ADDRESS: self._identity.alerts_address,
        }
        metadata.pop("managedFields", None)
        return {**lease, "metadata": metadata, "spec": spec}


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
