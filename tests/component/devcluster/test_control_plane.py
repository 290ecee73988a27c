from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.devcluster.cluster import DevCluster


def test_the_api_server_says_which_release_it_is(control_plane: DevCluster) -> None:
    assert control_plane.kubectl("version", "-o", "json").count('"minor": "35"') == 2


def test_the_whole(devcluster: DevCluster, namespace: str) -> None:
    assert devcluster.kubectl("get", "ns", namespace)
