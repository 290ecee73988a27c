"""Worker Deployments: up before the document that needs them, down after the document that does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.proxy import Proxy
from tests.support.replica import Operator
from tests.support.site import SECONDS, Site, canary, off_at
from tests.support.waiting import wait_for
from veriramp_operator.engine.types import Direction
from veriramp_sdk.flags import Flags

pytestmark = pytest.mark.timeout(600)


def deployments(site: Site) -> list[dict[str, Any]]:
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments"
    return list(site.client.get(path).raise_for_status().json()["items"])


@pytest.mark.shows("S1-RBK-01", "S1-DEP-01")
def test_workers_follow_the_rollout_up_and_down(site: Site, operator: Operator, consumer: Flags, proxy: Proxy) -> None:
    site.apply(canary(site.namespace, workers=[{"profile": "orchestrator", "replicas": {"min": 2}}]))
    status = site.until_guarding()
    [worker] = status.workers
    assert (worker.profile, worker.desired, worker.ready) == ("orchestrator", 2, 2)
    [deployment] = deployments(site)
    assert deployment["metadata"]["ownerReferences"][0]["name"] == "demo"
    kinds = [write.kind for write in proxy.writes() if write.kind in {"configmaps", "deployments"}]
    live = [document.direction for document in proxy.documents()].index(Direction.RISE)
    assert "deployments" in kinds[: kinds.index("configmaps") + live + 1], "up before the first rise is out"

    before = len(proxy.writes())
    site.annotate(abort="now")
    off_at(consumer)
    wait_for(lambda: deployments(site)[0]["spec"]["replicas"] == 0, SECONDS, "the workers to be scaled down")
    kinds = [write.kind for write in proxy.writes()[before:]]
    assert kinds.index("configmaps") < kinds.index("deployments"), "off first, then down"


@pytest.mark.shows("S1-RBK-05", "S1-DEP-01")
def test_a_worker_taken_out_of_the_spec_is_scaled_down_and_one_scaled_by_hand_is_put_right(
    site: Site, operator: Operator, consumer: Flags
) -> None:
    site.apply(canary(site.namespace, workers=[{"profile": "orchestrator"}]))
    site.until_guarding()
    [deployment] = deployments(site)
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments/{deployment['metadata']['name']}"
    merge = {"Content-Type": "application/merge-patch+json"}
    site.client.patch(path, headers=merge, json={"spec": {"replicas": 3}}).raise_for_status()
    wait_for(lambda: deployments(site)[0]["spec"]["replicas"] == 1, SECONDS, "the count of the spec")
    site.apply(canary(site.namespace))
    wait_for(lambda: deployments(site)[0]["spec"]["replicas"] == 0, SECONDS, "nobody to be needed")
