"""Deletion while Live: everything is off first, and nothing is ever stuck while an operator runs."""

from __future__ import annotations

import uuid

import pytest

from tests.component.operator.conftest import Replica
from tests.support.proxy import Proxy
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, off_at
from tests.support.waiting import wait_for
from veriramp_operator.api.object import FINALIZER
from veriramp_sdk.contract import Mode
from veriramp_sdk.flags import Flags

PASSES = "veriramp_reconcile_pass_seconds_count"

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_deleted_rollout_goes_when_everything_is_off(
    site: Site, operator: Operator, consumer: Flags, proxy: Proxy, propagation: str
) -> None:
    site.apply(canary(site.namespace))
    site.until_guarding()
    wait_for(lambda: consumer.state().mode is Mode.LIVE, SECONDS, "the client to be live")
    before = len(proxy.writes())
    site.delete(propagation)
    wait_for(lambda: not site.exists(), SECONDS, "the rollout to go")
    assert consumer.state().mode is Mode.OFF

    def written() -> list[str]:
        return [write.kind for write in proxy.writes()[before:] if 0 < write.status < 300]

    if propagation == "Background":
        # The object is gone a moment before the proxy has the answer to the write that let it go.
        wait_for(lambda: "verificationrollouts" in written(), SECONDS, "the finalizer to be taken away")
        kinds = written()
        assert kinds.index("configmaps") < kinds.index("verificationrollouts"), "Off first, then the finalizer"
    wait_for(lambda: site.published() is None, SECONDS, "the document to go with its owner")


def test_a_finalizer_of_somebody_else_does_not_make_an_event_with_every_pass(
    site: Site, operator: Operator, consumer: Flags
) -> None:
    assert consumer.state().mode is Mode.OFF
    site.apply(canary(site.namespace))
    site.until_guarding()
    site.hold("example.org/held")
    try:
        site.delete()
        wait_for(lambda: FINALIZER not in site.raw()["metadata"]["finalizers"], SECONDS, "our finalizer to go")
        passes = operator.metric(PASSES)
        wait_for(lambda: operator.metric(PASSES) >= passes + 5, SECONDS, "more passes")
        assert site.events().count("SafeOff") == 1
    finally:
        site.hold()
    wait_for(lambda: not site.exists(), SECONDS, "the rollout to go")


def test_a_deletion_while_the_operator_is_away_waits_for_it(site: Site, replica: Replica, consumer: Flags) -> None:
    operator = replica("operator").start()
    site.apply(canary(site.namespace))
    site.until_guarding()
    operator.kill()
    site.around.forget_lease()
    site.delete()
    assert FINALIZER in site.raw()["metadata"]["finalizers"]
    operator.start()
    off_at(consumer)
    wait_for(lambda: not site.exists(), SECONDS, "the rollout to go")


def test_a_deleted_namespace_is_not_held_up(site: Site, replica: Replica) -> None:
    other = Site(site.around, f"test-{uuid.uuid4().hex[:8]}")
    other.client.post("/api/v1/namespaces", json={"metadata": {"name": other.namespace}}).raise_for_status()
    replica("operator", other.namespace).start()
    other.apply(canary(other.namespace))
    with other.consumer() as flags:
        other.until_guarding()
        wait_for(lambda: flags.state().mode is Mode.LIVE, SECONDS, "the client to be live")
        path = f"/api/v1/namespaces/{other.namespace}"
        other.client.delete(path).raise_for_status()
        off_at(flags)
        wait_for(lambda: other.client.get(path).status_code == 404, SECONDS, "the namespace to go")
