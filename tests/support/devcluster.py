"""Fixtures round the dev cluster, started once per test run and only when a test asks for it.

    devcluster      the whole cluster: API server, controllers, a node, Prometheus, the broker
    control_plane   only etcd and the API server (3 s): for CRDs, CEL rules, admission, server-side apply
    namespace       a fresh namespace of `devcluster`, ready for pods, deleted after the test

When a program is not built these fixtures fail, and say what to run.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.waiting import wait_for
from tools.devcluster.cluster import DevCluster
from tools.devcluster.components import Options
from tools.devcluster.images import repository_images

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE_SECONDS: Final = 30.0


@pytest.fixture(scope="session")
def devcluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    root = tmp_path_factory.mktemp("devcluster")
    with DevCluster.up(root, images=repository_images(), options=Options(owner=os.getpid())) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    root = tmp_path_factory.mktemp("control-plane")
    options = Options(nodes=0, controllers=False, prometheus=False, broker=False, owner=os.getpid())
    with DevCluster.up(root, options=options) as cluster:
        yield cluster


@pytest.fixture
def namespace(devcluster: DevCluster) -> Iterator[str]:
    devcluster.check()  # a test that broke the cluster is not blamed on the next one
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = f"/api/v1/namespaces/{name}"
    with devcluster.client() as client:
        created = client.post("/api/v1/namespaces", json={"metadata": {"name": name}})
        created.raise_for_status()
        parts = (f"{path}/serviceaccounts/default", f"{path}/configmaps/kube-root-ca.crt")
        wait_for(
            lambda: all(client.get(part).is_success for part in parts),
            NAMESPACE_SECONDS,
            f"the service account and root certificate of namespace {name}",
        )
        yield name
        client.delete(path).raise_for_status()
