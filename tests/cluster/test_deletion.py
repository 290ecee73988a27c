"""Whatever is deleted while a rollout is Live: every search process is off in seconds, or at the end of the lease."""

from __future__ import annotations

import pytest

from tests.support.product import SECONDS, Product, stays
from tests.support.road import Road, calm, climbs, steepest
from tests.support.waiting import wait_for
from veriramp_operator.api.reasons import Reason
from veriramp_operator.api.status import Phase
from veriramp_sdk.contract import Mode

pytestmark = [pytest.mark.usefixtures("log_guard"), pytest.mark.timeout(600)]

OFF_SECONDS = 10.0
"""Far below the lease of 60 s, even on a machine that needs PATIENCE."""
LEASE_SECONDS = 30
NAMESPACE_GRACE_SECONDS = 5.0
"""The namespace controller of Kubernetes waits so long before it deletes the first object."""


@pytest.mark.shows("S1-FLAG-04")
@pytest.mark.parametrize("propagation", ["Foreground", "Background"])
def test_a_deleted_rollout_is_off_before_it_is_gone(product: Product, place: str, propagation: str) -> None:
    with Road.start(product, place, calm()) as road:
        road.until_modes("Live", SECONDS)
        road.delete(propagation)
        road.until_modes("Off", OFF_SECONDS)
        wait_for(lambda: not road.exists(), SECONDS, "the rollout to be gone")
        stays(lambda: set(road.modes()) == {"Off"}, 2, "it stayed off when the rollout was gone")


def test_a_deleted_namespace_is_off_and_goes(product: Product, place: str) -> None:
    with Road.start(product, place, calm(), search_apart=True) as road:
        road.until_modes("Live", SECONDS)
        product.client.delete(f"/api/v1/namespaces/{place}").raise_for_status()
        road.until_modes("Off", NAMESPACE_GRACE_SECONDS + OFF_SECONDS)
        path = f"/api/v1/namespaces/{place}"
        wait_for(lambda: product.client.get(path).status_code == 404, SECONDS, "the namespace to be gone")
        stays(lambda: set(road.modes()) == {"Off"}, 2, "it stayed off when the namespace was gone")


def test_a_deleted_flag_document_is_off_at_once_and_the_way_back_is_a_normal_ramp(product: Product, place: str) -> None:
    with Road.start(product, place, calm()) as road:
        road.until_modes("Live", SECONDS)
        before = road.until("the guard", lambda status: status.phase is Phase.GUARDING)
        # While it is paused nothing rises, so that every process can be seen to be off.
        road.apply(calm(paused=True))
        road.until("the pause", lambda status: status.reason == Reason.PAUSED)
        seen = road.watched()
        product.cluster.kubectl("delete", "configmap", "-n", place, "verification-flags")
        road.until_modes("Off", OFF_SECONDS)
        road.until(
            "the loss noticed", lambda status: status.parameters is not None and status.parameters.mode is Mode.OFF
        )
        road.apply(calm())
        after = road.until("the guard again", lambda status: status.phase is Phase.GUARDING)
        assert after.rollback is None
        assert after.parameters == before.parameters
        road.until_modes("Live", OFF_SECONDS)
        road.watched()
        gone, *back = road.documents.seen[seen:]
        assert gone.published is None
        path = [document.published.vector for document in back if document.published]
        assert len(climbs(path)) >= 3
        assert steepest(path) < 0.05


@pytest.mark.shows("S0-02", "S4-SEC-03")
def test_without_any_operator_the_lease_ends_it_and_afterwards_the_same_vector_is_back(
    product: Product, place: str
) -> None:
    short = {"leaseSeconds": LEASE_SECONDS, "propagation": {"quorum": 1, "timeout": "10s"}}
    with Road.start(product, place, calm(flags=short)) as road:
        road.until_modes("Live", SECONDS)
        before = road.until("the guard", lambda status: status.phase is Phase.GUARDING)
        documents = road.watched()
        product.scale_operator(0)
        try:
            road.until_modes("Off", LEASE_SECONDS + OFF_SECONDS)
            assert len(road.documents.seen) == documents, "the lease needs no write"
        finally:
            product.scale_operator(2)
        road.until_modes("Live", SECONDS)
        after = road.until("the guard", lambda status: status.phase is Phase.GUARDING)
        assert after.parameters == before.parameters
        assert after.rollback is None
