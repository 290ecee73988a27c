"""kill -9 of the operator between any two writes: nothing rises by itself, what fell stays down, same end."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.component.operator.conftest import Replica
from tests.support.proxy import Proxy, Request
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, off_at, ramp_step, rises, vectors
from tests.support.waiting import wait_for
from veriramp_operator.api.vector import Vector
from veriramp_operator.engine.types import Direction
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

FULL = os.environ.get("VERIRAMP_CAMPAIGN") == "full"
pytestmark = pytest.mark.timeout(3600 if FULL else 600)


def restart(site: Site, operator: Operator) -> None:
    """Start the operator again, without waiting for the dead one's Lease."""
    wait_for(lambda: not operator.is_running, SECONDS, "the operator to be dead")
    site.around.forget_lease()
    operator.start()


def test_killed_in_the_ramp_and_again_in_the_rollback(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy
) -> None:
    # Killed by the proxy as soon as a step is written: no other request of this pass is on its way then.
    proxy.once(ramp_step, operator.kill, after=True)
    site.apply(canary(site.namespace, ramp=5))
    wait_for(lambda: not operator.is_running, SECONDS, "the operator to be dead")
    at_death = len(proxy.documents())
    site.around.until_scraped(site.namespace, errors=1.0)
    proxy.once(_is_fall, operator.kill, after=True)
    restart(site, operator)
    off_at(consumer)
    site.around.says(site.namespace)
    restart(site, operator)
    site.until("the latch found in the document", lambda status: status.rollback is not None)
    assert not rises(vectors(proxy.documents()[at_death - 1 :]))
    status = site.until("the fall applied", lambda status: bool(status.rollback and status.rollback.applied_at))
    assert status.parameters is not None
    assert status.parameters.mode is Mode.OFF
    assert site.until_mode(Mode.OFF).latch is not None


def test_killed_between_many_writes_it_ends_where_an_undisturbed_run_ends(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    operator = replica("operator")
    killed: list[str] = []
    number = 1
    operator.start()
    site.apply(canary(site.namespace))
    plan = [(2, True), (4, False), (6, True), (9, False)] if not FULL else _all()
    for number, after in plan:
        proxy.at(number, _killing(operator, killed, f"{number} after={after}"), after=after)
    while not _at_rest(site):
        wait_for(lambda: _at_rest(site) or not operator.is_running, SECONDS, "rest, or the next death")
        if not operator.is_running:
            restart(site, operator)
    assert len(killed) >= min(4, len(plan)), killed
    path = vectors(proxy.documents())
    assert path[-1] == Vector(mode=Mode.LIVE, sampling_rate=1, canary_percent=50, ranking_weight=0.1)
    assert all(vector.is_at_most(path[-1]) for vector in path)
    revisions = [document.revision for document in proxy.documents()]
    assert revisions == sorted(set(revisions)), "no revision is used twice"
    salts = {(document.salt, document.sample_salt) for document in proxy.documents()}
    assert len(salts) == 1, "the salts never change"


def _all() -> list[tuple[int, bool]]:
    return [(number, number % 2 == 0) for number in range(1, 60)]


def _killing(operator: Operator, killed: list[str], what: str) -> Callable[[], None]:
    def kill() -> None:
        killed.append(what)
        operator.kill()

    return kill


def _at_rest(site: Site) -> bool:
    return site.status().phase == "Guarding"


def _is_fall(request: Request) -> bool:
    return request.kind == "configmaps" and f'"{Direction.FALL}"'.encode() in request.body
