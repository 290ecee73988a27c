from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.workloads import Workloads

if TYPE_CHECKING:
    from tools.devcluster.cluster import DevCluster


@pytest.fixture
def workloads(devcluster: DevCluster, namespace: str) -> Workloads:
    return Workloads(devcluster, namespace)
