"""Two replicas: one leads, the other is warm; whoever loses the Lease raises nothing any more."""

from __future__ import annotations

import itertools
import json
import signal

import pytest

from tests.component.operator.conftest import Replica
from tests.support.proxy import Proxy, Request
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, off_at, rises, vectors
from tests.support.waiting import wait_for
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)


def leader_and_standby(replica: Replica) -> tuple[Operator, Operator]:
    leader = replica("first").start()
    wait_for(lambda: leader.leads, SECONDS, "the first to lead")
    standby = replica("second").start().ready()
    assert not standby.leads
    return leader, standby


@pytest.mark.shows("S4-SEC-03")
def test_when_the_leader_is_killed_in_the_ramp_the_other_goes_on(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    leader, standby = leader_and_standby(replica)
    site.apply(canary(site.namespace, ramp=5))
    site.until_ramping()
    leader.kill()
    before = len(proxy.documents())
    wait_for(lambda: standby.leads, SECONDS, "the standby to lead")
    site.until_guarding()
    path = vectors(proxy.documents()[before - 1 :])
    assert all(lower.is_at_most(higher) for lower, higher in itertools.pairwise(path))


def test_an_abort_without_a_leader_is_answered_by_the_next(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    leader, _ = leader_and_standby(replica)
    site.apply(canary(site.namespace))
    site.until_guarding()
    leader.kill()
    site.annotate(abort="in the gap")
    off_at(consumer)
    site.until("the latch", lambda status: status.rollback is not None)


@pytest.mark.shows("S4-SEC-03")
def test_a_leader_that_was_paused_beyond_its_lease_raises_nothing_and_exits(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    leader, standby = leader_and_standby(replica)
    site.apply(canary(site.namespace, ramp=5))
    site.until_ramping()
    leader.send(signal.SIGSTOP)
    site.around.until_scraped(site.namespace, errors=1.0)
    wait_for(lambda: standby.leads, SECONDS, "the standby to lead")
    site.until("the fall", lambda status: status.rollback is not None)
    site.around.says(site.namespace)
    before = len(proxy.documents())
    leader.send(signal.SIGCONT)
    assert leader.exit_code() == 1
    assert not rises(vectors(proxy.documents()[before - 1 :]))
    assert site.until_mode(Mode.OFF).latch is not None


def test_a_push_to_the_standby_reaches_the_leader(site: Site, replica: Replica, consumer: Flags, proxy: Proxy) -> None:
    _, standby = leader_and_standby(replica)
    site.apply(canary(site.namespace))
    site.until_guarding()
    answer = standby.push_until_taken(site.alert())
    assert answer.status_code == 200, answer.text
    published = site.published()
    assert published is not None
    assert published.vector.mode is Mode.SHADOW


def test_a_push_without_a_leader_is_refused_so_that_it_is_sent_again(
    site: Site, replica: Replica, consumer: Flags
) -> None:
    leader, standby = leader_and_standby(replica)
    leader.kill()
    assert standby.push(site.alert()).status_code == 503


def test_a_leader_that_is_told_to_stop_hands_over_at_once(site: Site, replica: Replica, consumer: Flags) -> None:
    leader, standby = leader_and_standby(replica)
    assert leader.stop() == 0
    wait_for(lambda: standby.leads, SECONDS, "the standby to lead")


def test_a_leader_that_was_paused_between_two_writes_of_a_rise_does_not_finish_it(
    site: Site, replica: Replica, consumer: Flags, proxy: Proxy
) -> None:
    leader, standby = leader_and_standby(replica)

    def pause(request: Request) -> bool:
        if request.kind != "verificationrollouts/status":
            return False
        pending = json.loads(request.body)["status"].get("pending")
        return bool(pending and pending["vector"]["rankingWeight"] > 0)

    proxy.once(pause, lambda: leader.send(signal.SIGSTOP), after=True, answer=True)
    site.apply(canary(site.namespace))
    wait_for(lambda: standby.leads, SECONDS, "the standby to lead")
    tried = attempts(proxy, leader)
    leader.send(signal.SIGCONT)
    assert leader.exit_code() == 1
    assert attempts(proxy, leader) == tried
    site.until_guarding()


def attempts(proxy: Proxy, operator: Operator) -> int:
    """How many flag documents an operator has tried to write, whatever became of them."""
    return sum(write.sender == operator.name for write in proxy.writes("configmaps"))
